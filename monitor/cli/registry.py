"""The command `driftline registry`: the registry, publishing to the topics of a deployment."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from monitor.cli.registry_others import PipelineThings
from monitor.cli.registry_reproduce import command as reproduce
from monitor.cli.registry_seen import command as seen
from registry.cli import make
from registry.cli.publishing import OPTIONS, Place, kafka

if TYPE_CHECKING:
    from registry.state_topic import StateTopic

_OPTIONS: Final = (
    click.Option(
        ["-c", "--config", "files"], envvar="DRIFTLINE_CONFIG", show_envvar=True, multiple=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Publish to the topic `models` of this deployment: brokers, properties and namespace are those of the monitor's "
        "configuration; repeat it to layer files.",
    ),
    click.Option(
        ["--embedded"], type=click.Path(path_type=Path, file_okay=False),
        help="With -c: the embedded log in this directory instead of Kafka.",
    ),
)  # fmt: skip


def _opened(given: Mapping[str, Any]) -> StateTopic | None:
    if not given["files"]:
        if given["embedded"] is not None:
            raise click.UsageError("--embedded needs the configuration of the deployment: -c driftline.yaml")
        return kafka(given)
    from monitor.cli.common import load_config
    from monitor.cli.models_topic import topic_of

    return topic_of(load_config(given["files"], ()), given["embedded"])


_trains = importlib.util.find_spec("pipelines") is not None
command = make(
    Place((*_OPTIONS, *OPTIONS), _opened),
    (reproduce, seen) if _trains else (seen,),
    PipelineThings() if _trains else None,
)
