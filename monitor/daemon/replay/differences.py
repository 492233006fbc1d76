"""What differs between a record that was written and the same record made again, named as closely as it can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from monitor.events import Int64s
from monitor.ingest.clocks import NEVER
from monitor.ledger.records import Commit, Delta
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import CellLayout

SHOWN_MAX = 120
"""Characters of a value that a sentence shows."""
_NOWHERE = object()
_NOT_COMPARED = frozenset({
    "format", "epoch", "owner", "sequence", "previous",  # are given to the new commit, not made by it
    "prediction_floor", "label_floor", "remembered", "rosters",  # where a rebuild may start depends on the batches
    "groups", "inputs", "performance",  # compared as what they mean
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one record. `ours` was made again, `theirs` was recorded; `where` leads to the record."""

    what: str
    where: Mapping[str, Any]
    field: str
    ours: Any
    theirs: Any

    def sentence(self) -> str:
        """For people."""
        place = ", ".join(f"{name} {value}" for name, value in self.where.items())
        return f"{self.what} ({place}): {self.field} is {_shown(self.ours)} here, {_shown(self.theirs)} in the record"

    def document(self) -> dict[str, Any]:
        """For machines."""
        return {
            "what": self.what,
            "where": dict(self.where),
            "field": self.field,
            "ours": _plain(self.ours),
            "theirs": _plain(self.theirs),
        }


# -- commits -------------------------------------------------------------------------------------------------------


def of_commits(plan: Plan, partition: int, ours: Commit, theirs: Commit) -> Difference | None:
    """The first difference of two commits over the same ranges, None when they say the same."""
    where = {
        "partition": partition,
        "commit": theirs.sequence,
        "predictions": f"[{theirs.predictions[0]}, {theirs.predictions[1]})",
        "labels": f"[{theirs.labels[0]}, {theirs.labels[1]})",
    }
    for kind in ("inputs", "performance"):
        found = _of_deltas(plan, kind, ours, theirs)
        if found is not None:
            place, mine, other = found
            return Difference("commit", {**where, **place}, f"{kind}.{place['cell']}", mine, other)
    left, right = _fields(ours), _fields(theirs)
    if theirs.unlisted_ms is msgspec.UNSET:  # an earlier version did not say
        left.pop("unlisted_ms", None)
    if theirs.unlisted_ahead is msgspec.UNSET:  # likewise, or there is nothing to say
        left.pop("unlisted_ahead", None)
    if says_no_clock(theirs):
        left.pop("unlisted_clock", None)
    for path, mine, other in document_differences(left, right):
        return Difference("commit", where, path, mine, other)
    return None


def says_no_clock(commit: Commit) -> bool:
    """Whether a commit is of an earlier version, which did not say how far what it rejected for its model goes."""
    return commit.unlisted_clock is msgspec.UNSET and commit.unlisted_ms != NEVER


def _fields(commit: Commit) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(commit, builtin_types=(bytes,))
    return {name: value for name, value in plain.items() if name not in _NOT_COMPARED}


def _of_deltas(plan: Plan, kind: str, ours: Commit, theirs: Commit) -> tuple[dict[str, Any], int, int] | None:
    """The first cell in which two deltas differ: where it is, and both amounts (0 where one says nothing)."""
    mine, other = getattr(ours, kind), getattr(theirs, kind)
    if ours.groups == theirs.groups and mine == other:
        return None
    names = sorted({(g.model, g.version, tuple(map(tuple, g.segments))) for g in (*ours.groups, *theirs.groups)})
    rows = [_rows(commit, delta, names) for commit, delta in ((ours, mine), (theirs, other))]
    if rows[0].shape == rows[1].shape and bool((rows[0] == rows[1]).all()):
        return None
    cells = [{tuple(row[:4]): row[4] for row in side.tolist()} for side in rows]
    first = min(k for k in cells[0].keys() | cells[1].keys() if cells[0].get(k, 0) != cells[1].get(k, 0))
    tick, pane, group, cell = first
    model, version, segments = names[group]
    place = {
        "tick": (tick + 1) * plan.join.tick_ms,
        "pane": pane * plan.pane_ms,
        "model": model,
        "version": version,
        "segments": ",".join(f"{name}={value}" for name, value in segments) or "all",
        "cell": _cell_name(plan, kind, model, cell),
    }
    return place, cells[0].get(first, 0), cells[1].get(first, 0)


def _rows(commit: Commit, delta: Delta | None, names: list[tuple[Any, ...]]) -> Int64s:
    """A delta as rows (tick, pane, group, cell, amount), sorted, with groups numbered as in `names`."""
    if delta is None:
        return np.zeros((0, 5), np.int64)
    number = {name: i for i, name in enumerate(names)}
    own = np.array([number[g.model, g.version, tuple(map(tuple, g.segments))] for g in commit.groups] or [0], np.int64)
    length = delta.column("length")
    slots = [
        np.repeat(column, length) for column in (delta.column("tick"), delta.column("pane"), own[delta.column("group")])
    ]
    rows = np.stack([*slots, delta.column("cell"), delta.column("amount")], axis=1)
    out: Int64s = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
    return out


def _cell_name(plan: Plan, kind: str, model: str, cell: int) -> str:
    try:
        compiled: ModelPlan = plan.counted_as(model)
    except KeyError:
        return f"cell {cell}"
    layout: CellLayout = compiled.input_cells if kind == "inputs" else compiled.task.cells
    start = 0
    for part in layout.slices:
        if cell < start + part.size:
            return part.name if part.size == 1 else f"{part.name}[{cell - start}]"
        start += part.size
    return f"cell {cell}"


# -- documents -----------------------------------------------------------------------------------------------------


def document_differences(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every leaf in which two JSON documents differ, as (path, ours, theirs), in the order of names."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            below = f"{path}.{name}" if path else str(name)
            yield from document_differences(ours.get(name, _NOWHERE), theirs.get(name, _NOWHERE), below)
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from document_differences(*pair, f"{path}[{place}]")
    elif ours is _NOWHERE or theirs is _NOWHERE or type(ours) is not type(theirs) or ours != theirs:
        yield path, ours, theirs


def of_payloads(what: str, where: Mapping[str, Any], ours: bytes | None, theirs: bytes | None) -> Difference:
    """The first field in which two published values, known to differ, do so; the whole where one of them is missing."""
    if ours is None or theirs is None:
        return Difference(what, where, "the record", ours and ours.decode(), theirs and theirs.decode())
    try:
        documents = msgspec.json.decode(ours), msgspec.json.decode(theirs)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Difference(what, where, "the bytes", ours, theirs)
    # The digest of another configuration differs everywhere: what follows from it is told first.
    found = sorted(document_differences(*documents), key=lambda one: one[0].endswith("config"))
    if not found:
        return Difference(what, where, "the spelling", ours.decode(), theirs.decode())
    path, mine, other = found[0]
    return Difference(what, where, path, mine, other)


def _plain(value: Any) -> Any:
    if value is _NOWHERE:
        return None
    return value.hex() if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    if value is _NOWHERE or value is None:
        return "nothing"
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}… ({len(text)} characters)"
