"""The command `driftline power`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, load_config, output_option

if TYPE_CHECKING:
    import numpy as np

    from monitor.alerts.power import Limit
    from monitor.config.budget import Budget
    from monitor.events import Int64s
    from monitor.plan import ModelPlan

DAY_MS = 86_400_000
REFERENCES = 4
"""Beginnings that are drawn: what is learned differs from one to the next."""
_RATE = click.FloatRange(0.0, 1.0, min_open=True, max_open=True)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes: labelled predictions a beat, the share that is right, and that is positive; bursts of so many alike."""

    rows: float
    accuracy: float
    positives: float
    bursts: float

    def draw(self, rng: np.random.Generator, size: tuple[int, ...], drop: float) -> Int64s:
        """Counts of tp, fp, fn, tn, (*size, 4), when accuracy is lower by `drop`; both classes fail alike."""
        import numpy as np

        wrong, positive = 1.0 - self.accuracy + drop, self.positives
        chances = [positive * (1 - wrong), (1 - positive) * wrong, positive * wrong, (1 - positive) * (1 - wrong)]
        rows = rng.poisson(self.rows / self.bursts, size)
        found: Int64s = np.rint(rng.multinomial(rows, chances) * self.bursts).astype(np.int64)
        return found


@click.command("power")
@config_options
@click.option("--model", help="Which model; may be left out when the configuration lists one.")
@click.option("--per-day", required=True, type=click.FloatRange(min=1), metavar="N", help="Labelled predictions a day.")
@click.option("--accuracy", required=True, type=_RATE, metavar="SHARE", help="Share that is right now.")
@click.option("--positives", default=0.5, show_default=True, type=_RATE, help="Share of labels that are positive.")
@click.option(
    "--drop",
    "drops",
    multiple=True,
    type=_RATE,
    metavar="SHARE",
    help="By how much accuracy falls; repeatable. Default: 0.01, 0.02, 0.05 and 0.1.",
)
@click.option(
    "--bursts",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=1),
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
    accuracy: float,
    positives: float,
    drops: tuple[float, ...],
    bursts: float,
    within: str,
    runs: int,
    seed: int,
    output: str,
) -> None:
    """Tell how soon a drop of accuracy would be seen, with your traffic and the `budget` of the configuration.

    Rows are drawn that are as right as you say, the daemon's own learning and detector go over them, and accuracy falls: half of
    the futures have their alarm within the median, nine of ten within the second time. What labels take to come is
    on top of it. Drops that are smaller than materiality and the margin of what was learned are never told, and said so.

    JSON: {"model", "beat_ms", "rows_per_beat", "patience_beats", "error_rate", "limit", "dispersion", "drops": [{"drop",
    "missed", "median_ms", "nine_of_ten_ms"}]}; a time is null where fewer futures than that had their alarm.

    \b
    Examples:
      driftline power -c driftline.yaml --per-day 40000 --accuracy 0.92
      driftline power -c driftline.yaml --per-day 2000 --accuracy 0.8 --drop 0.02 --bursts 5
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
    for drop in drops:
        if drop >= accuracy:
            raise click.UsageError(
                f"--drop {drop:g} leaves nothing of --accuracy {accuracy:g}; drop less than there is"
            )
    traffic = Traffic(per_day * config.budget.every_ms / DAY_MS, accuracy, positives, bursts)
    chosen = drops or tuple(drop for drop in (0.01, 0.02, 0.05, 0.1) if drop < accuracy)
    document = prospects(plan, config.budget, traffic, chosen, within_ms // config.budget.every_ms, runs, seed)
    if output == "json":
        print_json(document)
    else:
        _print(document)


def _chosen(models: Any, name: str | None) -> ModelPlan:
    from monitor.metrics.binary import BINARY

    if name is None and len(models) != 1:
        raise click.UsageError(f"the configuration lists {len(models)} models: say which with --model")
    if name is not None and name not in models:
        raise click.UsageError(f"--model {name!r} is not listed; listed are: {', '.join(models) or 'none'}")
    plan: ModelPlan = models[next(iter(models)) if name is None else name]
    if plan.task.name != BINARY.name:
        raise click.UsageError(
            f"of {plan.name!r} the budget does not watch the performance: its task is {plan.task.name}, not binary"
        )
    return plan


def prospects(
    model: ModelPlan, budget: Budget, traffic: Traffic, drops: tuple[float, ...], beats: int, runs: int, seed: int
) -> dict[str, Any]:
    """The answer, as it is printed in JSON."""
    import numpy as np

    from monitor.alerts.power import beats_of_learning, delays, learned, limit_of

    rng = np.random.default_rng(seed)
    found: dict[float, list[Int64s]] = {drop: [] for drop in drops}
    limits: list[Limit] = []
    day = max(1, -(-DAY_MS // budget.every_ms))
    for _ in range(REFERENCES):
        detector = learned(model, budget, traffic.draw(rng, (beats_of_learning(budget),), 0.0))
        if detector is None:
            raise click.ClickException(
                f"{traffic.rows:.3g} rows a beat teach nothing in this learning time: learn for longer, or decide less often"
            )
        limits.append(limit_of(detector))
        lanes = -(-runs // REFERENCES)
        for drop in drops:
            before, after = (traffic.draw(rng, (many, lanes), by) for many, by in ((day, 0.0), (beats, drop)))
            found[drop].append(delays(detector, budget, np.concatenate([before, after]), day))
    mean = {name: float(np.mean([value[name] for value in map(asdict, limits)])) for name in asdict(limits[0])}
    return {
        "model": model.name,
        "beat_ms": budget.every_ms,
        "rows_per_beat": traffic.rows,
        "patience_beats": budget.patience,
        "error_rate": mean["reference"],
        "limit": mean["limit"],
        "dispersion": mean["dispersion"],
        "drops": [_told(drop, np.concatenate(parts), budget.every_ms) for drop, parts in found.items()],
    }


def _told(drop: float, beats: Int64s, every_ms: int) -> dict[str, Any]:
    """Median and ninth decile of the delays; those that never came are the longest."""
    came = sorted(int(beat) for beat in beats if beat > 0)

    def at(share: float) -> int | None:
        place = -int(-share * len(beats) // 1) - 1
        return came[place] * every_ms if place < len(came) else None

    missed = (len(beats) - len(came)) / len(beats)
    return {"drop": drop, "missed": missed, "median_ms": at(0.5), "nine_of_ten_ms": at(0.9)}


def _print(document: dict[str, Any]) -> None:
    from monitor.cli.show import console, share, table
    from monitor.config.durations import format_duration

    beat = format_duration(document["beat_ms"])
    made = table(None, "accuracy falls by", "half within", "nine of ten within", "not seen")
    for row in document["drops"]:
        times = ("never" if row[at] is None else format_duration(row[at]) for at in ("median_ms", "nine_of_ten_ms"))
        made.add_row(f"{row['drop']:.1%}", *times, share(row["missed"]))
    console().print(made)
    click.echo(
        f"{document['model']}: {document['rows_per_beat']:,.0f} labelled rows every {beat}; label delay comes on top."
    )
    click.echo(
        f"Errors are {document['error_rate']:.2%}; up to {document['limit']:.2%} (materiality and the margin of what was "
        "learned) nothing is told. To see less, lower budget.materiality.performance, or learn for longer."
    )
