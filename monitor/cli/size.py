"""The command `driftline size`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monitor.cli.common import config_options, load_config, output_option

_DAY_MS = 86_400_000
_SHARE = click.FloatRange(0.0, 1.0)
PROCESS_BYTES = 165_000_000
"""A process without rows and windows: the interpreter and its libraries (85 MB), the client's buffers (30 MB), and what batches
that come and go and answers to who asks leave in the heap (50 MB, seen from 35 to 90)."""
FRESH_BYTES = 88_000_000
"""The same of a process that has had nothing to catch up with: its buffers and batches were small so far."""
FILLING_ROWS = 100_000
"""Records that lie ready at once from which on it takes all of PROCESS_BYTES; of fewer, buffers and heap take their part."""


_OF_MODELS = (
    "quality_threshold", "drift_threshold", "quality_coverage_expected_ratio", "quality_settled_until_timestamp_seconds",
    "quality_estimate", "quality_bound",
)  # fmt: skip
"""Families under the series budget of which a configuration alone says how many there are."""


@click.command("size")
@config_options
@click.option(
    "--rate", required=True, type=click.FloatRange(min=0, min_open=True), metavar="N", help="Predictions a second."
)
@click.option("--labelled", default=0.95, show_default=True, type=_SHARE, help="Share of them whose label comes.")
@click.option("--delay", default="1h", show_default=True, help="How long a label takes, on the average.")
@click.option("--versions", default=2, show_default=True, type=click.IntRange(1, 1000), help="Versions at a time.")
@click.option("--partitions", default=6, show_default=True, type=click.IntRange(1, 10_000), help="Of each topic.")
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(1, 10_000), help="Workers that share them."
)
@click.option(
    "--records-per-second",
    type=click.FloatRange(min=1),
    help="How fast a rebuild reads, as `driftline top` or the log tell. Default: as fast as it is tried here.",
)
@output_option
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    rate: float,
    labelled: float,
    delay: str,
    versions: int,
    partitions: int,
    processes: int,
    records_per_second: float | None,
    output: str,
) -> None:
    """Tell what a configuration needs at a rate: memory, ledger, Prometheus series, and how long a recovery takes.

    Nothing is connected to. The engine, the evaluator and the decoders are tried on rows that are made up as stated, and what
    they hold, write and take is scaled to the rate. Numbers are those of a steady state, which is reached after horizon +
    lateness. The ledger is told before the client compresses it, and is kept until it is trimmed. A recovery is told for a
    free processor like this one, once the session of who was killed has timed out; what the evaluator decides again is not in
    it, nor are the seconds in which a process starts. Memory is that of a process that has been restarted once: it keeps what
    reading again took. limit_bytes is what to give it, for it takes that once it had 100,000 records at once to catch up with,
    as after an outage; fresh_process_bytes is that of one that never had to. The topic of windows gets a revision of each window
    that changed at every tick (`time.tick`); brokers compact them, an embedded log keeps all. Not in any: files of rows beyond
    `state.memory_rows`, and the topic of alerts.

    JSON: {"held_rows", "bytes_per_row", "join_bytes", "windows", "windows_bytes", "working_bytes", "process_bytes",
    "limit_bytes", "fresh_process_bytes", "ledger_bytes_per_day", "windows_bytes_per_day", "commits_per_second",
    "bytes_per_commit", "series", "series_of_models", "series_budget", "recovery_rows", "recovery_seconds", "restart_seconds",
    "records_per_second", "warnings"}; rows and bytes of the join are of the whole deployment, windows of the process that
    evaluates, those of a process of the one that evaluates and owns most, series those that it exports while nothing fires,
    series_of_models those that the budget is about, before it applies; recovery is of one partition, restart of all it owns.

    \b
    Examples:
      driftline size -c driftline.yaml --rate 2000
      driftline size -c driftline.yaml --rate 50 --delay 2d --labelled 0.6 --partitions 12 --processes 3
      driftline size -c driftline.yaml --rate 2000 --set time.horizon=7d -o json | jq .process_bytes
    """
    from monitor.adapters.allocator import keep_freed_memory
    from monitor.cli.show import note, print_json
    from monitor.config.durations import parse_duration
    from monitor.daemon.trial import Traffic

    config = load_config(files, overrides)
    try:
        delay_ms = parse_duration(delay)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--delay") from error
    if processes > partitions:
        raise click.UsageError(
            f"--processes {processes} is more than --partitions {partitions}: the others would stand by"
        )
    keep_freed_memory()  # as the daemon does: what is tried takes the time that it takes there
    traffic = Traffic(rate, labelled, delay_ms, versions, partitions)
    document = sized(config, traffic, processes, records_per_second)
    if output == "json":
        print_json(document)
    else:
        _print(document)
    for sentence in document["warnings"]:
        note(sentence)


def sized(config: Any, traffic: Any, processes: int, records_per_second: float | None) -> dict[str, Any]:
    """What it needs, as it goes into JSON."""
    from monitor.daemon.trial import need
    from monitor.daemon.trial_burst import burst
    from monitor.daemon.trial_windows import held
    from monitor.plan import plan_of

    plan = plan_of(config)
    needed, windows = need(config, plan, traffic), held(config, plan, traffic)
    owned = -(-traffic.partitions // processes)
    series, of_models = _series(config, plan, traffic, owned)
    rows_per_second = records_per_second or _rows_per_second(config, plan, traffic)
    recovery = needed.recovery_rows / rows_per_second
    working = burst(config, plan, traffic).of(owned) + windows.told * _ticks_at_once(config, traffic, rows_per_second)
    return {
        "held_rows": round(needed.held_rows * traffic.partitions),
        "bytes_per_row": round(needed.join_bytes / max(needed.held_rows, 1.0), 1),
        "join_bytes": round(needed.join_bytes * traffic.partitions),
        "windows": round(windows.windows),
        "windows_bytes": round(windows.nbytes),
        "working_bytes": round(working),
        "process_bytes": round(
            needed.join_bytes * owned + windows.nbytes + working + _own_bytes(needed.recovery_rows * owned)
        ),
        "limit_bytes": round(needed.join_bytes * owned + windows.nbytes + working) + PROCESS_BYTES,
        "fresh_process_bytes": round(needed.join_bytes * owned + windows.nbytes) + FRESH_BYTES,
        "ledger_bytes_per_day": round(needed.ledger_bytes_per_day * traffic.partitions),
        "windows_bytes_per_day": round(windows.published * _DAY_MS / config.time.tick_ms),
        "commits_per_second": round(needed.commits_per_second * traffic.partitions, 3),
        "bytes_per_commit": round(needed.bytes_per_commit),
        "series": series,
        "series_of_models": of_models,
        "series_budget": config.series_budget,
        "recovery_rows": round(needed.recovery_rows),
        "recovery_seconds": round(recovery, 1),
        "restart_seconds": round(recovery * owned, 1),
        "records_per_second": round(rows_per_second),
        "warnings": _warnings(config, needed.held_rows * owned, of_models),
    }


def _own_bytes(rows: float) -> float:
    """What a process takes without rows and windows, once it has caught up with so many records at once."""
    return FRESH_BYTES + (PROCESS_BYTES - FRESH_BYTES) * min(1.0, rows / FILLING_ROWS)


def _ticks_at_once(config: Any, traffic: Any, rows_per_second: float) -> float:
    """Ticks that are closed together while a process catches up: commits are put off then."""
    from monitor.daemon.timers import PATIENCE

    times, labelled = config.time, traffic.labelled if config.streams.labels is not None else 0.0
    most = min(
        rows_per_second * (1 + PATIENCE) * config.state.commit_interval_ms / 1_000,
        config.state.max_batch_rows * traffic.partitions,
    )
    behind = (times.lateness_ms + (times.horizon_ms if labelled else 0)) / times.tick_ms
    return float(min(behind, most / (traffic.rate * (1 + labelled) * times.tick_ms / 1_000)))


def _warnings(config: Any, of_process: float, series: int) -> list[str]:
    warnings = []
    if of_process > config.state.max_rows:
        warnings.append(
            f"a process would hold {of_process:,.0f} predictions, state.max_rows is {config.state.max_rows:,}: there they wait "
            "in the topic; raise it, add processes or shorten time.horizon"
        )
    if series > config.series_budget:
        warnings.append(
            f"{series:,} series of models are more than series_budget ({config.series_budget:,}): the rest is left out"
        )
    return warnings


def _rows_per_second(config: Any, plan: Any, traffic: Any) -> float:
    from monitor.daemon.recovery import ASSUMED_ROWS_PER_SECOND
    from monitor.daemon.trial_reading import reading

    found = reading(config, plan, traffic)
    return found.rows_per_second if found is not None else ASSUMED_ROWS_PER_SECOND


def _series(config: Any, plan: Any, traffic: Any, owned: int) -> tuple[int, int]:
    """Series that the process exports that evaluates, while nothing fires; and those of models that there would be."""
    from monitor.adapters.exposition import Exposer, WindowLabels
    from monitor.cli.observer import base_view
    from monitor.daemon.trial_series import newest
    from monitor.telemetry import BY_NAME, PREFIX, estimate_series

    at_most = estimate_series(config, versions=traffic.versions, partitions=owned)
    bounded = sum(number for name, number in at_most.items() if not BY_NAME[name].budgeted)
    of_models = sum(at_most[PREFIX + name] for name in _OF_MODELS)
    for model in newest(config, plan, traffic):
        samples: list[tuple[str, str]] = []
        for view in model.views:
            WindowLabels(config.namespace, view.key.series, view.key.window, view.kind).write(view, samples)
        of_models += len(samples) * model.models
    # Those about the process itself: what the same listener says of this one.
    own = Exposer().render(base_view(config, "", 0)).text.splitlines()
    bounded += sum(line.startswith((b"process_", b"python_")) for line in own)
    return bounded + min(of_models, config.series_budget), of_models


def _print(document: dict[str, Any]) -> None:
    def size(number: float) -> str:
        unit = next((u for u in ("kB", "MB", "GB", "TB") if number < 1000 ** (2 + "kMGT".index(u[0]))), "TB")
        return f"{number / 1000 ** (1 + 'kMGT'.index(unit[0])):,.1f} {unit}"

    fresh, limit = size(document["fresh_process_bytes"]), size(document["limit_bytes"])
    lines = [
        ("predictions held", f"{document['held_rows']:,}", f"{document['bytes_per_row']:g} bytes each in the join"),
        ("memory of the join", size(document["join_bytes"]), "of all processes together"),
        (
            "memory of windows",
            size(document["windows_bytes"]),
            f"{document['windows']:,} of them, in the one that evaluates",
        ),
        (
            "memory of a process",
            size(document["process_bytes"]),
            f"of one that evaluates and owns most partitions; {fresh} until it has caught up with something. Give it {limit}",
        ),
        (
            "ledger a day",
            size(document["ledger_bytes_per_day"]),
            f"{document['commits_per_second']:g} commits a second of {document['bytes_per_commit']:,} bytes, uncompressed",
        ),
        (
            "windows topic a day",
            size(document["windows_bytes_per_day"]),
            "uncompressed: a revision of each window that changed, at every tick; Kafka compacts them, an embedded log keeps all",
        ),
        (
            "Prometheus series",
            f"{document['series']:,}",
            f"of models {document['series_of_models']:,}, of which series_budget lets {document['series_budget']:,} through",
        ),
        (
            "recovery",
            f"{document['recovery_seconds']:g} s",
            f"{document['recovery_rows']:,} records of a partition are read again, {document['records_per_second']:,} a second",
        ),
        (
            "restart of a process",
            f"{document['restart_seconds']:g} s",
            "of one that owns most partitions; it starts in seconds",
        ),
    ]
    for name, number, more in lines:
        click.echo(f"{name:<22}{number:>16}   {more}")
