"""What several commands share: which configuration, which log, how to print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from monitor.config.types import Config
from monitor.errors import ConfigError
from monitor.ports import Log

F = TypeVar("F", bound=Callable[..., Any])


def config_options(command: F) -> F:
    """`-c FILE` (repeatable, later wins) and `--set a.b=v`."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value, e.g. --set time.horizon=2d."
    )(command)
    return click.option(
        "-c",
        "--config",
        "files",
        multiple=True,
        required=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Configuration file; repeat it to layer files, later ones win.",
    )(command)


def embedded_option(command: F) -> F:
    """`--embedded DIR`."""
    return click.option(
        "--embedded",
        type=click.Path(path_type=Path, file_okay=False),
        help="Use the embedded log in this directory instead of Kafka. No broker needed.",
    )(command)


def output_option(command: F) -> F:
    """`-o table|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        help="What to print.",
        show_default=True,
    )(command)


def processes_option(command: F) -> F:
    """`--processes N`."""
    return click.option(
        "--processes",
        type=click.IntRange(1),
        metavar="N",
        help="Read and join in so many processes, at most one for each partition. By default one for each processor where "
        "there is much to read.",
    )(command)


def load_config(
    files: tuple[Path, ...], overrides: tuple[str, ...], tell: Callable[[str], None] | None = None
) -> Config:
    """The configuration of a command. Raises ConfigError. `tell` hears what is written in names of earlier releases; unless it is
    given a person does, on standard error."""
    from monitor.adapters.schema_registry import with_schemas
    from monitor.config import load

    config = load(list(files), list(overrides), environ=dict(os.environ))
    for old in config.old_names:
        if tell is not None:
            tell(str(old))
        else:
            click.echo(f"driftline: {old}", err=True)
    return with_schemas(config)


def open_log(config: Config) -> Log:
    """Kafka as configured."""
    if config.kafka is None:
        raise ConfigError(
            ["kafka: the configuration names no broker. Add kafka.bootstrap_servers, or run with --embedded DIR."]
        )
    return open_kafka(config.kafka.bootstrap_servers, config.kafka.properties, config.namespace)


def open_embedded(directory: Path, *, read_only: bool = False) -> Log:
    """The embedded log in a directory."""
    from monitor.adapters.embedded import EmbeddedLog

    return EmbeddedLog(directory, read_only=read_only)


def open_kafka(bootstrap: str, properties: dict[str, str] | None = None, group: str = "driftline") -> Log:
    """A Kafka cluster."""
    from monitor.adapters.kafka_log import KafkaLog

    return KafkaLog(bootstrap, properties, group=group)


def need_one_of(what: str, given: str, allowed: Iterable[str]) -> None:
    """Raise UsageError for a name that does not exist, with the nearest that does and with all of them."""
    from monitor.config.suggest import hint, listing

    names = tuple(allowed)
    if given not in names:
        near = hint(given, names)
        raise click.UsageError(f"there is no {what} {given!r}{near or '.'} There are: {listing(names)}")


def interactive() -> bool:
    """Whether a person looks at standard error."""
    return sys.stderr.isatty()
