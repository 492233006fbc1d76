"""When the log took the newest of the records that were read of a partition: no event time in them lies much after that."""

from __future__ import annotations

from monitor.ingest.clocks import NEVER
from monitor.ports import Log

LOOK_AT = 1_000
"""Records before the end whose times are looked at: producers that write at once are not in step to the millisecond."""
_WAIT_MS = 200


def newest_taken_ms(log: Log, topic: str, partition: int, end: int, committed_ms: int | None) -> int:
    """The newest time, by the log or by the producers as the topic has it, of the last records below offset `end`.
    `committed_ms`: when the log took the commit about them, where that is known."""
    newest = NEVER if committed_ms is None else committed_ms
    position = max(log.begin_offsets(topic)[partition], end - LOOK_AT)
    reader = log.reader(keys=False, headers=False)
    try:
        reader.assign({(topic, partition): position})
        while position < end:
            for batch in reader.poll(min(LOOK_AT, end - position), _WAIT_MS):
                newest = max([newest, *batch.timestamps_ms[batch.offsets < end].tolist()])
                position = batch.next_offset
    finally:
        reader.close()
    return newest
