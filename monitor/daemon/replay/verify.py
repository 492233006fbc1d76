"""The proof with recorded decisions: commits, evaluations and what was published, made again and compared (2.6 c).

    sources + ledger -> recommit        ledger + evals -> redecide -> published

Each half is compared with what was recorded, and the second is fed the recorded ledger, so a difference in one half does
not hide in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monitor.config.types import Config
from monitor.daemon.counted import Counted
from monitor.daemon.replay.beginning import of_evaluations, of_partition
from monitor.daemon.replay.differences import Difference
from monitor.daemon.replay.published import Published, compare, records_of
from monitor.daemon.replay.recommit import Recommitted, recommit
from monitor.daemon.replay.redecide import redecide
from monitor.daemon.resume import Resumed
from monitor.daemon.shared import make_shared
from monitor.daemon.sources import refuse_another, source_topics
from monitor.daemon.tail import Follower, read_range
from monitor.errors import LedgerError
from monitor.ledger.records import Genesis
from monitor.plan import Plan
from monitor.ports import Decisions, Log

Tell = Callable[[str, int, int], None]


@dataclass(slots=True)
class Verified:
    """What was compared, and the differences found, the first one first; none of them means identical."""

    begin: Resumed | None = None
    """The checkpoint where the evaluations begin, above what was trimmed; None for the first evaluation."""
    begins: list[int] = field(default_factory=list)
    """Where the commits begin, a ledger offset for each partition."""
    partitions: list[Recommitted] = field(default_factory=list)
    evaluations: int = 0
    published: list[Published] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def commits(self) -> int:
        """Commits that were made again."""
        return sum(each.commits for each in self.partitions)


def verify(
    log: Log,
    config: Config,
    by: Counted,
    decisions: Decisions,
    *,
    held: bool = False,
    from_ms: int = 0,
    tell: Tell = lambda *_: None,
) -> Verified:
    """Make the whole recorded run of a namespace again. `tell` hears what is done, how far it is, and of how much.

    `by`: what the namespace counts by. `held` and `from_ms` limit the commits that are made again (see `recommit`);
    evaluations are all made again, those of a trimmed ledger from the oldest checkpoint on (see `beginning`).

    A namespace may run meanwhile: the end of `evals` is taken first, then those of what was published, of the ledger and
    of the sources, and what later evaluations published is left out. Raises LedgerError when there is no ledger of these
    topics, or the sources no longer hold what it speaks of.
    """
    topics = config.topics()
    _need(log, topics.ledger, topics.evals, topics.configs, topics.windows, topics.alerts, topics.alerts_state)
    outputs = (topics.windows, topics.alerts, topics.alerts_state)
    ends = {name: log.end_offsets(name) for name in (topics.evals, *outputs, topics.ledger)}
    sources = source_topics(log, config)
    done = Verified(begin=of_evaluations(log, topics, len(ends[topics.ledger]), ends[topics.evals][0]))
    for partition, end in enumerate(ends[topics.ledger]):
        begin = of_partition(log, topics, partition, end)
        done.begins.append(begin.next_offset)
        _recognise(log, config, begin, end)

        def told(offset: int, partition: int = partition, end: int = end) -> None:
            tell(f"commits of partition {partition}", offset, end)

        shared = make_shared(by.config, by.plan, roster=by.roster)
        again = recommit(log, begin, sources.names, shared, end, held=held, from_ms=from_ms, tell=told)
        done.partitions.append(again)
        if again.difference is not None:
            done.differences.append(again.difference)
    if not done.commits and not done.differences:
        skipped = sum(each.skipped for each in done.partitions)
        raise LedgerError(
            f"of no commit could it be proved what it says: {skipped} were left out, because their records are gone or they "
            "are before the beginning, and there are no others",
            "Begin earlier, or verify a recording that was made in time.",
        )
    _decide(log, config, by.plan, decisions, done, ends, outputs, tell)
    return done


def _decide(
    log: Log,
    config: Config,
    plan: Plan,
    decisions: Decisions,
    done: Verified,
    ends: dict[str, list[int]],
    outputs: Sequence[str],
    tell: Tell,
) -> None:
    topics = config.topics()
    first = done.begin.evaluation.sequence if done.begin is not None else 0
    last, settled, broken = first, False, None
    ledger = sum(ends[topics.ledger])
    for again in redecide(log, config, plan, len(ends[topics.ledger]), ends[topics.evals][0], done.begin):
        last, settled = again.evaluation.sequence, again.evaluation.settled
        decisions.add(records_of(again.outputs, topics, last))
        if again.difference is not None:
            broken = again.difference
            break
        done.evaluations += 1
        tell("evaluations", sum(again.evaluation.ledger), ledger)
    # A step is published before the next is recorded; of the last one something may be missing.
    for topic in outputs:
        tell(f"records of {topic}", 0, sum(ends[topic]))
        found = compare(
            log, topic, ends[topic], decisions, last + settled, lambda r: r if first < r.order <= last else None
        )
        done.published.append(found)
        if found.difference is not None:
            done.differences.append(found.difference)
    if broken is not None:
        done.differences.append(broken)


def _need(log: Log, *names: str) -> None:
    for name in names:
        if log.topic(name) is None:
            raise LedgerError(
                f"there is no topic {name!r}: nothing was recorded that could be verified",
                "Has `driftline run` been started with this `namespace`? A recording needs --decisions.",
            )


def _recognise(log: Log, config: Config, begin: Follower, end: int) -> None:
    """Raise LedgerError unless the ledger partition is about the topics as they are now."""
    genesis, start = begin.state.genesis, begin.next_offset
    if genesis is None:
        first = [s.record for s in read_range(log, begin.topic, begin.partition, start, min(end, start + 1))]
        genesis = next((record for record in first if isinstance(record, Genesis)), None)
    if genesis is not None:
        sources = source_topics(log, config)
        where = f"the ledger of namespace {config.namespace!r}, partition {begin.partition},"
        refuse_another(where, genesis.predictions, sources.predictions)
        if genesis.labels is not None and sources.labels is not None:
            refuse_another(where, genesis.labels, sources.labels)
