"""Alerts about the daemon itself, from what owners recorded in their commits, and the evaluator in its own.

A condition that begins fires, one that ends resolves. Times are the event time that the partition had reached when its
owner recorded the decision, so deciding again gives the same events.

Most conditions are of one partition, or of one topic of it, and told as soon as they are read. A flood of bad records can
begin before there is any event time: then its time is the one that the log itself gave its records.

The feeds are the namespace's: one alert while any partition says that its labels are stalled, and one while all say that no
predictions come. Which partition was read first
must not be seen, so a change is told when every partition has come past its time; one that is idle is not waited for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, UnsetType

from monitor.alerts.cloudevents import operational_event
from monitor.alerts.event import ABOUT_DATA, LAST_MS, About, AlertEvent, Severity, Standing
from monitor.alerts.label_hold import LABELS_SLOW
from monitor.alerts.traffic import MODEL_SILENT, VOLUME_LOW
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.records import Commit, Flood, Unreadable


@dataclass(frozen=True, slots=True)
class Condition:
    """Something an owner can record about its partition."""

    name: str
    severity: Severity
    begins: str
    ends: str


FLOOD: Final = Condition(
    "dead-letter-flood",
    "ticket",
    "so many records are rejected that dead letters are cut to pointers; look at driftline dlq list",
    "rejected records are few again",
)
UNREADABLE: Final = Condition(
    "records-unreadable",
    "page",
    "none of the newest records can be used, so a mapped field was renamed or the configuration does not fit; look at driftline "
    "dlq list, and map it anew",
    "records can be used again",
)
FULL: Final = Condition(
    "join-full",
    "page",
    "its worker holds state.max_rows rows, or state.directory takes no more of them, so predictions wait and windows stand "
    "still; run more workers, or raise the limit and what it needs",
    "its worker has room again",
)
STALLED: Final = Condition(
    "label-feed-stalled",
    "ticket",
    "predictions go on and labels have stopped coming; look at who writes the topic of labels",
    "labels come again",
)
SILENT: Final = Condition(
    "predictions-silent",
    "page",
    "no prediction has come for longer than `quality` allows; look at who writes the topic of predictions",
    "predictions come again",
)
UNOWNED: Final = Condition(
    "partition-unowned",
    "page",
    "records wait and nobody has counted any for minutes; look whether enough workers run, and at what they log",
    "somebody works on it again",
)
NAMES: Final = (
    *(condition.name for condition in (FLOOD, UNREADABLE, FULL, STALLED, UNOWNED, SILENT)),
    MODEL_SILENT,
    VOLUME_LOW,
    LABELS_SLOW,
)
"""Names of all conditions there are: values of the label `rule` in telemetry."""

FEED_SCOPE: Final = "labels"
SILENT_SCOPE: Final = "predictions"


@dataclass(frozen=True, slots=True)
class _Of:
    """What a condition is of: its partition, the alert's scope, the same for people, and as facts."""

    partition: int
    scope: str
    text: str
    facts: Mapping[str, int | str]


def _partition(number: int) -> _Of:
    return _Of(number, f"partition/{number}", f"partition {number}", {"partition": number})


class OperationalWatch:
    """What is going on in each partition, and the events that have not been told yet."""

    def __init__(self, namespace: str, labels: Mapping[str, str], topics: Sequence[str], partitions: int) -> None:
        """`labels`: what goes into every alert, until others hold. `topics`: predictions and, unless there are none, labels."""
        self._namespace, self.labels, self._topics = namespace, labels, tuple(topics)
        self._began: dict[tuple[str, str], int] = {}
        self._told_ms: dict[str, int] = {}
        self.unowned: frozenset[int] = frozenset()
        """The partitions without an owner, as last recorded."""
        self._untold: list[tuple[int, int, AlertEvent]] = []
        self._feed = _Feed(partitions, every=False)
        self._predictions = _Feed(partitions, every=True)

    def feed(self, partition: int, commit: Commit) -> None:
        """Take an accepted commit of a partition."""
        at_ms = max(commit.prediction_clock.maximum_ms, commit.label_clock.maximum_ms)
        floods = () if commit.floods is UNSET else commit.floods
        of = _partition(partition)
        self._note(FLOOD, of, commit.sequence, at_ms, holds=commit.flooding and not floods)  # of an earlier version
        for stream, topic in enumerate(self._topics):
            flood = next((flood for flood in floods if flood.stream == stream), None)
            self._note_stream(FLOOD, partition, topic, commit.sequence, at_ms, flood)
            lost = () if commit.unreadable is UNSET else commit.unreadable
            unreadable = next((each for each in lost if each.stream == stream), None)
            self._note_stream(UNREADABLE, partition, topic, commit.sequence, at_ms, unreadable)
        if (full := commit.full is True) != ((FULL.name, of.scope) in self._began):
            # Predictions wait meanwhile, so event time stands still while it fills and empties.
            self._note(FULL, of, commit.sequence, self._later(f"{FULL.name}/{of.scope}", at_ms), holds=full)
        silent, heard = commit.silent is True, not (commit.idle or commit.ended)
        self._feed.note(partition, at_ms, stalled=commit.stalled, waited_for=heard)
        predicted_ms = commit.prediction_clock.maximum_ms
        heard = heard and not silent and commit.quiet is not True
        self._predictions.note(partition, predicted_ms, stalled=silent, waited_for=heard)

    def owners(self, unowned: frozenset[int], wall_ms: int) -> None:
        """Take a decision of the evaluator about who has no owner; its time is that of the wall, as it was recorded."""
        for partition in sorted(self.unowned ^ unowned):
            of = _partition(partition)
            at_ms = self._later(f"{UNOWNED.name}/{of.scope}", wall_ms)
            self._note(UNOWNED, of, -1, at_ms, holds=partition in unowned)
        self.unowned = unowned

    def _later(self, what: str, at_ms: int) -> int:
        """The time, or the next one after what was told last: an id is never used twice."""
        self._told_ms[what] = at_ms = max(at_ms, self._told_ms.get(what, NEVER) + 1)
        return at_ms

    def _note_stream(
        self,
        condition: Condition,
        partition: int,
        topic: str,
        sequence: int,
        at_ms: int,
        found: Flood | Unreadable | None,
    ) -> None:
        facts: dict[str, int | str] = {"topic": topic, "partition": partition}
        if isinstance(found, Unreadable):
            facts["reason"] = found.reason
        of = _Of(
            partition,
            f"{topic}/partition/{partition}",
            f"{topic}, partition {partition}",
            facts,
        )
        if (found is not None) == ((condition.name, of.scope) in self._began):
            return
        known_ms = at_ms if at_ms > NEVER or found is None else found.since_ms
        what = of.scope if condition is FLOOD else f"{condition.name}/{of.scope}"
        self._note(condition, of, sequence, self._later(what, known_ms), holds=found is not None)

    def _note(self, condition: Condition, of: _Of, sequence: int, at_ms: int, *, holds: bool) -> None:
        key = (condition.name, of.scope)
        if holds == (key in self._began):
            return
        fired_ms = self._began.setdefault(key, at_ms)
        if not holds:
            del self._began[key]
        event = self._event(
            condition,
            of.scope,
            f"{of.text}: {condition.begins if holds else condition.ends}",
            of.facts,
            holds=holds,
            at_ms=at_ms,
            fired_ms=fired_ms,
        )
        self._untold.append((of.partition, sequence, event))

    def drain(self) -> list[AlertEvent]:
        """Events since the last call, by partition: the order in which partitions were read cannot be seen."""
        events = [event for _, _, event in sorted(self._untold, key=lambda item: item[:2])]
        self._untold.clear()
        for change in self._feed.settled():
            where = f"in {len(change.stalled)} of {self._feed.partitions} partitions"
            events.append(
                self._event(
                    STALLED,
                    FEED_SCOPE,
                    f"{STALLED.begins} ({where})" if change.holds else STALLED.ends,
                    {"partitions": len(change.stalled)},
                    holds=change.holds,
                    at_ms=change.at_ms,
                    fired_ms=change.fired_ms,
                )
            )
        for change in self._predictions.settled():
            said, facts = SILENT.begins if change.holds else SILENT.ends, {"partitions": len(change.stalled)}
            times = {"at_ms": change.at_ms, "fired_ms": change.fired_ms}
            events.append(self._event(SILENT, SILENT_SCOPE, said, facts, holds=change.holds, about=ABOUT_DATA, **times))
        return events

    def _event(
        self,
        condition: Condition,
        scope: str,
        summary: str,
        facts: Mapping[str, int | str],
        *,
        holds: bool,
        at_ms: int,
        fired_ms: int,
        about: About | UnsetType = UNSET,
    ) -> AlertEvent:
        return operational_event(
            self._namespace,
            condition.name,
            scope,
            Standing.FIRING if holds else Standing.RESOLVED,
            at_ms=min(max(at_ms, 0), LAST_MS),
            fired_ms=min(max(fired_ms, 0), LAST_MS),
            severity=condition.severity,
            summary=summary,
            facts=facts,
            labels=self.labels,
            about=about,
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """The feed of the namespace stalled (`holds`) or went on; in which partitions it stands."""

    at_ms: int
    fired_ms: int
    stalled: frozenset[int]
    holds: bool


class _Feed:
    """A feed of the namespace, out of what its partitions recorded: it stands when one of them does, or when `every` does.

    What is remembered changes only with what is fed and with the changes that are told, never with a look that
    tells nothing: after a restart there are fewer looks.
    """

    def __init__(self, partitions: int, *, every: bool) -> None:
        self.partitions = partitions
        self._needed = partitions if every else 1
        self._reached = [NEVER] * partitions
        self._last = [False] * partitions
        self._waited_for = [True] * partitions
        self._told_ms = NEVER
        self._fired_ms = NEVER
        self._stalled: frozenset[int] = frozenset()  # as of _told_ms
        self._untold: dict[int, list[tuple[int, bool]]] = defaultdict(list)  # changes of a partition, in order

    def note(self, partition: int, at_ms: int, *, stalled: bool, waited_for: bool) -> None:
        """What a commit says, at event time `at_ms`, which never goes back within a partition."""
        self._reached[partition] = at_ms
        self._waited_for[partition] = waited_for
        if stalled != self._last[partition]:
            self._last[partition] = stalled
            self._untold[partition].append((at_ms, stalled))

    def settled(self) -> Iterator[_Change]:
        """Changes of the namespace that no partition can alter any more."""
        if not self._untold:
            return
        waiting = [at for at, waited_for in zip(self._reached, self._waited_for, strict=True) if waited_for]
        below = min(waiting, default=FOREVER + 1)
        told_ms = self._told_ms
        # A partition that was idle may come back with a change of long ago: told history is not rewritten.
        changes = sorted(
            (max(at_ms, told_ms + 1), partition, order, stalled)
            for partition, own in self._untold.items()
            for order, (at_ms, stalled) in enumerate(own)
            if at_ms < below
        )
        now, seen = set(self._stalled), Counter[int]()
        for place, (at_ms, partition, _, stalled) in enumerate(changes):
            (now.add if stalled else now.discard)(partition)
            seen[partition] += 1
            if place + 1 < len(changes) and changes[place + 1][0] == at_ms:
                continue  # one moment is one change
            if self._stands(now) != self._stands(self._stalled) and at_ms <= FOREVER:  # nothing is told after the end
                yield self._tell(at_ms, frozenset(now), seen)
                seen.clear()

    def _tell(self, at_ms: int, stalled: frozenset[int], seen: Mapping[int, int]) -> _Change:
        """Remember what is told now, and forget the changes of each partition that it took in."""
        holds = self._stands(stalled)
        if holds:
            self._fired_ms = at_ms
        self._told_ms, self._stalled = at_ms, stalled
        for partition, count in seen.items():
            del self._untold[partition][:count]
            if not self._untold[partition]:
                del self._untold[partition]
        return _Change(at_ms, self._fired_ms, stalled, holds)

    def _stands(self, stalled: AbstractSet[int]) -> bool:
        return len(stalled) >= self._needed
