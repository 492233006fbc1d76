"""What may change under a namespace, what may not, and what a refusal advises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.begun import begun
from monitor.daemon.counted import as_begun
from monitor.daemon.tail import read_range
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.errors import LedgerError, OffsetLost
from monitor.plan import Plan, plan_of
from tests.oracle.join import Label, Prediction
from tests.simulation.world import CONFIG, World, counts, finals, topics

START = 1_700_000_000_000
TEXT = CONFIG.format(namespace="one", rows=1_000, lateness=60)


def configured(*changes: tuple[str, str]) -> Config:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return loads(text)


SETTING = configured()


def history() -> World:
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + 1_000 * i, score=0.9, prediction=1.0)
        for i in range(99)
    ]
    return topics([predictions], [[Label(id=f"p{i}", at=START + 1_000 * i, label=1.0) for i in range(99)]])


def go_on(log: World, config: Config, plan: Plan, *, until_end: bool) -> None:
    worker = Worker(log, config, plan, log.clock, dead_letters, WorkerOptions(until_end=until_end))
    if until_end:
        worker.run()
        return
    worker.start()
    for _ in range(20):
        log.clock.advance(1_000)
        worker.turn()
    worker.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("horizon: 100s", "horizon: 120s"), "time.horizon (1m40s -> 2m)"),
        (("skew: 10s", "skew: 5s"), "time.skew (10s -> 5s)"),
        (("windows: [50s]", "windows: [50s, 70s]"), "windows.70s (added (70s))"),
    ],
)
def test_a_refusal_names_what_changed_and_what_to_do(change: tuple[str, str], named: str) -> None:
    log, other = history(), configured(change)
    go_on(log, SETTING, plan_of(SETTING), until_end=False)
    with pytest.raises(LedgerError) as refused:
        go_on(log, other, plan_of(other), until_end=True)
    assert f"What a row means was changed by: {named}" in str(refused.value)
    assert "Take that back, or choose another `namespace`" in str(refused.value)


def test_idle_after_may_change_at_a_restart() -> None:
    log, other = history(), configured(("idle_after: 30d", "idle_after: 1m"))
    go_on(log, SETTING, as_begun(log, SETTING, plan_of(SETTING)), until_end=False)
    go_on(log, other, as_begun(log, other, plan_of(other)), until_end=True)
    assert finals(log, "one")


def test_a_namespace_of_an_earlier_version_goes_on_under_its_digest() -> None:
    log, new = history(), plan_of(SETTING)
    old = replace(new, config_digest=SETTING.digest_with_idle_after)
    assert old != new
    go_on(log, SETTING, old, until_end=False)
    assert as_begun(log, SETTING, new) == old
    go_on(log, SETTING, new, until_end=True)  # whoever starts sees by itself
    assert finals(log, "one")
    assert all(SETTING.digest_with_idle_after.encode() in value for value in finals(log, "one").values())


@pytest.mark.parametrize(("skew", "labelled"), [("", 1), ("skew: 0s, ", 0)])
def test_by_default_a_label_a_second_before_its_prediction_counts(skew: str, labelled: int) -> None:
    setting = configured(("skew: 10s, ", skew))
    prediction = Prediction(id="p", model="m", version="1", at=START + 999, score=0.9, prediction=1.0)
    log = topics([[prediction]], [[Label(id="p", at=START, label=1.0)]])  # of the same second, cut to whole ones
    go_on(log, setting, plan_of(setting), until_end=True)
    assert {of["labelled"] for of in counts(log, "one").values()} == {labelled}


def test_a_ledger_that_is_trimmed_while_its_beginning_is_looked_for_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As seed 7741 of the simulation: another worker trims between the question where it begins and the first read."""
    log = history()
    go_on(log, SETTING, plan_of(SETTING), until_end=True)
    reads = []

    def read_once_more(*where: object) -> object:
        reads.append(where)
        if len(reads) == 1:
            raise OffsetLost("one.ledger", 0, 0, 3, 6)
        return read_range(*where)  # type: ignore[arg-type]

    monkeypatch.setattr("monitor.daemon.begun.read_range", read_once_more)
    found = begun(log, SETTING.topics())
    assert found is not None
    assert (found.partition, len(reads)) == (0, 2)
