"""How many windows of a series get a revision at a tick: one for each that something came for.

So the topic of windows, and above all an embedded log, which keeps all of them, grows by ticks and by how many windows late
labels reach.
"""

from __future__ import annotations

import numpy as np

from monitor.daemon.trial import Traffic

_MOST = 1_000
"""Slides back that are looked at: as many as labels that take a month reach of windows of an hour, and some more."""
_PHASES = 24
"""Moments of a slide that are looked at: just after its beginning labels come for the one before, later hardly."""


def revised(size_ms: int, slide_ms: int, rows: float, traffic: Traffic, longest_ms: int, *, labels: bool) -> float:
    """Windows of one series that change at a tick, on the average.

    `rows`: predictions of the series that come in a tick, evenly; labels come after delays that are exponential, `longest_ms` at
    most. `labels`: of windows that labels change too. A window changes when a prediction or a label of any slide within it comes.
    """
    within = max(1, round(size_ms / slide_ms))
    back = min(_MOST, 2 + longest_ms // slide_ms) if labels else 1
    found = 0.0
    for phase in range(_PHASES):
        came = np.zeros(within - 1 + back)  # by the slide, newest first; before those that exist, as many that do not
        came[within - 1] = rows
        if labels:
            ages = (phase + 0.5) / _PHASES * slide_ms + np.arange(back) * slide_ms  # of the first rows of a slide
            later = np.exp(-np.minimum(np.concatenate(([0.0], ages)), longest_ms) / max(1, traffic.delay_ms))
            came[within - 1 :] += rows * traffic.labelled * -np.diff(later)
        total = np.concatenate(([0.0], np.cumsum(came), np.full(within - 1, came.sum())))
        found += float(-np.expm1(-(total[within:] - total[:-within])).sum())
    return found / _PHASES
