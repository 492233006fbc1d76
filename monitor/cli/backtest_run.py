"""`driftline backtest`: the runs, what is made of them, and what is said about it."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.backtest.differences import differences, of_version
from monitor.backtest.episodes import Episode, episodes
from monitor.backtest.gates import (
    MIN_ROWS,
    SCORED,
    Gate,
    GateError,
    gate_of,
    judge,
    metric_gates,
    refuse_unknown,
    too_small,
)
from monitor.backtest.incidents import Incident, IncidentsError, Score, incidents_of, score
from monitor.backtest.tradeoff import front
from monitor.cli import backtest_checks as checks
from monitor.cli.exits import GATE
from monitor.cli.replay_run import Wanted
from monitor.cli.report import write as files

if TYPE_CHECKING:
    from monitor.cli.replay_processes import Origin
    from monitor.config.types import Config
    from monitor.plan import Plan
    from monitor.ports import Log

__all__ = ["Asked", "Wanted", "gates_of", "incidents_in", "run", "variants_of"]

FORMAT = 1
"""Version of backtest.json."""
HOUR_MS = 3_600_000
FIRST, SECOND = "first", "second"
SWEEP = "sweep.json"
"""Beside the windows and alerts of a run: what each setting of a sweep told, so that it can be resumed."""


@dataclass(frozen=True)
class Asked:
    """What is to be backtested, and what is asked about it."""

    config: Config
    other: Config | None
    incidents: list[Incident] | None
    variants: dict[str, Config]
    gates: list[Gate]
    page: Path | None = None
    """Where the report goes, FILE.html."""
    values: bool = False
    """Whether the report may name bins by the values they hold."""
    versions: tuple[str, str] | None = None
    """Versions of the models that are compared."""
    other_origin: Origin | None = None
    """`Wanted.origin` of the other configuration."""
    min_rows: int = MIN_ROWS
    """Rows that the metric of a gate must rest on in a window."""


@dataclass
class Outcome:
    """What one configuration told."""

    folder: Path
    config: Config
    plan: Plan
    alerts: list[Episode]
    score: Score | None
    summary: dict[str, Any]
    rejected: checks.Rejected
    """What this process could not use, by topic and reason: not in the files, since an earlier one may have met the rest."""

    def windows(self) -> Iterator[dict[str, Any]]:
        """Its final windows."""
        return files.windows_of(self.folder)


def run(source: Log, asked: Asked, directory: Path | None, wanted: Wanted) -> None:
    """Run, compare, say, and leave with 3 when a gate holds."""
    if asked.page is not None:
        files.refuse_what_cannot_be_written(asked.page)
    with tempfile.TemporaryDirectory(prefix="driftline-backtest-") as temporary:
        folder = directory or Path(temporary)
        for config in (asked.config, *([asked.other] if asked.other else [])):
            if not (wanted.resume and (folder / FIRST).exists()):
                checks.refuse_an_empty_range(source, config, wanted.starts, wanted.ends)
        told: dict[str, list[Episode]] = {}
        first = _outcome(source, asked, asked.config, folder / FIRST, wanted, told)
        likewise = replace(wanted, origin=asked.other_origin)
        second = _outcome(source, asked, asked.other, folder / SECOND, likewise) if asked.other else None
        scored = first.score is None or bool(first.score.found)
        broken = judge(asked.gates, _counts(first.alerts, first.score), first.windows(), asked.min_rows, scored=scored)
        report = _report(asked, first, second, told)
        report["gates"] = {"asked": [gate.text for gate in asked.gates], "failed": _plain(broken)}
        if small := too_small(metric_gates(asked.gates), first.windows(), asked.min_rows):
            report["gates"] |= {"min_rows": asked.min_rows, "too_small": small}
        if directory is not None:
            _write(directory / "backtest.json", report)
        written = []
        if asked.page is not None:
            runs = [
                files.Told(run.folder, run.config, run.plan, _of(run)) for run in (first, second) if run is not None
            ]
            written = files.write(asked.page, report, runs, values=asked.values)
        from monitor.cli import backtest_show

        backtest_show.say(report, wanted.output, directory, written)
        checks.say_what_was_rejected(
            [(run.config, run.rejected, run.summary.get("outcomes")) for run in (first, second) if run is not None]
        )
    if broken:
        sys.exit(GATE)


def _outcome(
    source: Log,
    asked: Asked,
    config: Config,
    folder: Path,
    wanted: Wanted,
    told: dict[str, list[Episode]] | None = None,
) -> Outcome:
    """Run a configuration, or take up what an earlier backtest left; `told` gets what each setting of a sweep tells."""
    import msgspec
    import orjson

    from monitor.adapters import replay_files
    from monitor.cli.replay_run import refuse_another, replayed
    from monitor.daemon.counted import as_begun
    from monitor.daemon.replay.sweep import Alongside, sweep
    from monitor.daemon.replay.totals import totals
    from monitor.plan import plan_of

    plan = as_begun(source, config, plan_of(config))
    variants = asked.variants if told is not None else {}

    alongside = Alongside(config, plan, variants)

    def then(own: Log, partitions: int) -> None:
        if variants:
            whole = alongside.whole and not resume
            events = alongside.told() if whole else sweep(own, config, plan, partitions, variants)
            found = {name: episodes(map(msgspec.to_builtins, own)) for name, own in events.items()}
            _keep_sweep(folder, variants, found)
        files.put_totals(folder, totals(own, config, plan, partitions))

    work = folder / replay_files.WORK
    # Totals are the last to be written: with them only the run's own log is left to be removed.
    done = (folder / replay_files.RESULT).exists() and (not work.exists() or (folder / files.TOTALS).exists())
    resume = wanted.resume and not done and (work / "spec.json").exists()
    rejected: checks.Rejected = {}
    if wanted.resume and done:
        refuse_another(source, config, wanted, replay_files.finished(folder), folder)
        if work.exists():
            with replay_files.alone(folder):
                replay_files.clear(folder)
    else:
        ran = replayed(
            source, config, folder, replace(wanted, resume=resume), then, alongside.observe if variants else None
        )
        rejected = ran["rejected"]
    summed = files.totals_in(folder)
    if summed is not None:
        checks.refuse_what_cannot_be_used(summed, rejected, config.streams.predictions.topic)
    if variants:
        assert told is not None
        told.update(_kept_sweep(folder, variants))
    with (folder / "alerts.jsonl").open("rb") as lines:
        alerts = episodes(map(orjson.loads, lines))
    result = orjson.loads((folder / replay_files.RESULT).read_bytes())
    kept = {name: result[name] for name in ("cluster_id", "config", "meaning", "topic_ids", "spans", "files")}
    if summed is not None:
        kept |= {"records": summed.records, "outcomes": summed.outcomes, "predicted_ms": summed.predicted_ms}
    return Outcome(folder, config, plan, alerts, _score(alerts, asked, kept.get("predicted_ms")), kept, rejected)


def _keep_sweep(folder: Path, variants: Mapping[str, Config], told: Mapping[str, list[Episode]]) -> None:
    _write(folder / SWEEP, {"format": FORMAT, "settings": _documents(variants), "told": _plain(told)})


def _kept_sweep(folder: Path, variants: Mapping[str, Config]) -> dict[str, list[Episode]]:
    """What the settings told. Raises UsageError when these are not the ones that were asked for."""
    import msgspec

    path = folder / SWEEP
    kept = msgspec.json.decode(path.read_bytes()) if path.exists() else {"settings": None}
    if kept["settings"] != _documents(variants):
        raise click.UsageError(
            f"{str(folder)!r} is finished, with other values of --sweep or none; they need a backtest of their own, without "
            "--resume"
        )
    return msgspec.convert(kept["told"], dict[str, list[Episode]])


def _documents(variants: Mapping[str, Config]) -> dict[str, str]:
    from monitor.config.canonical import digest_bytes

    return {name: digest_bytes(variant.document().encode()) for name, variant in variants.items()}


def _score(alerts: Sequence[Episode], asked: Asked, read_ms: tuple[int, int] | None) -> Score | None:
    """Alerts that are for information disturb nobody and are not scored."""
    if asked.incidents is None:
        return None
    return score([alert for alert in alerts if alert.severity != "info"], asked.incidents, read_ms)


def _counts(alerts: Sequence[Episode], scored: Score | None) -> dict[str, float | None]:
    counted: dict[str, float | None] = {
        "alerts": len(alerts),
        "pages": sum(alert.severity == "page" for alert in alerts),
        "tickets": sum(alert.severity == "ticket" for alert in alerts),
        "amended": sum(alert.amended for alert in alerts),
    }
    if scored is not None:
        delay = scored.delay_ms
        counted |= {"missed": scored.missed, "false_alarms": len(scored.false_alarms)}
        counted["delay_hours"] = None if delay is None else delay / HOUR_MS
    return counted


def _report(asked: Asked, first: Outcome, second: Outcome | None, told: Mapping[str, list[Episode]]) -> dict[str, Any]:
    report: dict[str, Any] = {"format": FORMAT, "command": ["driftline", *_typed(sys.argv[1:])], FIRST: _of(first)}
    if second is not None:
        compared = differences(first.alerts, second.alerts, first.windows(), second.windows())
        report |= {SECOND: _of(second), "differences": _plain(compared)}
    if asked.versions is not None:
        report |= _of_versions(asked, first, asked.versions)
    if asked.variants:
        read_ms = first.summary.get("predicted_ms")
        rows = [{"set": name, **_counts(told[name], _score(told[name], asked, read_ms))} for name in asked.variants]
        report["sweep"] = [{**row, "front": best} for row, best in zip(rows, front(rows), strict=True)]
    return report


def _typed(words: Sequence[str]) -> list[str]:
    """The command line without what is no part of what was asked: that it was interrupted, and how many processes shared the
    work. However that was, the same bytes are left."""
    kept = list[str]()
    rest = iter(words)
    for word in rest:
        if word == "--processes":
            next(rest, None)
        elif word != "--resume" and not word.startswith("--processes="):
            kept.append(word)
    return kept


def _of_versions(asked: Asked, outcome: Outcome, versions: tuple[str, str]) -> dict[str, Any]:
    """What was told of each version, and how the second differs from the first."""
    both = [of_version(version, outcome.alerts, outcome.windows()) for version in versions]
    compared = differences(both[0][0], both[1][0], both[0][1], both[1][1], versions=True)
    read_ms = outcome.summary.get("predicted_ms")
    counts = [_counts(alerts, _score(alerts, asked, read_ms)) for alerts, _ in both]
    named = [{"version": version, "counts": own} for version, own in zip(versions, counts, strict=True)]
    return {"versions": named, "differences": _plain(compared)}


def _of(outcome: Outcome) -> dict[str, Any]:
    found = {**outcome.summary, "counts": _counts(outcome.alerts, outcome.score), "alerts": _plain(outcome.alerts)}
    if outcome.score is not None:
        found["incidents"] = _plain(outcome.score)
    return found


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _write(path: Path, report: Mapping[str, Any]) -> None:
    import orjson

    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    unfinished.rename(path)


# -- what was asked --------------------------------------------------------------------------------------------------


def incidents_in(path: Path | None, configs: Sequence[Config]) -> list[Incident] | None:
    """The incidents of a file, about what there is in the configurations; None without one. Raises UsageError."""
    if path is None:
        return None
    import yaml

    from monitor.backtest.known import known_in

    try:
        document = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise click.UsageError(f"{path} is neither YAML nor JSON: {error}") from error
    try:
        return incidents_of(document, str(path), known_in(configs))
    except IncidentsError as error:
        raise click.UsageError(str(error)) from error


def gates_of(texts: Sequence[str], config: Config, *, scored: bool) -> list[Gate]:
    """What --fail-on says; `scored`: there are incidents. Raises UsageError."""
    from monitor.backtest.known import metrics_in

    gates, wrong = list[Gate](), list[str]()
    for text in texts:
        try:
            gate = gate_of(text)
            if gate.name in SCORED and not scored:
                raise GateError(f"gate {gate.text!r}: {gate.name} needs --incidents FILE")
            refuse_unknown([gate], metrics_in(config), [window.name for window in config.windows])
            gates.append(gate)
        except GateError as error:
            wrong.append(str(error))
    if wrong:
        raise click.UsageError("\n".join(wrong))
    return gates


def variants_of(
    files: tuple[Path, ...], overrides: tuple[str, ...], sweeps: Sequence[str], config: Config
) -> dict[str, Config]:
    """Every combination of the values of --sweep, by what is set. Raises UsageError for what is not about rules."""
    axes: dict[str, list[str]] = {}
    for text in sweeps:
        key, found, values = text.partition("=")
        if not found or not key.startswith("rules.") or not all(values.split(",")):
            raise click.UsageError(
                f"--sweep {text!r}: write rules.NAME.FIELD=V1,V2, such as rules.low-recall.threshold=0.6,0.7. Only rules "
                "can be swept: everything else changes what is counted, which --against compares."
            )
        if key in axes:
            raise click.UsageError(
                f"--sweep {text!r}: the values of {key} are given already; write all of them once, separated by commas"
            )
        axes[key] = list(dict.fromkeys(f"{key}={value}" for value in values.split(",")))
    if not axes:
        return {}
    variants = {" ".join(chosen): _variant(files, overrides, chosen) for chosen in itertools.product(*axes.values())}
    for name, variant in variants.items():
        if variant.digest != config.digest:
            raise click.UsageError(f"--sweep {name!r} changes what is counted; compare it with --against")
    return variants


def _variant(files: tuple[Path, ...], overrides: tuple[str, ...], chosen: tuple[str, ...]) -> Config:
    """One combination. Raises ConfigError, which says of a value of --sweep that it is one."""
    from monitor.cli.common import load_config
    from monitor.errors import ConfigError

    try:
        return load_config(files, (*overrides, *chosen))
    except ConfigError as error:
        said = {f"--set {key}:": f"--sweep {text}:" for text in chosen for key in [text.partition("=")[0]]}
        problems = [
            next((new + told.removeprefix(old) for old, new in said.items() if told.startswith(old)), told)
            for told in error.problems
        ]
        raise ConfigError(problems) from None
