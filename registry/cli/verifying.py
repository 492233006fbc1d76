"""`driftline registry verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import (
    faults,
    note,
    open_registry,
    output_option,
    parted,
    print_json,
    print_table,
    store_option,
)
from registry.cli.exits import FAILED, REFUSED
from registry.cli.signatures import signed_by, trust_option

if TYPE_CHECKING:
    from registry.catalog import Catalog, Version
    from registry.errors import RegistryError
    from registry.location import Location
    from registry.probe import Agreement


@click.command("verify")
@click.argument("spec", metavar="NAME[@VERSION]")
@click.option("--score", is_flag=True, help="Load the model as well and compare its outputs with the probe set (ONNX).")
@trust_option
@store_option
@output_option
def verify(spec: str, score: bool, trust: Path | None, store: Location, output: str) -> None:
    """Read every byte of a version, or of all versions of a model, and compare with the manifest. Exit code 1 when
    something differs; 3 with --trust when signatures do not count.

    With --score the outputs of the probe set are computed again, and it is said whether they are the same to the bit, or within
    the tolerance that the probe set states; what is further off is a fault, and so is having no probe set. A version that is not
    exactly one ONNX model cannot be scored here, which is said and no fault.

    With --trust it is said who signed it; of an alias also who signed the move by which it points there.

    \b
    Examples:
      driftline registry verify fraud
      driftline registry verify fraud@champion --score
      driftline registry verify fraud@champion --trust trust.yaml
    """
    from registry.errors import RegistryError
    from registry.onnx_models import unscorable
    from registry.trust_file import TrustFile

    catalog, aliases = open_registry(store)
    model, what = parted(spec)
    chosen = catalog.versions(model) if what is None else [aliases.resolve(model, what)]
    signed = None if trust is None else signed_by(TrustFile(trust)(), catalog, aliases, model, what)
    found: dict[Version, list[RegistryError]] = {}
    behaviour: dict[Version, Agreement] = {}
    unscored: dict[Version, str] = {}
    for version in chosen:
        found[version] = catalog.verify(version)
        if score and not found[version]:
            if (why := unscorable(catalog.manifest(version))) is not None:
                unscored[version] = why
                continue
            try:
                behaviour[version] = _score(catalog, version)
            except RegistryError as error:
                found[version] = [error]
    if output == "json":
        lines = [
            {"version": v.number, "whole": not e, "faults": [str(each) for each in e], "behaviour": behaviour.get(v),
             **({"not_scored": unscored[v]} if v in unscored else {})}
            for v, e in found.items()
        ]  # fmt: skip
        print_json({"model": model, "versions": lines, **({} if signed is None else {"signatures": signed})})
    else:
        compared = {v: _compared(score, behaviour.get(v), unscored.get(v)) for v in found}
        _print(found, compared, signed)
    if any(found.values()):
        sys.exit(FAILED)
    if any(each["refused"] for each in signed or ()):
        sys.exit(REFUSED)


def _print(
    found: dict[Version, list[RegistryError]], compared: dict[Version, str], signed: list[dict[str, Any]] | None
) -> None:
    rows = [(str(v), faults(len(errors)), compared[v]) for v, errors in found.items()]
    if signed is None:
        print_table(("version", "verdict", "compared"), rows)
    else:
        words = {each["what"]: _signed(each) for each in signed}
        alias = [(what, "-", "its move", said) for what, said in words.items() if what not in map(str, found)]
        trusted = [*((*row, words[row[0]]) for row in rows), *alias]
        print_table(("version", "verdict", "compared", "signatures"), trusted)
    for fault in (each for errors in found.values() for each in errors):
        note(str(fault))
    for each in signed or ():
        note(each["refused"] or f"{each['what']} is signed by {', '.join(each['signed_by'])}")


def _signed(found: dict[str, Any]) -> str:
    return "do not count" if found["refused"] else f"of {', '.join(found['signed_by'])}"


def _compared(score: bool, behaviour: Agreement | None, unscored: str | None) -> str:
    if not score:
        return "bytes"
    if unscored is not None:
        return f"bytes; it cannot be scored here: it {unscored}"
    words = {"bits": "bytes and behaviour, to the bit", "tolerance": "bytes and behaviour, within the stated tolerance"}
    return "bytes and behaviour" if behaviour is None else words[behaviour]


def _score(catalog: Catalog, version: Version) -> Agreement:
    """How the loaded model does on its probe set. Raises RegistryError when it has none, or does otherwise."""
    import tempfile

    from registry.onnx_models import load_onnx
    from registry.probe import agreement
    from registry.reader import check_probe

    manifest = catalog.manifest(version)
    with tempfile.TemporaryDirectory() as scratch:
        files = {file.path: Path(scratch, file.path) for file in manifest.files}
        for file in manifest.files:
            files[file.path].parent.mkdir(parents=True, exist_ok=True)
            with files[file.path].open("xb") as out:
                out.writelines(catalog.store.blob(file.digest))
        scorer, probe = load_onnx(manifest, files), catalog.probe(manifest)
        check_probe(str(version), probe, scorer, required=True)
        assert probe is not None
        return agreement(probe, scorer.score(probe.arrays))


COMMANDS = (verify,)
