"""Checks of what a rule says about its own end, of whom it wakes, and of when rules are not asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.config import metric_names, tasks
from monitor.config.alert_names import BUILT_IN
from monitor.config.problems import Problem
from monitor.config.suggest import hint, listing

if TYPE_CHECKING:
    from monitor.config.rules import Rule
    from monitor.config.types import Config, ModelTemplate


def subjects(config: Config, rule: Rule) -> list[ModelTemplate]:
    """The models a rule is about; the template stands for all that are not listed."""
    if rule.model is not None:
        model = config.model(rule.model)
        return [model] if model is not None else []
    return [*config.models, *([config.unlisted_models] if config.unlisted_models else [])]


def _range(config: Config, rule: Rule) -> tuple[float, float]:
    """What values its metric can have; any, where the metric is not known."""
    performance = tasks.performance(subjects(config, rule))
    if not metric_names.is_known(rule.metric, list(config.streams.predictions.features), performance):
        return -math.inf, math.inf
    return metric_names.value_range(rule.metric, performance)


def stretches_of_maintenance(config: Config) -> Iterator[Problem]:
    """Models that are worked on and are not there: nobody would be left in peace."""
    names = [model.name for model in config.models]
    for index, one in enumerate(config.maintenance):
        if one.model is not None and config.model(one.model) is None:
            yield Problem(
                ("maintenance", index, "model"),
                f"{one.model!r} is not a configured model; allowed (models): {listing(names)}{hint(one.model, names)}",
                (("models", "*", "name"), ("unlisted_models",)),
                one.model,
            )


def ends_of_rules(config: Config) -> Iterator[Problem]:
    """Problems with where rules clear."""
    for index, rule in enumerate(config.rules):
        if rule.clear is None:
            continue
        lowest, highest = _range(config, rule)
        if not lowest <= rule.clear <= highest:
            yield Problem(
                ("rules", index, "clear"),
                f"{rule.clear:g} is out of the range of {rule.metric!r}, {lowest:g} to {highest:g}, so the alert would never end",
                (("rules", index, "metric"),),
            )
            continue
        rising = rule.op.startswith("<")  # the good values are above
        if rule.clear < rule.threshold if rising else rule.clear > rule.threshold:
            side = "at or above" if rising else "at or below"
            yield Problem(
                ("rules", index, "clear"),
                f"{rule.clear:g} is on the bad side of the threshold {rule.threshold:g}: what {rule.op} {rule.threshold:g} "
                f"began would end while it holds; write a value {side} {rule.threshold:g}, or leave it out",
                (("rules", index, "threshold"),),
            )


def names_of_their_own(config: Config) -> Iterator[Problem]:
    """Rules and advisories that are called like an alert of the daemon itself."""
    named = {"rules": [rule.name for rule in config.rules], "advisories": [one.name for one in config.advisories]}
    for section, names in named.items():
        for index, name in enumerate(names):
            if name in BUILT_IN:
                sentence = f"{name!r} is the name of an alert that the daemon gives by itself; choose another one"
                yield Problem((section, index, "name"), sentence, (), name)


def pages_on_drift(config: Config) -> Iterator[Problem]:
    """Rules that would wake somebody although nothing was lost, and nothing is broken."""
    for index, rule in enumerate(config.rules):
        if rule.severity != "page" or not metric_names.is_drift(rule.metric):
            continue
        loss = "accuracy" if "accuracy" in tasks.performance(subjects(config, rule)) else "mae"
        told = f"a rule on what is lost ({loss}"
        if config.streams.labels is None:
            told = "a rule on missing values or volume"
        elif loss == "accuracy":
            told += ", or before there are labels unlabelled:accuracy)"
        else:
            told += ")"
        yield Problem(
            ("rules", index, "severity"),
            f"{rule.metric!r} shows drift, and drift alone is no page: a page needs loss, realised or estimated, or broken data; "
            f"write severity: ticket, and for the page {told}",
            (("rules", index, "metric"),),
        )
