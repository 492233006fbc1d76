"""Mistakes in what is declared of the data: `models[].quality`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from monitor.config.durations import format_duration
from monitor.config.problems import Path, Problem
from monitor.config.suggest import hint, listing

if TYPE_CHECKING:
    from monitor.config.quality import FeatureQuality
    from monitor.config.types import Config, ModelTemplate

_KINDS: Mapping[str, tuple[str, ...]] = {"numeric": ("min", "max"), "categorical": ("values",)}


def check_quality(config: Config, model: ModelTemplate, at: Path) -> Iterator[Problem]:
    """Every mistake in a model's `quality`; `at` is where the model stands."""
    quality = model.quality
    if quality is None:
        return
    path = (*at, "quality")
    types = {name: feature.type for name, feature in config.streams.predictions.features.items()}
    reads: tuple[Path, ...] = ((*at, "features"), ("streams", "predictions", "features"))
    for name, declared in quality.features.items():
        where = (*path, "features", name)
        if name not in model.features or name not in types:
            allowed = list(model.features)
            sentence = f"{name!r} is not a feature that this model watches; allowed: {listing(allowed)}"
            yield Problem(where, sentence + hint(name, allowed), reads)
        else:
            yield from _kind(where, declared, types[name])
        yield from _sense(where, declared)
    yield from _window(config, quality.window, (*path, "window"))
    volume_window = quality.volume.window if quality.volume is not None else None
    yield from _window(config, volume_window, (*path, "volume", "window"))
    if quality.freshness is not None and quality.freshness.at_most_ms < config.time.tick_ms:
        yield Problem(
            (*path, "freshness", "at_most"),
            f"{format_duration(quality.freshness.at_most_ms)} is shorter than time.tick "
            f"({format_duration(config.time.tick_ms)}); silence is counted in ticks",
            (("time", "tick"),),
        )


def _window(config: Config, name: str | None, at: Path) -> Iterator[Problem]:
    names = [window.name for window in config.windows]
    if name is not None and name not in names:
        sentence = f"{name!r} is not one of the windows; allowed: {listing(names)}"
        yield Problem(at, sentence + hint(name, names), (("windows",),))


def _kind(where: Path, declared: FeatureQuality, kind: str) -> Iterator[Problem]:
    for other, keys in _KINDS.items():
        for key in keys if other != kind else ():
            if getattr(declared, key) is not None:
                right = " and ".join(_KINDS[kind])
                yield Problem(
                    (*where, key),
                    f"the feature is {kind}, and {key!r} is for {other} ones; allowed: {right}",
                    (("streams", "predictions", "features"),),
                )


def _sense(where: Path, declared: FeatureQuality) -> Iterator[Problem]:
    low, high, values = declared.min, declared.max, declared.values
    if low is not None and high is not None and low > high:
        sentence = f"min ({low:g}) is above max ({high:g}), so no number would be right"
        yield Problem((*where, "min"), sentence, ((*where, "max"),))
    if values is not None and not values:
        yield Problem((*where, "values"), "no value is listed, so none would be right; list them, or leave this out")
    for index, value in enumerate(values or ()):
        if values is not None and value in values[:index]:
            yield Problem((*where, "values", index), f"the value {value!r} is listed twice")
    for key, given in (("out_of_range", low is not None or high is not None), ("unexpected", values is not None)):
        if getattr(declared, key) is not None and not given:
            needed = "min or max" if key == "out_of_range" else "values"
            yield Problem((*where, key), f"{key!r} needs {needed}, and it is not declared", ((*where,),))
