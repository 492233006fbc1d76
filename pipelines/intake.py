"""Which labels are taken at all, before anything is trained on them: how many come from one source, and how much they surprise.

Whoever can write labels can write a model. Two looks make that harder. No *source* may have more than a share of the labels.
And of the rows of which the champion is nearly certain, only so many may say the opposite (`surprise`): a poisoned source, or a
poisoned segment, stands out from the rest of the rows by it, while a world that really changed surprises everywhere. So a
group is held to the other rows (`gap_max`), and if wished to an absolute share (`ratio_max`).

A group is turned away only when luck cannot explain it: bounds are exact (Clopper & Pearson 1934), and together wrong with
probability at most one in a thousand. Not seen is poison in rows of which the champion is not certain, and poison that is spread
evenly: that is what the anchor set is for (`pipelines.guards`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from pipelines.losses import Floats
from pipelines.sense import Wrong, refuse

LUCK: Final = 1e-3
NO_SOURCE: Final = "(none)"
Groups = Mapping[str, np.ndarray[Any, Any]]
"""By column the value of each row."""


class Surprise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much labels may contradict a champion that is nearly certain."""

    confident: float = 0.9  # a score from here on, or below 1 minus it
    gap_max: float = 0.1  # by how much the share of a group may exceed that of the other rows
    ratio_max: float | None = None  # how large the share of a group, and of all rows, may be

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if not 0.5 < self.confident <= 1:
            yield Wrong("confident", f"confident ({self.confident}) must be above 0.5 and at most 1")
        for name, share in (("gap_max", self.gap_max), ("ratio_max", self.ratio_max)):
            if not 0 <= (share or 0) <= 1:
                yield Wrong(name, f"{name} ({share}) must lie between 0 and 1")


class Intake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of labels before training."""

    source: str | None = None  # column that says who gave the label
    source_ratio_max: float = 1.0  # share of the labels that one source may have
    surprise: Surprise | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if not 0 < self.source_ratio_max <= 1:
            yield Wrong("source_ratio_max", f"source_ratio_max ({self.source_ratio_max}) must be above 0 and at most 1")
        if self.source is None and self.source_ratio_max < 1:
            why = "source_ratio_max needs source: the column that says who gave the label"
            yield Wrong("source_ratio_max", why, ("source", "source_ratio_max"))


def capped(groups: Groups, intake: Intake) -> Iterator[str]:
    """Sources with more than their share, a sentence each. Labels without a source are one source."""
    if intake.source is None or intake.source_ratio_max >= 1:
        return
    values, counts = np.unique(groups[intake.source], return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if count > intake.source_ratio_max * counts.sum():
            yield (
                f"{intake.source}={value} gave {count:,} of {counts.sum():,} labels ({count / counts.sum():.1%}), "
                f"at most {intake.source_ratio_max:.1%} are allowed"
            )


def surprising(labels: Floats, scores: Floats, groups: Groups, asked: Surprise) -> Iterator[str]:
    """Groups whose labels contradict the champion too often, a sentence each."""
    sure = np.isfinite(scores) & ((scores >= asked.confident) | (scores <= 1 - asked.confident))
    against = (scores[sure] >= 0.5) != (labels[sure] >= 0.5)
    parts = {"all rows": np.ones(against.size, dtype=bool)}
    for column, of_rows in groups.items():
        values = of_rows[sure]
        parts |= {f"{column}={value}": values == value for value in sorted(set(values.tolist()))}
    luck = LUCK / (2 * len(parts))
    for name, inside in parts.items():
        if not (rows := int(inside.sum())):
            continue
        hits = int(against[inside].sum())
        least = _lower(hits, rows, luck)
        said = f"{name}: {hits:,} of {rows:,} labels ({hits / rows:.1%}) contradict a champion that is nearly certain"
        if asked.ratio_max is not None and least > asked.ratio_max:
            yield f"{said}, at most {asked.ratio_max:.1%} are allowed"
            continue
        others, other_hits = against.size - rows, int(against.sum()) - hits
        if others and least - _upper(other_hits, others, luck) > asked.gap_max:
            yield f"{said}, {other_hits / others:.1%} of the others do; at most {asked.gap_max:.1%} more are allowed"


def _lower(hits: int, rows: int, luck: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(hits, rows - hits + 1, luck)) if hits else 0.0


def _upper(hits: int, rows: int, luck: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(hits + 1, rows - hits, 1 - luck)) if hits < rows else 1.0
