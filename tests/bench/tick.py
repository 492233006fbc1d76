"""What one closed tick costs the budget: the detector over many features, learned from a reference.

    python -m tests.bench.tick [--features 100] [--ticks 400] [--rows 1000] [--seasons 8]

Numeric features of 33 bins or so, 10,000 reference rows; each has its channel of values and its channel of missing
values, as the daemon makes them. Prints processor time a tick, of the detector's step alone and with reading the counts,
with a bare product of the same tables and counts beside it: on a busy machine the ratio to that is what can be compared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from monitor.drift.binning import NumericBinning, bin_numbers
from monitor.drift.edetector import Channel, Detector
from monitor.drift.functionals import Functionals, faults, numeric
from monitor.drift.nulls import seasonal_nulls
from monitor.events import Int64s


def detector_of(features: int, seasons: int, random: np.random.Generator) -> tuple[Detector, list[NumericBinning]]:
    """Both channels of each feature, after 64 ticks of learning."""
    binnings = [bin_numbers(random.normal(size=10_000)) for _ in range(features)]
    both: list[tuple[NumericBinning, Callable[[Int64s], Functionals]]] = []
    for binning in binnings:
        both.append((binning, lambda reference, own=binning: numeric(own, reference)))  # type: ignore[misc]
        both.append((binning, lambda _, own=binning: faults(own)))  # type: ignore[misc]
    channels = []
    slots = np.arange(64) % seasons
    for i, (binning, asked) in enumerate(both):
        shares = np.append(np.full(binning.bins - 1, 0.999 / (binning.bins - 1)), 0.001)
        ticks = random.multinomial(160, shares, 64)
        functionals = asked(ticks.sum(axis=0))
        nulls = seasonal_nulls(functionals, ticks, slots, seasons, materiality=0.02, asked=features * 42)
        channels.append(Channel(str(i), functionals, nulls[0], 1.0, nulls[1:]))
    return Detector(tuple(channels), 43_200.0), [binning for binning, _ in both]


def measure(features: int, ticks: int, rows: int, seasons: int) -> dict[str, float]:
    """Milliseconds of processor time a tick."""
    random = np.random.default_rng(1)
    detector, binnings = detector_of(features, seasons, random)
    drawn = []
    for tick in range(16):
        counts = []
        for binning in binnings:
            own = np.zeros((seasons, binning.bins), np.int64)
            own[tick % seasons] = random.multinomial(rows, np.full(binning.bins, 1.0 / binning.bins))
            counts.append(own.reshape(1, -1))
        drawn.append(counts)
    state = detector.start()
    for tick in range(16):
        state, _, _ = detector.step(state, tick, drawn[tick % 16])
    begin = time.process_time_ns()
    for tick in range(ticks):
        state, _, _ = detector.step(state, 16 + tick, drawn[tick % 16])
    step = (time.process_time_ns() - begin) / ticks / 1e6
    tables = [np.asarray(channel.table, np.float64) for channel in detector.channels]
    plain = [[own.astype(np.float64) for own in counts] for counts in drawn]
    begin = time.process_time_ns()
    for tick in range(ticks):
        for inputs, table in zip(plain[tick % 16], tables, strict=True):
            inputs @ table
    product = (time.process_time_ns() - begin) / ticks / 1e6
    return {
        "features": features,
        "channels": len(detector.channels),
        "cells": sum(channel.cells for channel in detector.channels),
        "seasons": seasons,
        "step_ms": step,
        "product_ms": product,
        "step_by_product": step / product,
    }


def main() -> None:
    """One line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--ticks", type=int, default=400)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--seasons", type=int, default=8)
    given = parser.parse_args()
    print(json.dumps(measure(given.features, given.ticks, given.rows, given.seasons)))


if __name__ == "__main__":
    main()
