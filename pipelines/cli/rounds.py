"""`driftline retrain plan | run`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from pipelines.beside import UNPAIRED
from pipelines.book import Book
from pipelines.cli.common import (
    SHORT,
    actor_option,
    note,
    output_option,
    policy_options,
    print_json,
    print_table,
    store_option,
    waits,
    when,
    wired,
    worded,
)
from pipelines.cli.policies import Files, load
from pipelines.cli.remarks import refuse, remark, unasked
from pipelines.cli.signals import ending
from pipelines.errors import ConfigError
from pipelines.exits import FAILED, REFUSED
from pipelines.local import Location, Places, Wired, owner
from pipelines.orchestrator import Orchestrator, Round
from pipelines.policy import Policy
from pipelines.states import State
from pipelines.trigger import Asked, Plan, Why
from pipelines.worker import Happening


@click.command("plan")
@policy_options
@store_option
@output_option
@click.pass_context
def plan(
    ctx: click.Context, file: Path, alerts: Path | None, embedded: Path | None, work: Path, store: Location, output: str
) -> None:
    """Say what would happen now, and why. Changes nothing.

    \b
    Examples:
      driftline retrain plan -c retrain.yaml --alerts alerts.jsonl --store ./store
      driftline retrain plan -c retrain.yaml --alerts alerts.jsonl --store ./store -o json | jq -r .why

    \b
    A policy file:
      models:
        flights:
          rows: joined.jsonl
          data: {label: delayed, features: [distance, hour, origin], gap: 2d}
          trigger: {cooldown: 24h, budget_runs: 3, budget_window: 7d, labels_min: 1000}
          gate: {segments: [origin]}
          promote: approve
    """
    ports, policies, files = _opened(ctx, file, alerts, embedded, work, store)
    remark(files.executors)
    orchestrator = Orchestrator(ports, policies, owner())
    plans = [orchestrator.plan(policy) for policy in policies]
    if output == "json":
        for each in plans:
            print_json(_plan(each))
        return
    columns = ("model", "would begin", "why", "mode", "run", "not before", "detail")
    print_table(columns, [_plan_row(each) for each in plans])


@click.command("run")
@policy_options
@store_option
@actor_option
@click.option(
    "--once",
    is_flag=True,
    help="One round, then end; 3 when a run was rejected or rolled back in it, 1 when one failed or could not be read.",
)
@click.option("--every", default=30.0, show_default=True, metavar="SECONDS", help="Between two rounds.")
@click.option(
    "--stop-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="While it is there no run begins or goes on, as after `driftline retrain stop --all`.",
)
@click.option("--model", metavar="NAME", help="Ask for a run of this model, whatever fires. Needs --reason.")
@click.option("--reason", callback=worded, help="Why you ask. Needs --model.")
@output_option
@click.pass_context
def run(
    ctx: click.Context, file: Path, alerts: Path | None, embedded: Path | None, work: Path, store: Location, actor: str,
    once: bool, every: float, stop_file: Path | None, model: str | None, reason: str | None, output: str,
) -> None:  # fmt: skip
    """Begin what should begin, and advance what is under way, until it is stopped.

    Any number of these may run at once, and each may be killed at any time: what happens is decided by the journal. SIGTERM and
    Ctrl-C stop the step at work and give its run back at once.

    \b
    Examples:
      driftline retrain run -c retrain.yaml --alerts alerts.jsonl --store ./store
      driftline retrain run -c retrain.yaml --alerts alerts.jsonl --store ./store --once -o json
      driftline retrain run -c retrain.yaml --store ./store --once --model flights --reason "new feature"
    """
    if model is None and reason is not None:
        raise click.UsageError("--reason says why you ask for a run: name its model with --model")
    if model is not None and reason is None:
        raise click.UsageError("--model asks for a run by hand: say why with --reason")
    ports, policies, files = _opened(ctx, file, alerts, embedded, work, store)
    refuse(file, files.executors)
    us = owner()
    # Who asked for a run by hand knows that nothing fires; said after it, that "nothing begins" would deny it.
    said: dict[str, str] = {} if model is None else {model: Why.NOTHING_FIRES}

    def tell(each: Plan | Happening) -> None:
        """As it happens: a training may take hours."""
        if isinstance(each, Happening):
            _say(each, output)
            return
        if said.get(each.model) != each.why or each.begins:  # the same reason is said once
            _say_plan(each, output)
        said[each.model] = each.why

    orchestrator = Orchestrator(ports, policies, us, halted=lambda: _stops(stop_file), told=tell)
    waiting = _Waiting(ports, us)
    with ending():
        if model is not None and reason is not None:
            ask = Asked(f"{actor}: {reason}: {ports.clock.now_ms()}", actor, reason)
            asked = orchestrator.admit(_of(policies, model), ask)
            _say_plan(asked, output)
            if not asked.begins:
                ctx.exit(FAILED if asked.why is Why.UNREADABLE else REFUSED)
        while True:
            done = orchestrator.round()
            for sentence in (*waiting.news(), *ports.announce()):
                note(sentence)
            if once:
                ctx.exit(_code(done))
            time.sleep(every)


def _stops(file: Path | None) -> str | None:
    return f"file {str(file)!r} is there; when it is removed it goes on" if file is not None and file.exists() else None


class _Waiting:
    """Runs that did not move because somebody else holds them, a step is tried again later, or a comparison gets no pairs; each
    is said once, and so is that pairs come again."""

    def __init__(self, ports: Wired, us: str) -> None:
        self._ports, self._us, self._book = ports, us, Book(ports.store)
        self._said: set[tuple[str, str | None, int, str | None]] = set()
        self._unpaired: set[str] = set()

    def news(self) -> Iterator[str]:
        for admission in self._book.active():
            view = self._book.journal(admission.run).view
            sentence = waits(view, self._ports.clock.now_ms(), self._us)
            holder = view.lease.owner if view.lease and view.lease.owner != self._us else None
            lacks = view.facts.get(UNPAIRED)
            key = (admission.run, holder, view.tries, lacks)
            name = f"run {admission.run[:SHORT]} of {admission.model}"
            if sentence is not None and key not in self._said:
                self._said.add(key)
                yield f"{name} is {sentence}"
            if lacks is not None:
                self._unpaired.add(admission.run)
            elif admission.run in self._unpaired:
                self._unpaired.discard(admission.run)
                yield f"{name} has pairs to compare again"


def _opened(
    ctx: click.Context, file: Path, alerts: Path | None, embedded: Path | None, work: Path, store: Location
) -> tuple[Wired, list[Policy], Files]:
    policies, files = load(file)
    unasked(policies)
    places = Places(store, alerts, files.rows, Path.cwd(), work, embedded, files.anchors, files.executors)
    return wired(ctx, places), policies, files


def _of(policies: list[Policy], model: str) -> Policy:
    for policy in policies:
        if policy.model == model:
            return policy
    raise ConfigError(f"model {model!r}", "has no policy", f"There are: {', '.join(p.model for p in policies)}.")


def _code(done: Round) -> int:
    ends = {moved.after for moved in done.happened}
    if ends & {State.FAILED, State.TIMED_OUT} or any(each.why is Why.UNREADABLE for each in done.plans):
        return FAILED
    return REFUSED if ends & {State.REJECTED, State.ROLLED_BACK} else 0


def _say(moved: Happening, output: str) -> None:
    if output == "json":
        print_json(msgspec.to_builtins(moved))
    else:
        detail = f": {moved.detail}" if moved.detail else ""
        click.echo(f"{moved.model} {moved.run[:SHORT]} {moved.before} -> {moved.after} ({moved.reason}){detail}")


def _say_plan(each: Plan, output: str) -> None:
    begins = f"begins run {each.run[:SHORT]}" if each.begins and each.run else "begins nothing"
    if output == "json":
        print_json(_plan(each))
    else:
        note(f"{each.model} {begins} ({each.why}): {each.detail}")


def _plan(each: Plan) -> dict[str, Any]:
    return {"begins": each.begins, **msgspec.to_builtins(each)}


def _plan_row(each: Plan) -> tuple[str, ...]:
    begins = "yes" if each.begins else "no"
    run = each.run[:SHORT] if each.run else "-"
    return each.model, begins, each.why, each.mode or "-", run, when(each.not_before_ms), each.detail


COMMANDS = (plan, run)
