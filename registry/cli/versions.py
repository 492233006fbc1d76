"""`driftline registry add | list | show | card`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import (
    Copying,
    actor_option,
    key_options,
    known_models,
    note,
    now_ms,
    one_version,
    open_registry,
    open_store,
    output_option,
    pair,
    print_json,
    print_table,
    short,
    signer,
    size,
    store_option,
    when,
)

if TYPE_CHECKING:
    from registry.aliases import Aliases
    from registry.catalog import Catalog, Version
    from registry.location import Location

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("add")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option("--name", required=True, help="The model it is a version of, named as in the predictions.")
@click.option(
    "--dataset",
    metavar="DIGEST",
    help="Digest of the dataset version it was trained on; it is said when it is not in the store.",
)
@click.option("--run", metavar="ID", help="The run that made it; a run has one version, however often it is added.")
@click.option("--code-revision", metavar="REV", help="Revision of the code that trained it.")
@click.option(
    "--env", "environment", multiple=True, type=pair, metavar="KEY=VALUE", help="A fact of the training environment."
)
@click.option(
    "--param", "params", multiple=True, type=pair, metavar="KEY=VALUE", help="A parameter; JSON, or else text."
)
@click.option("--probe", type=_FILE, help="Probe set: inputs and the outputs that the model gives.")
@click.option("--reference", type=_FILE, help="Reference summary of its training data, JSON.")
@click.option("--gate-report", "reports", multiple=True, type=_FILE, help="Report of a gate it passed, JSON.")
@click.option("--owner", default="", help="For the card: who answers for it.")
@click.option("--description", default="", help="For the card: what it is.")
@click.option("--intended-use", default="", help="For the card: what it is for.")
@click.option("--limitations", default="", help="For the card: what it is not for.")
@click.option("--licence", default="", help="For the card.")
@store_option
@actor_option
@key_options
@output_option
def add(
    paths: tuple[Path, ...],
    name: str,
    store: Location,
    actor: str,
    output: str,
    environment: tuple[tuple[str, str], ...],
    params: tuple[tuple[str, str], ...],
    probe: Path | None,
    reference: Path | None,
    reports: tuple[Path, ...],
    **said: str,
) -> None:
    """Add a model version: one file, several, or a directory of them.

    Taken are ONNX (with its external data), safetensors, JSON and recipes of river models. Pickle is refused, in whatever
    it is wrapped; nothing in the files is loaded or run. The same content again is the same version.

    \b
    Examples:
      driftline registry add model.onnx --name fraud
      driftline registry add model.onnx --name fraud --probe probe.json --code-revision "$(git rev-parse HEAD)"
      driftline registry add ./bundle --name fraud --param depth=6 --env scikit-learn=1.7.2 --owner team-fraud
    """
    from registry.catalog import Catalog, Draft
    from registry.local_bundle import LocalBundle
    from registry.manifest import Card

    texts = ("owner", "description", "intended_use", "limitations", "licence")
    with LocalBundle(list(paths)) as bundle:
        draft = Draft(
            name,
            bundle,
            dataset=said["dataset"],
            run=said["run"],
            code_revision=said["code_revision"],
            environment=dict(environment),
            params={key: _json_or_text(value) for key, value in params},
            probe=_read(probe),
            reference=_read(reference),
            gate_reports=tuple(path.read_bytes() for path in reports),
            card=Card(**{text: said[text] for text in texts}),
        )
        catalog = Catalog(known_models(open_store(store, make=True)), signer())
        with Copying("copying", bundle.size_bytes) as copying:
            version, new = catalog.add(draft, actor, now_ms(), copying)
    if said["dataset"] and not _has_dataset(catalog, said["dataset"]):
        note(
            f"dataset {said['dataset']} is not in this store: nothing here can show or train from it; was it mistyped?"
        )
    if output == "json":
        print_json({**_described(version), "new": new})
        return
    click.echo(str(version))
    note(f"{version} is {version.digest}" + ("" if new else ", and was registered before"))
    if new and probe is None:
        note("it has no probe set (--probe): whoever loads it can check its bytes, not its behaviour")


@click.command("list")
@click.argument("name", required=False)
@store_option
@output_option
def list_(name: str | None, store: Location, output: str) -> None:
    """List models and where their aliases point, or the versions of one model.

    \b
    Examples:
      driftline registry list
      driftline registry list fraud -o json
    """
    catalog, aliases = open_registry(store)
    if name is None:
        _models(catalog, aliases, output)
        return
    pointing = _pointing(aliases, name)
    retired = aliases.state(name).retired
    rows = [(v, pointing.get(v.number, []), v.number in retired) for v in catalog.versions(name)]
    if output == "json":
        print_json({
            "model": name,
            "versions": [{**_described(v), "aliases": names, "retired": gone} for v, names, gone in rows],
        })  # fmt: skip
        return
    print_table(
        ("version", "aliases", "registered", "by", "run", "manifest"),
        [
            (
                str(v.number),
                ", ".join(names) or ("retired" if gone else "-"),
                when(v.entry.at_ms),
                v.entry.registered_by,
                v.entry.run or "-",
                short(v.digest),
            )
            for v, names, gone in rows
        ],
        right=("version",),
    )


@click.command("show")
@click.argument("spec", metavar="NAME@VERSION")
@store_option
@output_option
def show(spec: str, store: Location, output: str) -> None:
    """Show a version: its files, what it was made from, which aliases point at it. VERSION is a number or an alias.

    \b
    Examples:
      driftline registry show fraud@3
      driftline registry show fraud@champion -o json
    """
    import msgspec

    from registry.mlflow_import import imported

    catalog, aliases = open_registry(store)
    version = one_version(aliases, spec)
    manifest = catalog.manifest(version)
    origin = imported(catalog, version.model, version.number)
    names = _pointing(aliases, version.model).get(version.number, [])
    retired = version.number in aliases.state(version.model).retired
    if output == "json":
        described = {**_described(version), "aliases": names, "retired": retired}
        came = {} if origin is None else {"imported": msgspec.to_builtins(origin)}
        print_json({**described, "content": msgspec.to_builtins(manifest), **came})
        return
    facts = {
        "version": str(version),
        "manifest": version.digest,
        "aliases": ", ".join(names) or "none",
        "retired": "yes: never to be served" if retired else "no",
        "registered": f"{when(version.entry.at_ms)} by {version.entry.registered_by}",
        "run": manifest.run or "none",
        "dataset": manifest.dataset or "not recorded",
        "code revision": manifest.code_revision or "not recorded",
        "probe set": manifest.probe.digest if manifest.probe else "none",
        "gate reports": str(len(manifest.gate_reports)),
    }
    if origin is not None:
        facts |= {
            "imported": f"version {origin.version} of {origin.model} in MLflow at {origin.server}",
            "run in MLflow": origin.run or "none",
            "metrics there": ", ".join(f"{key} {value}" for key, value in sorted(origin.metrics.items())) or "none",
            "tags there": ", ".join(f"{key}={value}" for key, value in sorted(origin.tags.items())) or "none",
            "aliases there": ", ".join(origin.aliases) or "none",
            "signature there": "; ".join(f"{key} {value}" for key, value in sorted(origin.signature.items())) or "none",
        }
    print_table(("", ""), list(facts.items()))
    rows = [(f.path, f.format, size(f.size_bytes), f.digest) for f in manifest.files]
    print_table(("file", "format", "size", "digest"), rows, right=("size",))


@click.command("card")
@click.argument("spec", metavar="NAME@VERSION")
@store_option
def card(spec: str, store: Location) -> None:
    """Print the model card of a version, as Markdown. It is rendered from the manifest and cannot be edited.

    \b
    Example:
      driftline registry card fraud@champion > MODEL_CARD.md
    """
    from registry.card import model_card

    catalog, aliases = open_registry(store)
    version = one_version(aliases, spec)
    click.echo(model_card(version, catalog.manifest(version)), nl=False)


def _models(catalog: Catalog, aliases: Aliases, output: str) -> None:
    rows = [(name, catalog.versions(name), aliases.state(name)) for name in catalog.models()]
    if output == "json":
        print_json({
            "models": [
                {
                    "model": name,
                    "versions": len(versions),
                    "aliases": {alias: at.version for alias, at in sorted(state.aliases.items())},
                    "frozen": sorted(alias for alias, at in state.aliases.items() if at.frozen),
                }
                for name, versions, state in rows
            ]
        })  # fmt: skip
        return
    if not rows:
        note("there is no model yet; `driftline registry add` adds one")
        return
    print_table(
        ("model", "versions", "aliases", "newest"),
        [
            (
                name,
                str(len(versions)),
                ", ".join(
                    f"{alias} {'-' if at.version is None else at.version}{' (frozen)' * at.frozen}"
                    for alias, at in sorted(state.aliases.items())
                )
                or "-",
                when(versions[-1].entry.at_ms),
            )
            for name, versions, state in rows
        ],
        right=("versions",),
    )


def _pointing(aliases: Aliases, model: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, at in sorted(aliases.state(model).aliases.items()):
        if at.version is not None:
            found.setdefault(at.version, []).append(name)
    return found


def _described(version: Version) -> dict[str, Any]:
    entry = version.entry
    return {
        "model": version.model,
        "version": version.number,
        "manifest": version.digest,
        "run": entry.run,
        "registered_by": entry.registered_by,
        "registered_ms": entry.at_ms,
    }


def _has_dataset(catalog: Catalog, digest: str) -> bool:
    """Whether a dataset is kept beside the models: as a blob, or as the document of a dataset version."""
    from registry.digest import hex_of

    store, versions = catalog.store, "datasets/versions"
    return store.blob_size(digest) is not None or f"{versions}/{hex_of(digest)}" in store.documents(versions)


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _json_or_text(value: str) -> Any:
    import json

    try:
        return json.loads(value, parse_constant=str)
    except ValueError:
        return value


COMMANDS = (add, list_, show, card)
