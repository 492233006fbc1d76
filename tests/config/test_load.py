"""Loading: every mistake at once, each at its place, as a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import load, loads
from monitor.errors import ConfigError
from tests.config.examples import FULL, MINIMAL, only_problem, problems, with_lines


def test_the_smallest_config_has_every_default() -> None:
    config = loads(MINIMAL)
    assert config.namespace == "driftline"
    assert config.kafka is None
    assert config.streams.labels is None
    assert config.time.horizon_ms == config.time.lateness_ms == 36 * 3_600_000
    assert [window.name for window in config.windows] == ["1d", "1h"]
    assert config.unlisted_models is None
    assert config.state.max_rows == 20_000_000


def test_a_full_config_has_what_was_written() -> None:
    config = loads(FULL)
    labels = config.streams.labels
    assert labels is not None
    assert labels.absent is not None
    assert (labels.absent.value, labels.absent.after_ms) == (0.0, 604_800_000)
    assert config.streams.predictions.max_bytes == 65_536
    assert [(w.name, w.size_ms, w.slide_ms, w.calendar) for w in config.windows] == [
        ("1d", 86_400_000, 86_400_000, None),
        ("1h", 3_600_000, 3_600_000, None),
        ("24h/1h", 86_400_000, 3_600_000, None),
        ("month", None, None, "month"),
        ("day", None, None, "day"),
    ]
    assert config.rules[0].labels == {"runbook": "https://wiki/low"}
    assert config.rules[2].segments == ("origin=EWR", "origin=other")
    assert (config.rules[0].min_coverage, config.rules[1].min_coverage) == (0.8, 0.0)
    assert config.topics().alerts_state == "payments.alerts.state"


def test_lateness_follows_the_horizon_unless_it_is_given() -> None:
    assert loads(with_lines(MINIMAL, "time: {horizon: 5d}")).time.lateness_ms == 5 * 86_400_000
    assert loads(with_lines(MINIMAL, "time: {horizon: 5d, lateness: 1h}")).time.lateness_ms == 3_600_000


def test_a_model_watches_all_features_unless_it_says_which() -> None:
    config = loads(FULL)
    assert config.models[0].features == ("hour", "origin")
    assert config.unlisted_models is not None
    assert config.unlisted_models.features == ("hour", "origin")
    assert loads(FULL, ["models.0.features=[]", "rules=[]"]).models[0].features == ()


def test_a_model_is_found_by_name_else_from_the_template_else_not() -> None:
    config = loads(FULL)
    listed, other = config.model("fraud"), config.model("new-one")
    assert listed is not None
    assert other is not None
    assert (listed.threshold, other.threshold, other.name) == (0.25, 0.5, "new-one")
    assert loads(MINIMAL).model("new-one") is None


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        loads(MINIMAL).http.port = 1  # type: ignore[misc]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
namespace: "drift line"
streams:
  predictions:
    topic: predictions
    fields: {id: id, model: $.model, version: $.version, at: $.at, score: $.score, scor: $.x}
    features: {hour: number, dest: categorical}
  labels:
    topic: predictions
    fields: {id: key, at: $.at, label: $.label}
    absent: {value: 0, after: 7d}
time: {horizon: 36h, disorder: 1 min}
horizon: 3
models:
  - {name: fraud, threshold: 25, segments: {dest: [a, a]}}
  - {name: fraud}
windows: [1d, hourly]
rules:
  - {name: low, metric: recal, op: "<", threshold: 0.4, window: 1d, severity: critical}
http: {port: 99999}
"""
    assert problems(text) == [
        "c.yaml:1:12: namespace: 'drift line' cannot be used here; allowed: letters, digits, '.', '_' and '-'",
        (
            "c.yaml:5:18: streams.predictions.fields.id: 'id' is not a place in a record; allowed: $.a.b (in the value), key, "
            "key:$.a.b, header:NAME, outer:$.a.b, envelope:$.a.b, {const: x} or {any: [...]}; did you mean '$.id'?"
        ),
        (
            "c.yaml:5:90: streams.predictions.fields.scor: is not a key of streams.predictions.fields; allowed: id, model, "
            "version, at, score, prediction, scores, withdrawn; did you mean 'score'?"
        ),
        (
            "c.yaml:6:22: streams.predictions.features.hour: 'number' is not a type of feature; allowed: numeric, categorical or "
            "{from: $.place, type: numeric}; did you mean 'numeric'?"
        ),
        "c.yaml:8:12: streams.labels.topic: 'predictions' is also the topic of the predictions; the two must differ",
        (
            "c.yaml:10:31: streams.labels.absent.after: 7d is longer than time.horizon (36h); "
            "a label is not waited for beyond the horizon"
        ),
        (
            "c.yaml:11:32: time.disorder: '1 min' is not a duration; allowed: a duration such as 500ms, 15m, 36h, 7d or 1h30m; "
            "did you mean '1m'?"
        ),
        (
            "c.yaml:12:10: horizon: is not a key of the top level; allowed: namespace, kafka, schema_registry, streams, time, "
            "models, unlisted_models, windows, drift, estimates, rules, budget, advisories, explanations, "
            "grouping, maintenance, label_feed, labels, state, "
            "dead_letters, http, series_budget; 'horizon' belongs under time"
        ),
        "c.yaml:14:30: models[0].threshold: 25 is out of range; allowed: 0 to 1",
        "c.yaml:14:55: models[0].segments.dest[1]: the value 'a' is listed twice",
        "c.yaml:15:12: models[1].name: the model 'fraud' is listed twice, first as models[0].name; names are unique",
        (
            "c.yaml:16:15: windows[1]: 'hourly' is not a window; allowed: a duration such as 1d, {size: 24h, slide: 1h}, "
            "day or month; did you mean '1h'?"
        ),
        (
            "c.yaml:18:25: rules[0].metric: 'recal' is not a metric; allowed: seen, labelled, coverage, accuracy, precision, "
            "recall, f1, f0_5, f2, specificity, npv, fpr, balanced_accuracy, g_mean, mcc, kappa, log_loss, brier, ece, "
            "rmsce, mce, roc_auc, gini, ks_classes, average_precision, prevalence, volume, psi:dest, ks:dest, missing:dest, "
            "psi:hour, ks:hour, missing:hour, psi:$score, ks:$score; did you mean 'recall'?"
        ),
        "c.yaml:18:79: rules[0].severity: 'critical' is not one of page, ticket, info; did you mean 'page'?",
        "c.yaml:19:14: http.port: 99999 is out of range; allowed: 0 to 65535",
    ]


def test_what_follows_from_another_mistake_is_not_said() -> None:
    text = (
        with_lines(FULL)
        .replace("{size: 24h, slide: 1h}", "{size: 24h, slide: 7h}")
        .replace("origin: {from:", "origin: {form:")
    )
    assert problems(text) == [
        (
            "c.yaml:17:22: streams.predictions.features.origin.form: is not a key of streams.predictions.features.origin; "
            "allowed: from, type; did you mean 'from'?"
        ),
        "c.yaml:34:19: windows[2]: slide (7h) must divide the window's size (24h) without a rest; 3h is left over",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ("    topic: predictions\n", ""),
            (
                "c.yaml:2:3: streams.predictions.topic: is missing: Kafka topic of the predictions. "
                "Example: topic: predictions"
            ),
        ),
        (
            (", score: $.score", ""),
            (
                "c.yaml:4:5: streams.predictions.fields: neither score nor prediction is set; "
                "at least one of them is needed, as in score: $.score"
            ),
        ),
        (
            ("- {name: fraud}", "{name: fraud}"),
            "models: a mapping is not a list; put '- ' before it, or write it in brackets",
        ),
        (
            ("{name: fraud}", "fraud"),
            (
                "models[0]: 'fraud' is not a mapping; allowed: a mapping with task, threshold, positive, "
                "classes, one_vs_rest, costs, largest, features, segments, reference, quality, labels, name"
            ),
        ),
        (("{name: fraud}", "{name: 7}"), "models[0].name: 7 is not text; did you mean '7', in quotes?"),
        (("{name: fraud}", "{name: ''}"), "models[0].name: '' is empty; allowed: some text"),
        (
            ("{name: fraud}", "{name: fraud, task: ranking}"),
            "models[0].task: 'ranking' is not one of binary, multiclass, regression",
        ),
        (
            ("topic: predictions", "topic: a b"),
            "topic: 'a b' cannot be used here; allowed: letters, digits, '.', '_' and '-'",
        ),
        (("topic: predictions", "topic:"), "streams.predictions.topic: nothing is not text; for example predictions"),
    ],
)
def test_a_mistake_is_one_sentence_at_its_place(change: tuple[str, str], sentence: str) -> None:
    assert sentence in only_problem(MINIMAL.replace(*change))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "dead_letters: {enabled: no}",
            "c.yaml:7:25: dead_letters.enabled: 'no' is not true or false; did you mean false?",
        ),
        ("dead_letters: {enabled: yes}", "did you mean true?"),
        (
            "state: {max_rows: 20_000_000}",
            "'20_000_000' is not a whole number; allowed: 1000 or more; did you mean 20000000?",
        ),
        ("state: {memory_rows: 999}", "state.memory_rows: 999 is out of range; allowed: 1000 or more"),
        (
            "state: {memory_rows: 5000}",
            "state.directory: it is missing, and memory_rows is set: name a local folder for the rows beyond",
        ),
        (
            "state: {memory_rows: 5000, max_rows: 4000, directory: /scratch}",
            "state.memory_rows: it is 5000, more than max_rows (4000): nothing would ever be put aside",
        ),
        ("state: {max_rows: 10}", "state.max_rows: 10 is out of range; allowed: 1000 or more"),
        ("state: {max_rows: 1.5}", "state.max_rows: 1.5 is not a whole number; allowed: 1000 or more"),
        (
            "time: {tick: 60}",
            (
                "time.tick: '60' is not a duration; allowed: a duration such as 500ms, 15m, 36h, 7d or 1h30m; "
                "did you mean '60s' or '60ms'?"
            ),
        ),
        ("time: {tick: 0s}", "time.tick: '0s' is no time at all; allowed: more than 0"),
        ("windows: []", "c.yaml:7:1: windows: the list is empty; allowed: at least one"),
        ("labels: {a b: c}", "labels.a b: 'a b' cannot be a name here; allowed: letters, digits and '_', not starting"),
        ("time:", "c.yaml:7:1: time: nothing is not a mapping; allowed: a mapping with horizon, skew, disorder"),
        (
            "unlisted_models: accept",
            "unlisted_models: 'accept' does not say what to do; allowed: reject, or the keys of a",
        ),
        ("Namespace: x", "c.yaml:7:12: Namespace: is not a key of the top level"),
        ("windows: {size: 1d}", "windows: a mapping is not a list"),
        ("dead_letters: {flood: {ratio: '0,5'}}", "'0,5' is not a number; allowed: 0 to 1; did you mean 0.5?"),
        (
            "kafka: {bootstrap_servers: 'a:1 b:2'}",
            (
                "'a:1 b:2' is not a broker; allowed: host:port, several separated by commas; "
                "put a comma between two brokers"
            ),
        ),
        ("kafka: {servers: a}", "kafka.servers: is not a key of kafka; allowed: bootstrap_servers, properties"),
    ],
)
def test_the_usual_slips_get_a_remedy(line: str, sentence: str) -> None:
    assert any(sentence in problem for problem in problems(with_lines(MINIMAL, line)))


def test_a_password_before_a_broker_is_not_shown() -> None:
    for servers in ("eve:hunter2@b:9092", "a:1,eve:hun,hunter2@b:9092", "eve:hunter2@"):
        problem = only_problem(with_lines(MINIMAL, f"kafka: {{bootstrap_servers: '{servers}'}}"))
        assert f"'...@{servers.rpartition('@')[2]}' is not a broker" in problem
        assert "sasl.username and sasl.password_file" in problem
        assert "hun" not in problem


def test_a_bare_greater_than_is_explained() -> None:
    rule = "  - name: r\n    metric: recall\n    op: >\n    threshold: 0.4\n    window: 1d"
    text = FULL.replace("rules:\n", f"rules:\n{rule}\n")
    assert only_problem(text).endswith("rules[0].op: '' is not one of <, <=, >, >=; quote it, as in op: '>'")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "no.yaml"
    with pytest.raises(ConfigError) as caught:
        load([missing])
    assert caught.value.problems == [f"{missing}: the file cannot be read: No such file or directory"]


def test_a_file_that_is_not_text_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"c.yaml:2:1: the file is not UTF-8: byte 0xff is not text"):
        load([tmp_path / "c.yaml"])


def test_no_file_at_all_is_a_problem() -> None:
    with pytest.raises(ConfigError, match="no config file was given"):
        load([])


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words"])
def test_a_text_that_is_no_mapping_is_refused(text: str) -> None:
    assert only_problem(text).endswith(
        "the config is not a mapping; write keys such as 'streams:' at the start of a line"
    )


def test_an_empty_text_says_what_is_missing() -> None:
    assert only_problem("").startswith("c.yaml:1:1: streams: is missing")


def test_text_that_is_not_yaml_hides_nothing_else_behind_noise() -> None:
    assert len(problems("streams: [\n")) == 1


@given(st.text(max_size=120))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text)
    assert all(problem.startswith("config.yaml:") for problem in caught.value.problems)


@given(st.data())
def test_a_full_config_with_one_value_broken_is_a_config_error_or_a_config(data: st.DataObject) -> None:
    lines = FULL.splitlines()
    row = data.draw(st.integers(0, len(lines) - 1))
    cut = data.draw(st.integers(0, len(lines[row])))
    lines[row] = lines[row][:cut] + data.draw(st.sampled_from(["", "x", "]", ": ", "'", "9", "{}"])) + lines[row][cut:]
    try:
        loads("\n".join(lines))
    except ConfigError as e:
        assert e.problems  # noqa: PT017 - either outcome is right; an error without a sentence is not
