"""After each round of retraining: what the registry says of its aliases is on the topic `models`, or a person is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.aliases import Aliases
    from registry.catalog import Catalog


@dataclass(slots=True)
class Announcing:
    """Compares and writes what differs. A broker that is away ends no run: the next round tries again, and the same sentence
    is said once. `config` is the monitor's configuration; `embedded` the directory of an embedded log, None for Kafka."""

    catalog: Catalog
    aliases: Aliases
    config: Path
    embedded: Path | None = None
    _said: str = field(default="", init=False)

    def __call__(self) -> Sequence[str]:
        """Sentences for people: what was published, or why not."""
        from monitor.cli.common import load_config
        from monitor.cli.models_topic import topic_of
        from monitor.errors import MonitorError
        from registry.errors import RegistryError
        from registry.state_topic import publish

        written: list[str] = []
        trouble = ""
        try:
            topic = topic_of(load_config((self.config,), ()), self.embedded)
            done = publish(self.aliases, self.catalog, topic)
            written = [f"{each.state.key} is published to {topic.name}" for each in done if each.record]
            ahead = [each.state.key for each in done if not each.agrees]
            if ahead:
                trouble = f"{topic.name} is ahead of the store for {', '.join(ahead)}: `driftline registry publish` tells more"
        except (MonitorError, RegistryError) as error:
            trouble = f"where the aliases stand is not published: {error}"
        if trouble and trouble != self._said:
            written.append(trouble)
        self._said = trouble
        return written
