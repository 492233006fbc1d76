"""Coding: decoded predictions become group codes and bins, the only form in which they are kept and counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.drift.binning import CategoricalBinning
from monitor.drift.checked import CheckedCategorical
from monitor.events import Int32s, Int64s, PredictionColumns
from monitor.groups import Group, Groups, together
from monitor.ingest.interner import Interner
from monitor.ledger.roster import Roster
from monitor.plan import Dimension, FeaturePlan, ModelPlan, Plan

UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]

_T = TypeVar("_T", bound=np.generic)

OTHER = "other"
"""Segment of every value that the configuration does not list."""


class Coder:
    """Codes predictions of every model of a plan. Look-up tables by category code grow with the interners."""

    def __init__(
        self,
        plan: Plan,
        groups: Groups,
        models: Interner,
        versions: Interner,
        categories: Mapping[str, Interner],
        roster: Roster | None = None,
    ) -> None:
        """`roster`: which senses of its models count; it may be left out where each has but one."""
        self._plan, self._groups = plan, groups
        self._models, self._versions, self._categories = models, versions, categories
        self._roster, self._several = roster, roster.several if roster is not None else frozenset()
        self._plans: dict[int, tuple[ModelPlan]] = {}
        self._counts_as: dict[int, Mapping[str, tuple[tuple[str, int], ...]]] = {}
        self._segment_tables: dict[tuple[str, str], Int64s] = {}
        self._bin_tables: dict[tuple[str, str], UInt8s] = {}
        self._group_codes: dict[tuple[str, int], int] = {}

    def use(self, roster: Roster) -> None:
        """Go on with a later roster, of the same senses."""
        self._roster = roster

    def code(self, columns: PredictionColumns, numbers: Int64s | None = None) -> tuple[UInt32s, UInt8s]:
        """Group code (n,) and bins (n, widest model) of predictions, n > 0. `numbers`: of the roster by which each counts,
        None where all models have but one sense."""
        n, first = len(columns), int(columns.model[0])
        if numbers is None and (columns.model == first).all():
            return self._code_as(self._alone(first), columns, None)
        group, bins = np.zeros(n, np.uint32), np.zeros((n, self._plan.width), np.uint8)
        for model in np.unique(columns.model).tolist():
            rows = np.flatnonzero(columns.model == model)
            for plans, own in self._by_senses(model, columns, rows, numbers):
                group[own], bins[own] = self._code_as(plans, columns, own)
        return group, bins

    def _alone(self, model: int) -> tuple[ModelPlan]:
        plans = self._plans.get(model)
        if plans is None:
            plans = self._plans[model] = (self._plan.model(self._models.values[model]),)
        return plans

    def _by_senses(
        self, model: int, columns: PredictionColumns, rows: Int64s, numbers: Int64s | None
    ) -> Iterator[tuple[tuple[ModelPlan, ...], Int64s]]:
        """Rows of a model by the senses that they count for."""
        name = self._models.values[model]
        if numbers is None or name not in self._several:
            yield self._alone(model), rows
            return
        for number in np.unique(numbers[rows]).tolist():
            own = rows[numbers[rows] == number]
            senses = self._at(number)[name]
            until = np.array([until_ms for _, until_ms in senses], np.int64)
            counts = columns.at_ms[own][:, np.newaxis] < until
            which = counts @ (1 << np.arange(len(senses)))
            for one in np.unique(which).tolist():
                plans = [self._plan.counted_as(sense) for i, (sense, _) in enumerate(senses) if one >> i & 1]
                yield tuple(plans), own[which == one]

    def _at(self, number: int) -> Mapping[str, tuple[tuple[str, int], ...]]:
        known = self._counts_as.get(number)
        if known is None:
            assert self._roster is not None, "who says by which roster predictions count has one"
            known = self._counts_as[number] = self._roster.counts_as(number)
        return known

    def _code_as(
        self, plans: tuple[ModelPlan, ...], columns: PredictionColumns, rows: Int64s | None
    ) -> tuple[UInt32s, UInt8s]:
        version = _take(columns.version, rows)
        codes = [self._group(plan, version, columns, rows) for plan in plans]
        group = codes[0] if len(codes) == 1 else self._together(codes)
        return group, self._bins(plans, columns, rows, len(version))

    def _together(self, codes: Sequence[UInt32s]) -> UInt32s:
        """The group of rows that each have one in several senses."""
        unique, inverse = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
        items = self._groups.items
        made = [self._groups.code(together([items[code] for code in own])) for own in unique.tolist()]
        out: UInt32s = np.array(made, np.uint32)[inverse.reshape(-1)]
        return out

    def _group(self, plan: ModelPlan, version: Int32s, columns: PredictionColumns, rows: Int64s | None) -> UInt32s:
        key = version.astype(np.int64)
        for dimension in plan.dimensions:
            table = self._segments(plan, dimension)
            key = key * (len(dimension.values) + 1) + table[_take(columns.category[dimension.column], rows)]
        size = int(key.max()) + 1
        if size <= 1 << 16:
            present = np.zeros(size, np.uint32)
            present[key] = 1
            unique = np.flatnonzero(present)
            present[unique] = [self._code_of(plan, value) for value in unique.tolist()]
            return present[key]
        unique, inverse = np.unique(key, return_inverse=True)
        codes = np.array([self._code_of(plan, value) for value in unique.tolist()], np.uint32)
        out: UInt32s = codes[inverse]
        return out

    def _code_of(self, plan: ModelPlan, key: int) -> int:
        code = self._group_codes.get((plan.sense, key))
        if code is None:
            rest, segments = key, []
            for dimension in reversed(plan.dimensions):
                rest, index = divmod(rest, len(dimension.values) + 1)
                segments.append((dimension.name, (*dimension.values, OTHER)[index]))
            group = Group(plan.sense, self._versions.values[rest], tuple(reversed(segments)))
            code = self._group_codes[plan.sense, key] = self._groups.code(group)
        return code

    def _segments(self, plan: ModelPlan, dimension: Dimension) -> Int64s:
        names = self._categories[dimension.column].values
        table = self._segment_tables.get((plan.sense, dimension.name))
        if table is None or len(table) != len(names) + 2:
            place = {value: i for i, value in enumerate(dimension.values)}
            other = len(dimension.values)
            # The last two places are reached by the codes of missing (-1) and invalid (-2) values.
            table = np.array([*(place.get(name, other) for name in names), other, other], np.int64)
            self._segment_tables[plan.sense, dimension.name] = table
        return table

    def _bins(self, plans: tuple[ModelPlan, ...], columns: PredictionColumns, rows: Int64s | None, n: int) -> UInt8s:
        bins = np.zeros((self._plan.width, n), np.uint8)
        done = set[int]()
        for plan in plans:
            for place, feature in zip(plan.places, plan.features, strict=True):
                if place not in done:  # of two senses that keep the same bins
                    done.add(place)
                    bins[place] = self._codes(plan, feature, columns, rows)
        return np.ascontiguousarray(bins.T)

    def _codes(self, plan: ModelPlan, feature: FeaturePlan, columns: PredictionColumns, rows: Int64s | None) -> UInt8s:
        if isinstance(feature.binning, (CategoricalBinning, CheckedCategorical)):
            table = self._bin_table(plan, feature, feature.binning)
            return table[_take(columns.category[feature.column], rows)]
        return feature.binning.codes(_take(columns.numeric[feature.column], rows))

    def _bin_table(
        self, plan: ModelPlan, feature: FeaturePlan, binning: CategoricalBinning | CheckedCategorical
    ) -> UInt8s:
        names = self._categories[feature.column].values
        table = self._bin_tables.get((plan.sense, feature.name))
        if table is None or len(table) != len(names) + 2:
            table = self._bin_tables[plan.sense, feature.name] = binning.table(names)
        return table


def _take(column: NDArray[_T], rows: Int64s | None) -> NDArray[_T]:
    return column if rows is None else column[rows]
