"""What the ledger of a settled run adds up to, beside its windows: outcomes of the join, how long labels took, and how
often each bin of a feature was met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import numpy as np

from monitor.drift.checked import CheckedCategorical, CheckedNumeric, of_base
from monitor.drift.reference import histogram_name
from monitor.events import Int64s
from monitor.ledger.records import Commit, Delta
from monitor.metrics.delays import delay_ends
from monitor.metrics.foreseen import MATRIX, ForeseenBinary
from monitor.plan import FeaturePlan, ModelPlan, Plan
from monitor.sketches.cells import Cells

FORMAT: Final = 1
"""Version of a saved Totals. Higher ones are refused."""

Version = tuple[str, str]


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """How long the labels of one version took. `arrived[i]` of `labelled` came within `ends_ms[i]`, and not within the end
    before. `from_prediction`: to the middle of the tick in which they became known (so to within half a `tick_ms`);
    otherwise from the beginning of the prediction's pane (`pane_ms`) to the end of that tick, so that each took at most so
    long."""

    model: str
    version: str
    from_prediction: bool
    tick_ms: int
    pane_ms: int
    ends_ms: list[int]
    arrived: list[int]
    seen: int
    labelled: int


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """How many predictions of one version had their value in each bin of the model's reference."""

    model: str
    version: str
    feature: str
    counts: list[int]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, over all partitions. Outcomes are the terms of conservation, by name. `predicted_ms`: between which event
    times (the second excluded) predictions were counted, to their panes; None where none was."""

    format: int
    records: dict[str, int]
    outcomes: dict[str, dict[str, int]]
    lost: dict[str, int]
    delays: list[Delays]
    histograms: list[Histogram]
    predicted_ms: tuple[int, int] | None = None


class _Own(NamedTuple):
    """The cells of one version in a delta, each with its amount and the pane and tick of its slot."""

    panes: Int64s
    ticks: Int64s
    cells: Int64s
    amounts: Int64s


@dataclass(slots=True)
class Adding:
    """Takes accepted commits of all partitions, in the order of each. Mutable."""

    plan: Plan
    _last: dict[int, Commit] = field(default_factory=dict)
    _inputs: dict[Version, Int64s] = field(default_factory=dict)
    _labels: dict[Version, dict[int, int]] = field(default_factory=dict)
    _seen: dict[Version, int] = field(default_factory=dict)
    _arrived: dict[Version, Int64s] = field(default_factory=dict)
    _panes: tuple[int, int] | None = None

    def feed(self, partition: int, commit: Commit) -> None:
        """An accepted commit."""
        self._last[partition] = commit
        for delta in (commit.inputs, commit.performance):
            panes = None if delta is None else delta.column("pane")
            if panes is not None and len(panes):
                met = (int(panes.min()), int(panes.max()))
                known = self._panes or met
                self._panes = (min(known[0], met[0]), max(known[1], met[1]))
        if commit.inputs is not None:
            for version, own in _by_version(commit, commit.inputs):
                size = self.plan.model(version[0]).input_cells.size
                total = self._inputs.setdefault(version, np.zeros(size, np.int64))
                np.add.at(total, own.cells, own.amounts)
        if commit.performance is not None:
            for version, own in _by_version(commit, commit.performance):
                self._performance(version, own)

    def _performance(self, version: Version, own: _Own) -> None:
        layout = self.plan.model(version[0]).task.cells
        self._seen[version] = self._seen.get(version, 0) + int(own.amounts[own.cells == layout.index("seen")].sum())
        labels = np.flatnonzero(own.cells == layout.index("labelled"))
        if len(labels):
            took_ms = (own.ticks[labels] + 1) * self.plan.join.tick_ms - own.panes[labels] * self.plan.pane_ms
            held = self._labels.setdefault(version, {})
            lengths, places = np.unique(took_ms, return_inverse=True)
            counts = np.zeros(len(lengths), np.int64)
            np.add.at(counts, places, own.amounts[labels])
            for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
                held[length] = held.get(length, 0) + count
        if "arrived" in layout:
            part = layout.slice("arrived")
            inside = (own.cells >= part.start) & (own.cells < part.stop)
            total = self._arrived.setdefault(version, np.zeros(part.stop - part.start, np.int64))
            np.add.at(total, own.cells[inside] - part.start, own.amounts[inside])

    def totals(self, lost: Mapping[str, int]) -> Totals:
        """The sums; `lost`: records of each stream that were gone before they were read."""
        commits = [commit for _, commit in sorted(self._last.items())]
        outcomes: dict[str, dict[str, int]] = {"predictions": {}, "labels": {}}
        for commit in commits:
            for stream, own in (("predictions", commit.prediction_outcomes), ("labels", commit.label_outcomes)):
                for name, count in own.items():
                    outcomes[stream][name] = outcomes[stream].get(name, 0) + count
        read = {name: sum(c.rows_read[i] for c in commits) for i, name in enumerate(outcomes)}
        if not self.plan.has_labels:
            del outcomes["labels"], read["labels"]
        return Totals(
            format=FORMAT,
            records=read,
            outcomes=outcomes,
            lost=dict(lost),
            delays=[self._delays(version) for version in sorted(self._seen)] if self.plan.has_labels else [],
            histograms=[h for version in sorted(self._inputs) for h in self._histograms(version)],
            predicted_ms=self._predicted_ms(),
        )

    def _predicted_ms(self) -> tuple[int, int] | None:
        if self._panes is None:
            return None
        first, last = self._panes
        return first * self.plan.pane_ms, (last + 1) * self.plan.pane_ms

    def _delays(self, version: Version) -> Delays:
        held = self._labels.get(version, {})
        join, pane_ms = self.plan.join, self.plan.pane_ms
        by_itself = isinstance(self.plan.model(version[0]).task, ForeseenBinary)
        if by_itself:
            ends = delay_ends(join.bounds.horizon_ms, join.tick_ms)
            arrived = (
                self._arrived.get(version, np.zeros(len(ends) * len(MATRIX), np.int64)).reshape(len(ends), -1).sum(1)
            )
        else:
            longest = max([join.bounds.horizon_ms + pane_ms + join.tick_ms, *held])
            ends = delay_ends(longest, join.tick_ms)
            arrived = np.zeros(len(ends), np.int64)
            for took_ms, count in held.items():
                arrived[np.searchsorted(ends, took_ms, side="left")] += count
        return Delays(
            model=version[0],
            version=version[1],
            from_prediction=by_itself,
            tick_ms=join.tick_ms,
            pane_ms=pane_ms,
            ends_ms=ends.tolist(),
            arrived=arrived.tolist(),
            seen=self._seen[version],
            labelled=sum(held.values()),
        )

    def _histograms(self, version: Version) -> Iterator[Histogram]:
        plan = self.plan.model(version[0])
        cells = Cells(plan.input_cells, self._inputs[version][np.newaxis])
        for feature in profiled(plan):
            counts = cells.histogram(histogram_name(feature.name))
            if isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)):
                counts = of_base(feature.binning, counts)
            yield Histogram(model=version[0], version=version[1], feature=feature.name, counts=counts[0].tolist())


def profiled(plan: ModelPlan) -> list[FeaturePlan]:
    """The features of a model, its scores among them, that its reference has a profile of."""
    known = plan.reference.features if plan.reference is not None else {}
    return [f for f in (*plan.features, *((plan.score,) if plan.score else ())) if f.name in known]


def _by_version(commit: Commit, delta: Delta) -> Iterator[tuple[Version, _Own]]:
    """What a delta says of each version in it."""
    versions = [(group.model, group.version) for group in commit.groups]
    known = list(dict.fromkeys(versions))
    number = np.array([known.index(version) for version in versions], np.int64)
    length = delta.column("length")
    group, pane, tick = (np.repeat(delta.column(name), length) for name in ("group", "pane", "tick"))
    cells, amounts, of = delta.column("cell"), delta.column("amount"), number[group]
    for i in np.unique(of).tolist():
        rows = of == i
        yield known[i], _Own(pane[rows], tick[rows], cells[rows], amounts[rows])
