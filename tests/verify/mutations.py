"""Takes the rules away one at a time, by patching, and asks what notices: a rule that nobody misses is not tested.

Not in the table, because something else stands behind them everywhere: that nothing counts after the recorded end (sequence and
chain refuse it too), and that dead letters are acknowledged before their commit (the log in memory flushes at every append).

A mutation changes a line of one function for as long as a context lasts; the line has to be there, so a mutation that has
become stale fails by itself. Three catchers are asked in the order that the mutation names: the model of two writers, seeds of
the simulation, and named tests in a process of their own.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from monitor import editions
from monitor.admission import Admission
from monitor.alerts import rules
from monitor.cli.scan import Found
from monitor.daemon.checkpoints import Checkpoints
from monitor.daemon.editions_in_force import EditionInForce
from monitor.daemon.models_in_force import ModelsInForce
from monitor.frontier import Frontier
from monitor.ingest import clocks
from monitor.join import order, restamped
from monitor.join.join import Join
from monitor.join.restamped import Restamped
from monitor.join.settle import Settler
from monitor.join.timeline import LabelFact
from monitor.ledger import fold as rule
from monitor.ledger.floors import Floors
from monitor.windows.engine import TickEngine
from tests.checker import windows
from tests.verify import model, report
from tests.verify.progress import shown
from tests.verify.simulate import quietly, seed_that_fails

SEEDS_MAX = 40
VARIABLE = "DRIFTLINE_TESTS_MUTATION"
"""The mutation that a process of its own runs its tests under; see `tests.verify.mutated`."""


def code_of(function: Any) -> FunctionType:
    """The function behind a method or a property."""
    found: object = function.fget if isinstance(function, property) else function
    assert isinstance(found, FunctionType)
    return found


@dataclass(frozen=True, slots=True)
class Mutation:
    """A rule, and the change that takes it away. `by`: `model`, `simulation`, or a test to be run."""

    rule: str
    function: Any
    old: str
    new: str
    by: tuple[str, ...] = ("simulation",)
    seeds: tuple[int, ...] = ()
    """Seeds of the simulation that noticed it before: asked first."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The rule is gone."""
        function = code_of(self.function)
        kept = function.__code__
        function.__code__ = self._changed(function)
        try:
            yield
        finally:
            function.__code__ = kept

    def _changed(self, function: FunctionType) -> CodeType:
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.old) == 1, f"{self.rule}: {self.old!r} is no longer in {function.__qualname__}"
        space = dict(function.__globals__)
        text = source.replace(self.old, self.new).removeprefix("@property\n")
        exec(compile("from __future__ import annotations\n" + text, function.__code__.co_filename, "exec"), space)
        return code_of(space[function.__name__]).__code__


MODEL, BOTH = ("model",), ("model", "simulation")
REBUILDS = ("tests/join/test_rebuilds.py",)
MODELS = ("tests/simulation/test_models_elsewhere.py",)
EDITIONS = ("tests/simulation/test_editions.py",)
MUTATIONS = [
    Mutation(
        "only the owner of the current epoch commits",
        rule._owns,
        "    if epoch < state.epoch:\n        return Verdict.OLD_EPOCH\n"
        "    if epoch != state.epoch or owner != state.owner:\n        return Verdict.NOT_OWNER\n",
        "",
        BOTH,
    ),
    Mutation("a fence counts with a higher epoch", rule.fold, "if record.epoch <= state.epoch:", "if False:", BOTH),
    Mutation("the first genesis counts", rule.fold, "if state.genesis is not None:", "if False:", BOTH),
    Mutation("the next sequence counts", rule._owns, "if sequence != state.sequence + 1:", "if False:", BOTH),
    Mutation(
        "ranges begin where the last ended",
        rule._continues,
        "if record.predictions[0] != state.next_prediction or record.labels[0] != state.next_label:",
        "if False:",
        BOTH,
    ),
    Mutation(
        "a commit continues the chain",
        rule._owns,
        "Verdict.ACCEPTED if previous == state.chain else Verdict.BROKEN_CHAIN",
        "Verdict.ACCEPTED",
        BOTH,
    ),
    Mutation(
        "the label with the larger value wins at one time",
        LabelFact.rank,
        "(self.at_ms, not null, 0.0 if null else self.value)",
        "(self.at_ms, True, 0.0)",
    ),
    Mutation(
        "the prediction with the smaller content wins at one time",
        Join._repeated,
        "((at == theirs) & equal)",
        "(at == theirs)",
        ("tests/join/test_batches.py",),
    ),
    Mutation("the earliest prediction of a key wins", Join._repeated, "((at > theirs) |", "((at != theirs) |"),
    Mutation(
        "a prediction is late by the clock of its own log",
        Join.add_predictions,
        "late = batch.at_ms < batch.before_ms - self.params.lateness_ms",
        "late = batch.at_ms < batch.at_ms",
    ),
    Mutation(
        "a label is late by the clock of its own log",
        Join.add_labels,
        "late = batch.at_ms < batch.before_ms - params.lateness_ms",
        "late = batch.at_ms < batch.at_ms",
    ),
    Mutation(
        "clocks move record by record, not by batches",
        clocks.advance,
        "return ClockState(maximum, tuple(sorted((a, i) for i, a in ahead.items()))), before",
        "return ClockState(maximum, tuple(sorted((a, i) for i, a in ahead.items()))), np.full(len(at_ms), maximum)",
    ),
    Mutation(
        "a lone record far ahead moves no clock",
        clocks.advance,
        "if maximum != NEVER and at <= maximum + max_jump_ms:",
        "if maximum != NEVER:",
    ),
    Mutation(
        "the identity of a prediction is kept by its own clock",
        Settler._predictions,
        "done &= at + bounds.horizon_ms + bounds.skew_ms < self._prediction_ms",
        "pass",
        ("simulation", *REBUILDS),
    ),
    Mutation(
        "the identity of a label is kept by the other clock",
        Settler._labels,
        "done &= at + 2 * bounds.skew_ms + bounds.horizon_ms < self._prediction_ms",
        "pass",
    ),
    Mutation("a key is forgotten by its own clock", Join._link, "& (table.at_ms(cursor) >= oldest[on])", ""),
    Mutation(
        "a rebuild knows the keys that came again before its floor",
        Restamped.known,
        "if span.followed and span.offset < offset:",
        "if False:",
        REBUILDS,
    ),
    Mutation(
        "a withdrawal whose prediction is not read yet is remembered as one",
        restamped.batch_of,
        "k.stand.unseen for k in known",
        "False for k in known",
        REBUILDS,
    ),
    Mutation(
        "a repetition holds the floor while it would be held",
        Floors._released,
        "max(mark.newest_ms, mark.until_ms)",
        "mark.newest_ms",
        REBUILDS,
    ),
    Mutation(
        "a window that lost records is not judged",
        rules.mature,
        "and not view.partial",
        "",
        ("tests/alerts/test_life.py",),
    ),
    Mutation(
        "records of one key in one batch are taken in order",
        order.one_by_one,
        "if not (size > 1).any():",
        "if True:",
        ("tests/join/test_batches.py", "simulation"),
    ),
    Mutation(
        "how many labels wait is a function of what is held",
        Settler.labels,
        "rows[status == t.MET]",
        "rows[status < 0]",
    ),
    Mutation(
        "a prediction is counted in the tick in which it is known",
        Join._insert_rows,
        "ticks = np.maximum(at, before - params.disorder_ms)",
        "ticks = at.copy()",
    ),
    Mutation(
        "a label is counted in the tick in which it is known",
        Join.add_labels,
        "known = np.maximum(at, batch.before_ms - params.disorder_ms)",
        "known = at.copy()",
        seeds=(56,),
    ),
    Mutation(
        "a tick waits for the slowest partition",
        Frontier.open_tick,
        "by_clocks = min((",
        "by_clocks = max((",
        seeds=(5,),
    ),
    Mutation(
        "a label beyond the horizon is not valid",
        Join._pair,
        "(delay >= -bounds.skew_ms) & (delay <= bounds.horizon_ms)",
        "delay >= -bounds.skew_ms",
    ),
    Mutation(
        "windows of a model begin when every owner counts it",
        ModelsInForce._may_begin_ms,
        "not roster.waits or any(one.number < roster.number for one in evaluator.adopted):",
        "not roster.waits:",
        MODELS,
    ),
    Mutation(
        "windows of a model begin after what was rejected for it",
        ModelsInForce._may_begin_ms,
        "(newest_ms // pane_ms + 1) * pane_ms if newest_ms > NEVER else 0",
        "0",
        MODELS,
    ),
    Mutation(
        "a model that comes back in another sense begins after what was counted of it",
        ModelsInForce._may_begin_ms,
        "return max(from_ms, evaluator.next_pane_ms) if changes else from_ms",
        "return from_ms",
        MODELS,
    ),
    Mutation(
        "an evaluator counts only what it has read the models of",
        ModelsInForce.can_count,
        "if theirs > ours.number and not",
        "if theirs < 0 and not",
        MODELS,
    ),
    Mutation(
        "checkpoints are read to where their topic ends by then",
        Checkpoints._read,
        "position < end or position < (end := self._log.end_offsets(self._topic)[self._partition])",
        "position < (end := end if end >= 0 else self._log.end_offsets(self._topic)[self._partition])",
        ("tests/simulation/test_overtaken.py",),
    ),
    Mutation(
        "a rebuild counts by the rosters of then", Admission.follow, "else commit.rosters", "else ()", seeds=(92,)
    ),
    Mutation(
        "what is said of a window is as of its tick",
        TickEngine.cells,
        "if self._now is not None:",
        "if False:",
        ("tests/windows/test_in_hand.py",),
    ),
    Mutation(
        "the highest epoch wins for readers (the checker's)",
        windows.current,
        'order = (*(int(raw.headers.get(name, b"0")) for name in ORDER_HEADERS), raw.offset)',
        "order = (raw.offset,)",
        ("tests/checker/test_windows.py",),
    ),
    Mutation(
        "the highest epoch wins for readers (the commands')",
        Found.rank,
        "(_number(self.headers, _EPOCH), _number(self.headers, _SEQUENCE), self.offset)",
        "(0, 0, self.offset)",
        ("tests/cli/test_windows_command.py",),
    ),
    Mutation(
        "an edition waits until every owner counts by it",
        EditionInForce.look,
        "all(_counts_by(state, self._announced) for state in states)",
        "True",
        EDITIONS,
    ),
    Mutation(
        "an edition is announced when every owner knows it",
        EditionInForce._announce,
        "min([editions.known, *(known_to(state.owner) for state in states)])",
        "editions.known",
        EDITIONS,
    ),
    Mutation(
        "windows of an edition begin after all that was read",
        EditionInForce.look,
        "self._evaluator.next_pane_ms",
        "self._evaluator.next_pane_ms - 100_000",
        EDITIONS,
    ),
    Mutation(
        "an edition that is not known is refused before anybody is fenced off",
        editions.refuse_newer,
        "number > known",
        "False",
        EDITIONS,
    ),
    Mutation(
        "cells of an edition that does not hold are left out",
        TickEngine.add,
        "own.below(waits.width) if later else own",
        "own",
        EDITIONS,
    ),
]


def caught_by(mutation: Mutation, seeds_max: int = SEEDS_MAX) -> str | None:
    """What notices that the rule is gone; None when nothing does."""
    for catcher in mutation.by:
        found = _ASK.get(catcher, _test)(mutation, catcher, seeds_max)
        if found is not None:
            return found
    return None


def _model(mutation: Mutation, _: str, __: int) -> str | None:
    with mutation.applied():
        found = model.violation()
    return None if found is None else f"the model: {found}"


def _simulation(mutation: Mutation, _: str, seeds_max: int) -> str | None:
    with mutation.applied(), quietly():
        outcome = seed_that_fails([*mutation.seeds, *range(seeds_max)])
    if outcome is None:
        return None
    said = outcome.complaints[0].strip().splitlines()[-1]
    return f"the simulation, seed {outcome.seed}: {said[:160]}"


def _test(mutation: Mutation, test: str, _: int) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "tests.verify.mutated", test]
    done = subprocess.run(
        command,
        cwd=report.ROOT,
        env={**os.environ, VARIABLE: mutation.rule},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return failed[0].removeprefix("FAILED ").strip() if done.returncode == 1 and failed else None


_ASK: dict[str, Callable[[Mutation, str, int], str | None]] = {"model": _model, "simulation": _simulation}


def named(rule_: str) -> Mutation:
    """The mutation of a rule."""
    return next(each for each in MUTATIONS if each.rule == rule_)


def main(chosen: Sequence[Mutation] = tuple(MUTATIONS)) -> int:
    """Every rule: what caught its absence."""
    began, rows = time.monotonic(), list[tuple[str, str]]()
    for mutation in shown(chosen, len(chosen), "rules"):
        rows.append((mutation.rule, caught_by(mutation) or "nothing"))
        print(f"{rows[-1][0]}: {rows[-1][1]}", flush=True)
    missed = [rule_ for rule_, catcher in rows if catcher == "nothing"]
    figures = {"rules taken away": len(rows), "noticed": len(rows) - len(missed)}
    table = [("rule that was taken away", "what noticed"), *((a, b.replace("|", "\\|")) for a, b in rows)]
    report.keep("mutations", "python -m tests.verify mutations", time.monotonic() - began, figures, table)
    return 1 if missed else 0
