"""Names of alerts and of events about them: hashes of what they are, so that a replay gives the same ones."""

from __future__ import annotations

import hashlib
from typing import Final

from monitor.windows.canonical import canonical_bytes
from monitor.windows.view import SeriesKey

HEX_DIGITS: Final = 32
"""Length of every name here: 128 bits of SHA-256, in hexadecimal."""


def fingerprint(namespace: str, rule: str, series: SeriesKey) -> str:
    """Names an alert over all its episodes: one rule on one series in one deployment. Severity, threshold and labels
    are left out: changing them does not make another alert."""
    return _hash("rule", namespace, rule, series.model, series.version, series.segment)


def budget_fingerprint(namespace: str, kind: str, series: SeriesKey) -> str:
    """Names an alert of the false-alarm budget over all its episodes: one kind of windows of one series."""
    return _hash("budget", namespace, kind, series.model, series.version, series.segment)


def advisory_fingerprint(namespace: str, advisory: str, series: SeriesKey) -> str:
    """Names an alert of an advisory over all its episodes: one detector on one series."""
    return _hash("advisory", namespace, advisory, series.model, series.version, series.segment)


def operational_fingerprint(namespace: str, condition: str, scope: str) -> str:
    """Names an alert about the daemon itself, over all its episodes: a condition of one thing (a partition, a
    topic)."""
    return _hash("operational", namespace, condition, scope)


def event_id(fingerprint: str, tick_ms: int, state: str, amends: str = "") -> str:
    """Names one event. `amends` is the id of the event that an `amended` one corrects: two may be corrected in one
    tick."""
    return _hash("event", fingerprint, str(tick_ms), state, amends)


def _hash(*parts: str) -> str:
    # An array in canonical JSON: no two lists of parts have the same bytes, whatever characters are in them.
    return hashlib.sha256(canonical_bytes(list(parts))).hexdigest()[:HEX_DIGITS]
