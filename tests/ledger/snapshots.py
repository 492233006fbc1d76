"""A snapshot with everything in it; and how it looks in each format, kept for good.

`python -m tests.ledger.snapshots` writes the file where there is none. One that is there is never written again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from monitor.adapters.snapshots import SnapshotDirectory
from monitor.daemon.shared import make_shared
from monitor.daemon.snapshots import Identity, write
from monitor.daemon.tail import Follower
from monitor.events import Bools, Float64s
from monitor.groups import Group
from monitor.ingest.clocks import ClockState
from monitor.join.inputs import LabelBatch, PredictionBatch
from monitor.join.restamped import Known, Repeat, Stand
from monitor.ledger.fold import FoldState
from monitor.ledger.records import Commit
from monitor.partition import Partition
from monitor.plan import plan_of
from tests.ledger.records import RECORDS
from tests.simulation.world import config

FIRST = Path(__file__).parents[1] / "golden" / "snapshot-v1.snapshot"
GOLDEN = Path(__file__).parents[1] / "golden" / "snapshot-v2.snapshot"
IDENTITY = Identity("one", "cluster", 0, "sha256:config")
START_MS = 1_704_110_400_000

_COMMIT = RECORDS["commit-floods"]
assert isinstance(_COMMIT, Commit)
FOLLOWER = Follower(
    "one.ledger", 0, 78, FoldState(epoch=2, sequence=_COMMIT.sequence, chain=bytes(range(16)), commit=_COMMIT), 77
)


def _predictions(
    width: int, names: list[int], at_s: list[int], before_s: int, withdrawn: Bools, score: Float64s
) -> PredictionBatch:
    n = len(names)
    at = START_MS + 1_000 * np.array(at_s, np.int64)
    ids = np.array([[name * 0x9E3779B97F4A7C15 % (1 << 64), name] for name in names], np.uint64)
    before = np.full(n, START_MS + 1_000 * before_s, np.int64)
    group, bins = np.array(names, np.uint32) % 2, np.zeros((n, width), np.uint8)
    return PredictionBatch(ids, at, before, group, score, np.ones(n, np.uint8), bins, withdrawn)


def fill(engine: Partition) -> None:
    """Rows of every kind: pending, matched, corrected, withdrawn before and after; labels that wait and that were applied."""
    groups, join = engine.shared.groups, engine.join
    width = join.predictions.features
    groups.code(Group("m", "1", (("hue", "red"),)))
    groups.code(Group("m", "2", (("hue", "other"),)))
    no, half = np.zeros(6, np.bool_), np.full(6, 0.5)
    join.add_predictions(_predictions(width, [1, 2, 3, 4, 5, 6], [0, 10, 20, 30, 40, 50], 0, no, half))
    join.add_predictions(
        _predictions(width, [3], [15], 90, no[:1], np.array([np.nan]))
    )  # a better content, known later
    join.add_predictions(_predictions(width, [4, 9], [30, 60], 60, ~no[:2], half[:2]))  # withdrawals, of one not read
    ids = np.array([[n * 0x9E3779B97F4A7C15 % (1 << 64), n] for n in (1, 2, 7)], np.uint64)
    at = START_MS + np.array([5_000, 12_000, 70_000], np.int64)
    join.add_labels(LabelBatch(ids, at, at, np.array([1.0, np.nan, 0.0])))
    join.repeats.clear()
    for stream in (0, 1):
        engine.floors[stream].mark(100 * stream, ClockState(START_MS, ((START_MS + 9, 7),)), START_MS + 60_000)


def restamp(engine: Partition) -> None:
    """What format 1 did not hold: keys that came again with another time."""
    row, other = Stand(START_MS + 60_000, unseen=True), Stand(START_MS + 90_000)
    repeats = [Repeat((7, 1 << 63), 0, row, other.at_ms, other), Repeat((7, 9), 1, other, other.at_ms + 1, other)]
    engine.restamped.note(repeats, [100, 101], engine.shared.groups.key_codes, 105)
    engine.restamped.remember([Known((3, 4), 1, Stand(START_MS))], engine.shared.groups.key_codes)
    engine.floors[0].hold(START_MS, START_MS + 99_000)


def engine() -> Partition:
    """An empty one."""
    settings = config("one")
    return Partition(
        make_shared(settings, plan_of(settings)), 0, (100, ClockState(START_MS)), (50, ClockState(START_MS + 1))
    )


def written() -> bytes:
    """A snapshot as it is written now."""
    full = engine()
    fill(full)
    restamp(full)
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotDirectory(Path(folder), "one")
        write(store, IDENTITY, full, FOLLOWER)
        (path,) = store.paths(0)
        return Path(path).read_bytes()


if __name__ == "__main__" and not GOLDEN.exists():
    GOLDEN.write_bytes(written())
