"""One of several processes of a replay: reads and joins some of the partitions.

`monitor.cli.replay_processes` starts it with `python -m monitor.cli.replay_help`: one line of JSON on standard input, which
stays open for as long as the process is wanted.
"""

from __future__ import annotations

import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor.cli.replay_processes import Order, Said

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.daemon.worker import Worker
    from monitor.ports import Log

_TELL_EVERY_S = 0.2
_LOOK_EVERY_S = 0.05


class _Parent:
    """Who started this process: told how far it is, and asked whether it is still wanted."""

    def __init__(self) -> None:
        self._tell_at = self._look_at = 0.0

    def __call__(self, worker: Worker) -> None:
        from monitor.daemon.headway import headway

        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            if select.select([sys.stdin], [], [], 0)[0]:  # nothing more is ever written: it is closed
                worker.stop()
        if now >= self._tell_at and worker.tasks:
            self._tell_at = now + _TELL_EVERY_S
            self.say(Said(list(headway(worker).partitions)))

    def say(self, said: Said) -> None:
        """One line."""
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()


def _configured(order: Order) -> Config:
    from monitor.cli.common import load_config
    from monitor.config.canonical import digest_bytes
    from monitor.errors import MonitorError

    config = load_config(tuple(map(Path, order.files)), order.overrides)
    if digest_bytes(config.document().encode()) != order.config:
        raise MonitorError("the files of the configuration changed while the replay began. Begin it again.")
    return config


def _opened(order: Order, config: Config) -> Log:
    from monitor.cli.common import open_embedded, open_log

    if order.path is None:
        return open_log(config)
    if order.source == "embedded":
        return open_embedded(Path(order.path), read_only=True)
    from monitor.adapters.recording import RecordedLog

    return RecordedLog(order.path)


def run(order: Order) -> None:
    """Read the partitions of an order to their end."""
    from monitor.adapters import dead_letters
    from monitor.adapters.allocator import keep_freed_memory
    from monitor.adapters.clock import SystemClock
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.daemon.counted import as_begun
    from monitor.daemon.headway import headway
    from monitor.daemon.replay.rerun import rerun
    from monitor.daemon.replay.sharing import Share
    from monitor.plan import plan_of

    keep_freed_memory()
    config = _configured(order)
    source, own, parent = _opened(order, config), EmbeddedLog(order.directory), _Parent()
    try:
        share, plan = Share(frozenset(order.partitions), evaluates=False), as_begun(source, config, plan_of(config))
        clock, spans = SystemClock(), order.spans
        worker = rerun(
            source, own, config, plan, spans, clock, dead_letters, None, parent, finals_only=True, share=share
        )
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        worker.run()
        if worker.finished:
            statistics = worker.statistics
            rejected = {
                topic: {str(reason): count for reason, count in reasons.items()}
                for topic, reasons in statistics.rejected.items()
            }
            parent.say(Said(list(headway(worker).partitions), dict(statistics.consumed), rejected))
    finally:
        own.close()
        source.close()


def main() -> None:
    """Do what standard input says."""
    from monitor.cli.exits import report
    from monitor.cli.logs import set_up

    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to all of a terminal; who started this one says when to stop
    set_up("text", "WARNING")
    try:
        run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Order))
    except Exception as error:  # noqa: BLE001  # as the command line does: a sentence for what is ours, else raised again
        sys.exit(report(error))


if __name__ == "__main__":
    main()
