"""How events look in v1, kept for good: `python -m tests.alerts.golden` adds the lines that are not in the file.

A line that is there is never written again: the evaluator's chain of digests goes over these bytes, so an upgrade that
changed one could not go on where the version before it stopped.
"""

from __future__ import annotations

from pathlib import Path

from monitor.alerts.cloudevents import encode
from monitor.alerts.event import AlertEvent
from monitor.alerts.examples import example_events

GOLDEN = Path(__file__).parents[1] / "golden" / "alerts-v1.txt"
EVENTS: dict[str, AlertEvent] = example_events()


def golden() -> dict[str, bytes]:
    """The bytes of v1, by name."""
    lines = GOLDEN.read_bytes().splitlines() if GOLDEN.exists() else []
    return {name.decode(): raw for name, _, raw in (line.partition(b" ") for line in lines)}


if __name__ == "__main__":
    there = golden()
    with GOLDEN.open("ab") as file:
        file.writelines(name.encode() + b" " + encode(e) + b"\n" for name, e in EVENTS.items() if name not in there)
