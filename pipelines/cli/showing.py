"""`driftline retrain list | show`."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from msgspec import UNSET

from pipelines.book import Book
from pipelines.cli.common import SHORT, opened, output_option, print_json, print_table, store_option, waits, when
from pipelines.hook_spec import MINUTE_MS
from pipelines.journal import Claimed, Moved, Record, Renewed, RunView
from pipelines.local import Location
from pipelines.looks import latest, told
from pipelines.runs import Admission
from pipelines.states import State
from pipelines.steps import SEEN


@click.command("list")
@click.argument("model", required=False)
@click.option("--active", is_flag=True, help="Only runs that go on.")
@store_option
@output_option
@click.pass_context
def list_(ctx: click.Context, model: str | None, active: bool, store: Location, output: str) -> None:
    """List runs, newest first, with where each stands and why.

    \b
    Examples:
      driftline retrain list --store ./store
      driftline retrain list flights --active --store ./store -o json
    """
    ports = opened(ctx, store)
    book, now_ms = Book(ports.store), ports.clock.now_ms()
    found = [s for name in ([model] if model else book.models()) for s in book.summaries(name)]
    found = sorted((s for s in found if s.active or not active), key=lambda s: -s.admission.at_ms)
    described = [_described(book, s.admission, now_ms) for s in found]
    if output == "json":
        for each in described:
            print_json(each)
        return
    keys = ("run", "model", "mode", "state", "reason", "version", "requested", "detail")
    rows = [tuple(str(each[key] if each[key] is not None else "-") for key in keys) for each in described]
    print_table(
        keys,
        [
            (row[0][:SHORT], *row[1:6], when(each["requested_ms"]), _standing(each, row[7]))
            for row, each in zip(rows, described, strict=True)
        ],
    )


@click.command("show")
@click.argument("run")
@click.option("--page", is_flag=True, help="Print the gate's report as Markdown.")
@click.option("--gate", is_flag=True, help="Print the gate's report as JSON.")
@store_option
@output_option
@click.pass_context
def show(ctx: click.Context, run: str, page: bool, gate: bool, store: Location, output: str) -> None:
    """Show a run: what it was begun for, every step, and what the gate said. The first digits of its id are enough.

    \b
    Examples:
      driftline retrain show 3f2a --store ./store
      driftline retrain show 3f2a --page --store ./store > report.md
      driftline retrain show 3f2a --store ./store -o json | jq .journal
    """
    ports = opened(ctx, store)
    book = Book(ports.store)
    admission = book.find(run)
    if page or gate:
        facts = book.journal(admission.run).view.facts
        if "gate" not in facts:
            raise click.ClickException(f"run {admission.run} has not come to its gate")
        click.echo(b"".join(ports.store.blob(facts["gate"]["page" if page else "report"])).decode().rstrip("\n"))
        return
    described, history = _described(book, admission, ports.clock.now_ms()), book.history(admission.run)
    if output == "json":
        journal = [msgspec.to_builtins(record) for record, _ in history]
        print_json({**described, "admission": msgspec.to_builtins(admission), "journal": journal})
        return
    click.echo(f"run {admission.run} of {admission.model} ({admission.mode}): {described['state']}")
    click.echo(
        f"for {admission.why}; requested {when(admission.at_ms)} by {admission.requested_by}; alpha {admission.alpha:.4g}"
    )
    if described["waits"]:
        click.echo(f"it is {described['waits']}")
    if described["watched"]:
        click.echo(f"it is {described['watched']}")
        click.echo(described["last_look"] or "no look was kept yet")
    rows = [_step(record) for record, _ in history if not isinstance(record, Claimed | Renewed)]
    print_table(("at", "by", "what", "why", "detail"), rows)


def _standing(each: dict[str, Any], detail: str) -> str:
    """What a run waits for, or how far a watched one has come, or why it stands where it stands."""
    return each["waits"] or each["last_look"] or detail


def _step(record: Record) -> tuple[str, str, str, str, str]:
    if isinstance(record, Moved):
        return when(record.at_ms), record.actor, record.to, record.reason, record.detail
    said = getattr(record, "reason", None) or getattr(record, "why", None) or ", ".join(getattr(record, "facts", {}))
    return when(record.at_ms), record.actor, type(record).__name__.lower(), "-", said


def _described(book: Book, admission: Admission, now_ms: int) -> dict[str, Any]:
    view = book.journal(admission.run).view
    watched = _watched(admission, view)
    look = None if watched is None else latest(book.store, admission.run)
    if look is not None and look.state != view.state:
        look = None  # of the shadow, and it is on probation by now
    return {
        "run": admission.run, "model": admission.model, "mode": admission.mode, "state": view.state,
        "reason": view.reason, "version": view.facts.get("version"), "champion": view.facts.get("champion"),
        "seen_ms": view.facts.get(SEEN), "requested": when(admission.at_ms), "requested_ms": admission.at_ms,
        "since_ms": view.since_ms,
        "causes": [cause.name for cause in admission.causes], "detail": view.detail,
        "lease": None if view.lease is None else msgspec.to_builtins(view.lease), "waits": waits(view, now_ms),
        "watched": watched, "look": None if look is None else msgspec.to_builtins(look),
        "last_look": None if look is None else told(look),
    }  # fmt: skip


def _watched(admission: Admission, view: RunView) -> str | None:
    """Until when a shadow or a probation is looked at, and how often; None of a run that is in neither."""
    policy = admission.policy
    watch = policy.probation if view.state is State.PROBATION else policy.shadow
    if view.state not in (State.PROBATION, State.SHADOWING) or watch is UNSET:
        return None
    every = f"{watch.every_ms / MINUTE_MS:g} min" if watch.every_ms >= MINUTE_MS else f"{watch.every_ms / 1000:g} s"
    seen = ""
    if view.state is State.PROBATION:
        named = view.facts.get(SEEN)
        seen = (
            f"; predictions name it since {when(named)}" if named else "; no look has found a prediction that names it"
        )
    return (
        f"looked at every {every} by `driftline retrain run`, which says nothing until it ends: from "
        f"{when(view.since_ms + watch.least_ms)} on with {watch.rows_min:,} labelled rows, at "
        f"{when(view.since_ms + watch.most_ms)} in any case{seen}"
    )


COMMANDS = (list_, show)
