"""What a model is watched for changes while a namespace runs: every window is whole and of one configuration, that of its start, and
every worker and replay agrees which."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import loads
from monitor.config.canonical import digest_bytes
from monitor.daemon.counted import counted
from monitor.ledger.records import Commit
from monitor.ledger.roster import Roster
from monitor.plan import plan_of
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Crash, Fault, FragileWorld
from tests.simulation.histories import START, labels, predictions, split
from tests.simulation.reloading import Files, run, start
from tests.simulation.saving import whole
from tests.simulation.test_crashes import crashes, pace, paces, silences
from tests.simulation.test_models_change import accepted, rosters, turn
from tests.simulation.world import CONFIG, finals, topics, worker

PANE_MS = 50_000
PLAIN = {"m": "features: [hue], segments: {hue: [red, blue]}"}
WATCHED = {"m": "features: [hue, size], segments: {hue: [red, blue]}"}
CUT = {"m": "features: [], segments: {hue: [green], kind: [a]}"}
MAPPED = {"features": "{hue: categorical, size: numeric}"}
MOVED = {"features": "{hue: categorical, size: {from: $.features.other, type: numeric}, kind: categorical}"}
DISTANT = {"more": "drift: {distances: [js]}"}
FORESEEN = {"more": "estimates: true"}


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


Said = dict[str, str]


def text(namespace: str, said: Said, *, windows: str = "50s, 150s", every: int = 10_000, trim: bool = False) -> str:
    """The deployment of the other simulations, with this of its models, features and what is measured."""
    made = CONFIG.format(namespace=namespace, rows=9, lateness=60)
    models = f"{{name: m, {said.get('m', PLAIN['m'])}}}, {{name: n, features: []}}"
    for old, new in (
        ("models: [{name: m, segments: {hue: [red, blue]}}]", f"models: [{models}]\n{said.get('more', '')}"),
        ("features: {hue: categorical}", f"features: {said.get('features', '{hue: categorical}')}"),
        ("windows: [50s]", f"windows: [{windows}]"),
        ("commit_interval: 1ms", f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"),
    ):
        assert old in made
        made = made.replace(old, new)
    return made


def told(log: FragileWorld, namespace: str) -> dict[bytes, dict[str, object]]:
    """Final windows by key, without the digest of the configuration."""
    found = {key: orjson.loads(value) for key, value in finals(log, namespace).items()}
    for value in found.values():
        del value["config"]
    return found


def a_world(p: list[Prediction], q: list[Label], every: Sequence[Said]) -> FragileWorld:
    """A log on which for each of the configurations a namespace that had it from the beginning has come to its end."""
    log = topics(split(p), split(q), FragileWorld())
    for number, said in enumerate(every):
        worker(log, loads(text(f"calm{number}", said))).run()
    return log


def expected(log: FragileWorld, roster: Roster, every: Sequence[str]) -> dict[bytes, dict[str, object]]:
    """What there must be: of every model the windows that started under an edition, as if it always had been that one. `every`:
    the configurations, in the order of the calm namespaces."""
    documents = [digest_bytes(loads(one).document().encode()) for one in every]
    found: dict[bytes, dict[str, object]] = {}
    for one in roster.models:
        calm = told(log, f"calm{documents.index(one.document)}")
        if one.from_ms is not None:
            own = ((key, window) for key, window in calm.items() if window["model"] == one.name)
            found |= {k: w for k, w in own if one.from_ms <= int(str(w["start_ms"])) < one.until_ms}
    return found


def in_order(n: int = 160) -> tuple[list[Prediction], list[Label]]:
    """A prediction every three seconds, of each model in turn; one in four corrected late."""
    p = [
        Prediction(
            id=f"i{i}", model="mn"[i % 2], version="1", at=START + i * 3_000, score=(i % 10) / 10, prediction=float(i % 10 > 4),
            segments=cast("dict[str, str | None]", {
                "hue": ("red", "green", "blue", None)[i % 4], "size": i % 7, "other": i % 3, "kind": "ab"[i % 3 > 1],
            }),
        )
        for i in range(n)
    ]  # fmt: skip
    q = [Label(id=f"i{i}", at=START + i * 3_000 + 40_000, label=float(i % 3 > 0)) for i in range(n)]
    return p, [*q, *(Label(id=f"i{i}", at=START + i * 3_000 + 80_000, label=1.0) for i in range(0, n, 4))]


def check(log: FragileWorld, texts: Sequence[str], now: str) -> Roster:
    """What was told is what there must be, and a replay proves the run."""
    found = rosters(log, "one")
    own = loads(now)
    roster = found[-1] if found else counted(log, own, plan_of(own)).roster
    assert told(log, "one") == expected(log, roster, texts)
    assert sentences(prove(log, own).differences) == []
    return roster


# -- what there is afterwards ----------------------------------------------------------------------------------------

CHANGES = [
    ({}, WATCHED | MAPPED),
    (MAPPED, WATCHED | MAPPED),
    (WATCHED | MAPPED, {}),
    ({}, CUT | MOVED),
    (WATCHED | MAPPED, WATCHED | MOVED),
    ({}, DISTANT),
    ({}, FORESEEN),
    (FORESEEN, {}),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_what_changes_holds_from_a_pane_on_and_equals_what_always_was_so(before: Said, after: Said) -> None:
    log = a_world(*in_order(), [before, after])
    pace(log, 6)
    texts = [text("one", before), text("one", after)]
    run(log, [], Files(texts[0]), [(9, texts[1])])
    roster = check(log, texts, texts[1])
    old, new = (one for one in roster.models if one.name == "m")
    assert new.from_ms == old.until_ms
    assert new.from_ms is not None
    assert new.from_ms % PANE_MS == 0
    assert START < new.from_ms < START + 300_000, "it is in the middle of what came"
    windows = told(log, "one").values()
    starts = [int(str(one["start_ms"])) for one in windows if one["model"] == "m" and one["window"] == "150s"]
    assert min(starts) < new.from_ms <= max(starts)
