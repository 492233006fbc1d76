"""`driftline retrain approve | cancel | stop | start | reset`."""

from __future__ import annotations

import click

from pipelines.book import Book
from pipelines.cli.common import SHORT, actor_option, note, opened, reason_option, store_option
from pipelines.local import Location, Wired
from pipelines.suggest import hint, listing
from pipelines.switch import Switch, Turn


@click.command("approve")
@click.argument("run")
@click.option("--decline", is_flag=True, help="Say no instead.")
@reason_option
@actor_option
@store_option
@click.pass_context
def approve(ctx: click.Context, run: str, decline: bool, reason: str, actor: str, store: Location) -> None:
    """Agree that what a run made is promoted, or with --decline that it is not.

    The next round of `driftline retrain run` acts on it. Who asked for a run cannot approve it. An approval is void when the
    champion is another one by then.

    \b
    Examples:
      driftline retrain approve 3f2a --reason "better in every segment" --store ./store
      driftline retrain approve 3f2a --decline --reason "holiday week" --actor eve --store ./store
    """
    ports = opened(ctx, store)
    book = Book(ports.store)
    admission = book.find(run)
    view = book.approve(admission, actor, reason, ports.clock.now_ms(), decline=decline)
    said = "declined" if decline else f"approved, {len(view.approvals)} of {max(1, admission.policy.approvals)}"
    if view.declined is not None and not decline:
        said = f"approved, which changes nothing: {view.declined.actor} has declined it, and the run ends with that"
    note(f"run {admission.run[:SHORT]}, version {view.facts['version']} of {admission.model}: {said}")


@click.command("cancel")
@click.argument("run")
@reason_option
@actor_option
@store_option
@click.pass_context
def cancel(ctx: click.Context, run: str, reason: str, actor: str, store: Location) -> None:
    """Ask for the end of a run. A step at work is stopped within seconds; what was promoted cannot be cancelled.

    \b
    Examples:
      driftline retrain cancel 3f2a --reason "labels are wrong" --store ./store
    """
    ports = opened(ctx, store)
    book = Book(ports.store)
    admission = book.find(run)
    book.cancel(admission.run, actor, reason, ports.clock.now_ms())
    note(f"run {admission.run[:SHORT]} of {admission.model} ends as soon as a worker looks at it")


def _model_or_all(model: str | None, everything: bool) -> str | None:
    if (model is None) is not everything:
        raise click.UsageError("name one model, or --all")
    return model


def _say_if_unknown(ports: Wired, model: str | None) -> None:
    """Of a model that had neither a run nor a version one may speak before it has: so a name that is not known is no mistake
    yet, but is told, since it may be another one that goes on."""
    known = sorted({*Book(ports.store).models(), *ports.models.models()})
    if model is not None and model not in known:
        meant = hint(model, known)
        there = f"There are: {listing(known)}." if known else "There is none yet."
        note(f"WARNING: no model {model!r} has had a run or a version in this store{meant or '.'} {there}")


_all = click.option("--all", "everything", is_flag=True, help="Every model, those to come too.")


@click.command("stop")
@click.argument("model", required=False)
@_all
@reason_option
@actor_option
@store_option
@click.pass_context
def stop(ctx: click.Context, model: str | None, everything: bool, reason: str, actor: str, store: Location) -> None:
    """Stop retraining: no run begins or goes on, nothing is promoted. Steps at work are given back within seconds.

    What was promoted is still watched, and rolled back when it is worse; `driftline registry freeze` stops that too. Another
    switch is a file: `driftline retrain run --stop-file FILE`.

    \b
    Examples:
      driftline retrain stop flights --reason "label vendor changed" --store ./store
      driftline retrain stop --all --reason "incident 4711" --store ./store
    """
    ports = opened(ctx, store)
    Switch(ports.store).turn(Turn.STOP, _model_or_all(model, everything), actor, reason, ports.clock.now_ms())
    _say_if_unknown(ports, model)
    note(f"{model or 'all models'}: stopped; `driftline retrain start` lets it go on")


@click.command("start")
@click.argument("model", required=False)
@_all
@reason_option
@actor_option
@store_option
@click.pass_context
def start(ctx: click.Context, model: str | None, everything: bool, reason: str, actor: str, store: Location) -> None:
    """Let retraining go on that was stopped. The newest word counts: a start of one model holds after a stop of all.

    \b
    Examples:
      driftline retrain start flights --reason "labels are right again" --store ./store
      driftline retrain start --all --reason "incident 4711 is over" --store ./store
    """
    ports = opened(ctx, store)
    Switch(ports.store).turn(Turn.START, _model_or_all(model, everything), actor, reason, ports.clock.now_ms())
    _say_if_unknown(ports, model)
    note(f"{model or 'all models'}: goes on")


@click.command("reset")
@click.argument("model")
@reason_option
@actor_option
@store_option
@click.pass_context
def reset(ctx: click.Context, model: str, reason: str, actor: str, store: Location) -> None:
    """Put the breaker of a model in again, after promoted versions were rolled back one after the other.

    \b
    Examples:
      driftline retrain reset flights --reason "labels of the new airline were missing" --store ./store
    """
    ports = opened(ctx, store)
    Switch(ports.store).turn(Turn.RESET, model, actor, reason, ports.clock.now_ms())
    _say_if_unknown(ports, model)
    note(f"{model}: rollbacks until now do not count any more")


COMMANDS = (approve, cancel, stop, start, reset)
