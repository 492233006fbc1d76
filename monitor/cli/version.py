"""The command `driftline version`."""

from __future__ import annotations

import platform

import click

from monitor.cli.common import output_option


def release() -> str:
    """The installed version of the distribution."""
    from importlib.metadata import version

    return version("driftline")


@click.command("version")
@output_option
def command(output: str) -> None:
    """Print the version of Driftline, of Python and of the libraries that decide numbers; and the edition, the newest number of
    what is decided that this version knows (docs/operating.md, "Upgrading").

    JSON: {"driftline", "edition", "python", library: version}.
    """
    from importlib.metadata import version

    from monitor.editions import NEWEST

    names = ("confluent-kafka", "numpy", "scipy", "river", "orjson", "msgspec")
    libraries = {name: version(name) for name in names}
    if output == "json":
        import orjson

        click.echo(
            orjson.dumps({"driftline": release(), "edition": NEWEST, "python": platform.python_version(), **libraries})
        )
        return
    click.echo(f"driftline {release()}, edition {NEWEST} (Python {platform.python_version()})")
    click.echo(", ".join(f"{name} {number}" for name, number in libraries.items()))
