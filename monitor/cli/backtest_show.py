"""How a backtest is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.cli.show import console, minute, note, number, plain, print_json, table

HOUR_MS = 3_600_000


def say(report: Mapping[str, Any], output: str, directory: Path | None, written: Sequence[Path] = ()) -> None:
    """Tables for people, one JSON document for machines."""
    if output == "json":
        print_json(report)
        _files(directory, written)
        return
    out = console()
    first = report["first"]
    out.print(_alerts("What would have been told", first["alerts"]))
    note(_counted(first["counts"]))
    _outcomes(report)
    if "incidents" in first:
        out.print(_incidents(first["incidents"]))
        _outside(first["incidents"], first.get("predicted_ms") or ())
        for alert in first["incidents"]["false_alarms"]:
            note(f"for nothing: {alert['rule']} on {_series(alert)}, fired {minute(alert['fired_ms'])}")
    if "differences" in report:
        _differences(out, report)
    if "sweep" in report:
        out.print(_sweep(report["sweep"]))
    for gate in report["gates"]["failed"]:
        value = "without an end" if gate["value"] is None else number(float(gate["value"]))
        note(f"gate: {gate['gate']} holds: {value} in {gate['where']}")
    _files(directory, written)


def _files(directory: Path | None, written: Sequence[Path]) -> None:
    if directory is not None:
        note(f"{directory}/backtest.json has it all")
    if written:
        note(f"the report is {written[0]}; beside it {', '.join(path.name for path in written[1:])}")
        from monitor.cli.report.page import has_plotly

        if not has_plotly():
            note("it has no charts: pip install 'driftline[ui]' brings plotly, which draws them")


def _outcomes(report: Mapping[str, Any]) -> None:
    from monitor.cli.backtest_checks import outcomes_told

    told = []
    for name in ("first", "second"):
        run = report.get(name, {})
        if "outcomes" in run:
            told.append((run["records"], run["outcomes"]))
    for number_, (records, outcomes) in enumerate(told):
        if number_ == 0 or (records, outcomes) != told[0]:
            note(outcomes_told("the other configuration: " if number_ else "", records, outcomes))


def _alerts(title: str, alerts: Sequence[Mapping[str, Any]]) -> Any:
    made = table(
        title, "fired", "resolved", "severity", "rule", "of", "value", "limit", "amended", right=("value", "limit")
    )
    for a in alerts:
        ended = f"{minute(a['resolved_ms'])} ({a['reason']})" if a["resolved_ms"] is not None else "open at the end"
        values = [number(float(a[name])) if a[name] is not None else "-" for name in ("value", "threshold")]
        made.add_row(
            minute(a["fired_ms"]),
            ended,
            a["severity"],
            plain(a["rule"]),
            plain(_series(a)),
            *values,
            str(a["amended"] or ""),
        )
    return made


def _series(alert: Mapping[str, Any]) -> str:
    return "/".join(part for part in (alert["model"], alert["version"], alert["segment"]) if part)


def _counted(counts: Mapping[str, float | None]) -> str:
    parts = [f"{value:g} {_noun(name, value)}" for name, value in counts.items() if value is not None]
    return ", ".join(parts)


def _noun(name: str, count: float) -> str:
    """Names of counts are plural where they are nouns."""
    words = name.replace("_", " ")
    return words.removesuffix("s") if count == 1 else words


def _incidents(scored: Mapping[str, Any]) -> Any:
    made = table("Known incidents", "incident", "from", "found by", "at", "delay", "lead", right=("delay", "lead"))
    for one in scored["found"]:
        incident, by = one["incident"], one["by"]
        row = [plain(incident["name"]), minute(incident["from_ms"])]
        if by is None:
            made.add_row(*row, "missed", "", "", "")
            continue
        made.add_row(*row, plain(by["rule"]), minute(by["fired_ms"]), _hours(one["delay_ms"]), _hours(one["lead_ms"]))
    for incident in scored["outside"]:
        made.add_row(plain(incident["name"]), minute(incident["from_ms"]), "not in the range", "", "", "")
    return made


def _outside(incidents: Mapping[str, Any], read_ms: Sequence[int]) -> None:
    """Incidents that were not scored."""
    names = ", ".join(plain(incident["name"]) for incident in incidents["outside"])
    if names:
        span = f"{minute(read_ms[0])} to {minute(read_ms[1])}"
        note(f"not scored, since predictions were read of event times {span} only: {names}")


def _hours(ms: int | None) -> str:
    return "" if ms is None else f"{ms / HOUR_MS:.1f} h"


def _differences(out: Any, report: Mapping[str, Any]) -> None:
    found = report["differences"]
    made = table("What the other configuration tells", "change", "alert", "fired", "of")
    for change, alerts in (("no more", found["only_first"]), ("new", found["only_second"])):
        for a in alerts:
            made.add_row(change, plain(a["rule"]), minute(a["fired_ms"]), plain(_series(a)))
    for moved in found["moved"]:
        one, other = moved["first"], moved["second"]
        later_ms = other["fired_ms"] - one["fired_ms"]
        change = f"{_hours(abs(later_ms))} {'later' if later_ms > 0 else 'earlier'}"
        made.add_row(change, plain(other["rule"]), minute(other["fired_ms"]), plain(_series(other)))
    out.print(made)
    metrics = ", ".join(f"{name} in {n}" for name, n in found["changed_metrics"].items()) or "none"
    note(
        f"{found['same']} {_noun('alerts', found['same'])} at the same time in both; {found['windows']} windows compared, "
        f"{found['windows_changed']} differ ({metrics}); {found['windows_only_first']} and "
        f"{found['windows_only_second']} are in one only"
    )


def _sweep(rows: Sequence[Mapping[str, Any]]) -> Any:
    names = [name for name in rows[0] if name not in ("set", "front")]
    heads = [name.replace("_", " ") for name in names]
    scored = any(row["front"] for row in rows)
    made = table("With other values", "set", *heads, *(["trade-off"] if scored else []), right=tuple(heads))
    for row in rows:
        cells = ["-" if row[name] is None else f"{row[name]:g}" for name in names]
        made.add_row(plain(row["set"]), *cells, *(["best" if row["front"] else ""] if scored else []))
    return made
