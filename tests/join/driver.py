"""Drives the real join over logs of oracle records, cut and interleaved at will, and adds up what it tells its sink."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from monitor.events import Int64s, UInt64s
from monitor.groups import Group, Groups
from monitor.ingest.clocks import FOREVER, ClockState, advance
from monitor.join.inputs import JoinParams, LabelBatch, PredictionBatch
from monitor.join.join import Join
from monitor.join.memory import Memory
from monitor.join.timeline import Bounds
from tests.oracle.join import Label, Params, Prediction

NO_JUMP = 1 << 40


def join_params(params: Params, settle_ms: int) -> JoinParams:
    """The engine's parameters for the oracle's."""
    absent = (params.absent_value, params.absent_after_ms) if params.absent_value is not None else None
    return JoinParams(
        bounds=Bounds(params.horizon_ms, params.skew_ms),
        disorder_ms=params.disorder_ms,
        lateness_ms=params.lateness_ms,
        tick_ms=params.tick_ms,
        settle_ms=settle_ms,
        max_rows=1 << 30,
        absent=absent,
    )


class Tally:
    """A sink that keeps (tick, model, version, window start) -> Counter of seen, labelled, tp, fp, fn, tn."""

    def __init__(self, groups: Groups, params: Params) -> None:
        self._groups, self._params = groups, params
        self.counts: dict[tuple[int, str, str, int], Counter[str]] = {}

    def _add(self, group: int, at: int, tick: int, name: str, sign: int) -> None:
        item = self._groups.items[group]
        for start in self._params.window.starts(at):
            self.counts.setdefault((tick, item.model, item.version, start), Counter())[name] += sign

    def seen(self, group, at_ms, ticks, score, predicted, bins, sign) -> None:  # type: ignore[no-untyped-def]
        for g, a, t, s in zip(group.tolist(), at_ms.tolist(), ticks.tolist(), sign.tolist(), strict=True):
            self._add(g, a, t, "seen", s)

    def labelled(self, group, at_ms, ticks, score, predicted, label, sign, scores) -> None:  # type: ignore[no-untyped-def]
        rows = zip(*(x.tolist() for x in (group, at_ms, ticks, predicted, label, sign)), strict=True)
        for g, a, t, p, y, s in rows:
            self._add(g, a, t, "labelled", s)
            truth = y == self._params.positive
            self._add(g, a, t, {(1, True): "tp", (1, False): "fp", (0, True): "fn", (0, False): "tn"}[p, truth], s)

    def windows(self, tick: int | None = None) -> dict[tuple[str, str, str, int], dict[str, int]]:
        """The oracle's shape: (model, version, `all`, start) -> counts, by the end of a tick (None: everything)."""
        total: dict[tuple[str, str, str, int], Counter[str]] = {}
        for (at, model, version, start), counts in self.counts.items():
            if tick is None or at <= tick:
                total.setdefault((model, version, "all", start), Counter()).update(counts)
        names = ("seen", "labelled", "tp", "fp", "fn", "tn")
        return {
            key: {name: counts[name] for name in names}
            for key, counts in total.items()
            if any(counts[name] for name in names)
        }


class Driver:
    """One partition: feeds slices of both logs, settles, and can be dropped and rebuilt."""

    def __init__(
        self, params: Params, settle_ms: int = 1, max_jump_ms: int | None = None, memory: Memory | None = None
    ) -> None:
        self.params, self.settle_ms = params, settle_ms
        self.max_jump_ms = NO_JUMP if max_jump_ms is None else max_jump_ms
        self.groups = Groups()
        self.tally = Tally(self.groups, params)
        self.join = Join(join_params(params, settle_ms), 0, self.groups, self.tally, memory=memory)
        self.clocks = [ClockState(), ClockState()]

    def feed_predictions(self, records: Sequence[Prediction]) -> None:
        if not records:
            return
        at, ids = _at(records), _ids([r["id"] for r in records])
        self.clocks[0], before = advance(self.clocks[0], at, ids, self.max_jump_ms)
        groups = [self.groups.code(Group(r["model"], r["version"])) for r in records]
        self.join.add_predictions(
            PredictionBatch(
                ids=ids,
                at_ms=at,
                before_ms=before,
                group=np.array(groups, np.uint32),
                score=np.array([r.get("score", 0.5) for r in records], np.float64),
                predicted=np.array([r.get("prediction", 0) for r in records], np.uint8),
                bins=np.zeros((len(records), 0), np.uint8),
                withdrawn=np.array([r.get("withdrawn", False) for r in records], np.bool_),
            )
        )

    def feed_labels(self, records: Sequence[Label]) -> None:
        if not records:
            return
        at, ids = _at(records), _ids([r["id"] for r in records])
        self.clocks[1], before = advance(self.clocks[1], at, ids, self.max_jump_ms)
        values = [np.nan if r["label"] is None else r["label"] for r in records]
        self.join.add_labels(LabelBatch(ids, at, before, np.array(values, np.float64)))

    def settle(self) -> None:
        self.join.settle(self.clocks[0].maximum_ms, self.clocks[1].maximum_ms)

    def end(self) -> None:
        self.join.settle(FOREVER, FOREVER)


def play(
    driver: Driver, predictions: Sequence[Prediction], labels: Sequence[Label], rng: random.Random, step: int = 5
) -> Driver:
    """Feed both logs in random slices and order, settling now and then; then end."""
    p = q = 0
    while p < len(predictions) or q < len(labels):
        n = rng.randint(1, step)
        if q >= len(labels) or (p < len(predictions) and rng.random() < 0.5):
            driver.feed_predictions(predictions[p : p + n])
            p += n
        else:
            driver.feed_labels(labels[q : q + n])
            q += n
        if rng.random() < 0.4:
            driver.settle()
    driver.end()
    return driver


def _at(records: Sequence[Prediction] | Sequence[Label]) -> Int64s:
    return np.array([r["at"] for r in records], np.int64)


def _ids(names: Sequence[str]) -> UInt64s:
    words = [[hash_of(name), len(name) + 7] for name in names]
    return np.array(words, np.uint64).reshape(-1, 2)


def hash_of(name: str) -> int:
    """A fixed 64-bit hash, so that a failing example fails again."""
    value = 14695981039346656037
    for byte in name.encode():
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return value
