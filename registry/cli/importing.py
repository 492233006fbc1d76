"""`driftline registry import-mlflow`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from registry.cli.common import (
    actor_option,
    key_options,
    known_models,
    note,
    now_ms,
    open_store,
    output_option,
    pair,
    plain,
    print_json,
    print_table,
    signer,
    store_option,
)
from registry.cli.exits import REFUSED

if TYPE_CHECKING:
    from registry.catalog import Catalog
    from registry.location import Location
    from registry.mlflow import ModelVersion, RegisteredModel
    from registry.mlflow_import import Importing, Taken
    from registry.mlflow_server import Credentials

_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_BYTES_MAX: Final = 8 << 30


@click.command("import-mlflow")
@click.argument("there", metavar="MLFLOW_MODEL")
@click.option(
    "--from",
    "uri",
    envvar="MLFLOW_TRACKING_URI",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="The MLflow tracking server, without credentials.",
)
@click.option("--name", metavar="NAME", help="The model here, named as in the predictions; as there unless given.")
@click.option("--version", "only", multiple=True, metavar="NUMBER", help="Only this version there; may be repeated.")
@click.option(
    "--alias",
    "asked",
    multiple=True,
    type=pair,
    metavar="THERE=HERE",
    help="Afterwards let the alias HERE point at what THERE points at in MLflow. Without it no alias moves.",
)
@click.option("--token-file", type=_FILE, metavar="FILE", help="A bearer token; or MLFLOW_TRACKING_TOKEN.")
@click.option(
    "--user", envvar="MLFLOW_TRACKING_USERNAME", show_envvar=True, help="With a password: basic authentication."
)
@click.option("--password-file", type=_FILE, metavar="FILE", help="The password; or MLFLOW_TRACKING_PASSWORD.")
@click.option("--allow-http", is_flag=True, help="Send credentials unencrypted to a server that is not this machine.")
@click.option(
    "--bytes-max", type=click.IntRange(min=1), default=_BYTES_MAX, show_default=True, help="Files of one version."
)
@click.option("--refused-again", is_flag=True, help="Look again at versions that were refused before.")
@store_option
@actor_option
@key_options
@output_option
def import_mlflow(
    there: str,
    uri: str,
    name: str | None,
    only: tuple[str, ...],
    asked: tuple[tuple[str, str], ...],
    token_file: Path | None,
    user: str | None,
    password_file: Path | None,
    allow_http: bool,
    bytes_max: int,
    refused_again: bool,
    store: Location,
    actor: str,
    output: str,
) -> int:
    """Import the versions of a registered model of MLflow: files, parameters, metrics, tags, signature and where it is from.

    What the registry does not take (pickle before all) is refused by name and never loaded; what is known of such a version
    is kept without files. Done again it does nothing, interrupted it goes on. Nothing is changed in MLflow. Exit code 3 when
    a version was refused, now or before. Aliases that were asked for are published as after every move, where it is said
    where.

    \b
    Examples:
      driftline registry import-mlflow fraud --from http://localhost:5000
      driftline registry import-mlflow fraud --from https://mlflow.example --token-file token --alias champion=champion
    """
    from registry.catalog import Catalog
    from registry.mlflow_import import Importing, Outcome
    from registry.mlflow_server import MlflowServer
    from registry.names import checked_alias, checked_model

    model = checked_model(name or there)
    for _, here in asked:
        checked_alias(here)
    server = MlflowServer(uri, _credentials(token_file, user, password_file), allow_http=allow_http)
    found, versions = server.model(there), server.versions(there)
    catalog = Catalog(known_models(open_store(store, make=True)), signer())
    importing = Importing(server, catalog, model, actor, bytes_max=bytes_max)
    chosen = _chosen(versions, only, there)
    done = []
    for taken in importing.all(found, chosen, now_ms(), refused_again=refused_again):
        done.append(taken)
        if output != "json":
            note(_sentence(there, model, taken))
    moved = _moved(catalog, importing, (model, server.where, actor), found, versions, asked)
    _print(there, model, server.where, done, moved, output)
    return REFUSED if any(each.outcome is Outcome.REFUSED for each in done) else 0


def _credentials(token_file: Path | None, user: str | None, password_file: Path | None) -> Credentials:
    from registry.mlflow_server import Credentials

    token = os.environ.get("MLFLOW_TRACKING_TOKEN") if token_file is None else _secret(token_file)
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") if password_file is None else _secret(password_file)
    if token_file is not None and password_file is not None:
        raise click.UsageError("give --token-file, or --user with --password-file, not both")
    return Credentials(None, user, password) if password_file is not None else Credentials(token, user, password)


def _secret(path: Path) -> str:
    text = path.read_text(errors="replace").strip()
    if not text or not text.isprintable():
        raise click.UsageError(f"{str(path)!r} holds no secret of one line")
    return text


def _chosen(versions: list[ModelVersion], only: tuple[str, ...], there: str) -> list[ModelVersion]:
    from registry.errors import NotFound

    known = {each.version for each in versions}
    for number in only:
        if number not in known:
            raise NotFound(
                f"version {number} of {there!r}", "is not in MLflow", f"It has: {', '.join(sorted(known)) or 'none'}."
            )
    return [each for each in versions if not only or each.version in only]


def _moved(
    catalog: Catalog,
    importing: Importing,
    who: tuple[str, str, str],
    found: RegisteredModel,
    versions: list[ModelVersion],
    asked: tuple[tuple[str, str], ...],
) -> list[dict[str, Any]]:
    """Aliases that were asked for; each as a move of a person, by the rules of every move."""
    from registry.aliases import Aliases, By
    from registry.errors import NotFound
    from registry.mlflow_import import alias_target

    model, where, actor = who
    moved = []
    aliases = Aliases(catalog, signer())
    for there, here in asked:
        target = alias_target(found, there, versions)
        number = importing.number_of(target)
        if number is None:
            what = f"version {target.version} of {found.name!r}, which {there!r} points at in MLflow,"
            raise NotFound(what, "was not imported", "The alias here stays where it is; import that version first.")
        if aliases.state(model).alias(here).version == number:
            moved.append({"alias": here, "version": number, "moved": False})
            continue
        reason = f"imported: alias {there} of {found.name} in MLflow at {where}"
        aliases.promote(model, here, number, By(actor, reason, now_ms()))
        moved.append({"alias": here, "version": number, "moved": True})
    return moved


def _sentence(there: str, model: str, taken: Taken) -> str:
    said = f"{there} {taken.version} of MLflow is {str(taken.outcome).replace('_', ' ')}:"
    if taken.number is not None:
        said += f" {model}@{taken.number}"
    return said + "".join(f"\n  {plain(each)}" for each in taken.findings)


def _print(there: str, model: str, where: str, done: list[Taken], moved: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        print_json({
            "model": model,
            "mlflow": {"server": where, "model": there},
            "versions": [
                {"mlflow": t.version, "outcome": str(t.outcome), "version": t.number, "findings": list(t.findings)}
                for t in done
            ],
            "aliases": moved,
        })  # fmt: skip
        return
    rows = [(t.version, str(t.outcome).replace("_", " "), f"{model}@{t.number}" if t.number else "-") for t in done]
    print_table(("MLflow", "is", "here"), rows, right=("MLflow",))
    for each in moved:
        note(
            f"{model}@{each['alias']} {'now points' if each['moved'] else 'pointed before'} at version {each['version']}"
        )


COMMANDS = (import_mlflow,)
