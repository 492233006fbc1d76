"""A small reference with every kind of bin in it, for the tests of drift."""

from __future__ import annotations

import math

import numpy as np

from monitor.drift.reference import Column, DataFile, Origin, Reference, build_reference
from monitor.events import INVALID

ORIGIN = DataFile("january.jsonl", "sha256:" + "0" * 64)


def small(origin: Origin = ORIGIN, order: list[int] | None = None) -> Reference:
    """400 rows: `hour` with an atom and missing values, `origin` with rare, missing and invalid ones, scores."""
    hour = np.concatenate([np.zeros(100), np.arange(280) / 8 + 1, np.full(20, math.nan)])
    airport = ["EWR"] * 200 + ["JFK"] * 150 + ["XXX"] + [None] * 40 + [INVALID] * 9
    score = np.arange(400) / 400
    rows = list(range(400)) if order is None else order
    columns: dict[str, Column] = {"hour": hour[rows], "origin": [airport[i] for i in rows]}
    return build_reference("arrival-delay", columns, score[rows], origin, positives=90, labelled=390)
