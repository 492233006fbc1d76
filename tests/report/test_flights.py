"""Three months of flights under two configurations: what differs is what an independent recount says, and a backtest that
was killed on its way leaves the same bytes as one that was not."""

from __future__ import annotations

import gzip
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.checker import recount
from tests.checker.sources import Raw
from tests.cli.driving import driftline
from tests.oracle.join import Params, Window, WindowOf
from tests.report.conftest import FLIGHTS, INCIDENTS, SWEEP, Flights, Report

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SEGMENTS = {"origin": ["EWR", "JFK", "LGA"]}
FIRST = {"horizon_ms": 36 * HOUR_MS, "lateness_ms": 36 * HOUR_MS}
SECOND = {"horizon_ms": 6 * HOUR_MS, "lateness_ms": 6 * HOUR_MS}
NAMES = ("model", "version", "segment", "window")
Named = tuple[str, WindowOf]


def lines(name: str) -> list[bytes]:
    return gzip.decompress((FLIGHTS / f"{name}.jsonl.gz").read_bytes()).splitlines()


def raw(name: str) -> list[Raw]:
    return [Raw(0, offset, None, None, value) for offset, value in enumerate(lines(name))]


def recounted(of: Mapping[str, Any]) -> dict[Named, recount.Recounted]:
    """All windows under one configuration, by the name of the window and what it is of."""
    fields = recount.Fields(threshold=0.25)
    predictions = [recount.predictions_of(raw("predictions"), fields)]
    labels = [recount.labels_of(raw("labels"), fields)]
    found = {}
    for calendar in ("day", "month"):
        params = Params(
            **of, skew_ms=0, disorder_ms=15 * 60_000, max_jump_ms=2 * DAY_MS, segments=SEGMENTS, window=Window(calendar=calendar)
        )  # fmt: skip
        found.update({(calendar, window): own for window, own in recount.recount(predictions, labels, params).items()})
    return found


@pytest.fixture(scope="module")
def both() -> tuple[dict[Named, recount.Recounted], dict[Named, recount.Recounted]]:
    return recounted(FIRST), recounted(SECOND)


@pytest.mark.parametrize("which", [0, 1])
def test_every_window_of_both_is_as_recounted(report: Report, both: Any, which: int) -> None:
    left = dict(both[which])
    for own in report.json[("first", "second")[which]]["series"]:
        if own["kind"] != "performance":
            continue
        for row, start_ms in enumerate(own["start_ms"]):
            counted = left.pop((own["window"], (*(own[name] for name in NAMES[:3]), start_ms)))
            assert (own["seen"][row], own["labelled"][row]) == (counted.counts["seen"], counted.counts["labelled"])
            for name in ("accuracy", "precision", "recall", "specificity", "f1"):
                value = own["metrics"][name]["value"][row]
                wanted = counted.metrics[name]
                assert (value is None) == (wanted is None)
                assert value is None or value == pytest.approx(wanted, rel=1e-11)
    assert left == {}


MATRIX = {"recall": ("tp", "fn"), "precision": ("tp", "fp"), "specificity": ("tn", "fp"), "npv": ("tn", "fn")}


def test_the_windows_that_differ_are_those_of_the_recount(report: Report, both: Any) -> None:
    first, second = both
    found = report.json["differences"]
    assert first.keys() == second.keys()

    def differ(*names: str) -> int:
        return sum(any(first[w].counts[n] != second[w].counts[n] for n in names) for w in first)

    everything = differ("seen", "labelled", "tp", "fp", "fn", "tn")
    assert found["windows_changed"] == everything > 300
    assert (found["windows_only_first"], found["windows_only_second"]) == (0, 0)
    for name, counts in MATRIX.items():
        assert found["changed_metrics"][name] == differ(*counts), name
    assert not {name for name in found["changed_metrics"] if ":" in name}, "inputs do not depend on the horizon"


# -- alerts: a rule, tick by tick, from the raw records ----------------------------------------------------------------


def low_recall(horizon_ms: int, threshold: float) -> Iterator[tuple[int, int | None]]:
    """(fired, resolved) of the rule low-recall: at the end of every hour the newest day that is over, has 20 positives and
    half of its labels is judged, by the labels known until then."""
    made = {p["id"]: p for p in map(json.loads, lines("predictions"))}
    seen: dict[int, int] = defaultdict(int)
    for p in made.values():
        seen[p["at"] // DAY_MS] += 1
    known: dict[int, list[tuple[int, bool, bool]]] = defaultdict(list)  # by hour: day, called, was
    for label in map(json.loads, lines("labels")):
        p = made[label["id"]]
        if label["at"] - p["at"] <= horizon_ms:
            known[label["at"] // HOUR_MS].append((p["at"] // DAY_MS, p["prediction"] == 1, label["label"] == 1))
    labelled, positives, hits = (defaultdict[int, int](int) for _ in range(3))
    first, last = min(seen) * 24, max(max(seen) * 24 + 24, *known) + 1
    fired = None
    for hour in range(first, last):
        for day, called, was in known[hour]:
            labelled[day] += 1
            positives[day] += was
            hits[day] += was and called
        over = [day for day in seen if (day + 1) * 24 <= hour + 1]
        ready = [day for day in over if positives[day] >= 20 and labelled[day] >= 0.5 * seen[day]]
        if not ready:
            continue
        newest = max(ready)
        broken = hits[newest] / positives[newest] < threshold
        if broken and fired is None:
            fired = (hour + 1) * HOUR_MS
        elif not broken and fired is not None:
            yield fired, (hour + 1) * HOUR_MS
            fired = None
    if fired is not None:
        yield fired, None


@pytest.mark.parametrize(("which", "horizon", "threshold"), [("first", 36, 0.45), ("second", 6, 0.4)])
def test_alerts_fire_and_end_when_the_records_say(report: Report, which: str, horizon: int, threshold: float) -> None:
    told = [
        (alert["fired_ms"], alert["resolved_ms"])
        for alert in report.json[which]["alerts"]
        if alert["rule"] == "low-recall"
    ]
    assert told == list(low_recall(horizon * HOUR_MS, threshold))
    assert len(told) > 10


def test_the_alerts_that_differ_are_those_of_the_records(report: Report) -> None:
    first, second = (list(low_recall(h * HOUR_MS, limit)) for h, limit in ((36, 0.45), (6, 0.4)))
    found = report.json["differences"]
    of = {
        name: [(a["fired_ms"], a["resolved_ms"]) for a in found[name] if a["rule"] == "low-recall"]
        for name in ("only_first", "only_second")
    }
    moved = [
        tuple((m[side]["fired_ms"], m[side]["resolved_ms"]) for side in ("first", "second"))
        for m in found["moved"]
        if m["first"]["rule"] == "low-recall"
    ]
    assert all(one in first and other in second for one, other in moved)
    alone = [one for one in first if one not in of["only_first"]]
    other_alone = [other for other in second if other not in of["only_second"]]
    assert len(alone) == len(other_alone), "what is not alone has its counterpart"
    for one in of["only_first"]:
        assert not any(other[0] == one[0] for other in second)
    for other in of["only_second"]:
        assert not any(one[0] == other[0] for one in first)


# -- killed and resumed ------------------------------------------------------------------------------------------------

SLOW = """
import time
from monitor.daemon.task import Task
ended = Task.commit
def slowly(self, flags):
    time.sleep(0.005)
    ended(self, flags)
Task.commit = slowly
from monitor.cli.app import main
main()
"""


FEBRUARY = (1_359_676_800_000, 1_362_096_000_000)


def of_february(folder: Path, flights: Flights) -> Flights:
    """The flights of a month and their labels, under the same configuration."""
    first_ms, end_ms = FEBRUARY
    predictions = [line for line in lines("predictions") if first_ms <= json.loads(line)["at"] < end_ms]
    made = {json.loads(line)["id"] for line in predictions}
    labels = [line for line in lines("labels") if json.loads(line)["id"] in made]
    (folder / "rules.yaml").write_bytes((flights.folder / "rules.yaml").read_bytes())
    month = Flights(folder)
    for topic, records in (("predictions", predictions), ("labels", labels)):
        file = folder / f"{topic}.jsonl"
        file.write_bytes(b"\n".join(records) + b"\n")
        sent = driftline("produce", f"flights.{topic}", file, "--embedded", month.log, "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
    return month


def arguments(flights: Flights, rows: int) -> list[str]:
    """With relative places, so that two runs in two folders may leave the same. Commits of at most so many rows."""
    small = ("--set", f"state.max_batch_rows={rows}", "--against-set", f"state.max_batch_rows={rows}")
    given = ["backtest", *flights.where, *small, *SWEEP, "--against-set", "rules.low-recall.threshold=0.4"]
    given += ["--incidents", "incidents.yaml", "--to", "out", "--report", "r.html", "-q"]
    return [str(each) for each in given]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.timeout(900)  # five processes, on whatever else the machine does
@pytest.mark.parametrize(
    ("months", "rows"),
    [pytest.param(1, 700, id="february"), pytest.param(3, 2_000, id="january-to-march", marks=pytest.mark.slow)],
)
def test_killed_in_both_runs_and_resumed_everything_is_the_same_bytes(
    flights: Flights, tmp_path: Path, months: int, rows: int
) -> None:
    if months == 1:
        (tmp_path / "month").mkdir()
        flights = of_february(tmp_path / "month", flights)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        (folder / "incidents.yaml").write_text(INCIDENTS)
    command = [sys.executable, "-c", SLOW, *arguments(flights, rows)]
    assert subprocess.run(command, cwd=whole, check=False, capture_output=True).returncode == 0
    resume: list[str] = []  # who interrupts a backtest began it without
    for run, commits in (("first", 4), ("first", 30), ("second", 12)):
        process = subprocess.Popen([*command, *resume], cwd=cut, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while committed(cut / "out" / run) < commits:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert not (cut / "out" / run / "replay.json").exists()
        assert not (cut / "r.html").exists()
        resume = ["--resume"]
    assert subprocess.run([*command, *resume], cwd=cut, check=False, capture_output=True).returncode == 0
    left, right = contents(whole), contents(cut)
    assert left.keys() == right.keys()
    assert {"r.html", "r.json", "r.openmetrics", "out/backtest.json", "out/first/sweep.json"} < left.keys()
    assert [name for name in left if left[name] != right[name]] == []


def committed(folder: Path) -> int:
    """Records of the ledger of an unfinished run."""
    try:
        db = sqlite3.connect(f"file:{folder / '.replay' / 'log.db'}?mode=ro", uri=True)
        try:
            query = "SELECT sum(next) FROM partitions WHERE topic = 'flights.ledger'"
            return int(db.execute(query).fetchone()[0] or 0)
        finally:
            db.close()
    except sqlite3.Error:
        return 0
