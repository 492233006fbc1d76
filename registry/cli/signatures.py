"""`driftline registry keygen | pubkey | sign`, and the trust policy that `verify --trust` reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import note, open_registry, output_option, parted, print_json, read_key, store_option

if TYPE_CHECKING:
    from registry.aliases import Aliases
    from registry.catalog import Catalog
    from registry.location import Location
    from registry.trust import Trust

_passphrase = click.option(
    "--passphrase-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    envvar="DRIFTLINE_SIGNING_PASSPHRASE_FILE", show_envvar=True, help="The passphrase of the key.",
)  # fmt: skip


@click.command("keygen")
@click.argument("file", type=click.Path(path_type=Path))
@_passphrase
def keygen(file: Path, passphrase_file: Path | None) -> None:
    """Make a key to sign with (Ed25519, PEM), readable by this user alone, and print its public half for a trust policy.

    \b
    Examples:
      driftline registry keygen eve.key
      driftline registry keygen eve.key --passphrase-file eve.pass
    """
    from registry.errors import SigningError
    from registry.signing import PrivateKey

    key = PrivateKey.new()
    passphrase = None if passphrase_file is None else passphrase_file.read_bytes().rstrip(b"\r\n")
    if passphrase == b"":
        raise SigningError(f"file {str(passphrase_file)!r}", "is empty", "Write a passphrase, or name no file.")
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SigningError(f"key {str(file)!r}", f"cannot be made: {error.strerror}", "Name a new file.") from None
    with open(handle, "wb") as out:  # noqa: PTH123  # for this user alone from the first byte on
        out.write(key.pem(passphrase))
    click.echo(key.public.text)
    note(f"{str(file)!r} signs; what is printed belongs in the trust policy of those who read")


@click.command("pubkey")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_passphrase
def pubkey(file: Path, passphrase_file: Path | None) -> None:
    """Print the public half of a key.

    \b
    Example:
      driftline registry pubkey eve.key
    """
    click.echo(read_key(file, passphrase_file).public.text)


@click.command("sign")
@click.argument("spec", metavar="NAME@VERSION|NAME@ALIAS")
@click.option(
    "--key", required=True, envvar="DRIFTLINE_SIGNING_KEY", show_envvar=True, metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Sign with this key.",
)  # fmt: skip
@_passphrase
@store_option
@output_option
def sign(spec: str, key: Path, passphrase_file: Path | None, store: Location, output: str) -> None:
    """Sign a version, or the move by which an alias points where it does. Look at it first: `registry show`, `registry history`.

    \b
    Examples:
      driftline registry sign fraud@3 --key ci.key
      driftline registry sign fraud@champion --key eve.key
    """
    from registry.errors import BadName
    from registry.trust import move_entry, sign_in, version_entry

    signing = read_key(key, passphrase_file)
    model, what = parted(spec)
    catalog, aliases = open_registry(store)
    catalog.versions(model)
    if what is None:
        raise BadName(
            "version or alias", spec, "Write NAME@VERSION to sign a version, NAME@ALIAS to sign the last move."
        )
    if what.isdecimal():
        entry, _ = version_entry(catalog.store, model, int(what))
    else:
        aliases.resolve(model, what)
        moved = aliases.state(model).alias(what).moved
        assert moved is not None, "it points at something"
        entry = move_entry(catalog.store, model, moved)
    new = sign_in(catalog.store, entry, signing.sign(entry))
    if output == "json":
        print_json({"signed": entry.where, "key": signing.public.text, "new": new})
        return
    click.echo(entry.where)
    note(f"{entry.where} is signed by {signing.public.text}" + ("" if new else ", as it was before"))


def trust_option(command: Any) -> Any:
    """`--trust FILE`."""
    return click.option(
        "--trust", envvar="DRIFTLINE_TRUST", show_envvar=True, metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A trust policy, YAML: check signatures as well. Exit code 3 where somebody has not signed who must.",
    )(command)  # fmt: skip


def signed_by(trust: Trust, catalog: Catalog, aliases: Aliases, model: str, what: str | None) -> list[dict[str, Any]]:
    """Who signed what is asked about: all versions of a model, one, or an alias with its move. `refused`: why it does not
    count."""
    from registry.errors import Untrusted
    from registry.trust import check, check_version

    found: list[dict[str, Any]] = []
    numbers = [v.number for v in catalog.versions(model)] if what is None else [aliases.resolve(model, what).number]
    for number in numbers:
        try:
            by = check_version(trust, catalog, model, number)
            found.append({"what": f"{model}@{number}", "signed_by": by, "refused": None})
        except Untrusted as error:
            found.append({"what": f"{model}@{number}", "signed_by": [], "refused": str(error)})
    if what is not None and not what.isdecimal() and found[0]["refused"] is None:
        try:
            _, by = check(trust, catalog, model, what, aliases.state(model))
            found.append({"what": f"{model}@{what}", "signed_by": by, "refused": None})
        except Untrusted as error:
            found.append({"what": f"{model}@{what}", "signed_by": [], "refused": str(error)})
    return found


COMMANDS = (keygen, pubkey, sign)
