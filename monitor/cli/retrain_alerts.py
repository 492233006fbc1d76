"""What fires, read from the compacted topic of a deployment: `pipelines.ports.Alerts` over the monitor's log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import StepFailed
from pipelines.firing import by_event, firing

if TYPE_CHECKING:
    from pipelines.firing import Firing


@dataclass(frozen=True, slots=True)
class TopicAlerts:
    """The newest event of each alert, read anew at each question; between the packages only these bytes travel.

    `config` is the monitor's configuration; `embedded` the directory of an embedded log, None for Kafka.
    """

    config: Path
    embedded: Path | None = None

    def firing(self) -> tuple[Firing, ...]:
        """See Alerts. Raises StepFailed, to be tried again, while the topic cannot be read whole."""
        from monitor.cli.common import load_config
        from monitor.cli.scan import need_topic, newest_of_each_key, open_existing, read_all
        from monitor.errors import LogError, MonitorError

        config = load_config((self.config,), ())
        topic = config.topics().alerts_state
        try:
            log = open_existing(config, self.embedded)
            try:
                need_topic(log, topic, "Has `driftline run` been started with this configuration's `namespace`?")
                newest = newest_of_each_key(read_all(log, topic, "reading alerts"))
            finally:
                log.close()
        except (LogError, MonitorError) as error:
            raise StepFailed(
                f"topic {topic!r}", f"cannot be read: {str(error).rstrip('.?')}", "It is tried again.", again=True
            ) from error
        found, unreadable = firing(one.value for one in newest.values() if one.value is not None)
        if unreadable:
            why = f"holds {len(unreadable)} records that are no alerts: {unreadable[0].why}"
            raise StepFailed(f"topic {topic!r}", why, "Is the monitor newer than this code?", again=True)
        return found

    def events(self) -> dict[str, Firing]:
        """See Told: of both topics, since old events leave the one and only the newest are in the other."""
        from monitor.cli.common import load_config
        from monitor.cli.scan import open_existing, read_all

        topics = load_config((self.config,), ()).topics()
        log = open_existing(load_config((self.config,), ()), self.embedded)
        try:
            there = [topic for topic in (topics.alerts, topics.alerts_state) if log.topic(topic) is not None]
            found = [one.value for topic in there for one in read_all(log, topic, "reading alerts")]
        finally:
            log.close()
        return by_event(value for value in found if value is not None)
