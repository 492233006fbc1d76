"""`driftline windows`."""

from __future__ import annotations

import json

import orjson
import pytest

from monitor.cli.scan import Found, newest_of_each_key
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


def test_the_first_call_shows_a_table_of_whole_models_with_intervals(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where)
    assert shown.code == 0
    rows = [line for line in shown.out.splitlines() if "2013-01-0" in line]
    assert [row.split()[0] for row in rows] == ["2013-01-01", "2013-01-02"]
    assert all("[0." in row and "%" in row and "final" in row for row in rows)
    assert "EWR" not in shown.out


def test_json_counts_are_those_of_a_recount(deployment: Deployment) -> None:
    truth = {r["id"]: r["label"] for r in map(json.loads, deployment.labels.read_text().splitlines())}
    tp = fp = seen = 0
    for line in deployment.predictions.read_text().splitlines():
        record = json.loads(line)
        seen += 1
        if record["id"] in truth:
            tp += record["prediction"] == 1 and truth[record["id"]] == 1
            fp += record["prediction"] == 1 and truth[record["id"]] == 0
    windows = driftline("windows", *deployment.where, "-o", "json").json["windows"]
    assert sum(w["seen"] for w in windows) == seen
    assert sum(w["counts"]["tp"] for w in windows) == tp
    assert sum(w["counts"]["fp"] for w in windows) == fp
    assert all(w["revision"] > 0 and w["tick_ms"] > 0 and w["final"] for w in windows)


def test_json_goes_to_standard_output_and_nothing_else_does(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where, "-o", "json", "--metric", "recall")
    assert {tuple(w["metrics"]) for w in shown.json["windows"]} == {("recall",)}
    assert shown.err == ""


def test_segments_times_kinds_and_limits_choose(deployment: Deployment) -> None:
    def windows(*args: object) -> list[dict[str, object]]:
        found: list[dict[str, object]] = driftline("windows", *deployment.where, "-o", "json", *args).json["windows"]
        return found

    each = windows("--segment", "each")
    assert {w["segment"] for w in each} == {"origin=EWR", "origin=JFK", "origin=other"}
    assert {w["segment"] for w in windows()} == {"all"}
    every = windows("--segment", "every")
    assert len(every) == len(each) + len(windows())
    assert {w["segment"] for w in every} == {"all", "origin=EWR", "origin=JFK", "origin=other"}
    assert windows("--segment", "origin") == each
    assert {w["segment"] for w in windows("--segment", "origin=JFK")} == {"origin=JFK"}
    assert {w["segment"] for w in windows("--segment", "all", "--segment", "origin=JFK")} == {"all", "origin=JFK"}
    assert len(windows("--from", "2013-01-02")) == 1
    assert len(windows("--from", "2013-01-01", "--to", "2013-01-02T00:00:00Z")) == 1
    assert windows("--to", "2013-01-01") == []
    assert {w["kind"] for w in windows("--kind", "input")} == {"input"}
    assert [w["start_ms"] for w in windows("--limit", 1)] == [1_357_084_800_000]
    assert windows("--model", "nobody", "--set", "unlisted_models={task: binary}") == []


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("--window", "dya"), "there is no window 'dya'; did you mean 'day'? There are: day"),
        (("--window", "1d"), "there is no window '1d'. There are: day"),
        (("--model", "arival-delay"), "there is no model 'arival-delay'; did you mean 'arrival-delay'?"),
        (("--segment", "origin=EWX"), "there is no segment 'origin=EWX'; did you mean 'origin=EWR'? There are: all, "),
        (("--kind", "input", "--metric", "recall"), "recall is a metric of performance windows"),
        (("--metric", "recall,volume"), "they are in different windows"),
    ],
)
def test_what_the_configuration_does_not_know_is_a_usage_error_that_names_what_there_is(
    deployment: Deployment, asked: tuple[str, ...], sentence: str
) -> None:
    shown = driftline("windows", *deployment.where, *asked)
    assert (shown.code, shown.out) == (2, "")
    assert sentence in shown.err


def test_a_metric_of_the_inputs_asks_for_their_windows(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where, "--metric", "missing:hour", "-o", "json")
    assert {w["kind"] for w in shown.json["windows"]} == {"input"}


def test_nothing_that_matches_is_said_with_what_is_published(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where, "--to", "2013-01-01")
    assert (shown.code, shown.out) == (0, "")
    assert "are published, of models: arrival-delay" in shown.err


def test_a_metric_without_a_value_says_why(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where, "--kind", "input", "--metric", "psi:hour")
    assert "no reference" in shown.out


def test_an_unknown_metric_is_a_usage_error_with_a_suggestion(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where, "--metric", "acuracy")
    assert shown.code == 2
    assert "did you mean 'accuracy'?" in shown.err


def test_a_directory_without_a_log_is_not_made_into_one(deployment: Deployment) -> None:
    nowhere = deployment.log.parent / "nowhere"
    shown = driftline("windows", "-c", deployment.config, "--embedded", nowhere)
    assert shown.code == 1
    assert "there is no embedded log" in shown.err
    assert not nowhere.exists()


def test_a_namespace_that_never_ran_says_so(deployment: Deployment) -> None:
    shown = driftline("windows", *deployment.where, "--set", "namespace=other")
    assert shown.code == 1
    assert "there is no topic 'other.windows'" in shown.err


def _record(offset: int, epoch: int, sequence: int, value: bytes | None) -> Found:
    ours = [("driftline-epoch", b"%d" % epoch), ("driftline-sequence", b"%d" % sequence)]
    return Found(0, offset, 0, b"k", value, ours)


def test_a_late_record_of_an_older_writer_never_wins() -> None:
    newest = newest_of_each_key([_record(0, 2, 5, b"new"), _record(1, 1, 9, b"old"), _record(2, 2, 4, b"older")])
    assert newest[b"k"].value == b"new"


def test_of_equals_the_later_offset_wins() -> None:
    assert newest_of_each_key([_record(0, 1, 1, b"a"), _record(1, 1, 1, b"b")])[b"k"].value == b"b"


def test_a_null_takes_the_window_away_and_an_old_null_does_not() -> None:
    assert newest_of_each_key([_record(0, 1, 1, b"a"), _record(1, 1, 2, None)]) == {}
    kept = newest_of_each_key([_record(0, 2, 1, b"a"), _record(1, 1, 2, None)])
    assert kept[b"k"].value == b"a"


def test_the_records_are_published_windows(deployment: Deployment) -> None:
    window = driftline("windows", *deployment.where, "-o", "json", "--limit", 1).json["windows"][0]
    assert {"format", "model", "version", "segment", "window", "start_ms", "end_ms", "kind", "final", "seen", "labelled",
            "coverage", "metrics", "counts", "config", "reference", "revision", "tick_ms"} == set(window)  # fmt: skip
    assert orjson.dumps(window)


def test_a_narrow_terminal_gets_fewer_metrics_and_is_told_which_are_missing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.cli.show.PIPE_COLUMNS", 80)
    shown = driftline("windows", *deployment.where)
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "accuracy" in shown.out
    assert "roc_auc" in shown.err
