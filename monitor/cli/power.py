"""The command `driftline power`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, load_config, output_option

if TYPE_CHECKING:
    from monitor.alerts.power import Limit
    from monitor.cli.power_traffic import Traffic
    from monitor.config.budget import Budget
    from monitor.events import Int64s
    from monitor.plan import ModelPlan

DAY_MS = 86_400_000
REFERENCES = 4
"""Beginnings that are drawn: what is learned differs from one to the next."""
DROPS = (0.01, 0.02, 0.05, 0.1)
GROWTHS = (0.02, 0.05, 0.1, 0.25)
LEAST_CHANGE = 1e-4
"""Smaller ones are never told in anybody's lifetime, and would be printed as none."""
ROWS_A_DAY_MAX = 1e11
"""More than any stream has; beyond it drawn counts would no longer be exact."""


class _Between(click.FloatRange):
    """A range that NaN is outside of: it compares with nothing, so a plain range lets it in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click.ParamType."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


_RATE = _Between(0.0, 1.0, min_open=True, max_open=True)
_DROP = _Between(LEAST_CHANGE, 1.0, max_open=True)


@click.command("power")
@config_options
@click.option("--model", help="Which model; may be left out when the configuration lists one.")
@click.option(
    "--per-day", required=True, type=_Between(1.0, ROWS_A_DAY_MAX), metavar="N", help="Labelled predictions a day."
)
@click.option("--accuracy", type=_RATE, metavar="SHARE", help="Share that is right now; not for regression models.")
@click.option("--positives", type=_RATE, help="Share of labels that are positive, of a binary model. Default: 0.5.")
@click.option(
    "--drop",
    "drops",
    multiple=True,
    type=_DROP,
    metavar="SHARE",
    help="By how much accuracy falls; repeatable. Default: 0.01, 0.02, 0.05 and 0.1.",
)
@click.option(
    "--growth",
    "growths",
    multiple=True,
    type=_Between(LEAST_CHANGE, 100.0),
    metavar="SHARE",
    help="Of a regression model: by which share errors grow; repeatable. Default: 0.02, 0.05, 0.1 and 0.25.",
)
@click.option(
    "--bursts",
    default=1.0,
    show_default=True,
    type=_Between(1.0, 1e6),
    help="Rows come alike in groups of so many.",
)
@click.option("--within", default="90d", show_default=True, help="How far is looked ahead.")
@click.option("--runs", default=200, show_default=True, type=click.IntRange(4, 10_000), help="Futures that are drawn.")
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(min=0), help="The same seed, the same answer."
)
@output_option
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    model: str | None,
    per_day: float,
    accuracy: float | None,
    positives: float | None,
    drops: tuple[float, ...],
    growths: tuple[float, ...],
    bursts: float,
    within: str,
    runs: int,
    seed: int,
    output: str,
) -> None:
    """Tell how soon a drop of accuracy, or a growth of errors, would be seen with your traffic and the `budget`.

    Rows are drawn that are as right as you say, the daemon's own learning and detector go over them, and accuracy falls: half of
    the futures have their alarm within the median, nine of ten within the second time. What labels take to come is
    on top of it. Drops that are smaller than materiality and the margin of what was learned are never told, and said so.
    Classes of multiclass models are drawn as equally frequent; errors of regression models as normal, and they grow by
    --growth.

    JSON: {"model", "beat_ms", "rows_per_beat", "patience_beats", "season", "quiet_ms", "error_rate", "limit", "dispersion",
    "drops": [{"drop", "missed", "median_ms", "nine_of_ten_ms"}]}; a time is null where fewer futures than that had their alarm.
    Of regression models "rank" (mean rank of the size of errors), "limit" of it, and "growths": [{"growth", ...}].

    \b
    Examples:
      driftline power -c driftline.yaml --per-day 40000 --accuracy 0.92
      driftline power -c driftline.yaml --per-day 2000 --accuracy 0.8 --drop 0.02 --bursts 5
      driftline power -c prices.yaml --per-day 2000 --growth 0.1
      driftline power -c driftline.yaml --per-day 40000 --accuracy 0.92 --set budget.false_pages=0.1 -o json
    """
    from monitor.cli.show import print_json
    from monitor.config.durations import parse_duration
    from monitor.plan import plan_of

    config = load_config(files, overrides)
    if config.budget is None:
        raise click.UsageError(
            "the configuration has no `budget`, so nothing of this is watched; write `budget: {}` to begin"
        )
    try:
        within_ms = parse_duration(within)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--within") from error
    plan = _chosen(plan_of(config).models, model)
    rows = per_day * config.budget.every_ms / DAY_MS
    regression = plan.task.name == "regression"
    traffic = _traffic(plan, rows, accuracy, positives, bursts, drops, growths)
    changes = growths or GROWTHS
    if not regression:
        assert accuracy is not None
        changes = drops or tuple(drop for drop in DROPS if drop < accuracy)
    document = prospects(plan, config.budget, traffic, changes, within_ms // config.budget.every_ms, runs, seed)
    if output == "json":
        print_json(document)
    else:
        _print(document)


def _chosen(models: Any, name: str | None) -> ModelPlan:
    if name is None and len(models) != 1:
        raise click.UsageError(f"the configuration lists {len(models)} models: say which with --model")
    if name is not None and name not in models:
        raise click.UsageError(f"--model {name!r} is not listed; listed are: {', '.join(models) or 'none'}")
    plan: ModelPlan = models[next(iter(models)) if name is None else name]
    return plan


def _traffic(
    plan: ModelPlan,
    rows: float,
    accuracy: float | None,
    positives: float | None,
    bursts: float,
    drops: tuple[float, ...],
    growths: tuple[float, ...],
) -> Traffic:
    """What is drawn of a model; says which options are for other tasks."""
    from monitor.cli.power_traffic import BinaryTraffic, MulticlassTraffic, RegressionTraffic
    from monitor.metrics.multiclass import Multiclass

    task = plan.task
    regression = task.name == "regression"
    given = {"--accuracy": accuracy, "--drop": drops or None, "--positives": positives, "--growth": growths or None}
    foreign = {
        "binary": ("--growth",),
        "multiclass": ("--growth", "--positives"),
        "regression": ("--accuracy", "--drop", "--positives"),
    }[task.name]
    for name in foreign:
        if given[name] is not None:
            instead = "--growth" if regression else "--accuracy and --drop"
            raise click.UsageError(f"{name} is not for {plan.name!r}, a {task.name} model; say {instead}")
    if regression:
        return RegressionTraffic(rows, bursts)
    if accuracy is None:
        raise click.UsageError(
            f"--accuracy is needed for {plan.name!r}, a {task.name} model: the share that is right now"
        )
    for drop in drops:
        if drop >= accuracy:
            raise click.UsageError(
                f"--drop {drop:g} leaves nothing of --accuracy {accuracy:g}; drop less than there is"
            )
    if isinstance(task, Multiclass):
        return MulticlassTraffic(rows, accuracy, len(task.classes) - 1, bursts)
    return BinaryTraffic(rows, accuracy, 0.5 if positives is None else positives, bursts)


def prospects(
    model: ModelPlan, budget: Budget, traffic: Traffic, changes: tuple[float, ...], beats: int, runs: int, seed: int
) -> dict[str, Any]:
    """The answer, as it is printed in JSON."""
    import numpy as np

    from monitor.alerts.power import beats_of_learning, delays, learned, limit_of

    rng = np.random.default_rng(seed)
    found: dict[float, list[Int64s]] = {change: [] for change in changes}
    limits: list[Limit] = []
    day = max(1, -(-DAY_MS // budget.every_ms))
    lanes = -(-runs // REFERENCES)

    def future(change: float) -> Iterator[Int64s]:
        yield from (traffic.draw(rng, lanes, 0.0) for _ in range(day))
        yield from (traffic.draw(rng, lanes, change) for _ in range(beats))

    for _ in range(REFERENCES):
        detector = learned(model, budget, traffic.draw(rng, beats_of_learning(budget), 0.0))
        if detector is None:
            raise click.ClickException(
                f"{traffic.rows:.3g} rows a beat teach nothing in this learning time: learn for longer, or decide less often"
            )
        limits.append(limit_of(detector))
        for change in changes:
            found[change].append(delays(detector, budget, future(change), day))
    mean = {name: float(np.mean([value[name] for value in map(asdict, limits)])) for name in asdict(limits[0])}
    regression = model.task.name == "regression"
    one = "growth" if regression else "drop"
    return {
        "model": model.name,
        "beat_ms": budget.every_ms,
        "rows_per_beat": traffic.rows,
        "patience_beats": budget.patience,
        "season": budget.season,
        "quiet_ms": budget.quiet_ms,
        "rank" if regression else "error_rate": mean["reference"],
        "limit": mean["limit"],
        "dispersion": mean["dispersion"],
        f"{one}s": [{one: by, **_told(np.concatenate(parts), budget.every_ms)} for by, parts in found.items()],
    }


def _told(beats: Int64s, every_ms: int) -> dict[str, Any]:
    """Median and ninth decile of the delays; those that never came are the longest."""
    came = sorted(int(beat) for beat in beats if beat > 0)

    def at(share: float) -> int | None:
        place = -int(-share * len(beats) // 1) - 1
        return came[place] * every_ms if place < len(came) else None

    missed = (len(beats) - len(came)) / len(beats)
    return {"missed": missed, "median_ms": at(0.5), "nine_of_ten_ms": at(0.9)}


def _print(document: dict[str, Any]) -> None:
    from monitor.cli.show import console, share, table
    from monitor.config.durations import format_duration

    beat = format_duration(document["beat_ms"])
    regression = "growths" in document
    title, one = ("errors grow by", "growth") if regression else ("accuracy falls by", "drop")
    made = table(None, title, "half within", "nine of ten within", "not seen")
    for row in document[f"{one}s"]:
        times = ("never" if row[at] is None else format_duration(row[at]) for at in ("median_ms", "nine_of_ten_ms"))
        made.add_row(f"{row[one]:.1%}", *times, share(row["missed"]))
    console().print(made)
    click.echo(
        f"{document['model']}: {document['rows_per_beat']:,.0f} labelled rows every {beat}; label delay comes on top."
    )
    what = (
        f"The mean rank of errors by size is learned as {document['rank']:.3f}; up to {document['limit']:.3f}"
        if regression
        else f"Errors are learned as {document['error_rate']:.2%}; up to {document['limit']:.2%}"
    )
    # Each part of the day has a limit of its own, and a rise is seen by those that have the lower ones.
    whole = document["season"] == "none"
    part = "" if whole else ", in the part of the day that is known least,"
    season = "" if whole else ", or where the time of day makes no difference set budget.season: none"
    click.echo(
        f"{what} (materiality and the margin of what was learned){part} nothing is told. To see less, lower "
        f"budget.materiality.performance, learn for longer{season}."
    )
