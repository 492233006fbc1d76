"""Checkpoints with every field set; and how they look in formats 1 to 6, kept for good.

`python -m tests.ledger.checkpoints` adds the lines that are not in the file. A line that is there is never written again:
under a trimmed ledger nothing else tells what was counted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from monitor.alerts.saved import SavedFeed, SavedModel, SavedWatch
from monitor.alerts.saved_advice import SavedFed, SavedSeen
from monitor.alerts.saved_budget import (
    SavedBudget,
    SavedCause,
    SavedCohorts,
    SavedEvidence,
    SavedNull,
    SavedOpen,
    SavedReference,
    SavedSeries,
)
from monitor.alerts.saved_grouping import SavedGroup, SavedGroups, SavedMember
from monitor.alerts.saved_hold import SavedFlow, SavedHold
from monitor.ingest.clocks import NEVER
from monitor.ledger import checkpoints as formats
from monitor.ledger.checkpoints import Fold, Manifest, Place, describe, encode_body, parts_of, seal
from monitor.ledger.fold import FoldState
from monitor.ledger.records import Commit, EvalCommit, EvalPane, EvalSwitch, Generation, Genesis, pack
from monitor.ledger.roster import Adopted
from monitor.saved import SavedClock, SavedEvaluation, SavedEvaluator, SavedModels
from monitor.windows.saved import SavedBook, SavedEngine, SavedPiece, SavedShelf, SavedStore, SavedView
from monitor.windows.saved_crossed import SavedCrossed
from tests.ledger.records import RECORDS, ROSTER, SENSES

GOLDEN = Path(__file__).parents[1] / "golden" / "checkpoints-v1.txt"

_GENESIS, _COMMIT, _EVAL = RECORDS["genesis"], RECORDS["commit-floods"], RECORDS["eval-unowned"]
assert isinstance(_GENESIS, Genesis)
assert isinstance(_COMMIT, Commit)
assert isinstance(_EVAL, EvalCommit)
_SWITCH = RECORDS["switch"]
assert isinstance(_SWITCH, EvalSwitch)
_PANE = RECORDS["pane"]
assert isinstance(_PANE, EvalPane)

PARTITION = FoldState(
    genesis=_GENESIS, epoch=2, owner="6f1d2c3b4a596877", sequence=41, next_prediction=1_523, next_label=900,
    chain=bytes(range(16)), commit=_COMMIT, lost_predictions=3, lost_labels=96, gap=True,
)  # fmt: skip
DECIDED = FoldState(epoch=3, owner="0123456789abcdef", sequence=12, chain=bytes(range(48, 64)), evaluation=_EVAL)
FEED = SavedFeed(
    (1_704_110_400_123, -(1 << 62)), (True, False), (True, False), 7, 9, (0,), ((1, ((5, True), (6, False))),)
)
SERIES = ("m", "1", "hue=red")
ENGINE = SavedEngine(
    next_tick=472_224,
    unplaced=2,
    closed=41,
    final_before_ms=1_703_980_800_000,
    waiting=(
        (
            472_225,
            (
                SavedPiece(
                    "m", (("1", (("hue", "red"),)),), pack([0]), pack([1_704_110_400_000]), pack([2]), pack([0, 7]), pack([1, -3])
                ),
            ),
        ),
        (472_226, ()),
    ),
    stores=(SavedStore("m", ((SERIES, "1d", 0, 86_400_000),), pack([7]), pack([0, 0, 3, 1 << 40])),),
    names=((("accuracy", "recall"), ("tp", "fp")),),
    shelves=(
        SavedShelf(
            SERIES,
            "1d",
            (0,),
            (
                SavedView(
                    0, 86_400_000, 7, False, 86_460_000, 10, 8, 0,
                    ((0.75, 0.5, 0.9, 8, 0.0, None), (None, None, None, 0, 0.0, "no_rows")), (6, 2),
                ),
            ),
        ),
    ),
    versions=(SERIES,),
)  # fmt: skip
EVALUATION = SavedEvaluation(
    ledger=(Fold.of(PARTITION), Fold.of(FoldState())),
    rejected=4,
    rules="sha256:" + "ef" * 32,
    evaluator=SavedEvaluator(
        clocks=(SavedClock(1, 2, True, False, True, False), SavedClock(-(1 << 62), 1 << 62, False, True, False, True)),
        alerts={"format": 1, "entries": []},
        published=1_234,
        chains={"performance": bytes(16), "input": bytes(range(16))},
        engines={"performance": ENGINE, "input": ENGINE},
        watch=SavedWatch(
            (("join-full", "partition/0", 17),), (("partition-unowned/partition/0", 17),), (0, 2), FEED, FEED
        ),
        traffic=(SavedModel("m", 1, 2, ((3, (("1", 4),)),), (5, 6, 7), (("model-silent", 8),)),),
        standing=(b"{}",),
    ),
)
BODY = encode_body(EVALUATION)


def _with(**fields: object) -> SavedEvaluation:
    """The evaluation, with these fields of its evaluator."""
    return msgspec.structs.replace(EVALUATION, evaluator=msgspec.structs.replace(EVALUATION.evaluator, **fields))


LATER = msgspec.structs.replace(EVALUATION, generation=Generation(3, 1_700_000_000_125, "signal"))

_THIRDS, _NOTHING = np.array([1 / 3, -np.inf]).astype("<f8").tobytes(), pack([0, 0])
_SERIES = SavedSeries(
    "m", "1",
    beat=472_224,
    counts=((0, pack([3, 0])), (7, pack([0, 300]))),
    learned=((472_220, 7, pack([1, 2])), (472_221, 0, pack([0, 1]))),
    cohorts=SavedCohorts(
        ((1_704_110_400_000, pack([9, 8, 4, 1, 2, 1])),), (1_704_106_800_000,), ((0, pack([1, 1, 0, 0, 1, 0])),)
    ),
    reference=SavedReference(
        pack([70_000, 5]), ((1, (SavedNull(_THIRDS, _THIRDS, _THIRDS, pack([70_005, 70_005])),)),)
    ),
    state=SavedEvidence(_THIRDS, pack([-5, 1 << 40]), pack([0, 472_223]), _NOTHING, _NOTHING, _NOTHING, _NOTHING),
    blind=False,
)  # fmt: skip
_OPEN = SavedOpen(
    "m", "1",
    log_evidence=10.7,
    began_ms=1_704_110_400_000,
    causes=(
        SavedCause(
            "missing:hue", "more missing", 10.8, 0.9, 472_200, 0.5, 40, 0.01, 0.02, 1.25, listed=True, area="quality"
        ),
    ),
    fired_ms=1_704_114_000_000,
    last_ms=1_704_117_600_000,
    alarms=2,
)  # fmt: skip
BUDGETED = _with(
    budget=SavedBudget(
        {
            "performance": (_SERIES,),
            "input": (
                msgspec.structs.replace(_SERIES, beat=None, cohorts=None, reference=None, state=None, blind=True),
            ),
        },
        {"performance": (), "input": (_OPEN,)},
    ),
)
_BOOKED = msgspec.structs.replace(
    ENGINE,
    book=SavedBook(
        (("m", "1", ((1_704_106_800_000, pack([3, 1, 0, 2])), (1_704_110_400_000, pack([40, 13, 7, 300])))),),
        (("m", "1", pack([70_000, 5, 1, 1])),),
        (("m", "0", pack([1, 0, 0, -1])), ("m", "1", pack([9, 9, 9, 9]))),
        13_151,
    ),
)
BOOKED = msgspec.structs.replace(
    EVALUATION,
    evaluator=msgspec.structs.replace(EVALUATION.evaluator, engines={"performance": _BOOKED, "input": ENGINE}),
)
assert isinstance(_BOOKED.book, SavedBook)
DENSE = msgspec.structs.replace(
    BOOKED,
    evaluator=msgspec.structs.replace(
        BOOKED.evaluator,
        engines={
            "performance": msgspec.structs.replace(
                _BOOKED,
                book=msgspec.structs.replace(
                    _BOOKED.book, density=(("m", ((1_704_110_400_000, 40), (1_704_111_360_000, 3))),)
                ),
            ),
            "input": ENGINE,
        },
    ),
)
IN_BLOCKS = msgspec.structs.replace(
    BOOKED,
    evaluator=msgspec.structs.replace(
        BOOKED.evaluator,
        engines={
            "performance": msgspec.structs.replace(
                _BOOKED,
                book=msgspec.structs.replace(
                    _BOOKED.book,
                    density=(),
                    blocks=(("m", "1", ((1_704_106_800_000, pack([40, 300, 9, 2, 1, 250])),)),),
                ),
            ),
            "input": ENGINE,
        },
    ),
)
LOST = msgspec.structs.replace(
    LATER,
    evaluator=msgspec.structs.replace(
        EVALUATION.evaluator,
        engines={"input": msgspec.structs.replace(ENGINE, to_mark=((SERIES, "1d", 0, 86_400_000),))},
        losses={"input": ((-(1 << 62), 5), (7, 1_704_067_200_000))},
    ),
)
SCHEDULED = msgspec.structs.replace(
    LATER,
    evaluator=msgspec.structs.replace(
        EVALUATION.evaluator,
        engines={"input": msgspec.structs.replace(ENGINE, newest_pane_ms=1_704_110_400_000)},
        schedule=(("1d", -(1 << 62), 1_704_067_200_000), ("24h/1h", 1_704_067_200_000, 1 << 62)),
    ),
)
BUDGETED_BODY, SCHEDULED_BODY = encode_body(BUDGETED), encode_body(SCHEDULED)
_SLOW = SavedFlow(
    "m", ((1_704_106_800_000, pack([300, 0, 290])),), pack([70_000, 5, 3]), None, 2_818,
    slow_ms=1_704_110_400_000, fired_ms=None, slow=((1_704_000_000_000, 1_704_100_000_000, False),),
)  # fmt: skip
HELD = _with(
    labels=SavedHold(
        ((0, 1_704_110_400_000, 1_704_110_460_000, 1_704_110_520_000),),
        ((-(1 << 62), 1_704_110_300_000, True), (1_704_110_200_000, 1_704_110_300_000, False)),
        (_SLOW, SavedFlow("n", (), None, pack([1, 0, 1]), 0, None, None, ())),
        1_704_110_520_000,
    ),
)
HELD_BODY = encode_body(HELD)
_SEEN = SavedSeen(
    ("1d", "input", 1_704_067_200_000, 1_704_153_600_000, 3, False),
    value=0.31, rows=700, values=12, mean=0.0525, config="sha256:c0", reference=None,
    fired_ms=1_704_153_660_000, last_ms=1_704_240_060_000, changes=2,
)  # fmt: skip
ADVISED = _with(
    advice=(
        SavedFed("hour-adwin", "m", "1", "all", (0.1, 1 / 3, -2.5), 1_704_153_600_000, _SEEN),
        SavedFed("hour-adwin", "m", "2", "hue=red", (), 1_704_153_600_000, None),
    ),
)
ADVISED_BODY = encode_body(ADVISED)
_MEMBER = SavedMember(
    "input", told_ms=1_704_114_000_000, rank=0, features=("hue",), episode="0" * 31 + "1", rule="missing-hue", model="m",
    version="1", segment="all", severity="page", feature="hue", fired_ms=1_704_114_000_000,
)  # fmt: skip
GROUPED = _with(
    groups=SavedGroups(
        1_704_110_400_000,
        (
            SavedGroup(
                "0" * 31 + "1",
                "m/1/all/missing-hue",
                "input",
                1_704_110_400_000,
                1_704_114_000_000,
                (_MEMBER, msgspec.structs.replace(_MEMBER, kind="performance", rank=3, features=(), feature=None)),
                ("0" * 31 + "1",),
            ),
        ),
    ),
)
GROUPED_BODY = encode_body(GROUPED)
_BEGUN_CAUSE = msgspec.structs.replace(
    _OPEN.causes[0], channel="confusion", area="performance", begin_ms=1_703_851_200_000
)
BEGUN = _with(
    budget=SavedBudget(
        {"performance": (msgspec.structs.replace(_SERIES, begins=((472_223, 1_703_851_200_000),)),), "input": ()},
        {"performance": (msgspec.structs.replace(_OPEN, causes=(_BEGUN_CAUSE,)),), "input": ()},
    ),
)
BEGUN_BODY = encode_body(BEGUN)
_TOGETHER = SavedCrossed(
    "m", "1", "all", "1d", 0, ((("hue", "red"), ("size", "l")), (("hue", "red"), ("size", "other"))), pack([7, 2, 1, 0])
)  # fmt: skip
CROSSED = _with(engines={"performance": msgspec.structs.replace(ENGINE, crossed=(_TOGETHER,)), "input": ENGINE})
CROSSED_BODY = encode_body(CROSSED)
LISTED = _with(models=SavedModels(ROSTER, (Adopted(900, 2, NEVER), Adopted(1_017, 4, 1_704_110_400_000))))
LISTED_BODY = encode_body(LISTED)
_KEPT = msgspec.structs.replace(ENGINE, finals=((SERIES, "1d", 0, pack([3, 0, 40, 1 << 40])),))
FINALS = _with(engines={"performance": ENGINE, "input": _KEPT})
OF_EDITIONS = msgspec.structs.replace(LATER, editions=((1, NEVER), (2, 1_704_067_200_000)))
OF_EDITIONS_BODY = encode_body(OF_EDITIONS)
_AS_NOW = msgspec.structs.replace(_SERIES, model="m\x1e1", from_ms=1_704_326_400_000)
_SENSES = SavedModels(SENSES.begun(1_704_326_400_000, 1_704_412_800_000), (Adopted(1_017, 6, NEVER),) * 2)
_OF_SENSES = SavedBudget({"performance": (_AS_NOW,), "input": ()}, {"performance": (), "input": ()})
SENSED = msgspec.structs.replace(
    LISTED, evaluator=msgspec.structs.replace(LISTED.evaluator, models=_SENSES, budget=_OF_SENSES)
)
SENSED_BODY = encode_body(SENSED)

_LASTING = msgspec.structs.replace(_OPEN, causes=(_BEGUN_CAUSE,), excess=(-(1 << 40),))
_OF_LASTING = SavedBudget({"performance": (_SERIES,), "input": ()}, {"performance": (_LASTING,), "input": ()})
GONE_BY = msgspec.structs.replace(EVALUATION, editions=((3, NEVER),), gone_by=((170_411_041, 0), (0, 0)))
STANDS = msgspec.structs.replace(_with(budget=_OF_LASTING), editions=((2, NEVER), (3, 1_704_067_200_000)))


def _manifest(of: str, state: FoldState, ledger: tuple[Place, ...]) -> Manifest:
    place = Place(77, state.chain, 79)
    return Manifest(1, of, Fold.of(state), place, ledger, (1_704_110_400_123, None), 0, b"", ())


def _in(of: Manifest, number: int, body: bytes) -> Manifest:
    return describe(msgspec.structs.replace(of, format=number), body, [b"a part"])


LEDGER_MANIFEST = describe(_manifest("ledger/3", PARTITION, ()), b"", [])
_OF_EVALS = _manifest("evals", DECIDED, (Place(8, bytes(16), 9), Place(-1, b"", 0)))
EVALS_MANIFEST = describe(_OF_EVALS, BODY, [b"a part"])
BUDGETED_MANIFEST = _in(_OF_EVALS, formats.LEARNED_FORMAT, BUDGETED_BODY)
ADVISED_MANIFEST = _in(_OF_EVALS, formats.ADVISED_FORMAT, ADVISED_BODY)
GROUPED_MANIFEST = _in(_OF_EVALS, formats.GROUPED_FORMAT, GROUPED_BODY)
BEGUN_MANIFEST = _in(_OF_EVALS, formats.BEGUN_FORMAT, BEGUN_BODY)
CROSSED_MANIFEST = _in(_OF_EVALS, formats.CROSSED_FORMAT, CROSSED_BODY)
SENSED_MANIFEST = _in(_OF_EVALS, formats.SENSES_FORMAT, SENSED_BODY)
LISTED_MANIFEST = _in(_OF_EVALS, formats.LISTED_FORMAT, LISTED_BODY)
_LATER: list[Any] = [RECORDS[name] for name in ("genesis-edition", "commit-edition", "edition-begins", "commit-senses")]
_OF_SENSED = _manifest("ledger/3", replace(PARTITION, commit=_LATER[3]), ())
LEDGER_SENSES_MANIFEST = describe(msgspec.structs.replace(_OF_SENSED, format=formats.SENSES_FORMAT), b"", [])
_OF_LEDGER = _manifest("ledger/3", replace(PARTITION, genesis=_LATER[0], commit=_LATER[1]), ())
LEDGER_EDITION_MANIFEST = describe(msgspec.structs.replace(_OF_LEDGER, format=formats.EDITION_FORMAT), b"", [])
_OF_BEGINS = _manifest("evals", replace(DECIDED, evaluation=_LATER[2]), (Place(8, bytes(16), 9),))
EDITION_MANIFEST = _in(_OF_BEGINS, formats.EDITION_FORMAT, OF_EDITIONS_BODY)
HELD_MANIFEST = _in(_OF_EVALS, formats.HELD_FORMAT, HELD_BODY)

_SWITCHED = replace(DECIDED, evaluation=_SWITCH)
SWITCH_MANIFEST = describe(_manifest("evals", _SWITCHED, (Place(8, bytes(16), 9),)), b"", [])
_OF_PANES = _manifest("evals", replace(DECIDED, evaluation=_PANE), (Place(8, bytes(16), 9),))
SCHEDULED_MANIFEST = _in(_OF_PANES, formats.SCHEDULE_FORMAT, SCHEDULED_BODY)

SAVED: dict[str, bytes] = {
    "ledger": seal(LEDGER_MANIFEST),
    "evals": seal(EVALS_MANIFEST),
    "body": BODY,
    "evals-budget": seal(BUDGETED_MANIFEST),
    "body-budget": BUDGETED_BODY,
    "evals-switch": seal(SWITCH_MANIFEST),
    "body-generation": encode_body(LATER),
    "body-estimates": encode_body(BOOKED),
    "body-estimates-density": encode_body(DENSE),
    "body-estimates-blocks": encode_body(IN_BLOCKS),
    "evals-schedule": seal(SCHEDULED_MANIFEST),
    "body-schedule": SCHEDULED_BODY,
    "evals-hold": seal(HELD_MANIFEST),
    "body-hold": HELD_BODY,
    "body-losses": encode_body(LOST),
    "evals-advice": seal(ADVISED_MANIFEST),
    "body-advice": ADVISED_BODY,
    "evals-groups": seal(GROUPED_MANIFEST),
    "body-groups": GROUPED_BODY,
    "evals-begun": seal(BEGUN_MANIFEST),
    "body-begun": BEGUN_BODY,
    "evals-crossed": seal(CROSSED_MANIFEST),
    "body-crossed": CROSSED_BODY,
    "evals-models": seal(LISTED_MANIFEST),
    "body-models": LISTED_BODY,
    "ledger-edition": seal(LEDGER_EDITION_MANIFEST),
    "evals-edition": seal(EDITION_MANIFEST),
    "body-edition": OF_EDITIONS_BODY,
    "body-finals": encode_body(msgspec.structs.replace(FINALS, editions=OF_EDITIONS.editions)),
    "ledger-senses": seal(LEDGER_SENSES_MANIFEST),
    "evals-senses": seal(SENSED_MANIFEST),
    "body-senses": SENSED_BODY,
    "body-lasting": encode_body(STANDS),
    "body-gone-by": encode_body(GONE_BY),
}
"""The parts of a body are not here: their bytes are the compressor's, and their digests are in the manifest."""


def golden() -> dict[str, bytes]:
    """The bytes of each format: 1, with what was learned 2, what is held or a schedule 3, advice 4, groups 5, beginnings 6,
    combinations 7, rosters of models 8, editions 9, senses of models 10."""
    return {name: bytes.fromhex(raw) for name, raw in (line.split() for line in GOLDEN.read_text().splitlines())}


if __name__ == "__main__":
    there = golden() if GOLDEN.exists() else {}
    assert b"".join(parts_of(BODY))
    with GOLDEN.open("a") as file:
        file.writelines(f"{name} {raw.hex()}\n" for name, raw in SAVED.items() if name not in there)
