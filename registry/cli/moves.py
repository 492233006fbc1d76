"""`driftline registry promote | rollback | freeze | unfreeze | protect | retire | approve | history`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from registry.cli.common import (
    actor_option,
    iso_ms,
    key_options,
    note,
    now_ms,
    numbered,
    open_registry,
    output_option,
    parted,
    print_json,
    print_table,
    store_option,
    when,
)

if TYPE_CHECKING:
    from registry.aliases import By, Step
    from registry.location import Location

F = TypeVar("F", bound=Callable[..., Any])

_alias_option = click.option("--alias", default="champion", show_default=True, help="Which alias.")


def _move_options(command: F) -> F:
    """What every move is asked: why, who, where."""
    command = output_option(key_options(actor_option(store_option(command))))
    return click.option("--reason", required=True, help="Why; it is kept in the history.")(command)


def _automatic_options(command: F) -> F:
    """For scripts: a move that no person decided."""
    command = click.option("--cause", metavar="ID", help="The run or alert that led to it.")(command)
    return click.option("--automatic", is_flag=True, help="No person decided this: a frozen alias does not move.")(
        command
    )


def _replaced(text: str) -> int | None:
    if text == "nothing":
        return None
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a version's number nor 'nothing'")
    return int(text)


@click.command("promote")
@click.argument("spec", metavar="NAME@VERSION")
@_alias_option
@click.option(
    "--replaces", metavar="VERSION", help="Only if the alias points there now; 'nothing' if it points nowhere."
)
@click.option(
    "--approvals", "required", type=click.IntRange(min=0), default=0, help="Approvals by others that it needs."
)
@_automatic_options
@_move_options
def promote(
    spec: str,
    alias: str,
    replaces: str | None,
    required: int,
    automatic: bool,
    cause: str | None,
    reason: str,
    store: Location,
    actor: str,
    output: str,
) -> None:
    """Let an alias point at a version. Exit code 3 when a rule refuses: frozen, retired, not approved, moved meanwhile.

    \b
    Examples:
      driftline registry promote fraud@3 --reason "recall +0.02 on March"
      driftline registry promote fraud@4 --alias challenger --reason "shadow" --replaces nothing
    """
    from registry.aliases import UNSET

    model, version = numbered(spec)
    believed = UNSET if replaces is None else _replaced(replaces)
    _, aliases = open_registry(store)
    by = _by(actor, reason, automatic=automatic, cause=cause)
    _say(lambda: aliases.promote(model, alias, version, by, replaces=believed, required=required), output)


@click.command("rollback")
@click.argument("name")
@_alias_option
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="Which version; the one before unless given.")
@_automatic_options
@_move_options
def rollback(
    name: str,
    alias: str,
    to: int | None,
    automatic: bool,
    cause: str | None,
    reason: str,
    store: Location,
    actor: str,
    output: str,
) -> None:
    """Let an alias point again at a version that it pointed at before. It is a new entry; it needs no approval.

    \b
    Examples:
      driftline registry rollback fraud --reason "false positives in DE"
      driftline registry rollback fraud --to 2 --reason "3 was no better"
    """
    _, aliases = open_registry(store)
    _say(lambda: aliases.rollback(name, alias, _by(actor, reason, automatic=automatic, cause=cause), to), output)


@click.command("freeze")
@click.argument("name")
@_alias_option
@_automatic_options
@_move_options
def freeze(
    name: str, alias: str, automatic: bool, cause: str | None, reason: str, store: Location, actor: str, output: str
) -> None:
    """Stop all automatic moves of an alias. People may still move it.

    \b
    Example:
      driftline registry freeze fraud --reason "label feed is being repaired"
    """
    _, aliases = open_registry(store)
    _say(lambda: aliases.freeze(name, alias, _by(actor, reason, automatic=automatic, cause=cause)), output)


@click.command("unfreeze")
@click.argument("name")
@_alias_option
@_move_options
def unfreeze(name: str, alias: str, reason: str, store: Location, actor: str, output: str) -> None:
    """Allow automatic moves of an alias again.

    \b
    Example:
      driftline registry unfreeze fraud --reason "labels are complete again"
    """
    _, aliases = open_registry(store)
    _say(lambda: aliases.unfreeze(name, alias, _by(actor, reason)), output)


@click.command("protect")
@click.argument("name")
@_alias_option
@click.option("--approvals", type=click.IntRange(min=0), default=1, show_default=True, help="How many.")
@_move_options
def protect(name: str, alias: str, approvals: int, reason: str, store: Location, actor: str, output: str) -> None:
    """Ask for approvals of every promotion of an alias from here on, whoever promotes.

    \b
    Example:
      driftline registry protect fraud --approvals 2 --reason "card payments"
    """
    _, aliases = open_registry(store)
    _say(lambda: aliases.protect(name, alias, approvals, _by(actor, reason)), output)


@click.command("retire")
@click.argument("spec", metavar="NAME@VERSION")
@_move_options
def retire(spec: str, reason: str, store: Location, actor: str, output: str) -> None:
    """Never serve a version again, under any alias. It is kept, with its history.

    \b
    Example:
      driftline registry retire fraud@2 --reason "trained on leaked labels"
    """
    model, version = numbered(spec)
    _, aliases = open_registry(store)
    _say(lambda: aliases.retire(model, version, _by(actor, reason)), output)


@click.command("approve")
@click.argument("spec", metavar="NAME@VERSION")
@_alias_option
@_move_options
def approve(spec: str, alias: str, reason: str, store: Location, actor: str, output: str) -> None:
    """Agree that a version takes the location of what an alias points at now. Void as soon as the alias moves.

    Nobody approves a version that he registered, and the approval of whoever promotes does not count.

    \b
    Example:
      driftline registry approve fraud@3 --reason "segments are fine, see report"
    """
    model, version = numbered(spec)
    _, aliases = open_registry(store)
    _say(lambda: aliases.approve(model, alias, version, _by(actor, reason)), output)


@click.command("history")
@click.argument("spec", metavar="NAME[@ALIAS]")
@click.option(
    "--at", "at_ms", type=iso_ms, metavar="ISO", help="Where the aliases stood at this time, instead of the moves."
)
@store_option
@output_option
def history(spec: str, at_ms: int | None, store: Location, output: str) -> None:
    """Print every move: who, when, why, and whether it counts. With --at, where the aliases stood then.

    \b
    Examples:
      driftline registry history fraud
      driftline registry history fraud@champion -o json
      driftline registry history fraud --at 2026-10-03T12:00Z
    """
    import msgspec

    model, alias = parted(spec)
    catalog, aliases = open_registry(store)
    catalog.versions(model)
    if at_ms is not None:
        _standing(aliases.state(model, at_ms), model, alias, output)
        return
    steps = [s for s in aliases.history(model) if alias is None or getattr(s.move, "alias", alias) == alias]
    if output == "json":
        moves = [{**msgspec.to_builtins(step.move), "verdict": str(step.verdict)} for step in steps]
        print_json({"model": model, "moves": moves})
        return
    print_table(("n", "when (UTC)", "move", "by", "why", "counts"), [_row(step) for step in steps], right=("n",))


def _standing(state: Any, model: str, alias: str | None, output: str) -> None:
    at = {name: each for name, each in sorted(state.aliases.items()) if alias in {None, name}}
    if output == "json":
        print_json({
            "model": model,
            "aliases": {n: {"version": each.version, "frozen": each.frozen} for n, each in at.items()},
            "retired": sorted(state.retired),
        })  # fmt: skip
        return
    rows = [(n, "-" if e.version is None else str(e.version), "frozen" if e.frozen else "") for n, e in at.items()]
    print_table(("alias", "version", ""), rows, right=("version",))


def _row(step: Step) -> tuple[str, ...]:
    move = step.move
    who = f"{move.actor} (automatic)" if move.automatic else move.actor
    why = f"{move.reason} [{move.cause}]" if move.cause else move.reason
    counts = "yes" if step.verdict == "accepted" else f"no: {step.verdict}"
    return str(move.sequence), when(move.at_ms), _told(move), who, why, counts


def _told(move: Any) -> str:
    """`promote 3 as champion, was 2`."""
    words = [type(move).__name__.lower()]
    if hasattr(move, "version"):
        words.append(str(move.version))
    if hasattr(move, "alias"):
        words.append(f"as {move.alias}" if hasattr(move, "version") else move.alias)
    if hasattr(move, "approvals"):
        words.append(f"with {move.approvals} approvals")
    was = "" if getattr(move, "replaces", None) is None else f", was {move.replaces}"
    return " ".join(words) + was


def _by(actor: str, reason: str, *, automatic: bool = False, cause: str | None = None) -> By:
    from registry.aliases import By

    return By(actor, reason, now_ms(), automatic, cause)


def _say(move: Callable[[], Step], output: str) -> None:
    """Do a move and say what became of it. What is so already is no failure: a script may run twice."""
    import msgspec

    from registry.errors import MoveRefused
    from registry.fold import Verdict

    try:
        step = move()
    except MoveRefused as error:
        if error.verdict != Verdict.NO_CHANGE:
            raise
        note(f"{error.what}: it is so already")
        if output == "json":
            print_json({"changed": False})
        return
    if output == "json":
        print_json({"changed": True, "move": msgspec.to_builtins(step.move)})
        return
    click.echo(f"{step.move.sequence}: {_told(step.move)}")


MOVES = (promote, rollback, freeze, unfreeze, protect, retire, approve)
READING = (history,)
