"""A process that holds leases until it is killed: `python -m tests.adapters.holder embedded DIRECTORY TOPIC GROUP`.

Prints what it holds whenever that changes, one line of JSON each: [wall time in ms, [partitions]].
"""

from __future__ import annotations

import json
import sys

from monitor.adapters.clock import SystemClock
from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.kafka_log import KafkaLog
from monitor.ports import Log


def main(kind: str, where: str, topic: str, group: str, *properties: str) -> None:
    log: Log = EmbeddedLog(where) if kind == "embedded" else KafkaLog(where, dict(p.split("=", 1) for p in properties))
    leases, held = log.leases(topic, group), None
    while True:
        if (now := leases.poll(50)) != held:
            held = now
            print(json.dumps([SystemClock().now_ms(), sorted(held)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
