"""A range of the source topics once more, by the worker that runs in production, into a log of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from monitor.config.types import Config
from monitor.daemon.counted import Counted
from monitor.daemon.dead_letter_office import Post
from monitor.daemon.replay.sharing import InStep, Share
from monitor.daemon.replay.slices import SlicedLog, Span
from monitor.daemon.topics import internal_topics
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.evaluator import TickOutput
from monitor.plan import Plan
from monitor.ports import Log, WallClock

_NEVER_MS = 36_500 * 86_400_000
"""Who is idle, quiet or stalled would be decided by how fast a replay runs, so nobody is."""


def rerun(
    source: Log,
    own: Log,
    config: Config,
    plan: Plan,
    spans: Mapping[str, Sequence[Span]],
    clock: WallClock,
    post: Post,
    observe: Callable[[TickOutput], None] | None = None,
    tell: Callable[[Worker], None] | None = None,
    *,
    finals_only: bool = False,
    by: Counted | None = None,
    share: Share | None = None,
) -> Worker:
    """The worker that will read `spans` of `source` to their end, settle everything and stop; `run` it. With
    `finals_only` it publishes no window before it is final: rules read every revision all the same. `share`: what of all that
    this process does, where nobody else may take it; without it the leases of `own` say.

    It writes the internal topics of `config`'s namespace to `own` and nothing anywhere else: dead letters are counted
    and not written again. What is in `own` already it goes on from, as after any restart. `by`: what rows are counted by where
    that is not `config` and `plan` alone.
    """
    quiet = config.model_copy(
        update={
            "dead_letters": config.dead_letters.model_copy(update={"enabled": False}),
            "time": config.time.model_copy(update=dict.fromkeys(("idle_after_ms", "stalled_after_ms"), _NEVER_MS)),
            # What is made of the ledger afterwards (a sweep, totals) reads it from its beginning.
            # It is of one edition from beginning to end, however long it waits for being resumed.
            "state": config.state.model_copy(update={"trim": False, "upgrade_after_ms": _NEVER_MS}),
        }
    )
    partitions = len(next(iter(spans.values())))
    writable = [spec.name for spec in internal_topics(config.topics(), partitions)]
    topics = config.topics()
    given = None if share is None else share.given(topics.tasks, topics.evals)
    log = SlicedLog(source, own, spans, writable, clock, given)
    # The plan is that of the configuration as it was given: what it says of the meaning is what is published.
    plan = dataclasses.replace(plan, finals_only=finals_only)
    counted = None if by is None else dataclasses.replace(by, plan=plan)
    options = WorkerOptions(until_end=True, helps=share is not None and not share.evaluates)
    in_step = InStep() if share is not None and len(share.partitions) < partitions else None

    def told(worker: Worker) -> None:
        if in_step is not None:
            in_step.look(worker)
        if tell is not None:
            tell(worker)

    return Worker(log, quiet, plan, clock, post, options, observe, told, counted=counted)
