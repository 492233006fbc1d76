"""Reading the configuration again while the worker runs: when it is asked to, or when its files have changed.

All or nothing: a configuration with a mistake, or with one change that cannot be made in a running namespace, changes
nothing, and every such change is named with what to do instead. What may change are the rules and what describes alerts,
at a tick, and at a pane the windows, as long as the namespace's panes make them up, which models there are, and what is watched
of them: features, segments, references, distances.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from monitor.config import Config
from monitor.config.diff import Change, Effect, diff, labels_alike
from monitor.config.durations import format_duration
from monitor.config.renamed import OldName
from monitor.config.suggest import listing
from monitor.config.windows import Window
from monitor.daemon.begun import fit
from monitor.daemon.counted import Counted
from monitor.daemon.generations import FILE, SIGNAL, Known
from monitor.daemon.timers import Every
from monitor.errors import ConfigError, ReferenceProfileError
from monitor.plan import plan_of
from monitor.ports import WallClock
from monitor.telemetry import RELOADS

_log = logging.getLogger("driftline.config")

LOOK_EVERY_MS = 2_000
"""How often the files are looked at. Their content is read: they are small, and neither an inode nor a time tells a
replaced symlink, a copy and an editor apart."""

ELSEWHERE = "or start workers with it under another `namespace`, which counts again whatever both topics hold"
APPLIED, UNCHANGED, REFUSED, INVALID = RELOADS


class ConfigSource(Protocol):
    """Where a worker's configuration comes from."""

    def fingerprint(self) -> bytes:
        """Changes when the content of the files does. A file that cannot be read is content too."""

    def read(self) -> Config:
        """The configuration as it is now. Raises ConfigError."""


class Reloads:
    """Decides when to read the configuration again, and whether what was read may take effect."""

    def __init__(self, source: ConfigSource, fingerprint: bytes, clock: WallClock) -> None:
        """`fingerprint`: of the files before the configuration in use was read from them."""
        self._source, self._clock = source, clock
        self._tried = self._last = fingerprint
        self._every = Every(LOOK_EVERY_MS)
        self._asked = False
        self._told = set[str]()
        self.outcomes: Counter[str] = Counter()
        self.succeeded_ms = clock.now_ms()
        """When the configuration was last read and could be used (wall clock)."""
        self.complaints: tuple[str, ...] = ()
        """Why what was read last could not be used; empty while all is well."""

    def ask(self) -> None:
        """Read it at the next look. May be called from a signal handler: it only sets a flag."""
        self._asked = True

    def look(self, known: Known, now_ms: int, by: Counted) -> Known | None:
        """What is to be gone on with instead of `known`; None where nothing changes. `by`: what the namespace counts by."""
        if self._asked:
            self._asked = False
            self._tried = self._last = self._source.fingerprint()
            return self._read(known, SIGNAL, by)
        if not self._every.due(now_ms):
            return None
        before, self._last = self._last, self._source.fingerprint()
        if self._last == self._tried or self._last != before:  # a file that is being written is not read half
            return None
        self._tried = self._last
        return self._read(known, FILE, by)

    def _read(self, known: Known, reason: str, by: Counted) -> Known | None:
        try:
            config = self._source.read()
        except ConfigError as error:
            self._complain(INVALID, error.problems, "the configuration has mistakes; the one in use stays")
            return None
        changes, pane_ms = diff(known.config, config), by.plan.pane_ms
        of_counted = diff(_as_counted(known.config, by), config)
        odd = {f"windows.{window.name}" for window in config.windows if not fit([window], pane_ms)}
        may = (Effect.TICK, Effect.PANE)
        if refused := [change for change in of_counted if change.effect not in may or change.path in odd]:
            said = [change for change in refused if not _follows(change, config, refused)]
            sentences = [refusal(change, config.windows, pane_ms) for change in said]
            self._complain(REFUSED, sentences, "the configuration in use stays")
            return None
        if sentences := list(_not_to_be_counted(config, by)):
            self._complain(REFUSED, sentences, "the configuration in use stays")
            return None
        try:
            plan_of(config)
        except ReferenceProfileError as error:
            self._complain(INVALID, [str(error)], "the configuration in use stays")
            return None
        for old in self._new_old_names(known.config, config):
            _log.warning("%s", old)
        self.outcomes[APPLIED if changes else UNCHANGED] += 1
        self.succeeded_ms, self.complaints = self._clock.now_ms(), ()
        for change in changes:
            _log.info("configuration read again (%s): %s", reason, change)
        if not changes:
            _log.info("configuration read again (%s): nothing has changed", reason)
            return None
        return Known(config, self._clock.now_ms(), reason)

    def _new_old_names(self, before: Config, now: Config) -> Iterator[OldName]:
        """Keys under old names that this process has not told yet."""
        self._told |= {one.old for one in before.old_names}
        for one in now.old_names:
            if one.old not in self._told:
                self._told.add(one.old)
                yield one

    def _complain(self, outcome: str, sentences: Sequence[str], consequence: str) -> None:
        self.outcomes[outcome] += 1
        self.complaints = tuple(sentences)
        for sentence in sentences:
            _log.error("configuration not taken over: %s", sentence)
        _log.error("configuration not taken over: %s", consequence)


def _not_to_be_counted(config: Config, by: Counted) -> Iterator[str]:
    """Why the models of a configuration cannot be counted beside those that the namespace has counted, one sentence each."""
    for name in by.counts_otherwise(config):
        yield (
            f"models.{name}: this namespace counted the model with another `task` or `positive` before it was taken out: list it "
            f"as it was, give it another name, {ELSEWHERE}"
        )
    if not labels_alike(by.config, by.config.model_copy(update={"models": (*by.config.models, *config.models)})):
        yield (
            "models: labels do not say which model they are about, and this namespace reads them without the classes, or the "
            f"`positive`, of some of these: take them back, {ELSEWHERE}"
        )


def _as_counted(config: Config, by: Counted) -> Config:
    """A configuration without the models that nothing was counted of yet: what those mean may still change."""
    names = {one.name for one in by.roster.models}
    models = tuple(model for model in config.models if model.name in names) or by.config.models
    files = {**by.config.references, **config.references}
    own = {"*", *(model.name for model in models)}
    files = {name: file for name, file in files.items() if name in own}
    return config.model_copy(update={"models": models}).with_references(files)


def _follows(change: Change, config: Config, refused: Sequence[Change]) -> bool:
    """Whether nobody wrote it: the default of `stalled_after` is the horizon, so with that one taken back it is the old one."""
    written = "stalled_after_ms" in config.time.model_fields_set
    return change.path == "time.stalled_after" and not written and any(one.path == "time.horizon" for one in refused)


def refusal(change: Change, windows: Sequence[Window], pane_ms: int) -> str:
    """Why a change cannot be made while the worker runs, and what to do. `windows`: those that would be."""
    elsewhere = ELSEWHERE
    if change.effect is Effect.PANE:
        odd = [window.name for window in windows if not fit([window], pane_ms)]
        return (
            f"{change.path} ({change.what}): this namespace counts in panes of {format_duration(pane_ms)}, which do not make "
            f"up {listing(odd)}: take it back, choose windows that whole panes make up, {elsewhere}"
        )
    if change.gives_meaning:
        return f"{change.path} ({change.what}) gives rows another meaning, which a namespace keeps: take it back, {elsewhere}"
    return f"{change.path} ({change.what}) is bound at the start: take it back, or restart this worker with it"
