"""How a backtest is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.cli.show import console, minute, note, number, plain, print_json, table

HOUR_MS = 3_600_000
FOR_NOTHING_MAX = 10
"""False alarms that are told one by one."""


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
        _for_nothing(first["incidents"]["false_alarms"])
    if "differences" in report:
        _differences(out, report)
    if "sweep" in report:
        out.print(_sweep(report["sweep"]))
        if any(row.get("missed") and row["delay_hours"] is not None for row in report["sweep"]):
            note("* of the incidents that were found; those that were missed have no end to their delay")
    for gate in report["gates"]["failed"]:
        if not gate.get("judged", True):
            note(f"gate: {gate['gate']} cannot be judged, which fails: there is no value in {gate['where']}")
            continue
        note(f"gate: {gate['gate']} holds: {_by(gate['value'])} in {gate['where']}")
    for gate, windows in report["gates"].get("too_small", {}).items():
        many = "1 window was" if windows == 1 else f"{windows:,} windows were"
        note(f"gate: {gate}: {many} not judged, on fewer than {report['gates']['min_rows']} rows (--min-rows)")
    _files(directory, written)


def _by(value: float | None) -> str:
    """What a gate held by: a count or a metric."""
    if value is None:
        return "without an end"
    return f"{value:,}" if isinstance(value, int) else number(value)


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
    """As wide as eighty columns, where names are short; limits and amendments are in the JSON and the report."""
    common = _common(alerts)
    about = f" of {'/'.join(common)}" if common else ""
    made = table(
        f"{title}{plain(about)}",
        "fired",
        "for",
        "as",
        "rule",
        "of",
        "value",
        "ended",
        right=("for", "value"),
        narrow=True,
    )
    for a in alerts:
        ended = a["resolved_ms"] is not None
        made.add_row(
            minute(a["fired_ms"]),
            _long(a["resolved_ms"] - a["fired_ms"]) if ended else "",
            a["severity"],
            plain(a["rule"]),
            plain(_series(a, common)),
            number(float(a["value"])) if a["value"] is not None else "-",
            plain(str(a["reason"]).replace("_", " ")) if ended else "open",
        )
    return made


def _common(alerts: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Model and version, where all alerts are of the same."""
    of = {(alert["model"], alert["version"]) for alert in alerts}
    return tuple(filter(None, of.pop())) if len(of) == 1 else ()


def _series(alert: Mapping[str, Any], common: Sequence[str] = ()) -> str:
    """What it is of, without what is common to all."""
    named = [part for part in (alert["model"], alert["version"], alert["segment"]) if part]
    return "/".join(named[len(common) :])


def _long(ms: int) -> str:
    """`20d 22h`, `5h`, `12m`: the two largest units."""
    minutes = ms // 60_000
    days, hours, rest = minutes // 1_440, minutes // 60 % 24, minutes % 60
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (rest, "m")) if count]
    return " ".join(parts[:2]) or f"{ms / 1_000:g}s"


def _counted(counts: Mapping[str, float | None]) -> str:
    delay = counts.get("delay_hours")
    parts = [
        f"{value:,.0f} {_noun(name, value)}"
        for name, value in counts.items()
        if value is not None and name != "delay_hours"
    ]
    of = " of those found" if counts.get("missed") else ""
    return ", ".join([*parts, *([f"largest delay{of} {delay:,.1f} h"] if delay is not None else [])])


def _noun(name: str, count: float) -> str:
    """Names of counts are plural where they are nouns."""
    words = name.replace("_", " ")
    return words.removesuffix("s") if count == 1 else words


def _incidents(scored: Mapping[str, Any]) -> Any:
    made = table(
        "Known incidents", "incident", "from", "found by", "delay", "lead", right=("delay", "lead"), narrow=True
    )
    for one in scored["found"]:
        incident, by = one["incident"], one["by"]
        row = [plain(incident["name"]), minute(incident["from_ms"])]
        if by is None:
            made.add_row(*row, "missed", "", "")
            continue
        made.add_row(*row, plain(by["rule"]), _hours(one["delay_ms"]), _hours(one["lead_ms"]))
    for incident in scored["outside"]:
        made.add_row(plain(incident["name"]), minute(incident["from_ms"]), "not in the range", "", "")
    return made


def _outside(incidents: Mapping[str, Any], read_ms: Sequence[int]) -> None:
    """Incidents that were not scored."""
    names = ", ".join(plain(incident["name"]) for incident in incidents["outside"])
    if names:
        span = f"{minute(read_ms[0])} to {minute(read_ms[1])}"
        note(f"not scored, since predictions were read of event times {span} only: {names}")


def _for_nothing(alerts: Sequence[Mapping[str, Any]]) -> None:
    """Alerts that no incident explains; of many the first, since all stand in the table above."""
    for alert in alerts[:FOR_NOTHING_MAX]:
        note(f"for nothing: {alert['rule']} on {_series(alert)}, fired {minute(alert['fired_ms'])}")
    more = len(alerts) - FOR_NOTHING_MAX
    if more > 0:
        note(f"for nothing: {more:,} more; -o json has all under first.incidents.false_alarms")


def _hours(ms: int | None) -> str:
    return "" if ms is None else f"{ms / HOUR_MS:.1f} h"


def _differences(out: Any, report: Mapping[str, Any]) -> None:
    found = report["differences"]
    versions = report.get("versions")
    for each in versions or ():
        note(f"version {plain(each['version'])}: {_counted(each['counts'])}")
    told = [*found["only_first"], *found["only_second"], *(moved["second"] for moved in found["moved"])]
    common = _common(told)
    named = common[:1] if versions else common  # what the other version no more tells would be said to be of it
    about = f", of {'/'.join(named)}" if named else ""
    who = f"version {versions[1]['version']}" if versions else "the other configuration"
    made = table(f"What {plain(who)} tells{plain(about)}", "change", "alert", "fired", "of", narrow=True)
    for change, alerts in (("no more", found["only_first"]), ("new", found["only_second"])):
        for a in alerts:
            made.add_row(change, plain(a["rule"]), minute(a["fired_ms"]), plain(_series(a, common)))
    for moved in found["moved"]:
        one, other = moved["first"], moved["second"]
        later_ms = other["fired_ms"] - one["fired_ms"]
        change = f"{_hours(abs(later_ms))} {'later' if later_ms > 0 else 'earlier'}"
        made.add_row(change, plain(other["rule"]), minute(other["fired_ms"]), plain(_series(other, common)))
    if told:
        out.print(made)
    else:
        note(f"{who} tells the same alerts")
    metrics = ", ".join(f"{name} in {n}" for name, n in found["changed_metrics"].items()) or "none"
    note(
        f"{found['same']} {_noun('alerts', found['same'])} at the same time in both; {found['windows']} windows compared, "
        f"{found['windows_changed']} differ ({metrics}); {found['windows_only_first']} and "
        f"{found['windows_only_second']} are in one only"
    )


def _sweep(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A row for each setting; what was set stands in the title, its values in the rows."""
    names = [name for name in rows[0] if name not in ("set", "front")]
    heads = ["largest\ndelay" if name == "delay_hours" else name.replace("_", "\n") for name in names]
    scored = any(row["front"] for row in rows)
    keys = [pair.partition("=")[0] for pair in rows[0]["set"].split(" ")]
    title = f"With other values of {plain(' and '.join(keys))}"
    made = table(title, "set", *heads, *(["trade-off"] if scored else []), right=tuple(heads), narrow=True)
    for row in rows:
        cells = [_of_a_setting(row, name) for name in names]
        values = ", ".join(pair.partition("=")[2] for pair in row["set"].split(" "))
        made.add_row(plain(values), *cells, *(["best" if row["front"] else ""] if scored else []))
    return made


def _of_a_setting(row: Mapping[str, Any], name: str) -> str:
    """A count; a delay says when it is only that of the incidents that were found."""
    value = row[name]
    if value is None:
        return "-"
    if name != "delay_hours":
        return f"{value:,.0f}"
    return f"{value:,.1f} h" + (" *" if row.get("missed") else "")
