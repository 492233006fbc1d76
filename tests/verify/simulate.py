"""Runs seeds of the simulation, one after the other, and says which do not hold."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from tests.verify import report
from tests.verify.canary import canary
from tests.verify.oracle import complaints
from tests.verify.progress import shown
from tests.verify.simulation import Simulation

CANARY_SEEDS_MAX = 60
"""Within so many seeds the canary must have been caught; five are the rule."""


@dataclass(slots=True)
class Outcome:
    """One seed: what does not hold, what happened, and a digest of every byte that was left."""

    seed: int
    complaints: list[str]
    happened: Counter[str] = field(default_factory=Counter)
    digest: str = ""


def one(seed: int) -> Outcome:
    """Run a seed and ask the oracle. An exception that nobody expected is a complaint too."""
    simulation = Simulation(seed)
    try:
        simulation.run()
        found = complaints(simulation)
    except Exception as error:  # noqa: BLE001  whatever it is, the seed is to be told
        where = traceback.format_exception(error, limit=-14)
        return Outcome(seed, ["".join(where).rstrip()], simulation.happened)
    return Outcome(seed, found, simulation.happened, simulation.digest())


def again(seed: int) -> str:
    """The command that runs one seed again."""
    return f"python -m tests.verify simulate --seed {seed}"


def tell(outcome: Outcome) -> None:
    """A seed that does not hold, and how to see it again."""
    print(f"seed {outcome.seed} does not hold; again: {again(outcome.seed)}")
    for sentence in outcome.complaints[:10]:
        print(f"  {sentence}")


def run(
    first: int, seeds: int, minutes: float | None = None, processes: int = 1
) -> tuple[int, list[Outcome], Counter[str]]:
    """Seeds in their order, until the time is over: how many, those that do not hold, and what happened in all of them
    together. What a seed does depends on nothing but the seed, so several processes may share them."""
    bad, happened, done, began = list[Outcome](), Counter[str](), 0, time.monotonic()
    with outcomes(range(first, first + seeds), processes) as found:
        for outcome in shown(found, seeds, "seeds"):
            done += 1
            happened += outcome.happened
            if outcome.complaints:
                tell(outcome)
                bad.append(outcome)
            if minutes is not None and time.monotonic() - began > minutes * 60:
                break
    return done, bad, happened


@contextmanager
def outcomes(seeds: Iterable[int], processes: int) -> Iterator[Iterable[Outcome]]:
    """Of each seed, as they are asked for."""
    if processes == 1:
        with quietly():
            yield map(one, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes, _quiet_for_good) as pool:
        yield pool.imap(one, seeds, chunksize=8)


_FOR_GOOD = ExitStack()


def _quiet_for_good() -> None:
    """For the life of a process of the pool."""
    _FOR_GOOD.enter_context(quietly())


@contextmanager
def quietly() -> Iterator[None]:
    """Without what workers log, and without the garbage that each of them collects: that is a third of the time."""
    logging.disable(logging.CRITICAL)
    gc.freeze()
    try:
        with patch("gc.collect"):
            yield
    finally:
        gc.unfreeze()
        logging.disable(logging.NOTSET)


def seed_that_fails(seeds: Iterable[int]) -> Outcome | None:
    """The first of these seeds that does not hold."""
    return next((outcome for outcome in map(one, seeds) if outcome.complaints), None)


def main(first: int, seeds: int, minutes: float | None = None) -> int:
    """Run, tell, and keep the figures when it was more than a seed."""
    began = time.monotonic()
    if seeds == 1:
        outcome = one(first)
        if outcome.complaints:
            tell(outcome)
        print(f"seed {first}: {dict(outcome.happened)}, digest {outcome.digest or 'none'}")
        return 1 if outcome.complaints else 0
    asked, processes = seeds, len(os.sched_getaffinity(0))
    seeds, bad, happened = run(first, seeds, minutes, processes)
    with canary(), quietly():
        seen = seed_that_fails(range(first, first + CANARY_SEEDS_MAX))
    figures = {
        "seeds": f"{seeds:,}, {first} to {first + seeds - 1}",
        "do not hold": len(bad),
        "faults": happened.total(),
        "of these": dict(happened.most_common()),
        "a bug put in on purpose": "not caught" if seen is None else f"caught by seed {seen.seed}",
    }
    if bad:
        figures["first that does not hold"] = again(bad[0].seed)
    command = f"python -m tests.verify simulate --seed {first} --seeds {asked}"
    report.keep("simulate", command, time.monotonic() - began, figures)
    print("; ".join(f"{name}: {value}" for name, value in figures.items()))
    return 1 if bad or seen is None else 0
