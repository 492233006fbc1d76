"""The ports on one machine, with nothing of Driftline but this package: a directory, files, subprocesses."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.directory import DirectoryStore
from pipelines.errors import ConfigError
from pipelines.executors import Executors
from pipelines.filesteps import FileSteps
from pipelines.local_alerts import FileAlerts
from pipelines.local_data import FileAnchors, FileData
from pipelines.local_models import LocalModels, known_models
from pipelines.places import Execution
from pipelines.ports import Alerts, Anchors, Clock, Data, Evaluator, Models, Store, Trainer
from pipelines.quality import Checks


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000


def nothing() -> Sequence[str]:
    """Nobody has to be told."""
    return ()


@dataclass(frozen=True, slots=True)
class Wired:
    """`pipelines.ports.Ports`, filled. `announce` is called after each round: it tells servers where the aliases stand, as often
    as it is asked to, and gives sentences for people."""

    store: Store
    clock: Clock
    alerts: Alerts
    data: Data
    trainer: Trainer
    evaluator: Evaluator
    anchors: Anchors
    models: Models
    announce: Callable[[], Sequence[str]] = nothing


Location = Path | str


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are. `store`: a directory, or an address of an object store, which the registry alone can open.
    `rows`: the file of each model, `datasets`: the dataset version of those that have one instead, in the store `versions`
    (`store` unless given); `anchors`: the file of its anchor set; `executors`: where its steps run, if not on this machine.
    Where `alerts` or `rows` name a configuration of the monitor, its topics are meant: those of its broker, or of the embedded
    log in `embedded`."""

    store: Location
    alerts: Path | None
    rows: Mapping[str, Path]
    project: Path
    work: Path
    embedded: Path | None = None
    anchors: Mapping[str, Path] = field(default_factory=dict)
    executors: Mapping[str, Execution] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    versions: Location | None = None


def wire(places: Places) -> Wired:
    """Everything local, without a registry. Raises ConfigError for an embedded log, which is the monitor's, and StoreError for a
    store whose models are the registry's."""
    if isinstance(places.store, str):
        why = "names an object store, which needs the registry"
        raise ConfigError(f"--store {places.store!r}", why, "Use `driftline retrain`, or name a directory.")
    for model, spec in places.datasets.items():
        why = "is a dataset version, which this package alone cannot read"
        raise ConfigError(f"rows of {model}: 'dataset:{spec}'", why, "Use `driftline`, or name a file of rows.")
    if places.embedded is not None:
        raise ConfigError("--embedded", "needs the monitor", "Use `driftline retrain`, or leave it out.")
    store = DirectoryStore(places.store)
    known_models(store)
    return over(store, places, LocalModels(store))


def over(store: Store, places: Places, models: Models, declared: Callable[[str], Checks] = lambda _: {}) -> Wired:
    """The local ports over a store and a registry that somebody else brought. `declared`: see FileData."""
    executor = Executors(store, str(places.store), places.project, places.executors)
    steps = FileSteps(store, places.work, executor)
    data = FileData(store, places.rows, declared)
    anchors = FileAnchors(store, places.anchors)
    return Wired(store, SystemClock(), FileAlerts(places.alerts), data, steps, steps, anchors, models)


def owner() -> str:
    """The name of this process in leases: drawn anew, so that nobody is taken for one who left."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
