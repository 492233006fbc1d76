"""The command `driftline check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option
from monitor.cli.exits import BAD_CONFIG, FAILED, code_of

if TYPE_CHECKING:
    from monitor.adapters.findings import Finding
    from monitor.config.types import Config
    from monitor.plan import Plan

_SECONDS = 1000


@click.command("check")
@config_options
@click.option("--live", is_flag=True, help="Also look at the brokers and topics that it names.")
@embedded_option
@output_option
def command(
    files: tuple[Path, ...], overrides: tuple[str, ...], live: bool, embedded: Path | None, output: str
) -> None:
    """Check a configuration, and with --live what it connects to.

    Without --live no broker is asked: every mistake in the files is told at once, with its line, and every limit of data
    quality that a model's own reference does not keep; then what will be watched and how many Prometheus series that makes.
    With --live: brokers, topics, equal partition counts, retention against the horizon, the partitioners of both topics,
    whether their newest records can be used, write access to the internal topics.

    Exit code 78 for a bad configuration, 69 when no broker answers, 1 when --live finds an error. JSON: {"ok",
    "problems": [sentence], "config": {...} | null, "findings": [{"level", "what", "value",
    "hint"}] | null}; levels are ok, advice, warning and error.

    \b
    Examples:
      driftline check -c driftline.yaml
      driftline check -c driftline.yaml --live
      driftline check -c base.yaml -c prod.yaml -o json | jq .config.series.total
    """
    from monitor.cli.show import note, print_json
    from monitor.errors import ConfigError, MonitorError, ReferenceProfileError

    if embedded is not None and not live:
        raise click.UsageError("--embedded DIR says where to look, so it goes with --live")
    old_names: list[str] = []
    try:
        config = load_config(files, overrides, tell=old_names.append)
        plan = _planned(config, files, overrides)
        findings = _look(config, embedded) if live else None
    except MonitorError as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        if output == "json":
            print_json({"ok": False, "problems": problems, "config": None, "findings": None})
        if isinstance(error, ConfigError):
            for problem in problems:
                click.echo(problem, err=True)
            note(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}")
        else:
            note(str(error))
        sys.exit(BAD_CONFIG if isinstance(error, ReferenceProfileError) else code_of(error))
    summary = _summary(config, plan)
    elsewhere = _unwritable(config)
    summary["warnings"] = [*old_names, *summary["warnings"], *elsewhere]
    failed = any(finding.level == "error" for finding in findings or ())
    if output == "json":
        told = None if findings is None else [_plain(finding) for finding in findings]
        print_json({"ok": not failed, "problems": [], "config": summary, "findings": told})
    else:
        _print(summary)
        if findings is not None:
            _print_findings(findings)
    for sentence in summary["warnings"]:
        note(sentence)
    live_too = ", and so is what it connects to" if live else ""
    live_too += "; here it could not do all that it says, see above" if elsewhere else ""
    note("the configuration is sound" + ("; what it connects to is not, see above" if failed else live_too))
    if failed:
        sys.exit(FAILED)


def _unwritable(config: Config) -> list[str]:
    """Places on disk that the daemon could not write to if this user ran it here. It may be meant for another machine, so
    this is no mistake of the configuration."""
    from monitor.adapters.segments import unwritable
    from monitor.adapters.snapshot_objects import is_address

    state, found = config.state, []
    if state.memory_rows is not None and state.directory is not None and (why := unwritable(Path(state.directory))):
        found.append(f"state.directory {state.directory!r} cannot be written here: {why}. `run` would not start")
    kept = state.snapshots
    if kept is not None and kept != "topic" and not is_address(kept) and (why := unwritable(Path(kept))):
        found.append(
            f"state.snapshots {kept!r} cannot be written here: {why}. `run` would start, and read its predictions again each time"
        )
    return found


def _planned(config: Config, files: tuple[Path, ...], overrides: tuple[str, ...]) -> Plan:
    """The plan of a configuration. Raises ConfigError for a token that the daemon could not use, and for every reference that
    does not fit, or limit that one does not keep."""
    from monitor.adapters.http_token import TokenFileError, token_of
    from monitor.cli.check_quality import broken_by_reference
    from monitor.cli.check_references import misfits
    from monitor.config import located
    from monitor.errors import ConfigError
    from monitor.plan import plan_of

    at = located(list(files), list(overrides), dict(os.environ))
    if config.http.token_path is not None:
        try:
            token_of(config.http.token_path)
        except TokenFileError as error:
            raise ConfigError([at(("http", "token_file"), str(error))]) from error
    if unfit := [at(place, sentence) for place, sentence in misfits(config)]:
        raise ConfigError(unfit)
    plan = plan_of(config)
    if broken := [at(place, sentence) for place, sentence in broken_by_reference(config, plan)]:
        raise ConfigError(broken)
    return plan


def _summary(config: Config, plan: Plan) -> dict[str, Any]:
    """What will be watched, as it goes into JSON."""
    from monitor.cli.check_quality import traffic
    from monitor.cli.check_references import few_rows
    from monitor.cli.check_watch import watching
    from monitor.config.quality_rules import all_rules
    from monitor.telemetry import BY_NAME, estimate_series

    streams = config.streams
    series = estimate_series(config)
    total = sum(series.values())
    of_models = sum(number for name, number in series.items() if BY_NAME[name].budgeted)
    warnings = []
    if of_models > config.series_budget:
        warnings.append(
            f"about {of_models:,} Prometheus series of models with two versions of each model, series_budget is "
            f"{config.series_budget:,}: what is above it is counted, not shown"
        )
    for model in (*config.models, *((config.unlisted_models,) if config.unlisted_models else ())):
        if model.reference is None and model.features:
            name = getattr(model, "name", "(unlisted)")
            warnings.append(f"model {name!r} has no reference: PSI and KS stay undefined (`driftline reference build`)")
    warnings += few_rows(config, plan)
    for name, compiled in plan.models.items():
        if compiled.reference is not None and compiled.reference.model != name:
            warnings.append(f"the reference of model {name!r} was built of model {compiled.reference.model!r}")
    return {
        "digest": config.digest,
        "namespace": config.namespace,
        "topics": {
            "predictions": streams.predictions.topic,
            "labels": None if streams.labels is None else streams.labels.topic,
        },
        "times_s": {
            name: getattr(config.time, f"{name}_ms") / _SECONDS for name in ("horizon", "disorder", "lateness", "tick")
        },
        "models": _models(config, plan),
        "windows": [window.name for window in config.windows],
        "rules": [_rule(rule) for rule in all_rules(config)],
        "traffic": traffic(config),
        **watching(config),
        "series": {"total": total, "of_models": of_models, "budget": config.series_budget, "families": series},
        "warnings": warnings,
    }


def _models(config: Config, plan: Plan) -> list[dict[str, Any]]:
    from monitor.telemetry.estimate import segments_of

    templates: list[tuple[str, Any, Any]] = [(m.name, m, plan.models[m.name]) for m in config.models]
    if config.unlisted_models is not None:
        templates.append(("(unlisted)", config.unlisted_models, plan.template))
    return [
        {
            "name": name,
            "task": model.task,
            **_answers(model),
            "features": list(model.features),
            "segments": list(segments_of(model)),
            "reference_rows": None if compiled.reference is None else compiled.reference.rows,
            "provisional": compiled.reference is not None and compiled.reference.provisional,
        }
        for name, model, compiled in templates
    ]


def _answers(model: Any) -> dict[str, Any]:
    """How the answers of a model are read, by its task."""
    from monitor.metrics.tasks import task_of

    if model.task == "multiclass":
        return {"classes": list(model.classes)}
    if model.task == "regression":
        task: Any = task_of(model.task, largest=model.largest)
        return {"largest": task.largest, "resolution": task.resolution}
    return {"threshold": model.threshold, "positive": model.positive}


def _answers_text(model: dict[str, Any]) -> str:
    """The same in a cell of the table."""
    if "classes" in model:
        return f"{len(model['classes'])} classes: {', '.join(model['classes'])}"
    if "largest" in model:
        return f"numbers up to {model['largest']:g} by {model['resolution']:.1g}"
    return f"positive from {model['threshold']:g}"


def _rule(rule: Any) -> dict[str, Any]:
    names = ("name", "metric", "op", "threshold", "window", "model", "min_rows", "min_coverage", "severity")
    segments = rule.segments if isinstance(rule.segments, str) else list(rule.segments)
    return {**{name: getattr(rule, name) for name in names}, "segments": segments, "for_s": rule.for_ms / _SECONDS}


def _print(summary: dict[str, Any]) -> None:
    from monitor.cli import show
    from monitor.cli.check_quality import traffic_text
    from monitor.cli.check_watch import lines

    topics = summary["topics"]
    labels = topics["labels"] or "none: inputs alone are watched"
    made = show.table(
        show.plain(f"{summary['namespace']}: predictions {topics['predictions']}, labels {labels}"),
        *("model", "task", "answers", "features", "segments", "reference"),
    )
    for model in summary["models"]:
        rows = model["reference_rows"]
        reference = "none" if rows is None else f"{rows:,} rows{', provisional' if model['provisional'] else ''}"
        cells = (", ".join(model["features"]) or "none", ", ".join(model["segments"]), reference)
        made.add_row(
            show.plain(model["name"]), model["task"], show.plain(_answers_text(model)), *map(show.plain, cells)
        )
    out = show.console()
    out.print(made)
    if summary["rules"]:
        rules = show.table(None, "rule", "says", "window", "model", "segments", "on at least", "severity")
        for rule in summary["rules"]:
            says = f"{rule['metric']} {rule['op']} {rule['threshold']:g}" + _for(rule["for_s"])
            segments = rule["segments"] if isinstance(rule["segments"], str) else ", ".join(rule["segments"])
            least = f"{rule['min_rows']:,} rows" + (
                f", {show.share(rule['min_coverage'])} labelled" if rule["min_coverage"] else ""
            )
            shown = (rule["name"], says, rule["window"], rule["model"] or "every", segments, least, rule["severity"])
            rules.add_row(*map(show.plain, shown))
        out.print(rules)
    series = summary["series"]
    click.echo(f"windows            {', '.join(summary['windows'])}")
    click.echo(f"rules              {len(summary['rules'])}")
    for limit in summary["traffic"]:
        click.echo(f"traffic            {show.plain(traffic_text(limit))}")
    for name, said in lines(summary):
        click.echo(f"{name:<18} {show.plain(said)}")
    click.echo(
        f"Prometheus series  about {series['total']:,} (two versions, six partitions); of models {series['of_models']:,}, "
        f"series_budget is {series['budget']:,}"
    )
    click.echo(f"digest             {summary['digest']}")


def _for(seconds: float) -> str:
    from monitor.config.durations import format_duration

    return f" for {format_duration(int(seconds * _SECONDS))}" if seconds else ""


def _look(config: Config, embedded: Path | None) -> Sequence[Finding]:
    """What the preflight finds. Raises LogUnreachable when no broker answers."""
    from monitor.adapters.preflight import preflight
    from monitor.cli.check_ledger import findings as of_ledger
    from monitor.cli.check_records import findings as of_records
    from monitor.cli.scan import open_existing

    log = open_existing(config, embedded)
    try:
        return [*preflight(log, config), *of_records(log, config), *of_ledger(log, config)]
    finally:
        log.close()


def _plain(finding: Finding) -> dict[str, str]:
    return {"level": str(finding.level), "what": finding.what, "value": finding.value, "hint": finding.hint}


def _print_findings(findings: Sequence[Finding]) -> None:
    from monitor.cli import show

    made = show.table("live", "", "what", "found")
    for finding in findings:
        level = str(finding.level)
        made.add_row(level if level == "ok" else level.upper(), show.plain(finding.what), show.plain(finding.detail))
    show.console().print(made)
