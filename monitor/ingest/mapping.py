"""Where each field of a stream is found and what it is read as: the configuration as a list of leaves.

A leaf is one field at one place. Readers turn records into one column per leaf, decoders turn columns into arrays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.config.sources import Source, TimeField
from monitor.config.streams import LabelStream, PredictionStream
from monitor.ingest.values import UNSET, Kind, Misfit

FEATURE_KINDS: Final = {"numeric": Kind.NUMERIC, "categorical": Kind.CATEGORY}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER = 400
_NOT_UTF8: Final = Misfit("text that is not UTF-8")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field: its name (for people), what it is read as, and its place."""

    name: str
    kind: Kind
    source: Source

    @property
    def absent(self) -> object:
        """What stands for the field where it is not there at all."""
        if self.kind is Kind.FLAG:
            return False
        return UNSET if self.kind is Kind.CLASS else None

    def of_text(self, text: str) -> object:
        """The value of text from a header, a key or a constant, where a number can only be written as text."""
        if self.kind in (Kind.NUMBER, Kind.NUMERIC):
            number = number_of_text(text)
            if number is None:
                return Misfit("text that is no number")
            # As in JSON values: a score or time that is not finite is told apart later, with its own reason.
            return (
                number if math.isfinite(number) or self.kind is Kind.NUMBER else Misfit("a number that is not finite")
            )
        if self.kind is Kind.FLAG:
            return {"true": True, "false": False}.get(text, Misfit("text that is neither true nor false"))
        return text

    def of_bytes(self, data: bytes | None) -> object:
        """The value of a key or header; None stays None."""
        if data is None:
            return None
        try:
            return self.of_text(data.decode())
        except UnicodeDecodeError:
            return _NOT_UTF8


def number_of_text(text: str) -> float | None:
    """A number written as JSON writes it; None for anything else."""
    return float(text) if len(text) <= _LONGEST_NUMBER and _JSON_NUMBER.fullmatch(text) else None


def time_leaf(time: TimeField) -> Leaf:
    """The leaf of an event time."""
    return Leaf("at", Kind.ISO if time.unit == "iso" else Kind.NUMBER, time.source)


def prediction_leaves(stream: PredictionStream) -> dict[str, Leaf]:
    """The leaves of a stream of predictions, by field; features as `feature:NAME`."""
    fields = stream.fields
    leaves = {
        "id": Leaf("id", Kind.TEXT, fields.id),
        "model": Leaf("model", Kind.TEXT, fields.model),
        "version": Leaf("version", Kind.TEXT, fields.version),
        "at": time_leaf(fields.at),
    }
    optional = (
        ("score", Kind.NUMBER, fields.score),
        ("prediction", Kind.CLASS, fields.prediction),
        ("withdrawn", Kind.FLAG, _withdrawn(stream)),
    )
    leaves |= {name: Leaf(name, kind, source) for name, kind, source in optional if source is not None}
    for name, source in (fields.scores or {}).items():
        leaves[f"score:{name}"] = Leaf(f"score of {name}", Kind.NUMBER, source)
    for name, feature in stream.features.items():
        leaves[f"feature:{name}"] = Leaf(name, FEATURE_KINDS[feature.type], feature.source)
    return leaves


def label_leaves(stream: LabelStream) -> dict[str, Leaf]:
    """The leaves of a stream of labels, by field."""
    fields = stream.fields
    return {
        "id": Leaf("id", Kind.TEXT, fields.id),
        "at": time_leaf(fields.at),
        "label": Leaf("label", Kind.CLASS, fields.label),
    }


def _withdrawn(stream: PredictionStream) -> Source | None:
    """Where it says that a prediction is taken back; an envelope may decide it, so that no record says it."""
    if stream.fields.withdrawn is None and stream.envelope is not None and stream.envelope.withdraws:
        return Source("const", const="false")
    return stream.fields.withdrawn


def needs_keys(leaves: Mapping[str, Leaf]) -> bool:
    """True if a field comes from the key."""
    return any(leaf.source.kind == "key" for leaf in each_place(leaves.values()))


def needs_headers(leaves: Mapping[str, Leaf]) -> bool:
    """True if a field comes from a header."""
    return any(leaf.source.kind == "header" for leaf in each_place(leaves.values()))


def each_place(leaves: Iterable[Leaf]) -> list[Leaf]:
    """The leaves with those that may be at several places as one for each of them. Such a number is read as whatever it is,
    since only its absence tells that the next place is meant."""
    found: list[Leaf] = []
    for leaf in leaves:
        if leaf.source.kind != "any":
            found.append(leaf)
            continue
        kind = Kind.CLASS if leaf.kind is Kind.NUMERIC else leaf.kind
        found += [Leaf(leaf.name, kind, place) for place in leaf.source.options]
    return found


def known_classes(values: Mapping[str, float], positives: Sequence[float]) -> frozenset[float]:
    """The classes of a binary task that need no asking: 0, 1, what the map of words gives, and the positive classes."""
    return frozenset({0.0, 1.0, *map(float, values.values()), *map(float, positives)})
