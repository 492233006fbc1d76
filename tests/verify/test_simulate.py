"""A sample of the simulation, and that it would see something: seeds hold, a bug put in is caught, a seed is one run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.fragile import Fault
from tests.verify.canary import canary
from tests.verify.simulate import again, main, one, quietly, run, seed_that_fails
from tests.verify.simulation import Simulation

SAMPLE = 12


def test_a_sample_of_seeds_holds_and_much_happens_in_them() -> None:
    done, bad, happened = run(0, SAMPLE)
    assert done == SAMPLE
    assert [(each.seed, each.complaints) for each in bad] == []
    assert {"crash", "paused", "no answer"} <= happened.keys()
    assert happened.keys() & {fault.name.lower().replace("_", " ") for fault in Fault}, "no append went wrong"


def test_a_bug_put_in_on_purpose_is_caught() -> None:
    with canary(), quietly():
        assert seed_that_fails(range(1_000, 1_010)) is not None


@pytest.mark.parametrize("seed", [1009, 1142, 2202, 2215, 2224, 20531, 21733, 26324, 40034, 42102, 106414])
def test_seeds_that_found_something_once_hold(seed: int) -> None:
    """A label beyond the horizon and a restart, zombies on a trimmed ledger, an order within one batch, a
    checkpoint that others overtook over a trimmed ledger, a namespace that workers with other models began at once, a
    record far ahead that was counted while its model waited."""
    assert one(seed).complaints == []


def test_a_seed_is_the_same_run_in_another_process() -> None:
    first = one(3)
    command = [sys.executable, *again(3).split()[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONHASHSEED": "77"})
    assert done.returncode == 0, done.stderr
    assert f"digest {first.digest}" in done.stdout
    assert first.digest != one(4).digest


def test_a_seed_that_does_not_hold_prints_the_command_that_runs_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Simulation) -> None:
        raise RuntimeError("something nobody expected")

    monkeypatch.setattr(Simulation, "run", broken)
    assert main(41, 1) == 1
    said = capsys.readouterr().out
    assert "seed 41 does not hold; again: python -m tests.verify simulate --seed 41" in said
    assert "something nobody expected" in said
