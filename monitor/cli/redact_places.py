"""Where ids can be: each place counts them, takes them out, and is searched afterwards."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from monitor.adapters import recording_redact as records
from monitor.adapters.absence import Finding, Found, search_path
from monitor.adapters.recording import RecordedLog
from monitor.cli.progress import StepProgress

if TYPE_CHECKING:
    from monitor.adapters.needles import Needles
    from monitor.adapters.snapshot_objects import SnapshotObjects
    from monitor.adapters.snapshot_topic import SnapshotTopic
    from monitor.adapters.snapshots import SnapshotDirectory
    from monitor.config.types import Config
    from monitor.ports import Log

    Snapshots = SnapshotDirectory | SnapshotObjects | SnapshotTopic


@dataclass(frozen=True, slots=True)
class Line:
    """Something of the ids: where, what, how much, and what is or would be done about it."""

    where: str
    what: str
    count: int
    then: str


class Place(Protocol):
    """One thing that may hold ids."""

    @property
    def where(self) -> str:
        """What it is called."""

    def found(self) -> list[Line]:
        """What it holds. Changes nothing."""

    def take_out(self) -> list[Line]:
        """Take it out; what was done. Asked again it does what is left."""

    def search(self) -> Iterator[Finding]:
        """Every byte of it."""


@contextmanager
def places_of(
    config: Config, needles: Needles, embedded: Path | None, asked: Mapping[str, Any], *, writes: bool
) -> Iterator[list[Place]]:
    """The places that were named, in the order in which they are gone through; the log is closed afterwards."""
    from monitor.cli.redact_store import StorePlace
    from monitor.cli.redact_topics import TopicsPlace
    from monitor.cli.scan import open_existing
    from registry.cli.common import written_location

    who = Who(asked["actor"], asked["reason"])
    matcher = records.Matcher(config, needles)
    places: list[Place] = []
    log: Log | None = None
    try:
        if not asked["no_topics"] or config.state.snapshots == "topic":
            log = open_existing(config, embedded, read_only=not writes)
        if not asked["no_topics"]:
            assert log is not None
            places.append(TopicsPlace(log, config, matcher, trim=asked["trim_dead_letters"]))
        places += [RecordingPlace(each, matcher, who, asked["mentions"]) for each in asked["recordings"]]
        if asked["location"] is not None:
            places.append(StorePlace(written_location(asked["location"]), needles, who, asked["mentions"]))
        if config.state.snapshots is not None:
            places.append(SnapshotsPlace(config, log, needles))
        places += [OutputsPlace(each, needles) for each in asked["outputs"]]
        yield places
    finally:
        if log is not None:
            log.close()


class Who:
    """Who asks, and why; the clock and the keys of this machine."""

    def __init__(self, actor: str | None, reason: str) -> None:
        from registry.cli.common import _user

        self.actor, self.reason = actor or _user(), reason

    @staticmethod
    def now_ms() -> int:
        """The wall clock."""
        return time.time_ns() // 1_000_000

    @staticmethod
    def key() -> bytes:
        """Sixteen bytes that nobody else draws."""
        return secrets.token_bytes(records.KEY_BYTES)


class RecordingPlace:
    """A recording."""

    def __init__(self, directory: Path, matcher: records.Matcher, who: Who, mentions: bool) -> None:
        self.where, self._directory = f"recording {directory}", directory
        self._matcher, self._who, self._mentions = matcher, who, mentions

    def found(self) -> list[Line]:
        """See Place."""
        with StepProgress(quiet=False) as progress:
            counts = records.count(
                RecordedLog(self._directory), self._matcher, lambda *step: progress.show("reading", *step)
            )
        return self._lines(counts, "will be taken out", "will be removed")

    def take_out(self) -> list[Line]:
        """See Place."""
        who = records.Who(self._who.actor, self._who.reason, self._who.now_ms(), self._who.key())
        with StepProgress(quiet=False) as progress:
            counts, _ = records.redact(
                RecordedLog(self._directory),
                self._matcher,
                who,
                mentions=self._mentions,
                tell=lambda *step: progress.show("reading", *step),
            )
        return self._lines(counts, "taken out", "removed")

    def search(self) -> Iterator[Finding]:
        """See Place."""
        return search_path(self._directory, self._matcher.needles)

    def _lines(self, counts: records.Counts, taken: str, removed: str) -> list[Line]:
        others = taken if self._mentions else "left: they are of other ids; --mentions takes them out"
        kinds = (
            ("records of the ids", counts.own, taken),
            ("records whose id cannot be read, which hold one", counts.unread, taken),
            ("records of other ids that hold one", counts.mentions, others),
        )
        lines = [
            Line(self.where, f"{what}, {topic}", count, then)
            for what, held, then in kinds
            for topic, count in held.items()
            if count
        ]
        if counts.leftovers:
            lines.append(Line(self.where, "files of an interrupted redaction", counts.leftovers, removed))
        return lines


class SnapshotsPlace:
    """The snapshots of a namespace. They hold hashes of ids and are never needed, so all of them go."""

    def __init__(self, config: Config, log: Log | None, needles: Needles) -> None:
        assert config.state.snapshots is not None
        self.where = f"snapshots of {config.namespace} in {config.state.snapshots}"
        self._config, self._needles = config, needles
        self._store = _snapshots(config, log)

    def found(self) -> list[Line]:
        """See Place."""
        count = len(self._store.all())
        return [Line(self.where, "snapshots", count, "will be removed, all of them")] if count else []

    def take_out(self) -> list[Line]:
        """See Place."""
        count = self._store.clear()
        return [Line(self.where, "snapshots", count, "removed")] if count else []

    def search(self) -> Iterator[Finding]:
        """See Place. One that is there holds the ids or may: they are scattered over columns."""
        from monitor.adapters.absence import Unsearched

        for path in self._store.all():
            yield Unsearched(path, "it is a snapshot of a join; --yes removes it")


def _snapshots(config: Config, log: Log | None) -> Snapshots:
    from monitor.adapters.snapshot_objects import SnapshotObjects, is_address
    from monitor.adapters.snapshot_topic import SnapshotTopic
    from monitor.adapters.snapshots import SnapshotDirectory

    where = config.state.snapshots
    assert where is not None
    if where == "topic":
        assert log is not None
        return SnapshotTopic(log, config.namespace)
    if is_address(where):
        return SnapshotObjects(where, config.namespace)
    return SnapshotDirectory(Path(where), config.namespace)


class OutputsPlace:
    """Files that were made of the topics, and can be made again without the ids."""

    def __init__(self, path: Path, needles: Needles) -> None:
        self.where, self._path, self._needles = f"outputs {path}", path, needles

    def _holding(self) -> list[tuple[Path, str]]:
        """Files with what they are."""
        files = [self._path] if self._path.is_file() else sorted(p for p in self._path.rglob("*") if p.is_file())
        found = ((path, next(search_path(path, self._needles), None)) for path in files)
        return [(path, _told(finding)) for path, finding in found if finding is not None]

    def found(self) -> list[Line]:
        """See Place."""
        return [Line(str(path), what, 1, "will be removed") for path, what in self._holding()]

    def take_out(self) -> list[Line]:
        """See Place."""
        held = self._holding()
        for path, _ in held:
            path.unlink(missing_ok=True)
        return [Line(str(path), what, 1, "removed") for path, what in held]

    def search(self) -> Iterator[Finding]:
        """See Place."""
        return search_path(self._path, self._needles)


def _told(finding: Finding) -> str:
    if isinstance(finding, Found):
        return "a file that holds an id"
    return f"a file that cannot be searched: {finding.why}"
