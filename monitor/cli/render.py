"""The read model as tables in a terminal: what `driftline top` draws.

Renderables that ask how wide the terminal is when they are drawn: at 80 columns everything is readable, wider ones get
more metrics. Nothing is said by colour alone. Numbers, times and shares are written as everywhere in the command line
(`monitor.cli.show`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.alerts.event import LAST_MS
from monitor.cli import show
from monitor.config.tasks import first_metrics
from monitor.readiness import readiness
from monitor.telemetry import PERFORMANCE_METRICS
from monitor.view import ActiveAlert, PartitionStatus, View
from monitor.windows.view import Kind, SeriesKey, WindowView

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_GAP = 2
_NAME_COLUMNS = 28


def windows_table(views: Sequence[WindowView], metrics: Sequence[str] = ()) -> Any:
    """Windows by kind and series: `98 % labelled`, `0.643 [0.637, 0.649]`, or why there is no value.

    Without `metrics`, as many as fit the terminal: those most asked for first (of a binary model accuracy, precision, recall
    and ROC AUC), of the inputs the distances that are largest. What did not fit is named below. A renderable for rich.
    """
    return _Windows(tuple(views), tuple(metrics))


def status_table(view: View) -> Any:
    """A whole process: what it is and when, its alerts, its models, its partitions. A renderable for rich."""
    from rich.console import Group

    every = [w for w in view.windows if w.key.series.segment == "all"]
    sections = [
        "\n".join(_head(view)),
        *_section("Alerts", _alerts(view.alerts) if view.alerts else None, "none"),
        *_section("Models", windows_table(every) if every else None, _no_windows(view)),
        *_section("Partitions", _partitions(view) if view.partitions else None, "none owned; others may have them all"),
    ]
    from rich.text import Text

    return Group(*(Text(section) if isinstance(section, str) else section for section in sections))


def _section(title: str, table: Any, empty: str) -> tuple[Any, ...]:
    return (f"\n{title}: {empty}",) if table is None else (f"\n{title}", table)


def _no_windows(view: View) -> str:
    if view.evaluator.active:
        return "no window yet; the first comes when a tick of event time closes"
    return "another process evaluates; ask its address"


def _head(view: View) -> Iterable[str]:
    tick = view.evaluator.tick_ms
    failed = [f"{check.name}: {check.detail}" for check in readiness(view) if not check.ok]
    yield f"Driftline {view.build.release}, namespace {_plain(view.namespace)}, at {show.minute(view.at_ms)} UTC"
    as_of = "nothing evaluated yet" if tick is None else f"numbers as of {_clock(tick)} (event time)"
    yield f"{'evaluator' if view.evaluator.active else 'stands by'}, {as_of}"
    if view.rebuild is not None:
        opening = view.rebuild
        yield (
            f"partition {opening.partition} is rebuilt: {opening.done:,} of {opening.rows:,} records, "
            f"about {opening.left_ms / 1_000:,.1f} s left"
        )
    firing = sum(alert.state == "firing" for alert in view.alerts)
    broken = [partition.conservation.sentence() for partition in view.partitions if not partition.conservation.holds]
    yield (
        f"{'ready' if not failed else 'NOT READY (' + '; '.join(failed) + ')'}, {firing} firing"
        + (f", RECORDS LOST OR COUNTED TWICE: {'; '.join(broken)}" if broken else "")
    )


# ----------------------------------------------------------------------------------------------------------- windows


@dataclass(frozen=True, slots=True)
class _Windows:
    views: tuple[WindowView, ...]
    metrics: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for kind in Kind:
            views = sorted((v for v in self.views if v.kind is kind), key=lambda v: (v.key, v.revision))
            if views:
                yield Text("With labels" if kind is Kind.PERFORMANCE else "Inputs")
                table, left_out = _one_kind(views, self.metrics or _default_metrics(views), options.max_width)
                yield table
                if left_out:
                    yield Text(f"{len(left_out)} more: {', '.join(map(_plain, left_out))}")


def _one_kind(views: Sequence[WindowView], metrics: Sequence[str], width: int) -> tuple[Any, tuple[str, ...]]:
    """The table of windows of one kind, and the metrics that did not fit into `width`. At least one is shown."""
    left = [f"{_name(view.key.series)}\n{_which(view)}" for view in views]
    used = max(len(line) for cell in left for line in cell.split("\n")) + _GAP
    columns: dict[str, list[str]] = {}
    for name in metrics:
        cells = [show.estimate(view.metrics.get(name)) for view in views]
        needs = max(len(cell) for cell in (name, *cells)) + _GAP
        if columns and used + needs > width:
            break
        used += needs
        columns[name] = cells
    table = _table("")
    for name in columns:
        table.add_column(_plain(name), justify="right", overflow="fold")
    for cells_of_row in zip(left, *columns.values(), strict=True):
        table.add_row(*map(_cell, cells_of_row))
    return table, tuple(metrics[len(columns) :])


def _which(view: WindowView) -> str:
    """`1d 2013-01-05, 98 % labelled`; of the inputs, how many predictions there are."""
    start = show.minute(view.key.start_ms).removesuffix(" 00:00")
    counted = f"{show.share(view.coverage)} labelled" if view.kind is Kind.PERFORMANCE else f"{view.seen:,} seen"
    outlook = view.outlook
    expected = outlook.expected_coverage if outlook is not None else None
    until_ms = outlook.settled_until_ms(view) if outlook is not None else None
    more = ", partial" if view.partial else ""
    more += "" if expected is None else f"\n{show.share(expected)} expected by now"
    more += "" if until_ms is None else f"\nsettled to {show.minute(until_ms)}"
    return f"{_plain(view.key.window)} {start}, {counted}{more}"


def _default_metrics(views: Sequence[WindowView]) -> tuple[str, ...]:
    there = dict.fromkeys(name for view in views for name in view.metrics)
    if views[0].kind is Kind.PERFORMANCE:
        # Binary metrics in the order they are listed in, others as the windows have them.
        return tuple(m for m in dict.fromkeys((*first_metrics(there), *PERFORMANCE_METRICS, *there)) if m in there)

    def largest(name: str) -> float:
        values = [v.metrics[name].value for v in views if name in v.metrics]
        return max((value for value in values if value is not None), default=-1.0)

    distances = [name for name in there if name.startswith("psi:")]
    return tuple(sorted(distances, key=lambda name: (-largest(name), name)))


# ------------------------------------------------------------------------------------------------ alerts, partitions


def _alerts(alerts: Sequence[ActiveAlert]) -> Any:
    table = _table("alert", "of", "because")
    for alert in sorted(alerts, key=lambda a: (a.state, a.severity, a.rule, a.series)):
        state = "FIRING" if alert.state == "firing" else alert.state
        because = filter(None, (_evidence(alert), f"since {_clock(alert.since_ms)}"))
        cells = (f"{state}\n{alert.severity}", f"{_plain(alert.rule)}\n{_name(alert.series)}", "\n".join(because))
        table.add_row(*map(_cell, cells))
    return table


def _evidence(alert: ActiveAlert) -> str:
    """`recall 0.213 < 0.400`, on `rows` rows; nothing for an operational alert."""
    if not alert.metric:
        return ""
    value = "no value" if alert.value is None else show.number(alert.value)
    return _plain(f"{alert.metric} {value} {alert.op} {show.number(alert.threshold)}, {alert.rows:,} rows")


def _partitions(view: View) -> Any:
    table = _table("p", "state", "stream", "lag", "pending", "tick clock", right=("p", "lag", "pending"))
    for p in view.partitions:
        for row, (name, status) in enumerate(p.streams()):
            lag = "unknown" if status.lag is None else f"{status.lag:,}"
            clock = "none yet" if status.tick_ms is None else _clock(status.tick_ms)
            first = (str(p.partition), p.state) if row == 0 else ("", "")
            said = clock + " idle" * status.idle + " STALLED" * status.stalled
            table.add_row(*map(_cell, (*first, name, lag, f"{status.pending_rows:,}", said)))
    table.caption = _state_line(view.partitions, view.state_limit_rows)
    table.caption_justify = "left"
    return table


def _state_line(partitions: Sequence[PartitionStatus], limit: int) -> str:
    rows, size = sum(p.state_rows for p in partitions), sum(p.state_bytes for p in partitions)
    again, took_ms = sum(p.recovery_rows for p in partitions), sum(p.recovery_ms for p in partitions)
    spilled, files = sum(p.spilled_rows for p in partitions), sum(p.spilled_bytes for p in partitions)
    return (
        f"join: {rows:,} of at most {limit:,} rows, {size / 2**20:,.1f} MiB"
        + f", {spilled:,} in files of {files / 2**20:,.1f} MiB" * bool(spilled)
        + "\n"
        f"new owners would read {again:,} records again, about {took_ms / 1_000:,.1f} s"
    )


def _table(*columns: str, right: tuple[str, ...] = ()) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0), show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _name(series: SeriesKey) -> str:
    """`fraud v2`, with the segment unless it is all of them; long names are cut in the middle."""
    segment = "" if series.segment == "all" else series.segment
    text = _plain(" ".join(part for part in (series.model, series.version, segment) if part))
    half = _NAME_COLUMNS // 2 - 1
    return text if len(text) <= _NAME_COLUMNS else f"{text[:half]}…{text[-half:]}"


def _clock(at_ms: int) -> str:
    return "the end" if at_ms >= LAST_MS else show.minute(at_ms)


def _plain(text: str) -> str:
    """Without control characters; markup is never read, see `_cell`."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cell(text: str) -> Any:
    from rich.text import Text

    return Text(text)
