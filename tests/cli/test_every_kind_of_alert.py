"""A hundred alerts of every kind (rules, budget, advisories, label feed): each number in them is what scikit-learn, SciPy, river
and plain counting make of the source topics, with nothing else of an alert than its JSON."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from river.drift import PageHinkley
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix

from tests.checker.evidence import MATRIX, Alarm, Counts, Question, alarms
from tests.checker.sources import open_source
from tests.cli.driving import driftline
from tests.cli.test_explain_command import leaves

pytestmark = pytest.mark.timeout(900)

HOUR_MS = 3_600_000
START_MS = 1_699_920_000_000
HOURS, CHANGE, BACK, A_HOUR, MODELS = 112, 80, 97, 20, 24
LEARN, HORIZON = 70, 12
SHOPS = ("north", "south", "west")
PH: dict[str, Any] = {"min_instances": 10, "delta": 0.01, "threshold": 0.4}

CONFIG = """
namespace: kinds
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.prediction}
    features: {shop: categorical}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 12h, lateness: 12h, disorder: 0s, max_jump: 30d, tick: 1h}
models: MODELS
windows: [1h, 6h]
rules:
  - {name: wrong, metric: accuracy, op: "<", threshold: 0.8, window: 6h, min_rows: 50, min_coverage: 0.9, severity: page}
  - {name: moved, metric: "psi:shop", op: ">", threshold: 0.15, window: 6h, min_rows: 50, severity: ticket}
  - {name: gone, metric: "missing:shop", op: ">", threshold: 0.1, window: 6h, min_rows: 50, severity: ticket}
advisories:
  - {name: ph-wrong, detector: PageHinkley, options: OPTIONS, metric: accuracy, window: 1h, min_rows: 10, min_coverage: 0.9,
     quiet: 6h}
  - {name: ph-gone, detector: PageHinkley, options: OPTIONS, metric: "missing:shop", window: 1h, min_rows: 10, quiet: 6h}
label_feed: {slow_after: 3h, hold_at_most: 7d}
budget: {false_pages: 1, per: 30d, every: 1h, learn: 70h, season: none, quiet: 8h}
"""


def names() -> list[str]:
    return [f"m{number:02}" for number in range(MODELS)]


def streams(folder: Path) -> None:
    """In turn a model becomes wrong, loses values, sells elsewhere, or gets no labels, for a while."""
    rng = random.Random(67)
    predictions, labels = list[tuple[int, str]](), list[tuple[int, str]]()
    for number, model in enumerate(names()):
        for i in range(HOURS * A_HOUR):
            at, hour = START_MS + i * HOUR_MS // A_HOUR + number, i // A_HOUR
            during, kind = CHANGE + number % 5 <= hour < BACK, number % 4
            called = rng.randint(0, 1)
            wrong = rng.random() < (0.45 if during and kind == 0 else 0.1)
            shop = rng.choices(SHOPS, (8, 1, 1) if during and kind == 2 else (3, 4, 3))[0]
            lost = rng.random() < (0.4 if during and kind == 1 else 0.02)
            known = at + rng.randint(5, 90) * 60_000
            record = {"id": f"{model}-{i}", "model": model, "version": "1", "at": at, "prediction": called}
            predictions.append((at, json.dumps({**record, "features": {} if lost else {"shop": shop}})))
            if not (during and kind == 3):
                labels.append((known, json.dumps({"id": record["id"], "at": known, "label": called ^ wrong})))
    for name, lines in (("predictions", predictions), ("labels", labels)):
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for _, line in sorted(lines)))
    early = [line for at, line in sorted(predictions) if at < START_MS + 24 * HOUR_MS and '"m00"' in line]
    (folder / "early.jsonl").write_text("".join(f"{line}\n" for line in early))


@dataclass(frozen=True)
class Row:
    """A prediction, with the hours in which it and its label became known; None where no label came."""

    hour: int
    shop: str | None
    called: int
    label: int | None
    known: int | None


@dataclass(frozen=True)
class Told:
    """Alerts as JSON, and the topics behind them by model."""

    events: Sequence[Mapping[str, Any]]
    rows: Mapping[str, Sequence[Row]]
    where: tuple[object, ...]
    at: Mapping[tuple[str, int], Sequence[Row]] = field(default_factory=dict)

    def window(self, model: str, start_ms: int, end_ms: int) -> list[Row]:
        """Rows of a window."""
        first, last = (int((ms - START_MS) // HOUR_MS) for ms in (start_ms, end_ms))
        return [row for hour in range(first, last) for row in self.at.get((model, hour), ())]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("kinds")
    streams(folder)
    text = CONFIG.replace("OPTIONS", json.dumps(PH))
    (folder / "one.yaml").write_text(text.partition("rules:")[0].replace("MODELS", "[{name: m00}]"))
    reference = ("-c", folder / "one.yaml", "--file", folder / "early.jsonl", "-o", folder / "reference.json")
    made = driftline("reference", "build", *reference)
    assert made.code == 0, made.err
    models = [{"name": name, "reference": "reference.json"} for name in names()]
    (folder / "d.yaml").write_text(text.replace("MODELS", json.dumps(models)))
    for topic in ("predictions", "labels"):
        sent = driftline("produce", topic, folder / f"{topic}.jsonl", "--embedded", folder / "log", "-q")
        assert sent.code == 0, sent.err
    where = ("-c", folder / "d.yaml", "--embedded", folder / "log")
    ran = driftline("run", *where, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    source = open_source(None, str(folder / "log"))

    def read(topic: str) -> list[dict[str, Any]]:
        return [json.loads(raw.value or b"") for log in source.read(topic) for raw in log]

    labels = {record["id"]: record for record in read("labels")}
    rows, at = defaultdict[str, list[Row]](list), defaultdict[tuple[str, int], list[Row]](list)
    for p in read("predictions"):
        label = labels.get(p["id"])
        known = None if label is None else (label["at"] - START_MS) // HOUR_MS
        hour = (p["at"] - START_MS) // HOUR_MS
        row = Row(hour, p["features"].get("shop"), p["prediction"], None if label is None else label["label"], known)
        rows[p["model"]].append(row)
        at[p["model"], hour].append(row)
    return Told([event["data"] for event in read("kinds.alerts")], rows, where, at)


def hour_of(ms: int) -> int:
    return (ms - START_MS) // HOUR_MS


def known_by(rows: Sequence[Row], tick: int) -> tuple[list[int], list[int]]:
    """Labels and classes of what is labelled before this hour ends."""
    there = [(row.label, row.called) for row in rows if row.known is not None and row.known <= tick]
    return [label for label, _ in there if label is not None], [called for _, called in there]


# -- rules and advisories ------------------------------------------------------------------------------------------


def value_of(metric: str, rows: Sequence[Row], tick: int, reference: Counts) -> tuple[float, int]:
    """A metric and its denominator."""
    if metric == "accuracy":
        truth, called = known_by(rows, tick)
        return float(accuracy_score(truth, called)), len(truth)
    rows = [row for row in rows if row.hour <= tick]
    now = Counter(row.shop or "missing" for row in rows)
    if metric == "missing:shop":
        return now["missing"] / len(rows), len(rows)
    shares = [
        (max(reference[b] / sum(reference.values()), 1e-4), max(now[b] / len(rows), 1e-4)) for b in (*SHOPS, "missing")
    ]
    return sum((q - p) * math.log(q / p) for p, q in shares), len(rows)


def reference_of(told: Told) -> Counts:
    return Counter(row.shop or "missing" for row in told.rows["m00"] if row.hour < 24)


def check_rule(data: Mapping[str, Any], told: Told) -> None:
    said = data["evidence"]
    window, tick = said["window"], hour_of(data["tick_ms"]) - 1
    rows = [r for r in told.window(data["model"], window["start_ms"], window["end_ms"]) if r.hour <= tick]
    value, n = value_of(said["metric"], rows, tick, reference_of(told))
    assert (said["rows"], said["seen"]) == (n, len(rows))
    assert said["value"] == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert said["broken"] is (value < said["threshold"] if said["op"] == "<" else value > said["threshold"])
    if said["metric"] != "psi:shop":
        interval = binomtest(round(value * n), n).proportion_ci(method="wilson")
        assert (said["lower"], said["upper"]) == pytest.approx((interval.low, interval.high), rel=1e-9)
    if said["metric"] == "accuracy":
        truth, called = known_by(rows, tick)
        tn, fp, fn, tp = (int(count) for count in confusion_matrix(truth, called, labels=[0, 1]).ravel())
        assert {name: said["counts"][name] for name in ("tp", "fp", "fn", "tn")} == {
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "tn": tn,
        }
        assert (said["labelled"], said["coverage"]) == (n, pytest.approx(n / len(rows)))


def held_ms(model: str, state: str, told: Told) -> list[int]:
    """When the label feed of a model was told to be slow, or to be as usual again."""
    feed = (data for data in told.events if data.get("scope") == f"model/{model}")
    return [data["tick_ms"] for data in feed if data["state"] == state]


def check_advisory(data: Mapping[str, Any], told: Told) -> None:
    """The detector of river over the windows in order, each as it was when nine tenths of its labels were there; not while the
    label feed of the model was told to be slow."""
    labelled, changes, held = (
        data["metric"] == "accuracy",
        list[tuple[int, int, float, int, list[float]]](),
        list[float](),
    )
    detector, last = PageHinkley(**PH), -1
    held_from, held_to = (
        {hour_of(ms) - 1 for ms in held_ms(data["model"], state, told)} for state in ("firing", "resolved")
    )
    holding = False
    for tick in range(HOURS + HORIZON):
        holding = (holding or tick in held_from) and tick not in held_to
        for hour in range(last + 1, min(tick, HOURS - 1) + 1) if not (holding and labelled) else ():
            rows = told.at[data["model"], hour]
            if labelled and len(known_by(rows, tick)[0]) < 0.9 * len(rows):
                continue
            value, n = value_of(data["metric"], rows, tick, {})
            value, last = float(f"{value:.12g}"), hour
            detector.update(value)  # type: ignore[no-untyped-call]
            if detector.drift_detected:
                changes.append((tick, hour, value, n, held))
                detector, held = PageHinkley(**PH), []
            else:
                held = [*held, value]
    (change,) = [one for one in changes if one[0] == hour_of(data["fired_ms"]) - 1]
    _, hour, value, n, before = change
    assert (data["value"], data["rows"], data["values"]) == (pytest.approx(value), n, len(before))
    assert data["mean"] == pytest.approx(sum(before) / len(before))
    assert hour_of(data["window"]["start_ms"]) == hour
    after = hour_of(data["tick_ms"]) - 1
    assert data["changes"] == sum(hour_of(data["fired_ms"]) - 1 <= tick <= after for tick, *_ in changes)


# -- the budget ----------------------------------------------------------------------------------------------------

VALID = frozenset({*SHOPS, "other", "unseen"})
SHOP = [
    Question(f"{way} {name}", hits, VALID)
    for shop in (*SHOPS, "other", "unseen")
    for name in (f"'{shop}'" if shop in SHOPS else shop,)
    for way, hits in (("more", frozenset({shop})), ("less", VALID - {shop}))
]
FAULTS = [Question(f"more {bad}", frozenset({bad}), VALID | {"missing", "invalid"}) for bad in ("missing", "invalid")]
CELLS = {(1, 1): "tp", (0, 1): "fp", (1, 0): "fn", (0, 0): "tn"}


def cohorts(told: Told, model: str) -> list[tuple[int, int, Counts]]:
    """By hour: where in event time what it brought begins, and the matrix of the cohorts that had nine tenths of their labels by
    then, or are older than the horizon; what comes late for one joins the next."""
    found = list[tuple[int, int, Counts]]()
    waiting, late, released = dict[int, Counter[str]](), Counter[str](), set[int]()
    arriving = defaultdict[int, list[Row]](list)
    for row in told.rows[model]:
        if row.known is not None:
            arriving[max(row.known, row.hour)].append(row)
    for hour in range(HOURS + HORIZON):
        if hour < HOURS:
            waiting[hour] = waiting.get(hour, Counter())
        for row in arriving[hour]:
            held = late if row.hour in released else waiting.setdefault(row.hour, Counter())
            held[CELLS[row.label, row.called]] += 1  # type: ignore[index]
        if not arriving[hour] and hour >= HOURS:
            continue  # no beat: nothing came
        ready = [
            pane for pane, counts in waiting.items()
            if sum(counts.values()) >= 0.9 * len(told.at[model, pane]) or hour >= pane + HORIZON
        ]  # fmt: skip
        if ready:
            rows = {pane: sum(waiting[pane].values()) for pane in sorted(ready)}
            reached = list(accumulate(rows.values()))
            begin = next(pane for pane, upto in zip(rows, reached, strict=True) if 10 * upto >= reached[-1])
            found.append((hour, begin, sum((waiting.pop(pane) for pane in ready), late)))
            released, late = released | set(ready), Counter()
    return found


@cache
def found_by(told_id: int, model: str, kind: str) -> tuple[list[Alarm], dict[int, int]]:
    """The alarms of a model, and where in event time each beat begins."""
    told = TOLD[told_id]
    patience = 30 * 24.0
    if kind == "performance":
        brought = cohorts(told, model)
        beats: list[tuple[int, Mapping[str, Counts]]] = [(hour, {"confusion": counts}) for hour, _, counts in brought]
        channels: dict[str, tuple[Sequence[Question], float, float]] = {"confusion": (MATRIX, 0.5, 0.01)}
        share, begins = 0.5 / 0.8, {hour: begin for hour, begin, _ in brought}
    else:
        by_hour = {hour: Counter(row.shop or "missing" for row in told.at[model, hour]) for hour in range(HOURS)}
        beats = [(hour, {"shop": counts, "missing:shop": counts}) for hour, counts in by_hour.items()]
        channels = {"shop": (SHOP, 0.15, 0.02), "missing:shop": (FAULTS, 0.15, 0.0)}
        share, begins = 0.3 / 0.8, {hour: hour for hour in by_hour}
    return alarms(channels, beats, LEARN, patience / share), begins


TOLD: dict[int, Told] = {}


def check_budget(data: Mapping[str, Any], told: Told) -> None:
    """Evidence, and of each cause what it rests on."""
    TOLD[id(told)] = told
    found, begins = found_by(id(told), data["model"], data["kind"])
    (alarm,) = [one for one in found if one.log_evidence == pytest.approx(data["log_evidence"], abs=1e-3)][:1]
    fired, now = hour_of(data["fired_ms"]) - 1, hour_of(data["tick_ms"]) - 1
    assert alarm.beat >= fired
    assert data["alarms"] == sum(fired <= one.beat <= now for one in found)
    assert hour_of(data["since_ms"]) == begins[alarm.said[data["causes"][0]["channel"]].since]
    for cause in data["causes"]:
        said = alarm.said[cause["channel"]]
        assert (cause["question"], cause["rows"]) == (said.question, said.rows)
        assert hour_of(cause["since_ms"]) == begins[said.since]
        assert cause["mean"] == pytest.approx(said.hits / said.rows)
        assert cause["reference"] == pytest.approx(said.reference, abs=1e-5)
        assert cause["limit"] == pytest.approx(said.limit, abs=1e-5)
        assert cause["dispersion"] == pytest.approx(said.dispersion, abs=1e-9)
        assert cause["log_evidence"] == pytest.approx(said.log_evidence, abs=1e-3)
        share = math.exp(said.log_evidence - alarm.log_evidence) / len(alarm.said)
        assert cause["share"] == pytest.approx(share, rel=1e-2)
        n = int(said.rows / said.dispersion)
        interval = binomtest(round(said.hits / said.rows * n), n).proportion_ci(method="wilson")
        assert (cause["lower"], cause["upper"]) == pytest.approx((interval.low, interval.high), abs=1e-9)
    logs = sorted((said.log_evidence for said in alarm.said.values()), reverse=True)
    most = max((k for k, log in enumerate(logs, 1) if log >= math.log(len(logs) / (0.1 * k))), default=0)
    assert sum(cause["listed"] for cause in data["causes"]) == most
    assert (data["false_pages"], data["per_ms"], data["every_ms"]) == (1.0, 30 * 24 * HOUR_MS, HOUR_MS)


def check_label_feed(data: Mapping[str, Any], told: Told) -> None:
    """Of whole hours that are three hours old and older there are as many predictions as labels were expected (all come within
    two hours), and as many labels."""
    tick = hour_of(data["tick_ms"]) - 1
    assert data["facts"]["model"] == data["scope"].removeprefix("model/")
    sums = []
    seen = labelled = 0
    for hour in range(tick - 3, -1, -1):
        rows = told.at[data["facts"]["model"], hour]
        seen, labelled = seen + len(rows), labelled + len(known_by(rows, tick)[0])
        sums.append((seen, labelled))
    assert (data["facts"]["expected"], data["facts"]["labelled"]) in sums
    slow = data["facts"]["labelled"] < (0.5 if data["state"] == "firing" else 0.75) * data["facts"]["expected"]
    assert slow is (data["state"] == "firing")


CHECKS: dict[str, Callable[[Mapping[str, Any], Told], None]] = {
    "rule": check_rule,
    "advisory": check_advisory,
    "budget": check_budget,
    "operational": check_label_feed,
}


def test_alerts_of_every_kind_are_what_the_records_say(told: Told) -> None:
    assert len(told.events) > 200, "not a hundred drawn of them: all"
    kinds = Counter((data["category"], data["state"]) for data in told.events)
    assert all(kinds[category, state] >= 6 for category in CHECKS for state in ("firing", "resolved")), kinds
    areas = {data["causes"][0]["area"] for data in told.events if data["category"] == "budget"}
    assert areas == {"performance", "quality", "features"}
    for data in told.events:
        CHECKS[data["category"]](data, told)


def test_a_number_that_was_changed_is_found(told: Told) -> None:
    budget = next(data for data in told.events if data["category"] == "budget")
    first = budget["causes"][0]
    for name in ("rows", "mean", "reference", "limit", "dispersion", "log_evidence", "lower", "since_ms"):
        changed = {**first, name: first[name] * 1.01 + 1}
        with pytest.raises(AssertionError):
            check_budget({**budget, "causes": [changed, *budget["causes"][1:]]}, told)
    advisory = next(data for data in told.events if data["category"] == "advisory")
    for name in ("value", "rows", "values", "mean", "changes"):
        with pytest.raises(AssertionError):
            check_advisory({**advisory, name: advisory[name] + 1}, told)


@pytest.mark.parametrize(
    ("category", "rule", "made"),
    [
        ("rule", "gone", "broken"),
        ("advisory", "ph-gone", "a change"),
        ("budget", "budget-input", "an alarm, with its share of the budget"),
    ],
)
def test_explain_works_every_number_out_again(told: Told, category: str, rule: str, made: str) -> None:
    data = next(d for d in told.events if d["category"] == category and d["rule"] == rule)
    shown = driftline("explain", data["episode"], *told.where, "-q", "-o", "json")
    assert shown.code == 0, shown.out + shown.err
    numbers = {number["name"]: number for number in shown.json["numbers"]}
    assert numbers[made]["inputs"]
    assert {number["path"] for number in numbers.values()} >= set(leaves(shown.json["event"]["data"]))
