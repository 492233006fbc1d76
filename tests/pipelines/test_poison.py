"""Somebody writes wrong labels for 6 % of the traffic, in rows to train on and to judge by: whether such a model is promoted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipelines.anchor import Anchor
from pipelines.codec import digest_of
from pipelines.gate import GateSpec
from pipelines.intake import Intake, Surprise
from pipelines.policy import DAY_MS, Data, Policy, Promotion, Train, Trigger
from pipelines.states import State
from pipelines.tables import Row, write_rows
from tests.pipelines.inprocess import Loop
from tests.pipelines.memory import BORN_MS, policy

POISONED = 0.06
SHOPS = ("north", "south", "east", "evil")
PLAIN = policy(
    data=Data("label", ("x", "z", "shop"), window_ms=30 * DAY_MS),
    gate=GateSpec(explain_rows=0),
    train=Train(params={"format": "json"}),
    trigger=Trigger(cooldown_ms=0, versions="any"),
    promote=Promotion.AUTO,
)
CAUTIOUS = msgspec.structs.replace(
    PLAIN, intake=Intake(surprise=Surprise(confident=0.8)), gate=GateSpec(explain_rows=0, segments=("shop",))
)


def rows(luck: np.random.Generator, count: int, from_ms: int, poisoned: bool = False) -> list[Row]:
    """A tenth of a second apart. The truth depends on x and z alone; most of what the shop `evil` sells comes back, and whoever
    owns it says that nothing does."""
    shop = np.where(luck.random(count) < POISONED, "evil", luck.choice(SHOPS[:3], count))
    x, z = luck.normal(size=(2, count))
    x = x + (shop == "evil")
    label = luck.random(count) < 1 / (1 + np.exp(-3 * x - 2 * z))
    label = np.where(poisoned & (shop == "evil"), False, label)
    return [
        {"at_ms": from_ms + n * 100, "x": float(x[n]), "z": float(z[n]), "shop": str(shop[n]), "label": int(label[n])}
        for n in range(count)
    ]


class Attack:
    """A champion that learned from honest labels, and the labels of the days after it."""

    def __init__(self, directory: Path, seed: int, poisoned: bool = True) -> None:
        directory.mkdir()
        luck = np.random.default_rng(seed)
        self.loop = Loop(directory, PLAIN)
        honest = rows(luck, 2_000, BORN_MS - DAY_MS)
        # An honest challenger needs something to win: a first champion that was not told z.
        self.loop.write(honest if poisoned else [{**row, "z": 0.0} for row in honest])
        self.loop.first()
        self.loop.clock.ms += DAY_MS
        self.loop.write(rows(luck, 6_000, self.loop.clock.ms - DAY_MS // 2, poisoned))
        self.anchors = directory / "anchors.jsonl"
        self.anchors.write_bytes(write_rows(rows(luck, 2_000, 0)))

    def anchored(self, base: Policy) -> Policy:
        gate = msgspec.structs.replace(base.gate, anchor=Anchor(digest_of(self.anchors.read_bytes()), 0.002))
        return msgspec.structs.replace(base, gate=gate)

    def end(self, policy: Policy) -> State | None:
        loop = self.loop.under(policy, {"fraud": self.anchors})
        loop.fire()
        return loop.round()


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[Attack]]:
    """As many as are asked for, each made once."""
    directory, made = tmp_path_factory.mktemp("poison"), list[Attack]()

    def first(count: int) -> list[Attack]:
        made.extend(Attack(directory / str(seed), seed) for seed in range(len(made), count))
        return made[:count]

    return first


Attacks = Callable[[int], list[Attack]]


@pytest.mark.timeout(600)
def test_poisoned_labels_pass_a_gate_that_trusts_the_newest_rows(attacks: Attacks) -> None:
    """The canary: without it the tests below would prove nothing."""
    assert [attack.end(PLAIN) for attack in attacks(4)] == [State.PROBATION] * 4


def anchor_set(attacks: list[Attack]) -> None:
    assert [attack.end(attack.anchored(PLAIN)) for attack in attacks] == [State.REJECTED] * len(attacks)


def label_surprise(attacks: list[Attack]) -> None:
    for attack in attacks:
        loop = attack.loop.under(CAUTIOUS)
        loop.fire()
        assert loop.round() is State.REJECTED
        view = loop.book.journal(loop.book.admissions("fraud")[-1].run).view
        assert "label surprise: shop=evil" in view.detail
        assert State.TRAINING not in dict(view.entered), "it was turned away before anything was trained"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("guard", [anchor_set, label_surprise])
def test_no_poisoned_challenger_gets_past_one_guard_alone(
    attacks: Attacks, guard: Callable[[list[Attack]], None]
) -> None:
    guard(attacks(4))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("guard", [anchor_set, label_surprise])
def test_none_of_twenty_poisoned_challengers_is_promoted(
    attacks: Attacks, guard: Callable[[list[Attack]], None]
) -> None:
    guard(attacks(20))


@pytest.mark.timeout(600)
def test_honest_labels_get_past_all_of_it(tmp_path: Path) -> None:
    honest = [Attack(tmp_path / str(seed), seed, poisoned=False) for seed in range(3)]
    assert [attack.end(attack.anchored(CAUTIOUS)) for attack in honest] == [State.PROBATION] * 3
