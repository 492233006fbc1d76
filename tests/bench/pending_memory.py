"""What a prediction that waits for its label costs in the join: bytes and ns, at one size per process.

    python -m tests.bench.pending_memory --rows 10000000
    python -m tests.bench.pending_memory --rows 10000000 --memory-rows 1000000 --directory DIR

Fills the engine's own join with predictions of distinct random ids, in batches of 2,000, then joins a label to a sample
of them. Bytes are the growth of the process's resident memory over the filling, all in: table, index, slack of growing,
what the allocator keeps. `peak` is the same with the highest value on the way (a table that is copied while it grows
shows here). With `--memory-rows` rows beyond go to files, as `state.memory_rows` does; pages of those files that the system
keeps in its cache are not counted, it takes them back at will. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.adapters.allocator import keep_freed_memory
from monitor.adapters.segments import SegmentDirectory
from monitor.groups import Group, Groups
from monitor.join.inputs import JoinParams, LabelBatch, PredictionBatch
from monitor.join.join import Join
from monitor.join.memory import Memory
from monitor.join.timeline import Bounds

BATCH = 2_000
LABELLED = 200_000
START_MS = 1_700_006_400_000
SPAN_MS = 7 * 86_400_000


class Nowhere:
    """A sink that lets everything go: windows are not what is measured."""

    def seen(self, *_: object) -> None: ...

    def labelled(self, *_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured at one size."""

    rows: int
    bytes_per_pending: float
    peak_bytes_per_pending: float
    own_count_bytes_per_pending: float
    insert_ns: float
    take_ns: float
    spilled_rows: int
    file_bytes_per_spilled: float


def make_join(features: int, memory: Memory | None = None) -> Join:
    """The engine's join with nothing to settle: the one place that knows its constructor."""
    groups = Groups()
    for version in ("1", "2"):
        groups.code(Group("bench", version))
    params = JoinParams(
        bounds=Bounds(horizon_ms=2 * SPAN_MS, skew_ms=0),
        disorder_ms=60_000,
        lateness_ms=2 * SPAN_MS,
        tick_ms=60_000,
        settle_ms=60_000,
        max_rows=1 << 31,
    )
    return Join(params, features, groups, Nowhere(), memory=memory)


def measure(rows: int, features: int, memory: Memory | None = None, seed: int = 7) -> Cost:
    """Fill a join with `rows` predictions and take `LABELLED` of them again by their labels."""
    rng = np.random.default_rng(seed)
    every = max(1, rows // LABELLED)
    sample = np.ones((-(-rows // every), 2), np.uint64)  # touched now, so that it is not counted
    fill(make_join(features), rng, 10 * BATCH, features, 1, sample)  # what is allocated once is not counted either
    gc.collect()
    gc.disable()
    join = make_join(features, memory)
    before, all_before = resident_bytes(), resident_bytes(files=True)
    insert_ns = fill(join, rng, rows, features, every, sample)
    after, peak, own = resident_bytes(), peak_bytes(), join.nbytes
    spilled, files = sum(join.spilled.rows), join.spilled.kept_bytes
    take_ns = take(join, sample)
    assert join.prediction_outcomes.pending == rows - len(sample), "every sampled prediction has its label, no other"
    assert join.prediction_outcomes.matched == len(sample)
    return Cost(
        rows,
        (after - before) / rows,
        (peak - all_before) / rows,
        own / rows,
        insert_ns / rows,
        take_ns / len(sample),
        spilled,
        files / max(1, spilled),
    )


def fill(join: Join, rng: np.random.Generator, rows: int, features: int, every: int, sample: NDArray[np.uint64]) -> int:
    """Add `rows` predictions; every `every`-th id goes into `sample`. Returns the ns of CPU time inside the join."""
    spent_ns = 0
    for start in range(0, rows, BATCH):
        n = min(BATCH, rows - start)
        ids = rng.integers(0, 1 << 64, (n, 2), dtype=np.uint64)
        at = START_MS + np.arange(start, start + n, dtype=np.int64) * SPAN_MS // rows
        batch = PredictionBatch(
            ids=ids,
            at_ms=at,
            before_ms=at,
            group=rng.integers(0, 2, n).astype(np.uint32),
            score=rng.random(n),
            predicted=np.ones(n, np.uint8),
            bins=rng.integers(0, 20, (n, features)).astype(np.uint8),
            withdrawn=np.zeros(n, np.bool_),
        )
        started = time.process_time_ns()
        join.add_predictions(batch)
        spent_ns += time.process_time_ns() - started
        picked = ids[-start % every :: every]
        first = -(-start // every)
        sample[first : first + len(picked)] = picked
    return spent_ns


def take(join: Join, ids: NDArray[np.uint64]) -> int:
    """Join a label to each of `ids`, in an order that has nothing to do with that of the rows; ns of CPU time."""
    ids = ids[np.random.default_rng(11).permutation(len(ids))]
    spent_ns = 0
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        at = np.full(len(part), START_MS + SPAN_MS, np.int64)
        batch = LabelBatch(part, at, at, np.ones(len(part)))
        started = time.process_time_ns()
        join.add_labels(batch)
        spent_ns += time.process_time_ns() - started
    return spent_ns


def resident_bytes(*, files: bool = False) -> int:
    """Memory of this process that is in RAM now; without pages of files, or with them."""
    _, resident, of_files, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - (0 if files else int(of_files))) * resource.getpagesize()


def peak_bytes() -> int:
    """The most that it ever was."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.pending_memory", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--memory-rows", type=int, help="rows beyond go to files in --directory")
    parser.add_argument("--directory", type=Path, default=Path("build/spill"))
    arguments = parser.parse_args()
    keep_freed_memory()  # as the daemon does
    if arguments.memory_rows is None:
        cost = measure(arguments.rows, arguments.features)
    else:
        with closing(SegmentDirectory(arguments.directory)) as store:
            cost = measure(arguments.rows, arguments.features, Memory(arguments.memory_rows, store))
    print(json.dumps({name: round(getattr(cost, name), 1) for name in Cost.__slots__}))


if __name__ == "__main__":
    main()
