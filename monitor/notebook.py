"""Windows, drift and backtests of an Arrow table, for a notebook: the numbers that the daemon would have published.

    from monitor.notebook import backtest, drift, windows

Nothing is computed here: rows go as records into a log in a directory that is gone afterwards, the worker of production reads
it to its end (`monitor.daemon.replay.rerun`), and what it published comes back as tables. So a label counts only from its
own time on, late records are late, and what cannot be used is counted by reason.

Needs pyarrow (`driftline[notebook]`); tables of pandas and polars go in by `pyarrow.Table.from_pandas` and `to_arrow`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from monitor.backtest.differences import Differences, differences, of_version
from monitor.backtest.episodes import Episode, episodes
from monitor.backtest.incidents import Score, incidents_of, score
from monitor.backtest.known import known_in
from monitor.config import Config, load, loads
from monitor.config.metric_names import DEPENDENCE, DISTANCES
from monitor.errors import MonitorError

if TYPE_CHECKING:
    import pyarrow as pa

    from monitor.backtest.totals import Totals

__all__ = ["Backtest", "backtest", "drift", "windows"]

Rows = Any
"""A table: a `pyarrow.Table`, a list of mappings, or a frame that Arrow reads (`__arrow_c_stream__`)."""
Settings = Config | Path | str | Mapping[str, Any]
"""A configuration: as it was loaded, the path of a file, or a mapping as it would stand in one."""

Reasons = Mapping[str, Mapping[str, int]]
"""How many records of each stream could not be used, by reason."""

_FLUSH_MS = 60_000


@dataclass(frozen=True)
class Backtest:
    """What would have been told. `windows` is the table of `windows`; of `alerts` each row is one alert from firing to its
    end. `incidents` scores the alerts against what is known, `differences` compares them with another configuration; None
    where that was not asked for. `outcomes` says what became of every record, and `rejected` why some could not be used, by
    stream and reason."""

    windows: pa.Table
    alerts: pa.Table
    incidents: Score | None
    differences: Differences | None
    outcomes: Mapping[str, Mapping[str, int]]
    rejected: Reasons


def windows(config: Settings, predictions: Rows, labels: Rows | None = None, *, sort: bool = True) -> pa.Table:
    """Every final window, a row for each of its metrics, in order of time.

    Columns: model, version, segment, window, kind, start, end, seen, labelled, coverage, metric, value, lower, upper, rows,
    bound, reason; `reason` says why there is no value. Rows are read in order of their time, unless `sort` is False: then
    in their own. Raises ConfigError for a configuration, TableError for a table that does not go with it, MonitorError when
    not one prediction, or not one label, can be used.
    """
    with _run(config, predictions, labels, sort=sort) as run:
        return _windows_table(run.windows())


def drift(config: Settings, predictions: Rows, *, sort: bool = True) -> pa.Table:
    """The distances of every feature to its reference, a row for each final window, feature and distance.

    Columns: model, version, segment, window, start, end, seen, feature, distance, value, lower, upper, bound, reason. Of pairs
    (`drift.pairs`) feature is `A~B` and distance `dependence`. Labels are not needed. Raises as `windows`, and MonitorError for a
    configuration without references.
    """
    loaded = _config(config)
    if not loaded.references:
        raise MonitorError(
            "there is no reference to compare with: build one with `driftline reference build` and name it as `reference` of "
            "its model"
        )
    inputs = loaded.streams.model_copy(update={"labels": None})
    only = loaded.model_copy(update={"streams": inputs, "rules": (), "budget": None})
    with _run(only.with_references(loaded.references), predictions, None, sort=sort) as run:
        return _drift_table(run.windows())


def backtest(
    config: Settings,
    predictions: Rows,
    labels: Rows | None = None,
    *,
    against: Settings | None = None,
    versions: tuple[str, str] | None = None,
    incidents: Path | str | Sequence[Mapping[str, Any]] | None = None,
    sort: bool = True,
) -> Backtest:
    """What would have been told over these rows; with `against` also by another configuration, with `versions` (old, new) of
    two versions of the models, one of both; and with `incidents` (a
    file or its mappings: name, from, until, noticed, ...) how well. Raises as `windows`, and IncidentsError."""
    config, against = _config(config), None if against is None else _config(against)
    if against is not None and versions is not None:
        raise MonitorError("against and versions both say what is compared: give one of them")
    known = None
    if incidents is not None:
        known = incidents_of(*_incidents(incidents), known_in([config, *([against] if against is not None else [])]))
    compared = None
    with _run(config, predictions, labels, sort=sort) as run:
        told = run.alerts()
        if against is not None:
            with _run(against, predictions, labels, sort=sort) as other:
                compared = differences(told, other.alerts(), run.windows(), other.windows())
        if versions is not None:
            one, two = (of_version(version, told, run.windows()) for version in versions)
            compared = differences(one[0], two[0], one[1], two[1], versions=True)
        scored = None
        if known is not None:
            scored = score([a for a in told if a.severity != "info"], known, run.totals.predicted_ms)
        tables = _windows_table(run.windows()), _alerts_table(told)
        return Backtest(*tables, scored, compared, run.totals.outcomes, run.rejected)


def _config(config: Settings) -> Config:
    if isinstance(config, Config):
        return config
    return loads(json.dumps(config)) if isinstance(config, Mapping) else load([Path(config)])


def _incidents(given: Path | str | Sequence[Mapping[str, Any]]) -> tuple[Any, str]:
    if not isinstance(given, (str, Path)):
        return list(given), "incidents"
    import yaml

    return yaml.safe_load(Path(given).read_bytes()), str(given)


# -- the run -----------------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """A finished run: its files lie in a directory that is removed at the end of the `with`."""

    folder: tempfile.TemporaryDirectory[str]
    totals: Totals
    rejected: Reasons

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()

    def windows(self) -> Iterator[dict[str, Any]]:
        """The final windows as they are published."""
        return self._lines("windows.jsonl")

    def alerts(self) -> list[Episode]:
        """The alerts."""
        return episodes(self._lines("alerts.jsonl"))

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with (Path(self.folder.name) / name).open("rb") as lines:
            yield from map(msgspec.json.decode, lines)


def _run(config: Settings, predictions: Rows, labels: Rows | None, *, sort: bool) -> _Run:
    from monitor.adapters.arrow_log import table_of

    loaded = _config(config)
    predictions = table_of(predictions, "predictions")
    labels = None if labels is None else table_of(labels, "labels")
    if loaded.streams.labels is not None and labels is None:
        raise MonitorError(
            "the configuration reads labels: give their table ([] where none has come), or leave streams.labels out of it"
        )
    folder = tempfile.TemporaryDirectory(prefix="driftline-notebook-")
    try:
        totals, rejected = _replay(Path(folder.name), loaded, predictions, labels, sort=sort)
        _refuse_what_cannot_be_used(totals, rejected)
    except BaseException:
        folder.cleanup()
        raise
    return _Run(folder, totals, rejected)


def _refuse_what_cannot_be_used(totals: Totals, rejected: Reasons) -> None:
    hints = {
        "predictions": "where fields are found, the unit of times, names of models",
        "labels": "where fields are found, the unit of times, the values that labels may have",
    }
    for name, read in totals.records.items():
        if read and totals.outcomes[name]["rejected"] == read:
            why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejected[name].items()))
            raise MonitorError(
                f"none of the {read:,} {name} can be used: {why}. Look at streams.{name} in the configuration: {hints[name]}"
            )


def _replay(
    folder: Path, config: Config, predictions: pa.Table, labels: pa.Table | None, *, sort: bool
) -> tuple[Totals, Reasons]:
    """Run the worker of production over the tables, and leave its windows and alerts in the folder. Also returns why records
    could not be used."""
    from monitor.adapters import dead_letters, replay_files
    from monitor.adapters.clock import SystemClock
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.config.canonical import digest_bytes
    from monitor.daemon.replay.rerun import rerun
    from monitor.daemon.replay.totals import totals
    from monitor.plan import plan_of

    plan = plan_of(config)
    source, own = EmbeddedLog(folder / "source"), EmbeddedLog(folder / "own")
    try:
        spans = dict(_send(source, config, predictions, labels, sort=sort))
        worker = rerun(source, own, config, plan, spans, SystemClock(), dead_letters, finals_only=True)
        worker.run()
        if not worker.finished:
            raise MonitorError("the run was stopped before its end")
        streams = (("predictions", config.streams.predictions), ("labels", config.streams.labels))
        rejected = {
            name: {str(reason): count for reason, count in worker.statistics.rejected.get(stream.topic, {}).items()}
            for name, stream in streams
            if stream is not None
        }
        document = digest_bytes(config.document().encode())
        spec = replay_files.Spec(replay_files.FORMAT, source.cluster_id(), document, config.digest, {}, spans)
        replay_files.finish(folder, own, config.topics(), spec)
        return totals(own, config, plan, 1), rejected
    finally:
        own.close()
        source.close()


def _send(
    log: Any, config: Config, predictions: pa.Table, labels: pa.Table | None, *, sort: bool
) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    """Put the tables into their topics; which offsets they have there."""
    from monitor.adapters.arrow_log import CHUNK, records
    from monitor.ports import TopicSpec

    streams = [("predictions", config.streams.predictions, predictions), ("labels", config.streams.labels, labels)]
    for name, stream, table in streams:
        if stream is None or table is None:
            continue
        log.ensure(TopicSpec(stream.topic, 1))
        appender = log.appender()
        try:
            for count, record in enumerate(records(table, stream, name, sort=sort), 1):
                appender.send(stream.topic, record, 0)
                if count % CHUNK == 0:
                    appender.flush(_FLUSH_MS)
            appender.flush(_FLUSH_MS)
        finally:
            appender.close()
        yield stream.topic, ((0, log.end_offsets(stream.topic)[0]),)


# -- tables ------------------------------------------------------------------------------------------------------------

_SERIES = ("model", "version", "segment", "window")
_ESTIMATE = ("value", "lower", "upper", "rows", "bound", "reason")


def _windows_table(found: Iterable[Mapping[str, Any]]) -> pa.Table:
    names = (*_SERIES, "kind", "start", "end", "seen", "labelled", "coverage", "metric", *_ESTIMATE)
    rows = (
        (
            *(window[name] for name in (*_SERIES, "kind", "start_ms", "end_ms", "seen", "labelled", "coverage")),
            metric,
            *(estimate.get(part) for part in _ESTIMATE),
        )
        for window in found
        for metric, estimate in window["metrics"].items()
    )
    return _table(names, rows)


def _drift_table(found: Iterable[Mapping[str, Any]]) -> pa.Table:
    parts = ("value", "lower", "upper", "bound", "reason")
    names = (*_SERIES, "start", "end", "seen", "feature", "distance", *parts)
    rows = (
        (*(window[n] for n in (*_SERIES, "start_ms", "end_ms", "seen")), feature, distance, *map(estimate.get, parts))
        for window in found
        for metric, estimate in window["metrics"].items()
        for distance, _, feature in (metric.partition(":"),)
        if distance in (*DISTANCES, DEPENDENCE) and feature
    )
    return _table(names, rows)


def _alerts_table(told: Sequence[Episode]) -> pa.Table:
    columns = [field.removesuffix("_ms") for field in Episode.__struct_fields__]
    return _table(columns, (msgspec.structs.astuple(alert) for alert in told))


def _table(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> pa.Table:
    """Rows as a table; the type of a column goes by its name."""
    import pyarrow as pa

    times = pa.timestamp("ms", tz="UTC")
    known = {
        **dict.fromkeys(("start", "end", "fired", "since", "resolved", "window_end"), times),
        **dict.fromkeys(("seen", "labelled", "rows", "amended"), pa.int64()),
        **dict.fromkeys(("coverage", "value", "lower", "upper", "bound", "threshold"), pa.float64()),
    }
    schema = pa.schema([(name, known.get(name, pa.string())) for name in names])
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table([pa.array(column, schema.field(i).type) for i, column in enumerate(columns)], schema=schema)
