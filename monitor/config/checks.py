"""Mistakes between fields: each a sentence with both values, at the place that most likely wants to change.

All of them are found at once. A problem also says what else it read, so that a mistake which follows from another one
(a rule naming a model whose own entry is broken) can be kept quiet until the first is mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from monitor.config import estimate_checks, metric_names, pair_checks, task_checks, tasks
from monitor.config.advisory_checks import advisories
from monitor.config.budget_checks import can_be_kept, makes_sense
from monitor.config.durations import format_duration
from monitor.config.kafka import OWNED
from monitor.config.label_checks import labels
from monitor.config.panes import off_grid, pane_ms
from monitor.config.problems import Path, Problem, path_text
from monitor.config.quality import declared_metrics, limits_of
from monitor.config.quality_checks import check_quality
from monitor.config.rule_checks import (
    ends_of_rules,
    names_of_their_own,
    pages_on_drift,
    stretches_of_maintenance,
    subjects,
)
from monitor.config.stream_checks import streams
from monitor.config.suggest import hint, listing
from monitor.config.windows import Window

if TYPE_CHECKING:
    from monitor.config.rules import Rule
    from monitor.config.types import Config, ModelTemplate

_LABELS: Path = ("streams", "labels")
_EVERY_NAME: Path = ("models", "*", "name")


def as_error(found: Sequence[Problem]) -> PydanticCustomError:
    """All of them as one error of validation; its context carries the problems themselves."""
    text = "\n".join(f"{path_text(p.path)}: {p.sentence}" for p in found)
    return PydanticCustomError("cross_field", "{text}", {"text": text, "problems": list(found)})


def cross_field(config: Config, *, recorded: bool = False) -> list[Problem]:
    """Every mistake between fields, section by section. `recorded`: it was in force, so what an earlier version allowed and
    this one does not is let be: what was decided under it must be decided again the same."""
    return [
        *_kafka(config),
        *estimate_checks.estimates(config),
        *streams(config),
        *_time(config),
        *_models(config),
        *pair_checks.pairs(config),
        *_windows(config),
        *_rules(config),
        *ends_of_rules(config),
        *(
            ()
            if recorded
            else (*pages_on_drift(config), *names_of_their_own(config), *makes_sense(config), *labels(config))
        ),
        *stretches_of_maintenance(config),
        *advisories(config, _asked),
        *can_be_kept(config),
        *_budget(config),
        *_state(config),
    ]


def _kafka(config: Config) -> Iterator[Problem]:
    for key in config.kafka.properties if config.kafka else ():
        at = ("kafka", "properties", key)
        if key in OWNED:
            yield Problem(at, f"this property belongs to Driftline: {OWNED[key]}. Leave it out")
        elif "_" in key and not key.endswith("_file"):
            yield Problem(at, f"no librdkafka property has '_' in its name; did you mean {key.replace('_', '.')!r}?")


def _time(config: Config) -> Iterator[Problem]:
    time = config.time
    if time.lateness_ms < time.disorder_ms:
        yield Problem(
            ("time", "lateness"),
            f"{format_duration(time.lateness_ms)} is less than time.disorder ({format_duration(time.disorder_ms)}); "
            "a record within normal disorder must still count",
            (("time", "disorder"), ("time", "horizon")),
        )


def _budget(config: Config) -> Iterator[Problem]:
    budget, tick_ms = config.budget, config.time.tick_ms
    if budget is not None and budget.every_ms % tick_ms:
        every, tick = format_duration(budget.every_ms), format_duration(tick_ms)
        sentence = f"{every} is not a multiple of time.tick ({tick}); decisions are made at ends of ticks"
        yield Problem(("budget", "every"), sentence, (("time", "tick"),))
    if budget is None or config.streams.labels is None or off_grid(config.windows, tick_ms):
        return
    pane, every = pane_ms(config), format_duration(budget.every_ms)
    if pane > budget.every_ms:
        sentence = (
            f"{every} is shorter than the panes that the windows are made of ({format_duration(pane)}), which labels are "
            f"waited for; decide less often, or add a window of {every}"
        )
        yield Problem(("budget", "every"), sentence, (("windows",),))


def _models(config: Config) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for index, model in enumerate(config.models):
        if model.name in names:
            yield _twice(("models", index, "name"), "model", model.name, ("models", names[model.name], "name"))
        names.setdefault(model.name, index)
        yield from _model(config, model, ("models", index))
    if config.unlisted_models is not None:
        yield from _model(config, config.unlisted_models, ("unlisted_models",))
    yield from task_checks.models(config)
    if config.unlisted_models is None and not config.models:
        yield Problem(
            ("models",),
            "no model is listed and unlisted_models is 'reject', so every prediction would be rejected; "
            "list the models, or set unlisted_models: {task: binary}",
            (("unlisted_models",),),
        )


def _twice(path: Path, what: str, name: str, first: Path) -> Problem:
    return Problem(
        path, f"the {what} {name!r} is listed twice, first as {path_text(first)}; names are unique", (first,)
    )


def _model(config: Config, model: ModelTemplate, at: Path) -> Iterator[Problem]:
    features = config.streams.predictions.features
    source: Path = ("streams", "predictions", "features")
    if "features" in model.model_fields_set:
        for index, name in enumerate(model.features):
            if name not in features:
                yield Problem((*at, "features", index), _no_feature(name, features), (source,), name)
            elif name in model.features[:index]:
                yield Problem((*at, "features", index), f"the feature {name!r} is listed twice")
    for name, values in model.segments.items():
        path = (*at, "segments", name)
        if name not in features:
            yield Problem(path, _no_feature(name, features), (source,), name)
        elif features[name].type != "categorical":
            yield Problem(
                path,
                f"the feature {name!r} is {features[name].type}; segments need a categorical feature",
                ((*source, name),),
            )
        yield from _segment_values(path, values)
    yield from check_quality(config, model, at)


def _segment_values(path: Path, values: Sequence[str]) -> Iterator[Problem]:
    if not values:
        yield Problem(path, "no value is listed; list the values to count apart, as in [EWR, LGA]")
    for index, value in enumerate(values):
        if value == "other":
            yield Problem((*path, index), "'other' is where all values go that are not listed; leave it out")
        elif not value:
            yield Problem((*path, index), "a segment's value cannot be empty")
        elif value in values[:index]:
            yield Problem((*path, index), f"the value {value!r} is listed twice")


def _no_feature(name: str, features: Iterable[str]) -> str:
    allowed = list(features)
    return (
        f"{name!r} is not a feature of the predictions; "
        f"allowed (streams.predictions.features): {listing(allowed)}{hint(name, allowed)}"
    )


def _windows(config: Config) -> Iterator[Problem]:
    seen: dict[tuple[int | None, int | None, str | None], int] = {}
    for index, window in enumerate(config.windows):
        span = (window.size_ms, window.slide_ms, window.calendar)
        if span in seen:
            first = config.windows[seen[span]].name
            same = "is listed twice" if first == window.name else f"is the same window as {first!r}; keep one of them"
            yield Problem(("windows", index), f"{window.name!r} {same}", (("windows", seen[span]),))
        seen.setdefault(span, index)
    wrong = off_grid(config.windows, config.time.tick_ms)
    if len(wrong) == 1:
        yield Problem(("windows", wrong[0][0]), wrong[0][1], (("time", "tick"),))
    elif wrong:
        names = listing(repr(config.windows[index].name) for index, _ in wrong)
        tick = format_duration(config.time.tick_ms)
        sentence = f"{tick} does not divide the windows {names} without a rest; take a tick that divides all of them"
        yield Problem(("time", "tick"), sentence, tuple(("windows", index) for index, _ in wrong))


def _rules(config: Config) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for index, rule in enumerate(config.rules):
        if rule.name in names:
            yield _twice(("rules", index, "name"), "rule", rule.name, ("rules", names[rule.name], "name"))
        names.setdefault(rule.name, index)
        at: Path = ("rules", index)
        yield from _asked(config, rule, at)
        performance = tasks.performance(subjects(config, rule))
        if metric_names.is_known(rule.metric, list(config.streams.predictions.features), performance):
            yield from _threshold(rule, at, metric_names.value_range(rule.metric, performance))


def _asked(config: Config, rule: Rule, at: Path) -> Iterator[Problem]:
    """What a rule asks: of which window, model and segments, and which metric."""
    windows = [window.name for window in config.windows]
    if rule.window not in windows:
        yield Problem(
            (*at, "window"),
            f"{rule.window!r} is not a configured window; allowed (windows): "
            f"{listing(windows)}{_same_span(config, rule.window) or hint(rule.window, windows)}",
            (("windows",),),
            rule.window,
        )
    models = [model.name for model in config.models]
    if rule.model is not None and config.model(rule.model) is None:
        yield Problem(
            (*at, "model"),
            f"{rule.model!r} is not a configured model; allowed (models): {listing(models)}{hint(rule.model, models)}",
            (_EVERY_NAME, ("unlisted_models",)),
            rule.model,
        )
    else:
        yield from _rule_segments(rule, subjects(config, rule), at)
    yield from _metric(config, rule, at)


def _same_span(config: Config, name: str) -> str:
    """A remedy for `24h` where `1d` is configured, or nothing."""
    try:
        meant = Window.parse(name)
    except ValueError:
        return ""
    for window in config.windows:
        if (window.size_ms, window.slide_ms, window.calendar) == (meant.size_ms, meant.slide_ms, meant.calendar):
            return f"; {name!r} is the same span as {window.name!r}, use that name"
    return ""


def _tasks_behind(config: Config, metric: str) -> Iterator[Path]:
    """Where models say what they predict, if that decides whether there is such a metric: it is one of some task."""
    if metric.partition(":")[0] not in {*metric_names.BINARY, *tasks.MULTICLASS, *tasks.REGRESSION, *tasks.AREAS}:
        return
    for index in range(len(config.models)):
        yield ("models", index, "task")
        yield ("models", index, "classes")
    yield ("unlisted_models", "task")


def _metric(config: Config, rule: Rule, at: Path) -> Iterator[Problem]:
    metric, predictions = rule.metric, config.streams.predictions
    path: Path = (*at, "metric")
    features: Path = ("streams", "predictions", "features")
    chosen = subjects(config, rule)
    performance = tasks.performance(chosen)
    if not metric_names.is_known(metric, list(predictions.features), performance, config.drift.pair_names):
        declared = declared_metrics(model.quality for model in chosen)
        names = list(predictions.features)
        allowed = metric_names.known(
            names,
            score=task_checks.any_score(config),
            more=config.drift.distances,
            declared=declared,
            performance=performance,
            estimates=config.estimates,
            pairs=config.drift.pair_names,
        )
        yield Problem(
            path,
            f"{metric!r} is not a metric; allowed: {listing(allowed, 40)}{hint(metric, allowed)}",
            (*((features,) if ":" in metric else ()), *_tasks_behind(config, metric)),
            metric_names.subject(metric),
        )
        return
    about = metric_names.subject(metric)
    if metric_names.needs_labels(metric) and config.streams.labels is None:
        yield Problem(path, f"{metric!r} needs labels, and streams.labels is not configured", (_LABELS,))
    yield from task_checks.needs_score(config, metric, path)
    yield from estimate_checks.of_rule(config, rule, at)
    if about is not None and about != metric_names.SCORE and chosen and not any(about in m.features for m in chosen):
        yield Problem(
            path,
            f"no model of this rule watches the feature {about!r}; add it to the model's features",
            (("models", "*", "features"), ("unlisted_models", "features")),
        )
    yield from pair_checks.of_rule(config, metric, chosen, path)
    yield from _distance(config, metric, path)
    if metric_names.needs_reference(metric) and chosen and not any(m.reference for m in chosen):
        yield Problem(
            path,
            f"{metric!r} compares with a reference, and no model of this rule names one; "
            "build it with `driftline reference build` and set the model's `reference`",
            (("models", "*", "reference"), ("unlisted_models", "reference")),
        )
    if metric_names.needs_declaration(metric) and chosen and not any(_declares(model, metric) for model in chosen):
        yield Problem(
            path,
            f"no model of this rule declares what {metric!r} counts; write it under `quality: {{features: ...}}` of the model",
            (("models", "*", "quality"), ("unlisted_models",)),
        )
    if not metric_names.needs_labels(metric) and rule.min_coverage > 0:
        yield Problem(
            (*at, "min_coverage"), f"{metric!r} needs no labels, so coverage says nothing about it; leave this out"
        )


def _declares(model: ModelTemplate, metric: str) -> bool:
    check, _, feature = metric.partition(":")
    declared = model.quality.features.get(feature) if model.quality is not None else None
    return declared is not None and check in limits_of(declared)


def _distance(config: Config, metric: str, path: Path) -> Iterator[Problem]:
    head, _, about = metric.partition(":")
    if not metric_names.needs_reference(metric) or metric_names.pair_of(metric) is not None:
        return
    if head not in config.drift.carried:
        asked = f"add it there, as in drift: {{distances: [{head}]}}"
        yield Problem(path, f"windows carry {head!r} only where drift.distances asks for it; {asked}", (("drift",),))
    source = config.streams.predictions.features.get(about)
    if head in metric_names.ORDERED and source is not None and source.type == "categorical":
        sentence = f"{about!r} is categorical and has no order, so it has no {head!r}; psi and js have no such need"
        yield Problem(path, sentence, (("streams", "predictions", "features", about),))


def _threshold(rule: Rule, at: Path, values: tuple[float, float]) -> Iterator[Problem]:
    low, high = values
    never = {
        "<": rule.threshold <= low or rule.threshold > high,
        "<=": rule.threshold < low or rule.threshold >= high,
        ">": rule.threshold >= high or rule.threshold < low,
        ">=": rule.threshold > high or rule.threshold <= low,
    }[rule.op]
    if never:
        span = f"from {low:g} to {high:g}" if high < 1e300 else f"{low:g} or more"
        span = f"{high:g} or less" if low < -1e300 else span
        always = (rule.threshold > low) if rule.op.startswith("<") else (rule.threshold < high)
        result = "always" if always else "never"
        yield Problem(
            (*at, "threshold"),
            f"{rule.metric} {rule.op} {rule.threshold:g} {result} holds, because {rule.metric} is {span}",
            ((*at, "op"),),
        )


def _rule_segments(rule: Rule, chosen: Sequence[ModelTemplate], at: Path) -> Iterator[Problem]:
    path: Path = (*at, "segments")
    reads: tuple[Path, ...] = (("models", "*", "segments"), ("unlisted_models", "segments"))
    known = {f"{d}={v}" for m in chosen for d, values in m.segments.items() for v in (*values, "other")}
    if rule.segments == "each" and not known:
        yield Problem(path, "'each' needs segments, and no model of this rule has any; add them to the model", reads)
    if isinstance(rule.segments, str):
        return
    for index, segment in enumerate(rule.segments):
        if segment not in known:
            sentence = f"{segment!r} is not a segment of this rule's models; allowed: "
            yield Problem((*path, index), f"{sentence}{listing(sorted(known))}{hint(segment, known)}", reads)


def _state(config: Config) -> Iterator[Problem]:
    state = config.state
    if state.memory_rows is not None and state.directory is None:
        at: Path = ("state", "directory")
        yield Problem(at, "it is missing, and memory_rows is set: name a local folder for the rows beyond", (at,))
    if state.memory_rows is not None and state.memory_rows > state.max_rows:
        sentence = f"it is {state.memory_rows}, more than max_rows ({state.max_rows}): nothing would ever be put aside"
        yield Problem(("state", "memory_rows"), sentence, (("state", "max_rows"),))
