"""`driftline retrain handoffs | fetch | deliver | secret`: steps that were handed to an outside system."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from pipelines.carrying import fetch as bring
from pipelines.carrying import keep
from pipelines.cli.common import actor_option, note, opened, output_option, print_json, print_table, store_option, when
from pipelines.codec import PREFIX as DIGEST
from pipelines.errors import ConfigError, Refused
from pipelines.handoffs import Delivered, Failed, HandOff, HandOffs, Withdrawn, shared, signed
from pipelines.handoffs import deliver as end
from pipelines.hook_spec import PREFIX, secrets_of
from pipelines.local import Location

SECRET_BYTES: Final = 32


def secret_option(required: bool) -> Callable[[Any], Any]:
    """`--secret-file FILE`."""
    more = "" if required else "; with it, results whose signature is wrong are counted, and not shown as results"
    return click.option(
        "--secret-file", required=required, envvar="DRIFTLINE_SECRET_FILE", show_envvar=True, metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False), help=f"The secret that the two share{more}.",
    )  # fmt: skip


def directory_option(exists: bool, meaning: str) -> Callable[[Any], Any]:
    """`--directory DIR`."""
    kind = click.Path(path_type=Path, exists=exists, file_okay=False)
    return click.option("--directory", required=exists, type=kind, metavar="DIR", help=meaning)


@click.command("handoffs")
@click.argument("model", required=False)
@click.option("--active", is_flag=True, help="Only those that have not ended.")
@secret_option(required=False)
@store_option
@output_option
@click.pass_context
def handoffs(
    ctx: click.Context, model: str | None, active: bool, secret_file: Path | None, store: Location, output: str
) -> None:
    """List steps that were handed to an outside system, newest first, with how each stands.

    \b
    Examples:
      driftline retrain handoffs --store s3://models/driftline
      driftline retrain handoffs flights --active --secret-file hook.secret --store ./store -o json
    """
    known = HandOffs(opened(ctx, store).store, None if secret_file is None else lambda: _secrets(secret_file))
    all_of_them = list(known.all(model))
    found = [described(each) for each in all_of_them if each.open or not active]
    found.sort(key=lambda each: (-each["requested_ms"], each["handoff"]))
    if output == "json":
        for each in found:
            print_json(each)
        return
    columns = ("handoff", "model", "requested", "until", "state", "detail")
    print_table(columns, [tuple(str(each[key]) for key in columns) for each in found])
    note(f"{len(all_of_them):,} steps were handed on, {sum(each.open for each in all_of_them):,} have not ended")


def described(found: HandOff) -> dict[str, Any]:
    """A hand-off in words."""
    asked, ending = found.asked, found.ending
    assert asked is not None
    state = "accepted" if found.accepted else "requested"
    detail = "" if found.accepted or ending else "nobody has accepted it"
    if isinstance(ending, Delivered):
        state, detail = "delivered", f"by {ending.actor}"
    elif isinstance(ending, Failed):
        state, detail = "failed", f"{ending.actor}: {ending.why}"
    elif isinstance(ending, Withdrawn):
        state, detail = "withdrawn", ending.why
    if found.refused:
        detail = "; ".join((*filter(None, (detail,)), f"{found.refused} that no secret here signed were not taken"))
    return {
        "handoff": found.id, "model": found.model, "attempt": asked.attempt, "state": state, "detail": detail,
        "requested": when(asked.at_ms), "requested_ms": asked.at_ms, "until": when(asked.until_ms),
        "until_ms": asked.until_ms, "reads": DIGEST + asked.brought, "function": asked.function,
        "command": [*asked.command], "refused": found.refused,
    }  # fmt: skip


@click.command("fetch")
@click.argument("handoff")
@directory_option(exists=False, meaning="Where to; made where there is none. HANDOFF below here unless said.")
@store_option
@click.pass_context
def fetch(ctx: click.Context, handoff: str, directory: Path | None, store: Location) -> None:
    """Lay out what a step reads, for whoever was asked to do it: `in/` below DIR, and an empty `out/model/` beside it.

    \b
    Examples:
      driftline retrain fetch train-3f2a0c11b7de-0a1b2c3d4e-1 --directory job --store s3://models/driftline
    """
    kept = opened(ctx, store).store
    found = HandOffs(kept, None).find(handoff)
    _current(found, handoff)
    assert found.asked is not None
    at = Path(handoff) if directory is None else directory
    if at.is_dir() and any(at.iterdir()):
        raise ConfigError(f"directory {str(at)!r}", "is not empty", "Name another one, or empty it.")
    at.mkdir(parents=True, exist_ok=True)
    bring(kept, DIGEST + found.asked.brought, at)
    note(f"{handoff} is laid out in {str(at)!r}")


@click.command("deliver")
@click.argument("handoff")
@directory_option(exists=True, meaning="The directory of the step; what is below its `out/` is the result.")
@click.option("--failed", metavar="WHY", help="It was not done; why.")
@click.option("--again", is_flag=True, help="With --failed: another try may help.")
@secret_option(required=True)
@actor_option
@store_option
@click.pass_context
def deliver(
    ctx: click.Context, handoff: str, directory: Path, failed: str | None, again: bool, secret_file: Path, actor: str,
    store: Location,
) -> None:  # fmt: skip
    """Bring back what came of a step that was handed on, signed. The first result counts; saying the same again is no mistake.

    Below DIR, `out/` holds what the step wrote, as it would have on the machine of the worker: `out/model/` and `out/result.json`
    after training, `out/scores.json` after scoring. Without a file there nothing is brought.

    Exit codes: 0 it is the result, 3 another one is, 75 not yet known: while a secret is changed, ask again.

    \b
    Examples:
      driftline retrain deliver train-3f2a0c11b7de-0a1b2c3d4e-1 --directory job --secret-file hook.secret --store s3://models/driftline
      driftline retrain deliver train-3f2a0c11b7de-0a1b2c3d4e-1 --directory job --failed "no disk" --secret-file hook.secret
    """
    if again and failed is None:
        raise click.UsageError("--again says that a failure may pass: say which with --failed")
    if failed is not None and not failed.strip():
        raise click.UsageError("--failed has no words: say why, whoever waits is told")
    ports = opened(ctx, store)
    sharing = _secrets(secret_file)
    known = HandOffs(ports.store, lambda: sharing)
    found = known.find(handoff)
    _current(found, handoff)  # before anything is put into the store
    assert found.asked is not None
    if not shared(found.asked, found.name, sharing):
        why = f"is none that hand-off {handoff!r} was requested with, so what it signs is not taken"
        remedy = (
            "Take that of the worker (executor.webhook.secret_file). While one is changed that file has both, a line each, and "
            "`driftline retrain run` signs what is under way with both within half a minute: try again then, or bring this back "
            "with the old one."
        )
        raise ConfigError(f"file {str(secret_file)!r}", why, remedy)
    out = directory / "out"
    if failed is None and not any(each.is_file() for each in out.rglob("*")):
        remedy = "Do the step there first; what it could not do is said with --failed WHY."
        raise ConfigError(f"directory {str(out)!r}", "has no file: nothing came of the step", remedy)
    now_ms = ports.clock.now_ms()
    listing = None if failed is not None else keep(ports.store, directory).removeprefix(DIGEST)

    def record(attempt: int) -> Delivered | Failed:
        made: Delivered | Failed
        if listing is None:
            made = Failed(attempt=attempt, at_ms=now_ms, actor=actor, why=str(failed), again=again)
        else:
            made = Delivered(attempt=attempt, at_ms=now_ms, actor=actor, listing=listing)
        return signed(made, handoff.rpartition("-")[0], sharing)

    first = end(known, handoff, record)
    note(f"{handoff} has {'its result' if failed is None else 'failed'}" + ("" if first else ", as was said before"))


@click.command("secret")
def secret() -> None:
    """Print a new secret for `executor.webhook.secret_file`, from the random numbers of this machine.

    \b
    Examples:
      (umask 077; driftline retrain secret > hook.secret)
    """
    click.echo(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def _current(found: HandOff, id_: str) -> None:
    if found.id != id_:
        raise Refused(f"hand-off {id_!r}", f"is over: {found.id!r} took its place", "Nothing is to be done for it.")


def _secrets(file: Path) -> tuple[bytes, ...]:
    return secrets_of(file.read_text(), f"file {str(file)!r}")


COMMANDS = (handoffs, fetch, deliver, secret)
