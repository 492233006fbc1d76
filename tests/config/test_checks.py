"""Mistakes between fields: sentences with both values."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import Config, load, loads, recorded
from monitor.config.kafka import OWNED
from tests.config.examples import FULL, MINIMAL, only_problem, problems, with_lines


def changed(*changes: tuple[str, str]) -> str:
    text = FULL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_the_full_example_has_no_mistake() -> None:
    assert isinstance(loads(FULL), Config)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "lateness: 1d",
            "lateness: 1m",
            ("time.lateness: 1m is less than time.disorder (2m); a record within normal disorder must still count"),
        ),
        (
            "after: 7d",
            "after: 15d",
            (
                "streams.labels.absent.after: 15d is longer than time.horizon (14d); "
                "a label is not waited for beyond the horizon"
            ),
        ),
        (
            "topic: truth",
            "topic: scores",
            ("streams.labels.topic: 'scores' is also the topic of the predictions; the two must differ"),
        ),
        ("topic: truth", "topic: scores.dlq", "streams.labels.topic: 'scores.dlq' is where rejected predictions go"),
        (
            "topic: truth",
            "topic: payments.windows",
            ("streams.labels.topic: 'payments.windows' is an internal topic of namespace 'payments'"),
        ),
        (
            "features: [hour, origin]",
            "features: [hours, origin]",
            (
                "models[0].features[0]: 'hours' is not a feature of the "
                "predictions; allowed (streams.predictions.features): hour, origin; did you mean 'hour'?"
            ),
        ),
        (
            "features: [hour, origin]",
            "features: [hour, origin, hour]",
            "models[0].features[2]: the feature 'hour' is listed twice",
        ),
        (
            "segments: {origin: [EWR, LGA]}",
            "segments: {origin: [EWR, LGA], hour: [1]}",
            ("models[0].segments.hour: the feature 'hour' is numeric; segments need a categorical feature"),
        ),
        (
            "segments: {origin: [EWR, LGA]}",
            "segments: {origin: [EWR, LGA], dest: [x]}",
            ("models[0].segments.dest: 'dest' is not a feature of the predictions; allowed"),
        ),
        ("[EWR, LGA]", "[EWR, EWR]", "models[0].segments.origin[1]: the value 'EWR' is listed twice"),
        ("[EWR, LGA]", "[EWR, other]", "'other' is where all values go that are not listed; leave it out"),
        (
            "window: 24h/1h",
            "window: 1w",
            ("rules[0].window: '1w' is not a configured window; allowed (windows): 1d, 1h, 24h/1h, month, day"),
        ),
        ("window: 24h/1h", "window: 24h", "; '24h' is the same span as '1d', use that name"),
        (
            "metric: recall",
            "metric: recal",
            "rules[0].metric: 'recal' is not a metric; allowed: seen, labelled, coverage,",
        ),
        ("metric: recall", "metric: auc", "did you mean 'roc_auc'?"),
        ('"missing:origin"', '"missing:orign"', "rules[2].metric: 'missing:orign' is not a metric; allowed: seen"),
        ('"missing:origin"', '"missing:$score"', "rules[2].metric: 'missing:$score' is not a metric"),
        (
            "metric: recall",
            '"metric": "psi:$score"',
            (
                "rules[0].metric: 'psi:$score' compares with a reference, and no model of "
                "this rule names one; build it with `driftline reference build`"
            ),
        ),
        (
            "origin=EWR",
            "origin=JFK",
            (
                "rules[2].segments[0]: 'origin=JFK' is not a segment of this rule's models; "
                "allowed: origin=EWR, origin=LGA, origin=other"
            ),
        ),
        (
            'segments: ["origin=EWR"',
            'segments: ["origin"',
            "rules[2].segments: 'origin' is not a segment; allowed: FEATURE=value",
        ),
        (
            "segments: each",
            "segments: every",
            "rules[0].segments: 'every' does not say which segments; allowed: all, each, or",
        ),
        (
            "name: quiet",
            "name: low-recall",
            "rules[1].name: the rule 'low-recall' is listed twice, first as rules[0].name",
        ),
        (
            "threshold: 10, window: 1h",
            "threshold: 10, window: 1h, min_coverage: 0.5",
            ("rules[1].min_coverage: 'volume' needs no labels, so coverage says nothing about it; leave this out"),
        ),
        (
            "score: $.score\n",
            "\n",
            "rules[0].metric: 'roc_auc' needs a score, and streams.predictions.fields.score is not",
        ),
    ],
)
def test_a_mistake_between_fields_names_both(old: str, new: str, sentence: str) -> None:
    extra = [("metric: recall", "metric: roc_auc")] if "needs a score" in sentence else []
    found = problems(changed((old, new), *extra))
    assert any(sentence in problem for problem in found), "\n".join(found)


@pytest.mark.parametrize(
    ("metric", "op", "threshold", "result"),
    [
        ("recall", "<", "40", "rules[0].threshold: recall < 40 always holds, because recall is from 0 to 1"),
        ("recall", "<", "0", "recall < 0 never holds"),
        ("recall", "<=", "1", "recall <= 1 always holds"),
        ("recall", ">", "1", "recall > 1 never holds"),
        ("recall", ">", "-1", "recall > -1 always holds"),
        ("recall", ">=", "0", "recall >= 0 always holds"),
        ("mcc", "<", "-1", "mcc < -1 never holds, because mcc is from -1 to 1"),
        ("log_loss", "<", "0", "log_loss < 0 never holds, because log_loss is 0 or more"),
    ],
)
def test_a_rule_that_can_never_change_its_mind_is_refused(metric: str, op: str, threshold: str, result: str) -> None:
    text = changed(('metric: recall, op: "<", threshold: 0.4', f'metric: {metric}, op: "{op}", threshold: {threshold}'))
    assert result in only_problem(text)


@pytest.mark.parametrize(("op", "threshold"), [("<", "1"), ("<=", "0"), (">", "0"), (">=", "1"), ("<", "0.5")])
def test_a_threshold_at_the_edge_that_still_decides_is_allowed(op: str, threshold: str) -> None:
    text = changed(('metric: recall, op: "<", threshold: 0.4', f'metric: recall, op: "{op}", threshold: {threshold}'))
    assert loads(text).rules[0].op == op


def test_metrics_of_performance_need_labels() -> None:
    rule = 'rules: [{name: r, metric: recall, op: "<", threshold: 0.4, window: 1d}]'
    assert only_problem(with_lines(MINIMAL, rule)) == (
        "c.yaml:7:27: rules[0].metric: 'recall' needs labels, and streams.labels is not configured"
    )


def test_a_rule_on_a_feature_that_no_model_watches_is_refused() -> None:
    text = changed(
        ("features: [hour, origin]", "features: [hour]"),
        ("unlisted_models: {task: binary, threshold: 0.5}", "unlisted_models: reject"),
    )
    assert only_problem(text) == (
        "c.yaml:39:27: rules[2].metric: no model of this rule watches the feature 'origin'; add it to the model's features"
    )


def test_each_needs_segments() -> None:
    text = changed(("    segments: {origin: [EWR, LGA]}\n", ""), (', segments: ["origin=EWR", "origin=other"]', ""))
    assert only_problem(text).endswith(
        "rules[0].segments: 'each' needs segments, and no model of this rule has any; add them to the model"
    )


def test_an_unknown_model_of_a_rule_is_refused_when_others_are_rejected() -> None:
    text = changed(("model: fraud,", "model: froud,"), ("unlisted_models: {task: binary, threshold: 0.5}", ""))
    assert only_problem(text).endswith(
        "rules[0].model: 'froud' is not a configured model; allowed (models): fraud; did you mean 'fraud'?"
    )


def test_a_config_without_any_model_rejects_everything_and_says_so() -> None:
    assert "no model is listed and unlisted_models is 'reject', so every prediction would be rejected" in only_problem(
        MINIMAL.replace("models:\n  - {name: fraud}\n", "")
    )


@pytest.mark.parametrize("key", sorted(OWNED))
def test_properties_that_belong_to_driftline_are_refused_with_the_reason(key: str) -> None:
    text = changed(("security.protocol: SASL_SSL", f"{key}: x"))
    assert only_problem(text).endswith(
        f"kafka.properties.{key}: this property belongs to Driftline: {OWNED[key]}. Leave it out"
    )


def test_a_property_spelled_with_underscores_gets_a_hint() -> None:
    assert "no librdkafka property has '_' in its name; did you mean 'sasl.mechanism'?" in only_problem(
        changed(("security.protocol: SASL_SSL", "sasl_mechanism: PLAIN"))
    )


def test_mistakes_between_fields_also_reach_those_who_build_a_config_from_data() -> None:
    with pytest.raises(ValueError, match=r"models\[1\].name: the model 'fraud' is listed twice"):
        Config.model_validate(
            {
                "streams": {
                    "predictions": {
                        "topic": "p",
                        "fields": {"id": "$.id", "model": "$.m", "version": "$.v", "at": "$.at", "score": "$.s"},
                    }
                },
                "models": [{"name": "fraud"}, {"name": "fraud"}],
            }
        )


DRIFTING = """\
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {hour: numeric, origin: categorical}
models:
  - {name: fraud, reference: f.json}
drift: {distances: [js, wasserstein]}
rules:
  - {name: r, metric: "METRIC", op: ">", threshold: 0.1, window: 1d}
"""


def _drifting(metric: str) -> str:
    return DRIFTING.replace("METRIC", metric)


def test_a_rule_may_name_the_distances_that_windows_carry(tmp_path: Path) -> None:
    for metric in ("psi:hour", "js:origin", "wasserstein:hour", "js:$score"):
        (tmp_path / "f.json").write_text("{}")
        path = tmp_path / "c.yaml"
        path.write_text(_drifting(metric))
        assert load([path]).drift.carried == ("psi", "ks", "js", "wasserstein")


def test_a_distance_that_windows_do_not_carry_is_asked_for_first() -> None:
    assert (
        "rules[0].metric: windows carry 'hellinger' only where drift.distances asks for it; add it there, as in "
        in only_problem(_drifting("hellinger:hour"))
    )


@pytest.mark.parametrize("head", ["ks", "wasserstein"])
def test_categories_have_no_distance_that_needs_an_order(head: str) -> None:
    assert f"'origin' is categorical and has no order, so it has no '{head}'" in only_problem(
        _drifting(f"{head}:origin")
    )


def test_more_distances_change_what_windows_hold_and_none_leaves_the_digest_as_it_was() -> None:
    plain = loads(MINIMAL)
    assert loads(MINIMAL + "drift: {distances: []}\n").digest == plain.digest
    assert loads(MINIMAL + "drift: {distances: [psi, ks]}\n").digest == plain.digest
    more = [loads(MINIMAL + f"drift: {{distances: [{names}]}}\n").digest for names in ("js, linf", "linf, js", "js")]
    assert more[0] == more[1] != more[2] != plain.digest


def test_a_budget_says_what_it_means_and_what_it_cannot_keep() -> None:
    plain = loads(MINIMAL + "budget: {}\n").budget
    assert plain is not None
    assert (plain.patience, plain.false_pages, plain.every_ms) == (720.0, 1.0, 3_600_000)
    assert "would be one at every decision (every 1h); accept fewer, or decide more often" in only_problem(
        MINIMAL + "budget: {false_pages: 30, per: 1d}\n"
    )
    assert "learning for 1d holds 24 decisions of 1h; allowed: 64 to 4,096" in only_problem(
        MINIMAL + "budget: {learn: 1d}\n"
    )
    assert "learning for 3d sees each part of the day too seldom for season: day; learn for 4d" in only_problem(
        MINIMAL + "budget: {learn: 3d}\n"
    )
    assert loads(MINIMAL + "budget: {learn: 3d, season: none}\n").budget is not None
    assert "budget.every: 1h is not a multiple of time.tick (7m); decisions are made at ends of ticks" in "\n".join(
        problems(MINIMAL + "time: {tick: 7m}\nwindows: [7h]\nbudget: {every: 1h}\n")
    )


def test_every_number_of_a_budget_that_makes_no_sense_is_told_at_once_with_what_would() -> None:
    labels = "  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}\nmodels:"
    text = MINIMAL.replace("models:", labels) + (
        "time: {horizon: 1d}\nwindows: [1h]\n"
        "budget: {false_pages: 30, per: 1d, learn: 1h, quiet: 1ms, materiality: {performance: 1.0, features: 0.5}}\n"
        "label_feed: {slow_after: 40d, hold_at_most: 1ms}\n"
    )
    for place, sentence in {
        "false_pages": "30 false pages in 1d would be one at every decision",
        "learn": "learning for 1h holds 1 decisions of 1h; allowed: 64",
        "quiet": "an alarm can come every 1h only (every), so each would be an alert of its own; set quiet to 1h at least",
        "performance": "1 forgives a change of 100 points in 100, so nothing would ever be told; say the largest change that "
        "nobody is to be woken for, below 0.5, such as 0.01",
        "features": "0.5 forgives a change of 50 points in 100",
        "slow_after": "after the horizon of 1d none is waited for; set slow_after to 1d at most",
        "hold_at_most": "verdicts would be held for 1ms at most, and they are given once in a tick of 1m (time.tick)",
    }.items():
        assert any(f"{place}: " in one and sentence in one for one in problems(text)), place
    assert len(problems(text)) == 7


def test_what_an_earlier_version_let_be_is_read_back_from_a_namespace() -> None:
    document = loads(MINIMAL + "budget: {}\n").document().replace('"quiet":"1d"', '"quiet":"1ms"')
    assert '"quiet":"1ms"' in document
    found = recorded(document.encode()).budget
    assert found is not None
    assert found.quiet_ms == 1


def test_panes_that_labels_are_waited_for_are_no_longer_than_a_decision() -> None:
    labels = "  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}\nmodels:"
    text = MINIMAL.replace("models:", labels) + "windows: [1d]\nbudget: {}\n"
    assert "budget.every: 1h is shorter than the panes that the windows are made of (1d)" in only_problem(text)
    assert loads(text.replace("[1d]", "[1d, 1h]")).budget is not None


def test_a_budget_judges_and_changes_no_number() -> None:
    assert loads(MINIMAL + "budget: {}\n").digest == loads(MINIMAL).digest


def test_a_rule_cannot_clear_while_it_breaks() -> None:
    rule = "rules: [{name: r, metric: volume, op: '<', threshold: 50, window: 1d, clear: CLEAR}]\n"
    assert loads(MINIMAL + rule.replace("CLEAR", "60")).rules[0].clear == 60
    problem = only_problem(MINIMAL + rule.replace("CLEAR", "40"))
    assert "40 is on the bad side of the threshold 50: what < 50 began would end while it holds" in problem
    rising = rule.replace("'<'", "'>'")
    assert loads(MINIMAL + rising.replace("CLEAR", "40")).rules[0].clear == 40
    assert "write a value at or below 50" in only_problem(MINIMAL + rising.replace("CLEAR", "60"))


def test_a_maintenance_is_a_stretch_of_time_with_its_offset() -> None:
    text = 'maintenance: [{model: fraud, from: "2026-11-26T10:00Z", until: "2026-11-26T13:00+01:00"}]\n'
    config = loads(MINIMAL + text)
    (one,) = config.maintenance
    assert one.touches("fraud", 0, 1 << 50)
    assert not one.touches("other", 0, 1 << 50)
    assert config.digest == loads(MINIMAL).digest, "it judges, and changes no number"
    assert "maintenance" not in loads(MINIMAL).document()
    assert loads(config.document()).maintenance == config.maintenance
    assert "is not after from (2026-11-26T10:00Z)" in only_problem(
        MINIMAL + text.replace("T13:00+01:00", "T10:00+01:00")
    )
    assert "'tomorrow' is no time; allowed: ISO 8601 with its offset" in only_problem(
        MINIMAL + text.replace("2026-11-26T10:00Z", "tomorrow")
    )


def test_a_clear_that_no_value_can_reach_is_refused() -> None:
    rule = '{name: low, metric: volume, op: ">", threshold: 5, clear: -0.5, window: 1d}'
    said = only_problem(MINIMAL + f"rules: [{rule}]\n")
    assert "-0.5 is out of the range of 'volume', 0 to inf, so the alert would never end" in said


def test_a_maintenance_of_a_model_that_is_not_there_is_refused() -> None:
    text = 'maintenance: [{model: frod, from: "2026-11-26T10:00Z", until: "2026-11-26T12:00Z"}]\n'
    said = only_problem(MINIMAL + text)
    assert "'frod' is not a configured model; allowed (models): fraud; did you mean 'fraud'?" in said
