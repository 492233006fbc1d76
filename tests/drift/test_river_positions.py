"""River's detectors as configurations name them: alarms where river itself puts them, whatever the micro-batches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.config.detectors import Option, make
from monitor.events import Float64s

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
STREAMS: Mapping[str, Mapping[str, Any]] = json.loads((REFERENCE / "river_detectors.json").read_text())["streams"]
NAMED: Mapping[str, tuple[str, Mapping[str, Option]]] = {
    "ADWIN_delta_1e-5": ("ADWIN", {"delta": 1e-5}),
    "PageHinkley_up_d0.02_t20": ("PageHinkley", {"delta": 0.02, "threshold": 20, "mode": "up"}),
    "HDDM_A": ("HDDMA", {}),
    "HDDM_W": ("HDDMW", {}),
    "KSWIN_seed42": ("KSWIN", {"seed": 42}),
}
ASKED = [(stream, name) for stream, said in STREAMS.items() for name in said["detectors"]]


@cache
def values(stream: str) -> Float64s:
    """Errors (0 or 1) or squared distances of a stream, in order."""
    name, _, kind = stream.partition(":")
    with np.load(REFERENCE / f"stream_{name}.npz") as archive:
        label, score = (archive[column].astype(np.float64) for column in ("y", "p"))
    found: Float64s = ((score >= 0.5) != label).astype(np.float64) if kind == "error" else (score - label) ** 2
    return found


@pytest.mark.parametrize(("stream", "name"), ASKED)
def test_a_change_is_seen_where_river_saw_it(stream: str, name: str) -> None:
    said = STREAMS[stream]
    column = values(stream)
    assert len(column) == said["n"]
    assert column.mean() == pytest.approx(said["mean"])
    kind, options = NAMED.get(name, (name, {}))
    detector, seen = make(kind, options), []
    for place, value in enumerate(column.tolist()):
        detector.update(value)
        if detector.drift_detected:
            seen.append(place)
    assert seen == said["detectors"][name]["drift"]


def test_every_kind_of_stream_has_changes_to_be_seen() -> None:
    """Without them an empty list would prove nothing."""
    seen = {name for _, said in STREAMS.items() for name, one in said["detectors"].items() if one["drift"]}
    assert {"ADWIN", "EDDM", "HDDM_W", "FHDDM", "PageHinkley", "KSWIN_seed42"} <= seen
