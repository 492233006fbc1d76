"""The command `driftline backtest-policy`, which also reads the alerts and rows of a deployment's own topics."""

from __future__ import annotations

from pathlib import Path

from monitor.cli.retrain import wire
from pipelines.cli.past import file_events, make


def events(path: Path | None, embedded: Path | None) -> list[bytes]:
    """All alerts that were told: of a file, or of the topic of events of a deployment."""
    if path is None or path.suffix not in (".yaml", ".yml"):
        return file_events(path, embedded)
    from monitor.cli.common import load_config
    from monitor.cli.scan import need_topic, open_existing, read_all

    config = load_config((path,), ())
    topic = config.topics().alerts
    log = open_existing(config, embedded)
    try:
        need_topic(log, topic, "Has `driftline run` been started with this configuration's `namespace`?")
        return [record.value for record in read_all(log, topic, "reading alerts") if record.value is not None]
    finally:
        log.close()


command = make(wire, events)
