"""One record of every kind, with every field set; and how they look in format 1, kept for good.

`python -m tests.ledger.records` adds the lines that are not in the file. A line that is there is never written again:
what is in somebody's ledger stays there.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from monitor.editions import Edition
from monitor.ingest.clocks import NEVER
from monitor.ledger.evaluated import by_edition, models_of, switch_of
from monitor.ledger.records import (
    Clock,
    Commit,
    Delta,
    EvalCommit,
    Fence,
    Flood,
    Floor,
    Gap,
    Generation,
    Genesis,
    GroupName,
    Record,
    Remembered,
    SourceTopic,
    Unowned,
    Unreadable,
    encode,
    pack,
)
from monitor.ledger.roster import Adopted, Listed, Roster

GOLDEN = Path(__file__).parents[1] / "golden" / "ledger-v1.txt"

DELTA = Delta(
    group=pack([0, 0, 1]),
    pane=pack([19_723, 19_724, 19_723]),
    tick=pack([472_222, 472_223, 472_222]),
    length=pack([2, 1, 2]),
    cell=pack([0, 2, 1, 0, 200]),
    amount=pack([3, -1, 70_000, 1, 1 << 40]),
)

RECORDS: dict[str, Record] = {
    "genesis": Genesis(
        format=1,
        cluster_id="kRaftClusterIdOfTests0",
        partition=3,
        predictions=SourceTopic("predictions", "wQ3f9nEFQLOZq0v1l2m3nA", 6),
        labels=SourceTopic("labels", "Zk1oJYbWQNqv7t8s9u0pBg", 6),
        prediction_start=17,
        label_start=4,
        config="sha256:" + "ab" * 32,
    ),
    "genesis-without-labels": Genesis(
        format=1,
        cluster_id="memory",
        partition=0,
        predictions=SourceTopic("p", "memory-1", 1),
        labels=None,
        prediction_start=0,
        label_start=0,
        config="sha256:" + "cd" * 32,
    ),
    "fence": Fence(format=1, epoch=2, owner="6f1d2c3b4a596877"),
    "commit": Commit(
        format=1,
        epoch=2,
        owner="6f1d2c3b4a596877",
        sequence=41,
        previous=bytes(range(16)),
        predictions=(1_017, 1_523),
        labels=(804, 804),
        prediction_clock=Clock(1_704_110_400_123, ((1_704_300_000_000, 18_446_744_073_709_551_615),)),
        label_clock=Clock(1_704_106_800_000),
        prediction_floor=Floor(17, Clock(1_703_980_800_000)),
        label_floor=Floor(804, Clock(1_704_106_800_000)),
        config="sha256:" + "ab" * 32,
        prediction_outcomes={"pending": 300, "matched": 1_200, "expired": 1, "duplicate": 2, "withdrawn": 1, "late": 1,
                             "shed": 0, "rejected": 1},
        label_outcomes={"waiting": 5, "applied": 780, "superseded": 10, "outside": 0, "withdrawal": 1, "orphaned": 2,
                        "duplicate": 1, "late": 0, "rejected": 1},
        records=(1_506, 800),
        held=(1_400, 790),
        state=0xFEDC_BA98_7654_3210,
        groups=(GroupName("m", "1", ()), GroupName("m", "1", (("hue", "red"), ("size", "other")))),
        inputs=DELTA,
        performance=None,
        idle=True,
        stalled=True,
        flooding=True,
        ended=False,
    ),
    "gap": Gap(
        format=1,
        stream="labels",
        lost=(804, 900),
        who="ada@example.com",
        why="retention took them during the outage",
        previous=bytes(range(16, 32)),
    ),
    "eval": EvalCommit(
        format=1,
        epoch=3,
        owner="0123456789abcdef",
        sequence=12,
        previous=bytes(range(32, 48)),
        ledger=(9, 11, 0),
        input_tick=472_224,
        performance_tick=472_180,
        published=1_234,
        digest=bytes(range(48, 80)),
        config="sha256:" + "ab" * 32,
        rules="sha256:" + "ef" * 32,
        settled=True,
    ),
}  # fmt: skip
_COMMIT = RECORDS["commit"]
assert isinstance(_COMMIT, Commit)
_EVAL = RECORDS["eval"]
assert isinstance(_EVAL, EvalCommit)
RECORDS["eval-unowned"] = msgspec.structs.replace(_EVAL, unowned=Unowned((0, 2), 1_700_000_000_123))
RECORDS["eval-owned"] = msgspec.structs.replace(_EVAL, unowned=Unowned((), 1_700_000_000_124))
RECORDS["commit-full"] = msgspec.structs.replace(_COMMIT, full=True)
RECORDS["commit-floods"] = msgspec.structs.replace(
    _COMMIT, floods=(Flood(0, 700, 31, 1_700_000_000_123), Flood(1, 0, 0, 7))
)
RECORDS["gap-empty"] = Gap(2, "predictions", (17, 17), "ada", "the rows that waited are gone", bytes(range(16, 32)))
RECORDS["commit-quiet"] = msgspec.structs.replace(_COMMIT, quiet=True)
RECORDS["commit-silent"] = msgspec.structs.replace(_COMMIT, silent=True)
RECORDS["commit-remembered"] = msgspec.structs.replace(
    _COMMIT,
    remembered=Remembered(
        (GroupName("m", "1", (("hue", "red"),)),),
        pack([0, 0]),
        pack([-3, 1 << 40]),
        pack([7, -1]),
        pack([5, 1_704_000_000]),
        pack([0, 1]),
    ),
)
RECORDS["commit-unreadable"] = msgspec.structs.replace(
    _COMMIT, unreadable=(Unreadable(1, 1_700_000_000_123, "missing"),)
)
RECORDS["commit-rows"] = msgspec.structs.replace(_COMMIT, format=7, records=(506, 300), rows=(1_506, 800))
RECORDS["switch"] = switch_of(_EVAL, Generation(3, 1_700_000_000_125, "signal"))
RECORDS["gap-partial"] = Gap(5, "labels", (17, 19), "ada", "retention", bytes(range(16, 32)), 1_704_067_200_000)
RECORDS["pane"] = switch_of(_EVAL, Generation(4, 1_700_000_000_126, "file"), 1_704_067_200_000)
_N = Listed("n", "sha256:" + "01" * 32, "sha256:" + "ef" * 32, "sha256:" + "02" * 32, 4, None)
ROSTER = Roster(
    4,
    (
        Listed("m", "sha256:" + "03" * 32, "sha256:" + "ee" * 32, None, 0, NEVER),
        Listed("o", "sha256:" + "04" * 32, "sha256:" + "ee" * 32, None, 2, 5, 4, 1_704_067_200_000, 1_704_153_600_000),
        _N,
    ),
)
RECORDS["commit-unlisted"] = msgspec.structs.replace(_COMMIT, unlisted_ms=1_704_110_400_000)
RECORDS["commit-unlisted-ahead"] = msgspec.structs.replace(
    _COMMIT,
    unlisted_ms=1_798_718_400_000,
    unlisted_clock=Clock(1_704_110_400_000, ((1_798_718_400_000, 17_293_822_569_102_704_641),)),
)
RECORDS["commit-rosters"] = msgspec.structs.replace(
    _COMMIT, format=6, rosters=(Adopted(900, 2, NEVER), Adopted(1_017, 4, 1_704_110_400_000))
)
RECORDS["switch-models"] = switch_of(_EVAL, Generation(4, 1_700_000_000_126, "file"), None, ROSTER)
RECORDS["pane-models"] = switch_of(_EVAL, Generation(4, 1_700_000_000_126, "file"), 1_704_067_200_000, ROSTER)
RECORDS["models"] = models_of(_EVAL, ROSTER.begun(1_704_153_600_000, 1_704_240_000_000))
EDITION = Edition(2, "0.2.0")
RECORDS["genesis-edition"] = msgspec.structs.replace(RECORDS["genesis"], format=7, edition=EDITION)
RECORDS["commit-edition"] = msgspec.structs.replace(_COMMIT, format=7, edition=EDITION)
RECORDS["edition"] = by_edition(_EVAL, EDITION, None)
RECORDS["edition-begins"] = by_edition(_EVAL, EDITION, 1_704_067_200_000)
RECORDS["edition-switch"] = by_edition(RECORDS["pane-models"], EDITION, None)  # type: ignore[arg-type]
RECORDS["commit-unlisted-far"] = msgspec.structs.replace(
    RECORDS["commit-unlisted-ahead"], unlisted_ahead=(1_704_110_700_000, 1_798_718_400_000)
)
_M = Listed("m", "sha256:" + "05" * 32, "sha256:" + "ed" * 32, None, 5, None)
SENSES = Roster(5, (*ROSTER.begun(1_704_153_600_000, 1_704_240_000_000).models, _M))
"""`m` is to mean something else."""
RECORDS["commit-senses"] = msgspec.structs.replace(
    _COMMIT,
    format=9,
    groups=(GroupName("m", "1", (("hue", "red"),)), GroupName("m\x1e1", "1", (("hue", "red"), ("kind", "other")))),
    rosters=(Adopted(1_017, 5, 1_704_110_400_000),),
)
RECORDS["commit-gone-by"] = msgspec.structs.replace(
    _COMMIT, format=8, edition=Edition(3, "0.1.0"), gone_by=(170_411_041, 170_410_681)
)
RECORDS["switch-senses"] = switch_of(_EVAL, Generation(5, 1_700_000_000_127, "file"), None, SENSES)
RECORDS["models-senses"] = models_of(_EVAL, SENSES.begun(1_704_326_400_000, 1_704_412_800_000))


def golden() -> dict[str, bytes]:
    """The bytes of format 1, by name."""
    lines = GOLDEN.read_text().splitlines()
    return {name: bytes.fromhex(raw) for name, raw in (line.split() for line in lines)}


if __name__ == "__main__":
    there = golden() if GOLDEN.exists() else {}
    with GOLDEN.open("a") as file:
        file.writelines(f"{name} {encode(record).hex()}\n" for name, record in RECORDS.items() if name not in there)
