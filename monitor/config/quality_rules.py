"""Data quality as rules: what `quality` declares, in the form that every other rule has.

A rule is named after its metric, `quality:out_of_range:distance`; no rule that a user writes can have a colon in its name.
Volume and freshness are of a model, not of one version in one window: they are limits of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from monitor.config.base import Name
from monitor.config.durations import UNITS_MS
from monitor.config.quality import Quality, limits_of
from monitor.config.rules import Rule
from monitor.config.types import ModelTemplate
from monitor.config.windows import Window

if TYPE_CHECKING:
    from monitor.config.types import Config

PREFIX = "quality:"
"""What names of these rules begin with."""
_MONTH_MS = 31 * UNITS_MS["d"]


class QualityRule(Rule):
    """A rule that `quality` stands for. `except_models`: a rule of the template is not about models that are listed."""

    name: Name
    except_models: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """What must come of a model: at least `volume` predictions in each `window` (None: any number), and never none for
    longer than `silence_ms` of event time (None: for as long as you like)."""

    window: str
    volume: int | None
    silence_ms: int | None
    severity: Literal["page", "ticket", "info"]


def quality_rules(config: Config) -> tuple[Rule, ...]:
    """The rules of every model's `quality`, in the order of the models."""
    listed = frozenset(model.name for model in config.models)
    found: list[Rule] = []
    for model in config.models:
        found += _rules(config, model, model.name, frozenset())
    if config.unlisted_models is not None:
        found += _rules(config, config.unlisted_models, None, listed)
    return tuple(found)


def all_rules(config: Config) -> tuple[Rule, ...]:
    """Every rule that is in force: the user's own, then those of `quality`."""
    return (*config.rules, *quality_rules(config))


def about(rule: Rule, model: str | None) -> bool:
    """Whether a rule is about a model. None: about those that are not listed."""
    if isinstance(rule, QualityRule) and model in rule.except_models:
        return False
    return rule.model in (None, model)


def traffic_limits(config: Config, model: str) -> TrafficLimits | None:
    """What must come of a model, listed or not; None without a limit."""
    found = config.model(model)
    quality = found.quality if found is not None else None
    if quality is None or (quality.volume is None and quality.freshness is None):
        return None
    window = _counted_in(config, quality)
    volume = None if quality.volume is None else quality.volume.at_least
    silence_ms = quality.freshness.at_most_ms if quality.freshness is not None else _span_ms(window)
    return TrafficLimits(window.name, volume, silence_ms, quality.severity)


def shortest_silence_ms(config: Config) -> int | None:
    """The shortest silence that is an alert, of any model: who hears nothing at all for so long says it. None: never."""
    models: Iterable[ModelTemplate] = config.models
    if config.unlisted_models is not None:
        models = (*models, config.unlisted_models)
    found = []
    for model in models:
        quality = model.quality
        if quality is not None and quality.freshness is not None:
            found.append(quality.freshness.at_most_ms)
        elif quality is not None and quality.volume is not None:
            found.append(_span_ms(_counted_in(config, quality)))
    return min(found, default=None)


def window_of(config: Config, quality: Quality) -> Window:
    """The window that quality is judged in."""
    if quality.window is None:
        return min(config.windows, key=_span_ms)
    return _named(config, quality.window)


def _counted_in(config: Config, quality: Quality) -> Window:
    """The window that predictions are counted in."""
    name = quality.volume.window if quality.volume is not None else None
    return window_of(config, quality) if name is None else _named(config, name)


def _named(config: Config, name: str) -> Window:
    return next((window for window in config.windows if window.name == name), config.windows[0])


def _rules(config: Config, model: ModelTemplate, name: str | None, others: frozenset[str]) -> list[Rule]:
    quality = model.quality
    if quality is None:
        return []
    window = window_of(config, quality).name
    return [
        QualityRule.model_validate(
            {
                "name": f"{PREFIX}{check}:{feature}",
                "metric": f"{check}:{feature}",
                "op": ">",
                "threshold": limit,
                "window": window,
                "model": name,
                "min_rows": quality.min_rows,
                "for": f"{quality.for_ms}ms",
                "severity": quality.severity,
                "except_models": others,
            }
        )
        for feature, declared in sorted(quality.features.items())
        for check, limit in sorted(limits_of(declared).items())
        if limit < 1.0
    ]


def _span_ms(window: Window) -> int:
    """Length of a window; of a calendar one the longest it can be."""
    if window.size_ms is not None:
        return window.size_ms
    return UNITS_MS["d"] if window.calendar == "day" else _MONTH_MS
