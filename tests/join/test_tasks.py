"""Other tasks through decode, join and summary: any interleaving and any cuts add up to what a plain recount gives."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Config, loads
from monitor.daemon.shared import make_shared
from monitor.events import RecordBatch
from monitor.ingest.clocks import ClockState
from monitor.ledger.fold import Chain
from monitor.metrics.task import evaluate
from monitor.partition import Flags, Partition
from monitor.plan import Plan, plan_of
from monitor.sketches.cells import Cells

START_MS = 1_700_000_000_000
TEXT = """
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: $.at, prediction: $.answer, withdrawn: $.gone, SCORES}
    features: {kind: categorical}
  labels: {topic: y, fields: {id: $.id, at: $.at, label: $.truth}, ABSENT}
time: {horizon: 1h, disorder: 1m, lateness: 1d, tick: 1m}
models: [{name: m, TASK}]
windows: [1d]
"""


def config(scores: str, task: str, absent: str) -> Config:
    text = TEXT.replace("SCORES", scores).replace("TASK", task).replace("ABSENT", f"absent: {absent}" if absent else "")
    return loads(text.replace(", }", "}"))


SCORED = "scores: {dog: $.p.dog, cat: $.p.cat}"
CLASSES = "task: multiclass, classes: [dog, cat]"
CONFIGS = {
    "multiclass": config(SCORED, CLASSES, ""),
    "multiclass, absent": config(SCORED, CLASSES, "{value: dog, after: 20m}"),
    "regression": config("", "task: regression, largest: 8", ""),
    "regression, absent": config("", "task: regression, largest: 8", "{value: 1.5, after: 20m}"),
}

Happening = tuple[str, int, Any]
"""A stream, minutes after the start, and the rest of the record."""

ids = st.sampled_from(list("abcdef"))
minutes = st.integers(0, 30)
words = st.sampled_from(["cat", "dog", "bird"])
numbers = st.sampled_from([0.0, 1.5, -2.25, 7.0, 9.0])
shares = st.dictionaries(st.sampled_from(["dog", "cat"]), st.sampled_from([0.0, 0.25, 1.0]))


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, list[bytes], list[bytes]]:
    """A task, predictions and labels: repeats with other contents, withdrawals, corrections, labels taken back."""
    name = draw(st.sampled_from(list(CONFIGS)))
    value = words if name.startswith("multi") else numbers
    predictions, labels = list[bytes](), list[bytes]()
    for _ in range(draw(st.integers(1, 9))):
        one: dict[str, Any] = {"id": draw(ids), "at": START_MS + 60_000 * draw(minutes)}
        if draw(st.integers(0, 5)):
            one |= {"answer": draw(value), "kind": draw(st.sampled_from(["x", "y"])), "p": draw(shares)}
        else:
            one["gone"] = True
        predictions.append(json.dumps(one).encode())
    for _ in range(draw(st.integers(0, 9))):
        truth = draw(st.one_of(value, value, st.none()))
        labels.append(json.dumps({"id": draw(ids), "at": START_MS + 60_000 * draw(minutes), "truth": truth}).encode())
    return name, predictions, labels


def batch(topic: str, first: int, values: list[bytes]) -> RecordBatch:
    n = len(values)
    offsets = np.arange(first, first + n, dtype=np.int64)
    return RecordBatch(topic, 0, offsets, np.full(n, START_MS + 86_400_000, np.int64), values, first + n)


def read(of: Config, predictions: list[bytes], labels: list[bytes], steps: list[int]) -> tuple[Plan, Cells]:
    """Feed both logs, alternately so many records at a time, with a commit after each, to the end; the sums of the window."""
    plan = plan_of(of)
    partition = Partition(make_shared(of, plan), 0, (0, ClockState()), (0, ClockState()))
    done, streams = [0, 0], (predictions, labels)
    model = plan.models["m"]
    cells = model.task.cells.zeros()

    def commit(*, ended: bool) -> None:
        delta = partition.commit(Chain(1, "w", 0, b""), Flags(ended=ended)).performance
        if delta is not None:
            np.add.at(cells.array[0], delta.column("cell"), delta.column("amount"))

    for i, step in enumerate([*steps, 99, 99]):
        stream = i % 2
        part = streams[stream][done[stream] : done[stream] + step]
        if part:
            feed = partition.feed_labels if stream else partition.feed_predictions
            feed(batch("py"[stream], done[stream], part))
            done[stream] += len(part)
            assert partition.conservation().holds, "also while what was read waits for its commit"
        commit(ended=False)
    commit(ended=True)
    assert partition.conservation().holds
    return plan, cells


def recount(of: Config, predictions: list[bytes], labels: list[bytes]) -> list[tuple[Any, Any, dict[str, float]]]:
    """(answer, truth, probabilities) of every labelled prediction, by one dict. Times of a test lie within the horizon."""
    gone, best = set[str](), dict[str, list[dict[str, Any]]]()
    for one in map(json.loads, predictions):
        if "gone" in one:
            gone.add(one["id"])
        else:
            best.setdefault(one["id"], []).append(one)
    truths: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in map(json.loads, labels):
        truths[one["id"]].append(one)
    assert of.streams.labels is not None
    absent = of.streams.labels.absent
    rows = []
    for who, contents in best.items():
        first = min(one["at"] for one in contents)
        rivals = [one for one in contents if one["at"] == first]
        if who in gone or any(one != rivals[0] for one in rivals):
            continue
        known = [one for one in truths[who] if one["at"] >= first - of.time.skew_ms]
        last = max((one["at"] for one in known), default=None)
        final = {json.dumps(one["truth"]) for one in known if one["at"] == last} - {"null"}
        if len(final) == 1:
            rows.append((rivals[0]["answer"], json.loads(final.pop()), rivals[0]["p"]))
        elif not known and absent is not None:
            rows.append((rivals[0]["answer"], absent.value, rivals[0]["p"]))
    return rows


def unambiguous(predictions: list[bytes], labels: list[bytes]) -> bool:
    """Whether no two contents of one time compete: who wins then is decided by content, which the recount does not know."""
    seen: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    for raw in (*predictions, *labels):
        one = json.loads(raw)
        if "gone" not in one:
            seen[("p" if "answer" in one else "y") + one["id"], one["at"]].add(raw)
    return all(len(contents) == 1 for contents in seen.values())


steps_strategy = st.lists(st.integers(0, 4), max_size=8)


@given(logs(), steps_strategy, steps_strategy)
def test_no_interleaving_and_no_cut_can_be_seen_in_the_sums(
    drawn: tuple[str, list[bytes], list[bytes]], one: list[int], other: list[int]
) -> None:
    name, predictions, labels = drawn
    _, cells = read(CONFIGS[name], predictions, labels, one)
    _, again = read(CONFIGS[name], predictions, labels, other)
    assert np.array_equal(cells.array, again.array)


@given(logs(), steps_strategy)
def test_the_sums_are_those_of_a_recount(drawn: tuple[str, list[bytes], list[bytes]], steps: list[int]) -> None:
    name, predictions, labels = drawn
    if not unambiguous(predictions, labels):
        return
    of = CONFIGS[name]
    plan, cells = read(of, predictions, labels, steps)
    rows = recount(of, predictions, labels)
    assert cells.count("labelled")[0] == len(rows)
    task = plan.models["m"].task
    found = {metric: column.at(0) for metric, column in evaluate(task, cells).items()}
    if name.startswith("multi"):
        plain = {"dog": "dog", "cat": "cat"}
        pairs = Counter(f"confusion:{plain.get(t, 'other')}:{plain.get(a, 'other')}" for a, t, _ in rows)
        assert task.table(cells) == [pairs]
        losses = [-math.log(max(p[t], 1e-15)) for _, t, p in rows if t in p]
        loss = found["log_loss"]
        assert loss.rows == len(losses)
        assert loss.value == (pytest.approx(sum(losses) / len(losses), abs=1e-9) if losses else None)
        return
    errors = [a - t for a, t, _ in rows if abs(a) <= 8 and abs(t) <= 8]
    assert cells.count("overflow")[0] == len(rows) - len(errors)
    assert found["bias"].value == (pytest.approx(sum(errors) / len(errors), abs=1e-12) if errors else None)
    assert found["rmse"].value == (
        pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)), abs=1e-12) if errors else None
    )
