"""What `driftline check` says of everything that watches beside the rules: a line each, where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.config.types import Config

_SECONDS = 1000


def watching(config: Config) -> dict[str, Any]:
    """The sections that were asked for, as they go into JSON; null or empty where they were not."""
    budget, feed = config.budget, config.label_feed
    return {
        "budget": None
        if budget is None
        else {
            "false_pages": budget.false_pages,
            "per_s": budget.per_ms / _SECONDS,
            "every_s": budget.every_ms / _SECONDS,
            "learn_s": budget.learn_ms / _SECONDS,
            "season": budget.season,
            "materiality": {name: getattr(budget.materiality, name) for name in ("performance", "features", "quality")},
        },
        "label_feed": None
        if feed is None
        else {
            "slow_below": feed.slow_below,
            "slow_after_s": feed.late_ms(config.time.horizon_ms) / _SECONDS,
            "hold_at_most_s": feed.hold_at_most_ms / _SECONDS,
        },
        "estimates": config.estimates,
        "explanations": config.explanations,
        "grouping": None if config.grouping is None else {"within_s": config.grouping.within_ms / _SECONDS},
        "maintenance": [{"model": one.model, "from": one.begins, "until": one.ends} for one in config.maintenance],
        "advisories": [
            {
                "name": one.name,
                "detector": one.detector,
                "options": dict(one.options),
                "metric": one.metric,
                "window": one.window,
                "model": one.model,
                "severity": one.severity,
            }
            for one in config.advisories
        ],
    }


def _hidden(forgiven: float, tasks: list[str]) -> str:
    """What is never told of a loss, and the command that says how much that is: margins depend on how many rows come, which no
    file says. `forgiven`: budget.materiality.performance. `tasks`: of the models, which all have the same."""
    accuracy = "" if "regression" in tasks else " --accuracy SHARE"
    share = "a share of errors beyond some size" if "regression" in tasks else "a rate of errors"
    more = f"{forgiven:g} (materiality) and " if forgiven else ""
    return (
        f"{share} may rise by {more}a margin untold; how much that is, and how soon more is seen: "
        f"driftline power -c FILE --per-day N{accuracy}"
    )


def lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `driftline check` has found, for people: a name and what is said of it."""
    if budget := told["budget"]:
        false, per, every = budget["false_pages"], _time(budget["per_s"]), _time(budget["every_s"])
        learn = _time(budget["learn_s"])
        yield (
            "budget",
            f"at most {false:g} false alarms in {per} and model version, decided every {every} after {learn} of learning",
        )
        if told["topics"]["labels"] is not None:
            yield "power", _hidden(budget["materiality"]["performance"], [model["task"] for model in told["models"]])
    if feed := told["label_feed"]:
        below, age, most = feed["slow_below"], _time(feed["slow_after_s"]), _time(feed["hold_at_most_s"])
        said = (
            f"slow below {100 * below:g} % of the usual labels at an age of {age}; verdicts are held for {most} at most"
        )
        yield "label_feed", said
    if told["estimates"]:
        yield "estimates", "by scores and by late labels, in every performance window"
    if told["explanations"]:
        yield "explanations", "of alerts of rules and of the budget about performance, when they fire"
    if grouping := told["grouping"]:
        yield "grouping", f"by model and feature, within {_time(grouping['within_s'])}"
    for one in told["maintenance"]:
        whose = "every model" if one["model"] is None else one["model"]
        yield "maintenance", f"{whose}: from {one['from']} until {one['until']}"
    for one in told["advisories"]:
        options = "".join(f", {name} {value}" for name, value in one["options"].items())
        whose = "" if one["model"] is None else f" of {one['model']}"
        yield (
            "advisory",
            f"{one['name']}: {one['detector']}{options} over {one['metric']}{whose} in each {one['window']} ({one['severity']})",
        )


def _time(seconds: float) -> str:
    from monitor.config.durations import format_duration

    return format_duration(int(seconds * _SECONDS))
