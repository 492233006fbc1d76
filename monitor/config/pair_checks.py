"""What `drift.pairs` and rules about pairs say that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from monitor.config import metric_names
from monitor.config.problems import Path, Problem
from monitor.config.suggest import hint, listing

if TYPE_CHECKING:
    from monitor.config.types import Config, ModelTemplate

_AT: Path = ("drift", "pairs")


def pairs(config: Config) -> Iterator[Problem]:
    """Pairs of what is no feature of the stream, of a feature with itself, or named twice."""
    features = config.streams.predictions.features
    known: set[frozenset[str]] = set()
    names: set[str] = set()
    for index, (pair, name) in enumerate(zip(config.drift.pairs, config.drift.pair_names, strict=True)):
        for place, feature in enumerate(pair):
            if feature not in features:
                sentence = f"{feature!r} is not a feature of the stream; allowed: {listing(list(features))}"
                yield Problem((*_AT, index, place), sentence + hint(feature, list(features)), (("streams",),))
        if pair[0] == pair[1]:
            yield Problem((*_AT, index), f"{pair[0]!r} always goes together with itself; name two features")
        elif frozenset(pair) in known or name in names:
            yield Problem(
                (*_AT, index), f"the pair {name!r} is named twice; the order of its features is no difference"
            )
        known.add(frozenset(pair))
        names.add(name)


def of_rule(config: Config, metric: str, chosen: Sequence[ModelTemplate], path: Path) -> Iterator[Problem]:
    """A rule about a pair that no model of it watches."""
    name = metric_names.pair_of(metric)
    if name is None or not chosen:
        return
    pair = config.drift.pairs[config.drift.pair_names.index(name)]
    if not any(set(pair) <= set(model.features) for model in chosen):
        yield Problem(
            path,
            f"no model of this rule watches both features of the pair {name!r}; add them to the model's features",
            (("models", "*", "features"), ("unlisted_models", "features")),
        )
