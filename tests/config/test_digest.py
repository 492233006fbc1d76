"""What a config means: its digest, its document, what differs, what is shown."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from monitor.config import Config, load, loads
from monitor.config.diff import Effect, diff
from monitor.config.render import render
from monitor.errors import ConfigError
from monitor.view import Build, new_view
from tests.config.examples import FULL, MINIMAL


def changed(*changes: tuple[str, str]) -> Config:
    text = FULL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return loads(text)


@pytest.mark.parametrize(
    "change",
    [
        ("horizon: 14d", "horizon: 336h"),
        ("{name: quiet, metric: volume", "{metric: volume, name: quiet"),
        (
            "      hour: numeric\n      origin: {from: \"$.meta['from where']\", type: categorical}\n",
            (
                "      origin: {type: categorical, from: '$.meta[\"from where\"]'}\n"
                "      hour: {from: $.features.hour, type: numeric}\n"
            ),
        ),
        ("    features: [hour, origin]\n", ""),
        ("skew: 5s, ", "skew: 5000ms, "),
        ("threshold: 0.25", "threshold: 2.5e-1"),
    ],
)
def test_two_spellings_of_one_config_have_one_digest_and_no_difference(change: tuple[str, str]) -> None:
    assert changed(change).digest == loads(FULL).digest
    assert diff(loads(FULL), changed(change)) == []


def test_estimates_change_the_meaning_where_they_are_asked_for_and_nothing_elsewhere() -> None:
    asked = changed(("series_budget: 500", "series_budget: 500\nestimates: true"))
    assert asked.digest != loads(FULL).digest
    assert [(one.path, one.effect) for one in diff(loads(FULL), asked)] == [("estimates", Effect.NAMESPACE)]
    assert "estimates" not in loads(FULL).document()
    assert loads(asked.document()).estimates


@pytest.mark.parametrize(
    "change",
    [
        ("rules:\n", "rules:\n  - {name: more, metric: volume, op: '<', threshold: 1, window: 1d}\n"),
        ("labels: {owner: team-x", "labels: {owner: team-y"),
        ("    labels: {owner: team-fraud}\n", ""),
        ("port: 0", "port: 1"),
        ("a:9092,b:9092", "c:9092"),
        ("namespace: payments", "namespace: other"),
        ("max_rows: 1000000", "max_rows: 2000000"),
        ("max_rows: 1000000", "max_rows: 1000000, snapshots: /mnt, snapshot_records: 7"),
        ("max_rows: 1000000", "max_rows: 1000000, memory_rows: 50000, directory: /scratch"),
        ("payload: false", "payload: true"),
        ("idle_after: 30s", "idle_after: 30s, stalled_after: 2h"),
        ("idle_after: 30s", "idle_after: 5m"),
        ("[1d, 1h, {size: 24h, slide: 1h}, month, day]", "[day, month, {size: 24h, slide: 1h}, 1h, 1d]"),
    ],
)
def test_what_carries_no_meaning_for_numbers_does_not_change_the_digest(change: tuple[str, str]) -> None:
    assert changed(change).digest == loads(FULL).digest


@pytest.mark.parametrize(
    "change",
    [
        ("threshold: 0.25", "threshold: 0.26"),
        ("horizon: 14d", "horizon: 15d"),
        ("id: key:$.uid", "id: $.uid"),
        ("unit: s", "unit: ms"),
        ("chargeback: 1", "chargeback: 0.5"),
        ("[EWR, LGA]", "[EWR]"),
        ("positive: 1", "positive: 0"),
        ("windows: [1d, 1h, ", "windows: [1d, 1h, 2h, "),
        ("absent: {value: 0", "absent: {value: 1"),
        ("unlisted_models: {task: binary, threshold: 0.5}", "unlisted_models: {task: binary, threshold: 0.6}"),
        ("hour: numeric", "hour: categorical"),
        ("topic: truth", "topic: truth2"),
    ],
)
def test_what_carries_meaning_changes_the_digest(change: tuple[str, str]) -> None:
    assert changed(change).digest != loads(FULL).digest


def test_the_digest_that_counted_idle_after_is_still_known() -> None:
    other = changed(("idle_after: 30s", "idle_after: 5m"))
    assert loads(FULL).digest_with_idle_after == loads(FULL).digest, "the default then and now"
    assert other.digest_with_idle_after == "sha256:12c487e713307947cbebf799d38a88a688032f5a517053a2cb9f1413c6c6a937"


def test_the_digest_of_a_known_config_never_changes_by_accident() -> None:
    # A new digest means that every running deployment begins a new generation: if it must change, raise its `format`.
    assert loads(MINIMAL).digest == "sha256:285a505e3049610fe4c31dfaa192164c88394cf43df16ca01f4c4481c13bc680"


def test_a_config_that_relied_on_the_old_default_of_skew_goes_on_once_it_says_so() -> None:
    before = loads(MINIMAL + "time: {skew: 0s}\n")
    assert before.digest == "sha256:ca7c7498049ef46c5ee86dcf3af5858981ef1deeeeaecbfc3390a7e8e7ce076e"


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_the_document_is_canonical_json_and_loads_to_the_same_config(text: str) -> None:
    config = loads(text)
    document = config.document()
    assert document == json.dumps(json.loads(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    again = loads(document)
    assert again.document() == document
    assert again.digest == config.digest
    assert diff(config, again) == []


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_what_is_rendered_loads_to_the_same_config(text: str) -> None:
    config = loads(text)
    assert loads(render(config)).document() == config.document()
    assert render(config).startswith(f"# config {config.digest}\nnamespace: ")


def with_reference(folder: Path, content: bytes) -> Path:
    (folder / "ref.json").write_bytes(content)
    path = folder / "c.yaml"
    path.write_text(
        MINIMAL.replace("{name: fraud}", "{name: fraud, reference: ref.json}")
        + "unlisted_models: {reference: ref.json}\n"
    )
    return path


def test_a_reference_enters_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    one = load([with_reference(tmp_path, b"one")])
    assert one.reference_digests == {name: "sha256:" + hashlib.sha256(b"one").hexdigest() for name in ("fraud", "*")}
    file = one.reference("fraud")
    assert file is not None
    assert (file.path, file.data) == (str(tmp_path / "ref.json"), b"one")
    assert one.reference("unlisted") == one.references["*"]
    two = load([with_reference(tmp_path, b"two")])
    assert one.digest != two.digest
    assert [change.effect for change in diff(one, two)] == [Effect.PANE, Effect.NAMESPACE]
    (tmp_path / "moved").mkdir()
    assert load([with_reference(tmp_path / "moved", b"one")]).digest == one.digest


def test_a_reference_that_is_not_there_is_a_problem_unless_it_is_about_to_be_built(tmp_path: Path) -> None:
    path = with_reference(tmp_path, b"x")
    (tmp_path / "ref.json").unlink()
    with pytest.raises(ConfigError) as caught:
        load([path])
    assert caught.value.problems == [
        f"{path}:{line}: {place}.reference: the file {str(tmp_path / 'ref.json')!r} cannot be read: "
        "No such file or directory; build it with `driftline reference build`, or leave `reference` out"
        for line, place in (("6:30", "models[0]"), ("7:30", "unlisted_models"))
    ]
    assert load([path], require_references=False).reference_digests == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("threshold: 0.25", "threshold: 0.3"), "models.fraud.threshold: 0.25 -> 0.3; takes effect at a pane"),
        (("horizon: 14d", "horizon: 8d"), "time.horizon: 14d -> 8d; needs another namespace"),
        (("[1d, 1h,", "[1d, 1h, 7d,"), "windows.7d: added (7d); takes effect at a pane"),
        (("threshold: 10", "threshold: 20"), "rules.quiet.threshold: 10 -> 20; takes effect at a tick"),
        (
            ("labels: {owner: team-fraud}", "labels: {owner: x}"),
            "models.fraud.labels.owner: team-fraud -> x; takes effect at a tick",
        ),
        (("labels: {owner: team-x", "labels: {owner: x"), "labels.owner: team-x -> x; takes effect at a tick"),
        (("port: 0", "port: 1"), "http.port: 0 -> 1; needs a restart"),
        (("a:9092,b:9092", "a:9092"), 'kafka.bootstrap_servers: "a:9092,b:9092" -> a:9092; needs a restart'),
        (("topic: truth", "topic: truths"), "streams.labels.topic: truth -> truths; needs a restart"),
        (
            ("idle_after: 30s", "idle_after: 30s, stalled_after: 2h"),
            "time.stalled_after: 30h -> 2h; needs a restart",
        ),
        (("idle_after: 30s", "idle_after: 5m"), "time.idle_after: 30s -> 5m; needs a restart"),
        (("namespace: payments", "namespace: p"), "namespace: payments -> p; needs a restart"),
        (
            ("security.protocol: SASL_SSL", "security.protocol: SSL"),
            "kafka.properties.security.protocol: SASL_SSL -> SSL; needs a restart",
        ),
        (("[EWR, LGA]", "[EWR]"), None),
    ],
)
def test_a_difference_is_one_sentence_with_its_effect(change: tuple[str, str], sentence: str | None) -> None:
    found = [str(difference) for difference in diff(loads(FULL), changed(change))]
    assert found == [sentence or "models.fraud.segments.origin: [EWR, LGA] -> [EWR]; takes effect at a pane"]


def test_a_rule_or_section_that_comes_or_goes_is_one_difference() -> None:
    without = changed(('  - {name: quiet, metric: volume, op: "<", threshold: 10, window: 1h}\n', ""))
    (gone,) = diff(loads(FULL), without)
    assert (gone.path, gone.new, gone.effect) == ("rules.quiet", None, Effect.TICK)
    assert str(gone).startswith("rules.quiet: removed (was {")
    (come,) = diff(without, loads(FULL))
    assert (come.path, come.old) == ("rules.quiet", None)
    reject = changed(("unlisted_models: {task: binary, threshold: 0.5}\n", ""))
    assert [change.path for change in diff(loads(FULL), reject)] == ["unlisted_models"]


def test_who_copies_a_topic_is_nothing_to_who_reads_the_copy() -> None:
    copied = changed(("topic: truth", "topic: truth\n    rekey: {from: outcomes}"))
    assert {(one.path, one.effect) for one in diff(loads(FULL), copied)} == {
        ("streams.labels.rekey.from", Effect.TICK),
        ("streams.labels.rekey.partitioner", Effect.TICK),
    }
    assert copied.digest == loads(FULL).digest


def of_files(config: Config) -> str:
    return new_view(config, Build("0", "3"), 0).files_digest


@pytest.mark.parametrize(
    "change",
    [
        ("rules:\n", "rules:\n  - {name: more, metric: volume, op: '<', threshold: 1, window: 1d}\n"),
        ("labels: {owner: team-x", "labels: {owner: team-y"),
        ("threshold: 0.25", "threshold: 0.3"),
        ("horizon: 14d", "horizon: 15d"),
    ],
)
def test_what_processes_must_agree_in_is_in_the_digest_of_their_files(change: tuple[str, str]) -> None:
    assert of_files(changed(change)) != of_files(loads(FULL))


@pytest.mark.parametrize(
    "change",
    [
        ("port: 0", "port: 1"),
        ("a:9092,b:9092", "c:9092"),
        ("max_rows: 1000000", "max_rows: 2000000"),
        ("payload: false", "payload: true"),
        ("series_budget: 500", "series_budget: 501"),
        ("horizon: 14d", "horizon: 336h"),
    ],
)
def test_what_a_process_has_of_its_own_is_not(change: tuple[str, str]) -> None:
    assert of_files(changed(change)) == of_files(loads(FULL))


def test_the_order_of_rules_is_no_difference_between_processes() -> None:
    config = loads(FULL)
    assert len(config.rules) > 1
    assert of_files(config.model_copy(update={"rules": tuple(reversed(config.rules))})) == of_files(config)
