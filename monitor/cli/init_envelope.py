"""Whether sampled records are wrapped in an envelope that a standard defines, and what is in them then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.config.envelopes import Envelope, Format
from monitor.ingest.careful import Failure
from monitor.ingest.envelopes import Inner, Skip, unwrapper_of

if TYPE_CHECKING:
    from monitor.config.infer_columns import Sample

NEARLY_ALL: Final = 0.9
"""Share of the records with a value that must be of a format for the topic to be."""
_PLACES: Final[dict[Format, tuple[tuple[str, ...], ...]]] = {
    "cloudevents": (("id",), ("subject",), ("time",)),
    "debezium": (("source", "ts_ms"),),
}
"""What of the envelope may be the id of a row, or when it came to be."""


def unwrapped(samples: Sequence[Sample]) -> tuple[Format | None, list[Sample]]:
    """The format, and the samples as what is in them; None, and the samples, where nearly all are of none. Records that are about
    no row, as tombstones and deletions, are left out then; what is no event is left without a value."""
    for of in _PLACES:
        found = _as_format(of, samples)
        if found is not None:
            return of, found
    return None, list(samples)


def _as_format(of: Format, samples: Sequence[Sample]) -> list[Sample] | None:
    unwrapper = unwrapper_of(Envelope(format=of), _PLACES[of])
    inside: list[Sample] = []
    events = rows = asked = 0
    for sample in samples:
        found = unwrapper.unwrap(sample.value, tuple(sample.headers), sample.timestamp_ms)
        asked += bool(sample.value)
        if isinstance(found, Failure):
            inside.append(replace(sample, value=None))
            continue
        events += bool(sample.value)
        if isinstance(found, Skip) or found.deleted_ms is not None:
            continue
        rows += 1
        inside.append(_inside(sample, found))
    return inside if rows and events >= NEARLY_ALL * asked else None


def _inside(sample: Sample, found: Inner) -> Sample:
    own = [(name, value) for name, value in sample.headers if not name.startswith("ce_")]
    return replace(sample, value=found.value, headers=own, envelope=found.envelope)
