"""`driftline backtest` over a deployment that has run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.replay_files import Spec, alone, begin
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline
from tests.cli.test_replay_command import SLOW, SMALL, commits, published

INCIDENTS = """
- {name: bad day, from: 2013-01-01, until: 2013-01-02T06:00Z, noticed: 2013-01-03, model: arrival-delay}
- {name: quiet, from: 2013-01-01, until: 2013-01-01T01:00Z}
"""
DAY_MS = 86_400_000
LIMITS = ("0.5", "0.75", "0.8", "0.99")


def backtest(deployment: Deployment, *options: object) -> Any:
    done = driftline("backtest", *deployment.where, *options, "-q", "-o", "json")
    assert done.code == 0, done.err
    return done.json


def brief(alerts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(a["rule"], a["version"], a["fired_ms"], a["resolved_ms"], a["value"], a["amended"]) for a in alerts]


def test_it_tells_what_the_run_told(deployment: Deployment) -> None:
    found = backtest(deployment)["first"]
    _, events = published(deployment.log, "small")
    firing = {e["data"]["episode"]: e["data"] for e in map(orjson.loads, events.values()) if ".firing." in e["type"]}
    assert {a["episode"]: a["fired_ms"] for a in found["alerts"]} == {k: d["fired_ms"] for k, d in firing.items()}
    assert found["counts"]["pages"] == found["counts"]["alerts"] == len(firing) > 0
    cited = [firing[a["episode"]]["evidence"]["window"]["end_ms"] for a in found["alerts"]]
    assert [a["window_end_ms"] for a in found["alerts"]] == cited
    assert [a["value"] for a in found["alerts"]] == [firing[a["episode"]]["evidence"]["value"] for a in found["alerts"]]


def test_a_sweep_tells_what_a_backtest_of_each_value_would(deployment: Deployment) -> None:
    swept = backtest(deployment, "--sweep", f"rules.too-good.threshold={','.join(LIMITS)}")["sweep"]
    assert [row["set"] for row in swept] == [f"rules.too-good.threshold={limit}" for limit in LIMITS]
    alone = [backtest(deployment, "--set", f"rules.too-good.threshold={x}")["first"]["counts"] for x in LIMITS]
    assert [{k: v for k, v in row.items() if k not in ("set", "front")} for row in swept] == alone
    assert len({row["alerts"] for row in swept}) > 1, "values that all do the same show nothing"


def test_a_sweep_misses_nothing_of_a_ledger_that_the_configuration_would_trim(deployment: Deployment) -> None:
    swept = ("--sweep", f"rules.too-good.threshold={','.join(LIMITS)}", "--set", "state.max_batch_rows=50")
    trimming = ("--set", "state.trim=true", "--set", "state.checkpoint_records=2")
    assert backtest(deployment, *swept, *trimming)["sweep"] == backtest(deployment, *swept)["sweep"]


def test_a_finished_sweep_is_taken_up_and_another_one_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    to = ("--to", tmp_path / "out")
    first = backtest(deployment, *to, "--sweep", "rules.too-good.threshold=0.5,0.99")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "first").iterdir()}
    assert sorted(before) == ["alerts.jsonl", "replay.json", "sweep.json", "totals.json", "windows.jsonl"]
    again = backtest(deployment, *to, "--sweep", "rules.too-good.threshold=0.5,0.99", "--resume")
    assert again["sweep"] == first["sweep"]
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "first").iterdir()} == before
    options = (*to, "--sweep", "rules.too-good.threshold=0.6", "--resume")
    refused = driftline("backtest", *deployment.where, *options, "-q")
    assert refused.code == 2
    assert "is finished, with other values of --sweep or none" in refused.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--set", "rules.too-good.threshold=0.5"), "the backtest was begun with config sha256:"),
        (("--until", "flights.predictions=20"), "the backtest was begun with range all there is"),
    ],
)
def test_what_is_finished_is_not_told_as_the_answer_to_another_question(
    deployment: Deployment, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    to = ("--to", tmp_path / "out")
    backtest(deployment, *to)
    before = (tmp_path / "out" / "backtest.json").read_bytes()
    refused = driftline("backtest", *deployment.where, *to, *options, "--resume", "-q")
    assert (refused.code, refused.out) == (1, "")
    assert sentence in refused.err
    assert (tmp_path / "out" / "backtest.json").read_bytes() == before


def test_a_range_is_resumed_with_its_own_bounds_only(deployment: Deployment, tmp_path: Path) -> None:
    ranged = ("--to", tmp_path / "out", "--until", "flights.predictions=20")
    first = backtest(deployment, *ranged)
    assert backtest(deployment, *ranged, "--resume")["first"] == first["first"]
    refused = driftline("backtest", *deployment.where, *ranged[:2], "--resume", "-q")
    assert refused.code == 1
    assert "was begun with range --until flights.predictions=20 (offsets of flights.predictions [[0, 20]" in refused.err


def test_another_log_is_not_what_was_asked(deployment: Deployment, tmp_path: Path) -> None:
    to = ("--to", tmp_path / "out")
    backtest(deployment, *to)
    (tmp_path / "one.jsonl").write_text("{}\n")
    for topic in ("predictions", "labels"):
        sent = driftline(
            "produce",
            f"flights.{topic}",
            tmp_path / "one.jsonl",
            "--embedded",
            tmp_path / "log",
            "--partitions",
            2,
            "-q",
        )
        assert sent.code == 0, sent.err
    other = ("-c", deployment.config, "--embedded", tmp_path / "log")
    refused = driftline("backtest", *other, *to, "--resume", "-q")
    assert refused.code == 1
    assert "the backtest was begun with cluster id" in refused.err


@pytest.mark.parametrize(
    ("bounds", "code", "sentence"),
    [
        (("--from", "2013-01-01", "--until", "2013-02-01"), 1, "there is no record in the range: topic 'flights.predi"),
        (("--from", "2013-02-01", "--until", "2013-01-01"), 2, "--until 2013-01-01 is before --from 2013-02-01"),
        (
            ("--from", "flights.predictions=9", "--until", "flights.predictions=3"),
            2,
            "topic 'flights.predictions' partition 0: --until is offset 3, which is before --from, offset 9",
        ),
    ],
)
def test_a_range_without_a_record_is_no_result(
    deployment: Deployment, bounds: tuple[str, ...], code: int, sentence: str
) -> None:
    done = driftline("backtest", *deployment.where, *bounds, "-q", "--fail-on", "alerts > 0")
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err


def test_an_empty_range_says_which_times_of_the_log_there_are(deployment: Deployment) -> None:
    log = EmbeddedLog(deployment.log, read_only=True)
    held = sum(log.end_offsets("flights.predictions"))
    log.close()
    done = driftline("backtest", *deployment.where, "--until", "2013-02-01", "-q")
    assert f"topic 'flights.predictions' holds {held:,} from 20" in done.err
    assert "'flights.labels' holds " in done.err
    assert "times of the log, UTC, at which records were appended, not the event times" in done.err


def test_what_became_of_the_records_is_told(deployment: Deployment) -> None:
    done = driftline("backtest", *deployment.where, "-q")
    outcomes = backtest(deployment)["first"]["outcomes"]
    assert outcomes["predictions"]["rejected"] == 3
    assert "driftline: 1 alert, 1 page, 0 tickets, " in done.err
    assert f"{outcomes['predictions']['matched']:,} matched" in done.err
    assert f"3 rejected); {sum(outcomes['labels'].values()):,} labels read (" in done.err


def test_predictions_of_which_none_can_be_used_are_an_error(deployment: Deployment, tmp_path: Path) -> None:
    wrong = ("--set", "streams.predictions.fields.score=$.skore")
    done = driftline("backtest", *deployment.where, *wrong, "--to", tmp_path / "out", "-q", "--fail-on", "alerts > 0")
    assert (done.code, done.out) == (1, "")
    read = json.loads((tmp_path / "out" / "first" / "totals.json").read_text())["records"]["predictions"]
    assert (
        f"none of the {read:,} predictions can be used: missing {read - 2:,}, malformed 1, unknown_model 1. Look"
        in done.err
    )
    again = driftline("backtest", *deployment.where, *wrong, "--to", tmp_path / "out", "-q", "--resume")
    assert again.code == 1
    assert f"none of the {read:,} predictions can be used: a new backtest says why" in again.err
    assert not (tmp_path / "out" / "backtest.json").exists()


def test_why_records_were_rejected_is_told_of_either_stream(deployment: Deployment) -> None:
    done = driftline("backtest", *deployment.where, "-q")
    assert "driftline: rejected in flights.predictions: malformed 1, " in done.err
    assert "rejected in flights.labels" not in done.err
    done = driftline("backtest", *deployment.where, "--set", "streams.labels.fields.label=$.lable", "-q")
    labels = backtest(deployment)["first"]["records"]["labels"]
    assert done.code == 0
    assert f"rejected in flights.labels: missing {labels:,}; streams.labels says what is looked for where" in done.err
    assert "dead letters" not in done.err, "a replay writes none"


def test_reasons_that_an_interrupted_process_knew_are_told_as_unknown(deployment: Deployment, tmp_path: Path) -> None:
    kept = ("backtest", *deployment.where, "--to", tmp_path / "out", "-q")
    assert driftline(*kept).code == 0
    done = driftline(*kept, "--resume")
    assert done.code == 0
    assert "rejected in flights.predictions: 3 before it was resumed, whose reasons are not kept;" in done.err


def test_a_run_that_knows_the_reasons_speaks_for_one_that_forgot_them(deployment: Deployment, tmp_path: Path) -> None:
    kept = ("backtest", *deployment.where, "--to", tmp_path / "out", "-q")
    assert driftline(*kept).code == 0
    done = driftline(*kept, "--against-set", "rules.too-good.threshold=0.5", "--resume")
    assert done.code == 0
    told = [line for line in done.err.splitlines() if "rejected in flights.predictions" in line]
    assert len(told) == 1
    assert "malformed 1, " in told[0]
    assert "before it was resumed" not in done.err


def test_incidents_are_scored_and_gates_decide_the_exit_code(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(INCIDENTS)
    options = ("--incidents", tmp_path / "i.yaml", "--fail-on", "missed > 0", "--fail-on", "accuracy@day > 1")
    done = driftline("backtest", *deployment.where, *options, "-q", "-o", "json")
    assert done.code == 3
    (found, missed) = done.json["first"]["incidents"]["found"]
    assert found["by"]["rule"] == "too-good"
    assert found["delay_ms"] == found["by"]["fired_ms"] - found["incident"]["from_ms"]
    assert found["lead_ms"] == found["incident"]["noticed_ms"] - found["by"]["fired_ms"]
    assert missed["by"] is None
    assert done.json["gates"]["failed"] == [{"gate": "missed > 0", "value": 1, "where": "the whole range"}]
    for people in (driftline("backtest", *deployment.where, *options, "-q"),):
        assert people.code == 3
        assert "missed > 0 holds" in people.err
        assert "bad day" in people.out


def test_every_number_of_a_window_can_be_a_gate(deployment: Deployment, tmp_path: Path) -> None:
    backtest(deployment, "--to", tmp_path / "out")
    windows = [json.loads(line) for line in (tmp_path / "out" / "first" / "windows.jsonl").read_bytes().splitlines()]
    valued = {n for w in windows if w["segment"] == "all" for n, m in w["metrics"].items() if m["value"] is not None}
    names = valued | {"seen", "labelled", "coverage", "volume"}
    gates = [part for name in sorted(names) for part in ("--fail-on", f"{name} < -2")]
    gates += ["--min-rows", "0"]
    done = driftline("backtest", *deployment.where, "--to", tmp_path / "out", "--resume", "-q", "-o", "json", *gates)
    assert (done.code, len(done.json["gates"]["asked"])) == (0, len(names)), done.err
    gates = ["--fail-on", "volume >= 0", "--fail-on", "coverage <= 1"]
    done = driftline("backtest", *deployment.where, "--to", tmp_path / "out", "--resume", "-q", "-o", "json", *gates)
    own = [window for window in windows if window["segment"] == "all"]
    most = max(window["seen"] for window in own if window["kind"] == "input")
    least = min(window["coverage"] for window in own if window["coverage"] is not None)
    assert (done.code, [gate["value"] for gate in done.json["gates"]["failed"]]) == (3, [most, least])


def test_windows_that_are_too_small_for_a_gate_are_told(deployment: Deployment, tmp_path: Path) -> None:
    where = (*deployment.where, "--to", tmp_path / "out", "--resume", "-q", "--fail-on", "accuracy < 0.01")
    assert "were not judged" not in driftline("backtest", *where).err
    done = driftline("backtest", *where, "--min-rows", 900)
    assert "gate: accuracy < 0.01: 1 window was not judged, on fewer than 900 rows (--min-rows)" in done.err
    assert done.code == 0
    done = driftline("backtest", *where, "--min-rows", 5_000)
    assert "gate: accuracy < 0.01 cannot be judged, which fails: there is no value in a window on 5000 rows" in done.err
    assert done.code == 3


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_two_do_not_write_one_directory(deployment: Deployment, tmp_path: Path, resume: tuple[str, ...]) -> None:
    first = tmp_path / "out" / "first"
    log = EmbeddedLog(deployment.log, read_only=True)
    spec = Spec(1, log.cluster_id(), "", "", {}, {})
    log.close()
    begin(first, spec)
    with alone(first):
        done = driftline("backtest", *deployment.where, "--to", tmp_path / "out", *resume, "-q")
    assert (done.code, done.out) == (1, "")
    assert f"{str(first)!r} is being written by another process" in done.err


def test_a_directory_that_cannot_be_made_is_named(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = driftline("backtest", *deployment.where, "--to", tmp_path / "file" / "out", "-q")
    assert done.code == 1
    assert "cannot be made: Not a directory" in done.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--sweep", "rules.too-good.threshold=0.5,x"),
            "--sweep rules.too-good.threshold=x: rules[0].threshold: 'x' is",
        ),
        (
            ("--set", "rules.too-good.threshold=0.7,0.75"),
            "'0.7,0.75' is not a number; for example 0.4; several values of a rule are for --sweep",
        ),
    ],
)
def test_a_value_of_a_rule_that_is_none_is_told_by_its_option(
    deployment: Deployment, options: tuple[str, ...], sentence: str
) -> None:
    done = driftline("backtest", *deployment.where, *options, "-q")
    assert (done.code, done.out) == (78, "")
    assert sentence in done.err


def test_whole_configurations_that_are_layered_are_told(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(deployment.config.read_text())
    (tmp_path / "part.yaml").write_text("http: {port: 0}")
    for name, told in (("other.yaml", True), ("part.yaml", False)):
        layered = ("-c", deployment.config, "-c", tmp_path / name, "--embedded", deployment.log)
        done = driftline("backtest", *layered, "--fail-on", "acuracy < 1")
        assert (f"to compare the two use --against {tmp_path / name}" in done.err) is told


@pytest.mark.parametrize("kept", [True, False])
def test_an_interrupted_backtest_goes_on_only_where_something_is_kept(
    deployment: Deployment, tmp_path: Path, kept: bool
) -> None:
    to = ["--to", str(tmp_path / "driftline-backtest-x")] if kept else []
    arguments = ["backtest", *map(str, deployment.where), *SMALL, *to, "-q"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(commits(folder) > 2 for folder in tmp_path.glob("driftline-backtest-*/first")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert ("interrupted before its end; --resume goes on" in err) is kept
    assert ("interrupted before its end; nothing of it is kept" in err) is not kept


def test_an_incident_of_another_time_was_not_missed(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(INCIDENTS + "- {name: before, from: 2012-12-01, until: 2012-12-02}\n")
    options = ("--incidents", tmp_path / "i.yaml")
    found = backtest(deployment, *options)["first"]
    assert [one["name"] for one in found["incidents"]["outside"]] == ["before"]
    assert found["counts"]["missed"] == 1
    read = [json.loads(line)["at"] for line in deployment.predictions.read_text().splitlines()]
    first_ms, end_ms = found["predicted_ms"]
    assert first_ms <= min(read) < first_ms + DAY_MS
    assert end_ms - DAY_MS <= max(read) < end_ms
    people = driftline("backtest", *deployment.where, *options, "-q")
    assert "not in the range" in people.out
    assert "not scored, since predictions were read of event times 2013-01-01" in people.err


def test_no_delay_of_a_missed_incident_is_small_enough(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(INCIDENTS)
    options = ("--incidents", tmp_path / "i.yaml", "--fail-on", "delay_hours > 100000")
    done = driftline("backtest", *deployment.where, *options, "-q", "--report", tmp_path / "r.html")
    assert done.code == 3
    assert "delay_hours > 100000 holds: without an end in 1 incident that no alert found" in done.err


def test_names_of_incidents_are_those_of_the_configuration(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(
        """
- {name: a, from: 2013-01-01, until: 2013-01-02, model: arival-delay, segment: origin=EWR}
- {name: b, from: 2013-01-01, until: 2013-01-02, rules: [too-god, too-good]}
- {name: c, from: 2013-01-01, until: 2013-01-02, segment: origin=LGA}
"""
    )
    done = driftline("backtest", *deployment.where, "--incidents", tmp_path / "i.yaml", "-q")
    assert (done.code, done.out) == (2, "")
    assert "i.yaml has 3 mistakes" in done.err
    assert (
        "incident 1 (a): there is no model 'arival-delay' in the configuration; did you mean 'arrival-delay'?"
        in done.err
    )
    assert "incident 2 (b): there is no rule 'too-god' in the configuration; did you mean 'too-good'?" in done.err
    assert "incident 3 (c): there is no segment 'origin=LGA'" in done.err
    assert "there are: all, origin=EWR, origin=JFK, origin=other" in done.err


def test_a_sweep_against_incidents_marks_what_is_not_beaten(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(INCIDENTS)
    options = ("--incidents", tmp_path / "i.yaml", "--sweep", f"rules.too-good.threshold={','.join(LIMITS)}")
    rows = backtest(deployment, *options)["sweep"]
    best = {row["set"] for row in rows if row["front"]}
    assert 0 < len(best) < len(rows)
    people = driftline("backtest", *deployment.where, *options, "-q").out
    marked = {line.split()[0] for line in people.splitlines() if line.rstrip().endswith("best")}
    assert marked == {setting.partition("=")[2] for setting in best}
    assert "trade-off" not in driftline("backtest", *deployment.where, *options[2:], "-q").out


def test_another_configuration_is_compared(deployment: Deployment, tmp_path: Path) -> None:
    found = backtest(deployment, "--against-set", "rules.too-good.threshold=0.5", "--to", tmp_path / "out")
    assert brief(found["differences"]["only_first"]) == brief(found["first"]["alerts"])
    assert found["second"]["alerts"] == []
    assert found["differences"]["windows"] > 10
    assert found["differences"]["windows_changed"] == 0
    assert json.loads((tmp_path / "out" / "backtest.json").read_text())["differences"] == found["differences"]
    changed = backtest(deployment, "--against-set", "time.horizon=2h")["differences"]
    assert changed["windows_changed"] > 0
    assert changed["changed_metrics"]["accuracy"] > 0
