"""What an owner records beside a commit, and whether there is anything to commit at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.partition import Flags

if TYPE_CHECKING:
    from monitor.daemon.task import Task
    from monitor.daemon.worker import Worker


def flags_to_commit(worker: Worker, task: Task, now: int, *, due: bool, large: bool) -> Flags | None:
    """The decisions that go with the next commit of a task; None where nothing is to be committed. `due`: the interval is
    over; `large`: what was fed may not wait for more."""
    partition, rows, stopping = task.partition, task.engine.uncommitted_rows, worker.stopping
    flags = Flags(
        **worker.feeds.recorded(partition),
        floods=worker.dead_letters.floods(partition),
        unreadable=worker.dead_letters.unreadable(partition),
        full=partition in worker.capacity.full,
        quiet=worker.silence.quiet(task, now, ask=due and rows > 0 and not stopping),
        gone_by=worker.silence.gone_by(task, now, worker.clock.now_ms(), ask=due and not stopping),
    )
    if large:
        return flags
    # Not with rows: the clock that they moved would be lost, which says how far the input went (`LabelHold.read_ms`).
    ended = worker.options.until_end and not rows and task.reached(worker.finish)
    # Who ended has said everything: where all were idle beside that, no tick would close any more.
    idle = not rows and not ended and worker.silence.idle(task, now, stopping=stopping)
    flags = replace(
        flags,
        idle=idle,
        ended=ended,
        stalled=flags.stalled and not ended,
        silent=flags.silent and not ended,
        full=flags.full and not ended,
        quiet=flags.quiet and not idle and not ended,
    )
    return flags if rows or flags != task.flags or task.engine.has_to_say else None
