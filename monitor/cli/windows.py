"""The command `driftline windows`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config, need_one_of, output_option
from monitor.cli.show import iso_ms

if TYPE_CHECKING:
    from monitor.cli.scan import Found
    from monitor.config.types import Config
    from monitor.windows.view import WindowView

_TABLE_ROWS = 20
_INPUT_COLUMNS = 5
_GAP = 3


@click.command("windows")
@config_options
@embedded_option
@click.option("--model", help="Only this model.")
@click.option(
    "--segment",
    "segments",
    multiple=True,
    default=("all",),
    metavar="SEGMENT",
    help="all = the model as a whole; each = every segment apart, without all; every = both; a dimension, such as origin; "
    "or one segment, such as origin=EWR. Repeat it for several.  [default: all, JSON too]",
)
@click.option("--window", help="Only this window, by its name in the configuration: 1d, 24h/1h, month.")
@click.option(
    "--kind",
    type=click.Choice(["performance", "input"]),
    help="Metrics that need labels, or volume and drift of the inputs.  [default: what --metric asks for, else "
    "performance where there are labels]",
)
@click.option("--from", "from_ms", type=iso_ms, metavar="ISO", help="Only windows that begin at or after this time.")
@click.option("--to", "to_ms", type=iso_ms, metavar="ISO", help="Only windows that end at or before this time.")
@click.option("--final", is_flag=True, help="Only windows that nothing can change any more.")
@click.option("--metric", "metrics", metavar="A,B", help="These metrics; default: the most asked for, JSON: all.")
@click.option("--limit", type=click.IntRange(min=0), help="Newest so many; 0 = all.  [default: 20, JSON: all]")
@output_option
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    model: str | None,
    segments: tuple[str, ...],
    window: str | None,
    kind: str | None,
    from_ms: int | None,
    to_ms: int | None,
    final: bool,
    metrics: str | None,
    limit: int | None,
    output: str,
) -> None:
    """Show windows and their metrics, each with its 95 % interval and the share of predictions that have their label.

    They are read from the windows topic, so no daemon needs to run. Times are event times in UTC. A metric without a
    value says why. JSON is one document {"windows": [...]}, oldest first: the records of the windows
    topic as published, with `revision` and `tick_ms` for final ones too.

    Every row of a model is in its segment `all` and once in each of its dimensions, so counts must not be added up over
    segments. That is why only `all` is shown unless --segment says otherwise, in JSON too.

    \b
    Examples:
      driftline windows -c driftline.yaml
      driftline windows -c driftline.yaml --window day --metric recall,f1 --segment each
      driftline windows -c driftline.yaml --segment every -o json | jq '.windows[] | {segment, counts}'
      driftline windows -c driftline.yaml --kind input --metric psi:hour,ks:hour
      driftline windows -c driftline.yaml --final --from 2013-01-01 --to 2013-02-01 -o json | jq '.windows[].counts'
    """
    from monitor.cli.scan import need_topic, newest_of_each_key, open_existing, read_all
    from monitor.cli.show import note

    config = load_config(files, overrides)
    wanted = _names(config, metrics)
    kind = _kind(config, kind, wanted)
    wanted_segments = _segments(config, model, segments)
    _check_names(config, model, window)
    log = open_existing(config, embedded)
    try:
        topic = config.topics().windows
        need_topic(log, topic, "Has `driftline run` been started with this configuration's `namespace`?")
        newest = newest_of_each_key(read_all(log, topic, "reading windows"))
    finally:
        log.close()
    published = list(_views(newest.values()))
    views = _Choice(model, wanted_segments, window, kind, from_ms, to_ms, final).of(published)
    most = limit if limit is not None else 0 if output == "json" else _TABLE_ROWS
    shown = views[-most:] if most else views
    if output == "json":
        _json(shown, wanted)
        return
    if not views:
        note(f"no {kind} window matches; {_told(published)}")
        return
    _table(config, shown, wanted or _default_metrics(shown, kind), cut=not wanted)
    if len(shown) < len(views):
        note(f"the newest {len(shown)} of {len(views)} windows; --limit 0 shows all")


def _told(published: Sequence[WindowView]) -> str:
    from monitor.config.suggest import listing

    return f"{len(published)} are published, of models: {listing(sorted({v.key.series.model for v in published}))}"


class _Choice:
    """Which windows the caller asked for."""

    def __init__(
        self,
        model: str | None,
        segments: frozenset[str],
        window: str | None,
        kind: str,
        from_ms: int | None,
        to_ms: int | None,
        final: bool,
    ) -> None:
        self._model, self._segments, self._window, self._kind = model, segments, window, kind
        self._from_ms, self._to_ms, self._final = from_ms, to_ms, final

    def of(self, views: Iterable[WindowView]) -> list[WindowView]:
        """Those of them, oldest first."""
        return sorted(
            filter(self._takes, views), key=lambda v: (v.key.end_ms, v.key.start_ms, v.key.series, v.key.window)
        )

    def _takes(self, view: WindowView) -> bool:
        key = view.key
        return (
            view.kind == self._kind
            and self._model in (None, key.series.model)
            and self._window in (None, key.window)
            and key.series.segment in self._segments
            and (self._from_ms is None or key.start_ms >= self._from_ms)
            and (self._to_ms is None or key.end_ms <= self._to_ms)
            and (view.final or not self._final)
        )


def _views(found: Iterable[Found]) -> Iterable[WindowView]:
    from monitor.windows import payload

    for one in found:
        assert one.value is not None
        yield payload.parse(one.value, one.headers)


def _check_names(config: Config, model: str | None, window: str | None) -> None:
    """Raises UsageError for a name that the configuration does not know; nothing can be published under it."""
    if window is not None:
        need_one_of("window", window, (each.name for each in config.windows))
    if model is not None and config.model(model) is None:
        need_one_of("model", model, (each.name for each in config.models))


def _segments(config: Config, model: str | None, asked: Iterable[str]) -> frozenset[str]:
    """The segments that are meant. Raises UsageError for one that no model meant has."""
    from monitor.telemetry import segments_of

    one = config.model(model) if model is not None else None
    unlisted = [] if config.unlisted_models is None else [config.unlisted_models]
    models = [*config.models, *unlisted] if one is None else [one]
    named = dict.fromkeys(name for each in models for name in segments_of(each))
    several = {"every": frozenset(named), "each": frozenset(named) - {"all"}}
    for name in named:
        dimension, equals, _ = name.partition("=")
        if equals:
            several[dimension] = several.get(dimension, frozenset()) | {name}
    meant: set[str] = set()
    for segment in asked:
        need_one_of("segment", segment, dict.fromkeys([*named, *several]))
        meant |= {segment} if segment in named else several[segment]
    return frozenset(meant)


def _kind(config: Config, kind: str | None, metrics: Sequence[str]) -> str:
    """The kind of windows meant. Raises UsageError for one that there cannot be, or that lacks a metric asked for."""
    from monitor.config.metric_names import needs_labels

    kinds = {name: "performance" if needs_labels(name) else "input" for name in metrics}
    if kind is None and len(set(kinds.values())) > 1:
        names = {of: ", ".join(n for n in kinds if kinds[n] == of) for of in kinds.values()}
        raise click.UsageError(
            f"{names['performance']} needs labels, {names['input']} does not: they are in different windows, ask for one kind"
        )
    chosen = kind or next(iter(kinds.values()), "performance" if config.streams.labels is not None else "input")
    if wrong := next((name for name, of in kinds.items() if of != chosen), None):
        raise click.UsageError(f"{wrong} is a metric of {kinds[wrong]} windows; leave --kind {chosen} out")
    if chosen == "performance" and config.streams.labels is None:
        raise click.UsageError("the configuration has no labels, so there are only windows of --kind input")
    return chosen


def _names(config: Config, metrics: str | None) -> tuple[str, ...]:
    """The metrics asked for. Raises UsageError for one that does not exist."""
    from monitor.config.metric_names import is_known, known
    from monitor.config.quality import declared_metrics
    from monitor.config.tasks import models_of, performance

    names = tuple(name.strip() for name in (metrics or "").split(",") if name.strip())
    features, models = tuple(config.streams.predictions.features), models_of(config)
    performances = performance(models)
    for name in names:
        if not is_known(name, features, performances, config.drift.pair_names):
            declared = declared_metrics(m.quality for m in models)
            need_one_of(
                "metric",
                name,
                known(features, declared=declared, performance=performances, pairs=config.drift.pair_names),
            )
    return names


def _default_metrics(views: Sequence[WindowView], kind: str) -> tuple[str, ...]:
    from monitor.config.tasks import first_metrics

    there = dict.fromkeys(name for view in views for name in view.metrics)
    if kind == "performance":
        return first_metrics(there) or tuple(there)[:_INPUT_COLUMNS]
    distances = [name for name in there if name.startswith("psi:")]
    return tuple(distances or there)[:_INPUT_COLUMNS]


def _json(views: Sequence[WindowView], wanted: tuple[str, ...]) -> None:
    import orjson

    from monitor.cli.show import print_json
    from monitor.windows import payload

    documents = []
    for view in views:
        document: dict[str, Any] = orjson.loads(payload.encode(view))
        if wanted:
            document["metrics"] = {name: document["metrics"].get(name) for name in wanted if name in view.metrics}
        documents.append({**document, "revision": view.revision, "tick_ms": view.tick_ms})
    print_json({"windows": documents})


def _table(config: Config, views: Sequence[WindowView], metrics: tuple[str, ...], *, cut: bool) -> None:
    """One row a window. `cut`: metrics that would make the rows wider than the terminal are left out and named."""
    from monitor.cli import show

    several = {name: len({of(view) for view in views}) > 1 for name, of in _IDENTITY.items()}
    midnight = all(view.key.start_ms % 86_400_000 == 0 for view in views)
    columns: dict[str, list[str]] = {
        "from": [show.minute(view.key.start_ms).removesuffix(" 00:00" if midnight else "") for view in views]
    }
    columns |= {name: [show.plain(of(view)) for view in views] for name, of in _IDENTITY.items() if several[name]}
    columns["seen"] = [f"{view.seen:,}" for view in views]
    if views[0].kind == "performance":
        columns["labelled"] = [show.share(view.coverage) for view in views]
        expected = [view.outlook.expected_coverage if view.outlook is not None else None for view in views]
        if any(share is not None for share in expected):
            columns["expected"] = ["" if share is None else show.share(share) for share in expected]
    state = [
        ("final" if view.final else f"revision {view.revision}") + (", partial" if view.partial else "")
        for view in views
    ]
    out = show.console()
    left_out: list[str] = []
    used = sum(_width(name, cells) for name, cells in columns.items()) + _width("state", state)
    for metric in metrics:
        cells = [show.estimate(view.metrics.get(metric)) for view in views]
        used += _width(metric, cells)
        if cut and (left_out or (used > out.width and metric != metrics[0])):
            left_out.append(metric)
        else:
            columns[metric] = cells
    columns["state"] = state
    same = ", ".join(f"{name} {of(views[0])}" for name, of in _IDENTITY.items() if not several[name])
    right = ("seen", "labelled", "expected", *metrics)
    made = show.table(show.plain(f"{config.namespace}: {same} (UTC)"), *columns, right=right)
    for row in zip(*columns.values(), strict=True):
        made.add_row(*row)
    out.print(made)
    if left_out:
        show.note(f"no room for {', '.join(left_out)}; --metric chooses")


def _width(name: str, cells: Sequence[str]) -> int:
    """Columns that a column takes, with the space beside it."""
    return max(map(len, (name, *cells))) + _GAP


_IDENTITY: Mapping[str, Any] = {
    "window": lambda view: view.key.window,
    "model": lambda view: view.key.series.model,
    "version": lambda view: view.key.series.version,
    "segment": lambda view: view.key.series.segment,
}
