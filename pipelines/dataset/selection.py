"""Which records are asked for, and where tables are cut into segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.errors import BadDataset
from pipelines.dataset.manifest import Selection

BLOCK_OFFSETS: Final = 8192
"""Offsets of a partition that share a segment. Segments lie at multiples of it and not where a range begins, so two ranges
that overlap by two thirds share 59 % of their bytes; at 64 Ki they share none."""


def checked(selection: Selection) -> Selection:
    """The selection itself. Raises BadDataset for a range that holds nothing."""
    if selection.from_ms is not None and selection.until_ms is not None and selection.until_ms <= selection.from_ms:
        raise BadDataset("a range of event time", "must end after it begins", "Swap --from and --until.")
    for part in selection.offsets or ():
        if part.end <= part.start or part.start < 0:
            what = f"the offsets {part.start}-{part.end} of partition {part.partition}"
            raise BadDataset(what, "hold nothing", "Write PARTITION:START-END, END being one past the last.")
    return selection


def chosen(
    selection: Selection,
    partition: int,
    at_ms: NDArray[np.int64],
    offsets: NDArray[np.int64],
    model: NDArray[np.int32],
    models: Sequence[str],
) -> NDArray[np.bool_]:
    """Which records of a partition are selected by what they say themselves; `model` is codes into `models`."""
    mask = np.ones(len(at_ms), np.bool_)
    if selection.from_ms is not None:
        mask &= at_ms >= selection.from_ms
    if selection.until_ms is not None:
        mask &= at_ms < selection.until_ms
    if selection.offsets is not None:
        inside = np.zeros(len(at_ms), np.bool_)
        for part in selection.offsets:
            if part.partition == partition:
                inside |= (offsets >= part.start) & (offsets < part.end)
        mask &= inside
    if selection.models is not None:
        codes = [code for code, name in enumerate(models) if name in selection.models]
        mask &= np.isin(model, codes)
    return mask


def wants(selection: Selection, partition: int) -> bool:
    """Whether a partition can hold anything that is selected."""
    return selection.offsets is None or any(part.partition == partition for part in selection.offsets)


def blocks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(block, places of its rows) for rows in the order of their offsets."""
    if len(offsets):
        numbers = offsets // BLOCK_OFFSETS
        cuts = np.flatnonzero(np.diff(numbers)) + 1
        for places in np.split(np.arange(len(offsets)), cuts):
            yield int(numbers[places[0]]), places
