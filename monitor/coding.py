"""Coding: decoded predictions become group codes and bins, the only form in which they are kept and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.drift.binning import CategoricalBinning
from monitor.drift.checked import CheckedCategorical
from monitor.events import Int32s, Int64s, PredictionColumns
from monitor.groups import Group, Groups
from monitor.ingest.interner import Interner
from monitor.plan import Dimension, FeaturePlan, ModelPlan, Plan

UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]

_T = TypeVar("_T", bound=np.generic)

OTHER = "other"
"""Segment of every value that the configuration does not list."""


class Coder:
    """Codes predictions of every model of a plan. Look-up tables by category code grow with the interners."""

    def __init__(
        self, plan: Plan, groups: Groups, models: Interner, versions: Interner, categories: Mapping[str, Interner]
    ) -> None:
        self._plan, self._groups = plan, groups
        self._models, self._versions, self._categories = models, versions, categories
        self._plans: dict[int, ModelPlan] = {}
        self._segment_tables: dict[tuple[str, str], Int64s] = {}
        self._bin_tables: dict[tuple[str, str], UInt8s] = {}
        self._group_codes: dict[tuple[int, int], int] = {}

    def code(self, columns: PredictionColumns) -> tuple[UInt32s, UInt8s]:
        """Group code (n,) and bins (n, widest model) of predictions, n > 0."""
        n, first = len(columns), int(columns.model[0])
        if (columns.model == first).all():
            return self._code_model(first, columns, None)
        group, bins = np.zeros(n, np.uint32), np.zeros((n, self._plan.width), np.uint8)
        for model in np.unique(columns.model).tolist():
            rows = np.flatnonzero(columns.model == model)
            group[rows], bins[rows] = self._code_model(model, columns, rows)
        return group, bins

    def _code_model(self, model: int, columns: PredictionColumns, rows: Int64s | None) -> tuple[UInt32s, UInt8s]:
        plan = self._plans.get(model)
        if plan is None:
            plan = self._plans[model] = self._plan.model(self._models.values[model])
        version = _take(columns.version, rows)
        return self._group(model, plan, version, columns, rows), self._bins(plan, columns, rows, len(version))

    def _group(
        self, model: int, plan: ModelPlan, version: Int32s, columns: PredictionColumns, rows: Int64s | None
    ) -> UInt32s:
        key = version.astype(np.int64)
        for dimension in plan.dimensions:
            table = self._segments(plan, dimension)
            key = key * (len(dimension.values) + 1) + table[_take(columns.category[dimension.name], rows)]
        size = int(key.max()) + 1
        if size <= 1 << 16:
            present = np.zeros(size, np.uint32)
            present[key] = 1
            unique = np.flatnonzero(present)
            present[unique] = [self._code_of(model, plan, value) for value in unique.tolist()]
            return present[key]
        unique, inverse = np.unique(key, return_inverse=True)
        codes = np.array([self._code_of(model, plan, value) for value in unique.tolist()], np.uint32)
        out: UInt32s = codes[inverse]
        return out

    def _code_of(self, model: int, plan: ModelPlan, key: int) -> int:
        code = self._group_codes.get((model, key))
        if code is None:
            rest, segments = key, []
            for dimension in reversed(plan.dimensions):
                rest, index = divmod(rest, len(dimension.values) + 1)
                segments.append((dimension.name, (*dimension.values, OTHER)[index]))
            group = Group(plan.name, self._versions.values[rest], tuple(reversed(segments)))
            code = self._group_codes[model, key] = self._groups.code(group)
        return code

    def _segments(self, plan: ModelPlan, dimension: Dimension) -> Int64s:
        names = self._categories[dimension.name].values
        table = self._segment_tables.get((plan.name, dimension.name))
        if table is None or len(table) != len(names) + 2:
            place = {value: i for i, value in enumerate(dimension.values)}
            other = len(dimension.values)
            # The last two places are reached by the codes of missing (-1) and invalid (-2) values.
            table = np.array([*(place.get(name, other) for name in names), other, other], np.int64)
            self._segment_tables[plan.name, dimension.name] = table
        return table

    def _bins(self, plan: ModelPlan, columns: PredictionColumns, rows: Int64s | None, n: int) -> UInt8s:
        bins = np.zeros((self._plan.width, n), np.uint8)
        for i, feature in enumerate(plan.features):
            if isinstance(feature.binning, (CategoricalBinning, CheckedCategorical)):
                bins[i] = self._bin_table(plan, feature, feature.binning)[_take(columns.category[feature.name], rows)]
            else:
                bins[i] = feature.binning.codes(_take(columns.numeric[feature.name], rows))
        return np.ascontiguousarray(bins.T)

    def _bin_table(
        self, plan: ModelPlan, feature: FeaturePlan, binning: CategoricalBinning | CheckedCategorical
    ) -> UInt8s:
        names = self._categories[feature.name].values
        table = self._bin_tables.get((plan.name, feature.name))
        if table is None or len(table) != len(names) + 2:
            table = self._bin_tables[plan.name, feature.name] = binning.table(names)
        return table


def _take(column: NDArray[_T], rows: Int64s | None) -> NDArray[_T]:
    return column if rows is None else column[rows]
