"""B1, the yardstick: consume(500), orjson.loads of each message, gc off, nothing else.

    python -m tests.bench.b1 HOST:PORT PREDICTIONS LABELS

Reads both topics from their beginning to the end they have at the start. Prints one JSON line.
"""

from __future__ import annotations

import gc
import json
import sys
import time

import orjson

from tests.bench.reading import open_all


def main() -> None:
    consumer, total, _ = open_all(sys.argv[1], sys.argv[2:])
    gc.disable()
    loads, cpu = orjson.loads, time.process_time_ns()
    read = broken = 0
    while read < total:
        for message in consumer.consume(500, 0.1):
            read += 1
            try:
                loads(message.value())
            except orjson.JSONDecodeError:
                broken += 1
    cpu = time.process_time_ns() - cpu
    consumer.close()
    print(json.dumps({"events": read, "broken": broken, "loop_cpu_ns": cpu}))


if __name__ == "__main__":
    main()
