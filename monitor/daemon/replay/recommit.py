"""Every commit of a ledger partition once more: the recorded ranges, cuts and flags through the production engine.

One engine runs through all of them, where the live partition may have changed hands many times: that a rebuild gives
the state that was lost is part of what is proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from monitor.daemon.replay.differences import Difference, of_commits, says_no_clock
from monitor.daemon.replay.feeding import Feeding
from monitor.daemon.tail import Follower, Stored, read_range
from monitor.editions import refuse_newer
from monitor.errors import LedgerError, OffsetLost
from monitor.ingest.clocks import ClockState
from monitor.ledger.fold import Chain, FoldState, Verdict, fold
from monitor.ledger.records import Commit, Gap
from monitor.partition import Flags, Partition, Shared
from monitor.ports import Log


@dataclass(slots=True)
class Recommitted:
    """What became of one partition. `skipped` commits are before the first that the sources still allow to be made."""

    partition: int
    commits: int = 0
    skipped: int = 0
    records: int = 0
    difference: Difference | None = None


def recommit(
    log: Log,
    begin: Follower,
    topics: tuple[str, ...],
    shared: Shared,
    end: int,
    *,
    held: bool = False,
    from_ms: int = 0,
    tell: Callable[[int], None] | None = None,
) -> Recommitted:
    """Make every accepted commit of a ledger partition from `begin` on and below offset `end` again and compare; stops at
    the first that differs.

    `held`: begin at the first commit whose records are all still there instead of raising LedgerError; `from_ms`: at the
    first that the log took at this time or later. `tell` is called with the ledger offset that is done.
    """
    partition = begin.partition
    done = Recommitted(partition)
    feeding: Feeding | None = None
    engine: Partition | None = None
    try:
        for stored, before, after in _accepted(log, begin, end):
            record = stored.record
            if isinstance(record, Gap) and engine is not None and feeding is not None:
                stream = 0 if record.stream == "predictions" else 1
                engine.pass_over(stream, record.lost[1])
                feeding.skip(stream, record.lost[1])
            if not isinstance(record, Commit):
                continue
            if engine is None:
                if stored.timestamp_ms < from_ms:
                    done.skipped += 1
                    continue
                opened = _begin(log, topics, shared, partition, before, record, held=held)
                if opened is None:
                    done.skipped += 1
                    continue
                engine, feeding = opened
            assert feeding is not None
            done.difference = _again(shared, engine, feeding, before, record, partition)
            done.records = feeding.records
            if done.difference is not None:
                break
            done.commits += 1
            if tell is not None:
                tell(stored.offset + 1)
            assert after.commit is record
    finally:
        if feeding is not None:
            feeding.close()
    return done


def _accepted(log: Log, begin: Follower, end: int) -> Iterator[tuple[Stored, FoldState, FoldState]]:
    """The records of a ledger partition that count, with the state before and after each."""
    state = begin.state
    for stored in read_range(log, begin.topic, begin.partition, begin.next_offset, end):
        before = state
        state, verdict = fold(before, stored.record, stored.raw)
        if verdict is Verdict.ACCEPTED:
            yield stored, before, state


def _again(
    shared: Shared, engine: Partition, feeding: Feeding, before: FoldState, record: Commit, partition: int
) -> Difference | None:
    where = f"commit {record.sequence} of partition {partition}"
    engine.go_on_by(refuse_newer(record.edition, shared.plan.edition, where))
    engine.admission.follow(record)
    feeding.up_to(record.predictions[1], record.labels[1])
    floods = () if record.floods is msgspec.UNSET else record.floods
    flags = Flags(
        idle=record.idle,
        stalled=record.stalled,
        floods=floods,
        ended=record.ended,
        full=record.full is True,
        quiet=record.quiet is True,
        silent=record.silent is True,
        unreadable=() if record.unreadable is msgspec.UNSET else record.unreadable,
        gone_by=(0, 0) if record.gone_by is msgspec.UNSET else record.gone_by,
    )
    ours = engine.commit(Chain(record.epoch, record.owner, before.sequence, before.chain), flags)
    if record.flooding and not floods:  # of an earlier version, which did not say of which stream
        ours = msgspec.structs.replace(ours, flooding=True)
    if says_no_clock(record):  # whoever went on after it began with that over what counts
        engine.admission.clock = None
    if (
        record.unlisted_ahead is msgspec.UNSET and ours.unlisted_ahead is not msgspec.UNSET
    ):  # and with what else it says
        engine.admission.resume(record, shared.plan.max_jump_ms)
    return of_commits(shared.plan, partition, ours, record)


def _begin(
    log: Log,
    topics: tuple[str, ...],
    shared: Shared,
    partition: int,
    before: FoldState,
    first: Commit,
    *,
    held: bool,
) -> tuple[Partition, Feeding] | None:
    """The engine as it was before commit `first`. None with `held` when the sources no longer allow that."""
    commit = before.commit
    if commit is None:
        assert before.genesis is not None
        starts = [(offset, ClockState()) for offset in (before.next_prediction, before.next_label)]
    else:
        starts = [(f.offset, f.clock.state()) for f in (commit.prediction_floor, commit.label_floor)]
    if first.config != shared.plan.config_digest:
        raise LedgerError(
            f"partition {partition}: commit {first.sequence} counts under configuration {first.config[:19]}, this one is "
            f"{shared.plan.config_digest[:19]}: what a row means differs",
            "Give the configuration of the live run, or compare without its decisions (--without-decisions).",
        )
    engine = Partition(shared, partition, starts[0], starts[1])
    if commit is not None:
        engine.remember(commit)
    try:
        feeding = Feeding(log, topics, engine)
    except OffsetLost as lost:
        if held:
            return None
        raise LedgerError(
            f"commit {first.sequence} of partition {partition} needs topic {lost.topic!r} from offset {lost.wanted}, which "
            f"holds [{lost.begin}, {lost.end})",
            "--from held begins at the first commit whose records are all there.",
        ) from lost
    if commit is not None:
        feeding.up_to(commit.predictions[1], commit.labels[1])
        engine.resume(commit, (before.next_prediction, before.next_label))
    return engine, feeding
