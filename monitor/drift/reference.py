"""The reference profile of a model: what its inputs and scores looked like when they were as they should be.

Bins and counts, never rows. What a profile does hold of the data are the edges and atoms of numeric features and the
names of categories with at least 0.5 % of the rows; rarer ones are kept as short hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from monitor.drift.binning import (
    Binning,
    CategoricalBinning,
    NumericBinning,
    bin_categories,
    bin_numbers,
    count_categories,
)
from monitor.drift.distances import ks_noise, ks_rows
from monitor.drift.pairs import CELLS, Name, bins_of, groups_of, joint, pair_name
from monitor.errors import ReferenceProfileError
from monitor.events import Float64s, Int64s
from monitor.sketches.cells import CellLayout, CellSlice

FORMAT: Final = "driftline.reference"
VERSION: Final = 2
"""Of documents with pairs; a profile of a newer version is refused, not guessed at."""
PLAIN_VERSION: Final = 1
"""Of documents without pairs, which are what they always were."""

LEAST_ROWS: Final = 32
"""Rows that a profile is built of at least: of fewer, each value alone is an atom, and nothing can be compared with it."""

SCORE: Final = "$score"
"""The name under which a profile holds the model's scores, beside its features."""

Column = Float64s | Sequence[str | int | None]
"""A feature of n reference rows: numbers with NaN for missing; or text with None or MISSING, and INVALID."""


@dataclass(frozen=True, slots=True)
class TopicRange:
    """The profile was made of the predictions of a topic: (partition, first offset, one past the last) each."""

    topic: str
    ranges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class DataFile:
    """The profile was made of a file with this name and `sha256:…` digest."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The profile was made of the first rows of a topic, for want of anything better."""

    topic: str


Origin = TopicRange | DataFile | FirstRows


@dataclass(frozen=True, slots=True)
class FeatureProfile:
    """The bins of one feature (or of the scores) and how many reference rows each held, shape (bins,).

    Raises ReferenceProfileError when the counts do not match the bins or are negative.
    """

    binning: Binning
    counts: tuple[int, ...]
    reference: Int64s = field(init=False, compare=False, repr=False)
    """The counts as an array."""

    def __post_init__(self) -> None:
        if len(self.counts) != self.binning.bins:
            raise ReferenceProfileError(f"counts: has {len(self.counts)} numbers for {self.binning.bins} bins")
        if any(count < 0 for count in self.counts):
            raise ReferenceProfileError("counts: must not be negative")
        object.__setattr__(self, "reference", np.array(self.counts, dtype=np.int64))

    @property
    def type(self) -> str:
        """`numeric` or `categorical`, as in the configuration."""
        return "numeric" if isinstance(self.binning, NumericBinning) else "categorical"

    @property
    def rows(self) -> int:
        """Reference rows, with and without a value."""
        return sum(self.counts)

    @property
    def missing_rate(self) -> float:
        """Share of the reference rows without a value."""
        return self.counts[self.binning.missing] / self.rows if self.rows else 0.0

    @property
    def measured_rows(self) -> int:
        """Reference rows with a usable value."""
        unusable = self.counts[self.binning.missing]
        if isinstance(self.binning, CategoricalBinning):
            unusable += self.counts[self.binning.invalid]
        return self.rows - unusable


@dataclass(frozen=True, slots=True)
class Reference:
    """The profile of one model. `features` is in order of name; the scores, where there are any, are `$score`.

    `provisional`: made of the first rows seen, not of rows that somebody found good. `positives` of `labelled` rows
    were positive, both 0 where labels were not known.
    Raises ReferenceProfileError when the parts contradict each other.
    """

    model: str
    rows: int
    origin: Origin
    features: Mapping[str, FeatureProfile]
    provisional: bool = False
    positives: int = 0
    labelled: int = 0
    pairs: Mapping[Name, tuple[int, ...]] = field(default_factory=dict)
    """Reference rows in each cell of two features' groups (`drift.pairs`), in the order that they were named in."""
    digest: str = field(init=False, compare=False)
    """`sha256:…` of the canonical document: the same profile has the same digest, wherever it was made."""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ReferenceProfileError(f"rows: the reference of {self.model!r} has none; choose a range that has some")
        for name, profile in self.features.items():
            if profile.rows != self.rows:
                raise ReferenceProfileError(
                    f"features.{name}.counts: add up to {profile.rows}, the reference has {self.rows} rows"
                )
        for pair, counts in self.pairs.items():
            absent = [name for name in pair if name not in self.features]
            if absent or len(counts) != CELLS or min(counts) < 0 or sum(counts) != self.rows:
                raise ReferenceProfileError(
                    f"pairs.{pair_name(pair)}: must be {CELLS} counts of all {self.rows} rows, of two of the features"
                )
        if not 0 <= self.positives <= self.labelled <= self.rows:
            raise ReferenceProfileError(
                f"labels: {self.positives} positives of {self.labelled} labelled rows of {self.rows} cannot be"
            )
        object.__setattr__(self, "features", {name: self.features[name] for name in sorted(self.features)})
        digest = hashlib.sha256(self.dumps().encode("ascii")).hexdigest()
        object.__setattr__(self, "digest", f"sha256:{digest}")

    @property
    def prevalence(self) -> float | None:
        """Share of positives among the labelled reference rows, None when no label was known."""
        return self.positives / self.labelled if self.labelled else None

    def dumps(self) -> str:
        """The canonical document: JSON in ASCII, keys sorted, one line and its end. Equal profiles, equal bytes."""
        document: dict[str, object] = {
            "format": FORMAT,
            "version": VERSION if self.pairs else PLAIN_VERSION,
            "model": self.model,
            "rows": self.rows,
            "provisional": self.provisional,
            "origin": _origin_document(self.origin),
            "labels": {"labelled": self.labelled, "positives": self.positives},
            "features": {name: _feature_document(profile) for name, profile in self.features.items()},
        }
        if self.pairs:
            document["pairs"] = [
                {"features": list(p), "counts": list(counts)} for p, counts in sorted(self.pairs.items())
            ]
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"

    def layout(self) -> CellLayout:
        """The vector of an input window: `seen`, then a histogram `bins:FEATURE` per feature and `$score`, by name."""
        histograms = (CellSlice(histogram_name(name), profile.binning.bins) for name, profile in self.features.items())
        return CellLayout((CellSlice("seen"), *histograms))

    def require(self, types: Mapping[str, str]) -> None:
        """Raises ReferenceProfileError unless each watched feature (name to `numeric` or `categorical`) is profiled."""
        for name, wanted in types.items():
            profile = self.features.get(name)
            if profile is None:
                known = ", ".join(self.features) or "nothing"
                raise ReferenceProfileError(
                    f"the reference of {self.model!r} has no feature {name!r} (it has {known}). "
                    "Build it again with this feature, or do not watch it."
                )
            if profile.type != wanted:
                raise ReferenceProfileError(
                    f"the reference of {self.model!r} holds {name!r} as {profile.type}, the configuration "
                    f"says {wanted}. Build it again, or correct the type."
                )

    def limits(self, window_rows: int = 10_000) -> list[str]:
        """What this reference cannot resolve, one sentence for each numeric feature and the scores."""
        sentences = []
        for name, profile in self.features.items():
            if isinstance(profile.binning, CategoricalBinning):
                continue
            rows = profile.measured_rows
            if not rows:
                sentences.append(f"{name}: the reference has no number, so no shift can be measured.")
                continue
            smallest = ks_noise(rows, window_rows)
            if smallest >= 1.0:
                sentences.append(f"{name}: {rows:,} reference rows cannot resolve any shift; build it from more.")
                continue
            sentences.append(
                f"{name}: {rows:,} reference rows cannot resolve KS shifts below {smallest:.3f} "
                f"in a window of {window_rows:,} rows (95 %)."
            )
        return sentences


def too_few(rows: int, shift: float) -> str | None:
    """What a reference of so many rows is too small for, said of it; None where it resolves KS shifts of that size."""
    needed = ks_rows(shift)
    if rows >= needed:
        return None
    wanted = f"to resolve KS shifts of {shift:g} it takes {needed:,} rows of a usable value"
    if rows < LEAST_ROWS:
        has = f"has {rows} row{'' if rows == 1 else 's'}, which is too few to compare anything with"
        return f"{has}: at least {LEAST_ROWS} are needed, and {wanted}"
    return f"has {rows:,} rows, which is few: {wanted} (build it from a longer range)"


def histogram_name(feature: str) -> str:
    """What the cells of a feature are called in the vector of an input window; never clashes with `seen`."""
    return f"bins:{feature}"


def build_reference(
    model: str,
    columns: Mapping[str, Column],
    score: Float64s | None,
    origin: Origin,
    *,
    provisional: bool = False,
    positives: int = 0,
    labelled: int = 0,
    pairs: Sequence[Name] = (),
) -> Reference:
    """The profile of these rows, the same whatever their order.

    `columns` are the watched features, `score` the model's scores (None where it has none); all of one length. `pairs` are
    those of which is kept how they go together.
    Raises ReferenceProfileError for no rows or a feature called `$score`, ValueError for columns of different lengths.
    """
    if SCORE in columns:
        raise ReferenceProfileError(f"features.{SCORE}: this name stands for the model's scores; rename the feature")
    given: dict[str, Column] = dict(columns)
    if score is not None:
        given[SCORE] = score
    lengths = {len(column) for column in given.values()}
    if len(lengths) > 1:
        raise ValueError(f"the reference's columns differ in length: {sorted(lengths)}")
    if not given:
        raise ReferenceProfileError(f"the reference of {model!r} would be empty: it has neither features nor scores")
    profiles = {name: profile_column(column) for name, column in given.items()}
    groups = {
        name: groups_of(profiles[name].binning, profiles[name].reference)[bins_of(profiles[name].binning, given[name])]
        for name in {name for pair in pairs for name in pair}
    }
    together = {pair: tuple(joint(*(groups[name] for name in pair)).tolist()) for pair in pairs}
    return Reference(model, lengths.pop(), origin, profiles, provisional, positives, labelled, together)


def profile_column(column: Column) -> FeatureProfile:
    """Bins fitted to one reference column, and its counts in them."""
    if isinstance(column, np.ndarray):
        binning = bin_numbers(column)
        counts = np.bincount(binning.codes(column), minlength=binning.bins)
        return FeatureProfile(binning, tuple(counts.tolist()))
    by_category, missing, invalid = count_categories(column)
    categories = bin_categories(by_category)
    kept = [by_category[name] for name in categories.categories]
    rest = sum(by_category.values()) - sum(kept)
    return FeatureProfile(categories, (*kept, rest, 0, missing, invalid))


def _origin_document(origin: Origin) -> dict[str, object]:
    match origin:
        case TopicRange(topic, ranges):
            return {"kind": "topic", "topic": topic, "ranges": [list(span) for span in ranges]}
        case DataFile(name, digest):
            return {"kind": "file", "name": name, "digest": digest}
        case FirstRows(topic):
            return {"kind": "first_rows", "topic": topic}


def _feature_document(profile: FeatureProfile) -> dict[str, object]:
    binning = profile.binning
    common: dict[str, object] = {"type": profile.type, "counts": list(profile.counts)}
    if isinstance(binning, NumericBinning):
        return common | {"minimum": binning.minimum, "edges": list(binning.edges), "atoms": list(binning.atoms)}
    return common | {
        "categories": list(binning.categories),
        "rare": list(binning.rare),
        "rare_complete": binning.rare_complete,
    }
