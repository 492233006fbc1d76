"""`driftline registry publish`, and publishing after each move."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from registry.cli.common import note, open_registry, output_option, pair, parted, print_json, print_table, store_option
from registry.cli.exits import FAILED, code_of
from registry.errors import RegistryError, TopicError
from registry.location import Location

if TYPE_CHECKING:
    from registry.state_topic import Published, StateTopic


@dataclass(frozen=True, slots=True)
class Place:
    """How a command is told where states are published: its options, and what makes the topic of their values. `opened`
    gives None when nobody said where."""

    options: tuple[click.Option, ...]
    opened: Callable[[Mapping[str, Any]], StateTopic | None]

    def taken(self, given: dict[str, Any]) -> StateTopic | None:
        """The topic, with the values of these options taken out of what a command was given."""
        return self.opened({str(option.name): given.pop(str(option.name)) for option in self.options})


OPTIONS: Final = (
    click.Option(
        ["--bootstrap"], envvar="DRIFTLINE_BOOTSTRAP", show_envvar=True, metavar="HOST:PORT",
        help="Publish to the topic NAMESPACE.models on these brokers.",
    ),
    click.Option(
        ["--namespace"], envvar="DRIFTLINE_NAMESPACE", show_envvar=True, default="driftline", show_default=True,
        help="What the topic is prefixed with.",
    ),
    click.Option(
        ["--property", "properties"], multiple=True, type=pair, metavar="KEY=VALUE",
        help="A librdkafka property, such as security.protocol=SSL; KEY_file reads KEY from a file.",
    ),
)  # fmt: skip


def kafka(given: Mapping[str, Any]) -> StateTopic | None:
    """The topic on Kafka that the options above name."""
    if given["bootstrap"] is None:
        return None
    from registry.kafka_topic import KafkaTopic
    from registry.state_topic import TOPIC

    return KafkaTopic(given["bootstrap"], f"{given['namespace']}.{TOPIC}", dict(given["properties"]))


ALONE: Final = Place(OPTIONS, kafka)
"""Where nothing else of Driftline is installed."""


def publishes(move: click.Command, place: Place) -> click.Command:
    """The command of a move, which publishes the states of the model once the move is done, or was done before. The move
    stands whatever becomes of the publication; the exit code says that it failed. What the command itself returns is its
    exit code where the publication does not fail."""
    inner = move.callback
    assert inner is not None

    def callback(**given: Any) -> None:
        topic = place.taken(given)
        code = inner(**given)
        model = _moved(given)
        if topic is not None and model is not None:
            try:
                _say(_published(given["store"], topic, (model,), overrule=False), topic)
            except TopicError as error:
                note(f"the move is done, and not published: {error} `driftline registry publish` makes up for it.")
                sys.exit(code_of(error))
        if code:
            sys.exit(code)

    return click.Command(
        move.name, callback=callback, params=[*move.params, *place.options], help=move.help, short_help=move.short_help
    )


def _moved(given: Mapping[str, Any]) -> str | None:
    """The model of which a command moves an alias. An import moves those that it is asked for."""
    if "there" not in given:
        return parted(given.get("spec") or given["name"])[0]
    return (given["name"] or given["there"]) if given["asked"] else None


def publish_command(place: Place) -> click.Command:
    """`publish`, to a place."""

    @click.command("publish")
    @click.argument("names", metavar="[NAME]...", nargs=-1)
    @click.option("--watch", is_flag=True, help="Go on until stopped, and write again whatever gets lost.")
    @click.option(
        "--every",
        type=click.FloatRange(min=0.1),
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="With --watch.",
    )
    @click.option("--overrule", is_flag=True, help="Write also where the topic is ahead of the store.")
    @store_option
    @output_option
    def publish(
        names: tuple[str, ...], watch: bool, every: float, overrule: bool, store: Location, output: str, **given: Any
    ) -> None:
        """Publish the state of every alias to the compacted topic NAMESPACE.models, where it is not there already.

        Compares the topic with the store and writes what is missing, older, or covered by an older record; so it heals what
        was lost. What is ahead of the store is named and left, exit code 1: it is forged, or the store lost its end.

        \b
        Examples:
          driftline registry publish --bootstrap localhost:9092
          driftline registry publish fraud --bootstrap localhost:9092 --watch
        """
        topic = place.taken(given)
        if topic is None:
            raise click.UsageError("say where: --bootstrap HOST:PORT")
        said = ""
        while True:
            try:
                done = _published(store, topic, names or None, overrule=overrule)
                if not watch or any(each.record for each in done):
                    _print(done, topic, output)
                if not watch:
                    sys.exit(0 if all(each.agrees for each in done) else FAILED)
                trouble = " ".join(_ahead(each) for each in done if not each.agrees)
            except RegistryError as error:
                if not watch:
                    raise
                trouble = str(error)
            if trouble != said:
                note(trouble or f"{topic.name} agrees with the store again")
            said = trouble
            time.sleep(every)

    publish.params += place.options
    return publish


def _published(
    store: Location, topic: StateTopic, models: tuple[str, ...] | None, *, overrule: bool
) -> list[Published]:
    from registry.state_topic import publish

    catalog, aliases = open_registry(store)
    for model in models or ():
        catalog.versions(model)  # Raises NotFound: a name that is mistyped must not look published.
    return publish(aliases, catalog, topic, models, overrule=overrule)


def _print(done: list[Published], topic: StateTopic, output: str) -> None:
    if output == "json":
        print_json({"topic": topic.name, "states": [_line(each) for each in done]})
        return
    if not done:
        note("no alias was ever moved: there is nothing to publish")
        return
    print_table(
        ("key", "version", "sequence", "topic was", "published"),
        [
            (e.state.key, "-" if e.state.version is None else str(e.state.version), str(e.state.sequence), str(e.standing),
             "yes" if e.record else "no")
            for e in done
        ],
        right=("version", "sequence"),
    )  # fmt: skip
    for each in done:
        if not each.agrees:
            note(_ahead(each))


def _say(done: list[Published], topic: StateTopic) -> None:
    for each in done:
        note(f"{each.state.key} is published to {topic.name}" if each.agrees else _ahead(each))


def _ahead(each: Published) -> str:
    return (
        f"the topic has a state of {each.state.key} that is ahead of the store (sequence {each.state.sequence}): it is "
        "forged, or the store lost its end; `driftline registry fsck` looks, --overrule writes over it"
    )


def _line(each: Published) -> dict[str, Any]:
    state = each.state
    return {
        "key": state.key,
        "version": state.version,
        "sequence": state.sequence,
        "standing": str(each.standing),
        "published": each.record is not None,
        "epoch": None if each.record is None else each.record.rank[0],
    }
