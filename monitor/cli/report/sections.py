"""The sections of the page: each a title, its tables, and where its charts go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from monitor.cli.report.charts import Charts, letters
from monitor.cli.report.chosen import ALERTS_MAX, FEATURES_MAX, MODELS_MAX, SERIES_MAX, Weights, chosen, earliest
from monitor.cli.report.heat import LEGEND
from monitor.cli.report.nodes import NOTHING, At, estimate, folded, table, words
from monitor.config.metric_names import needs_reference

ROWS_MAX = 400
"""Windows of a series that the page has in its table; all are in the JSON."""
COUNTS = {"delay_hours": "largest delay, hours"}
"""Names of counts, where they are not their own words."""
UNFOLDED_MAX = 32
"""Rows of a table that is not folded at first."""


def section(name: str, title: str, body: str) -> str:
    """A section, or nothing when it says nothing."""
    return f'<section id="{name}"><h2>{words(title)}</h2>\n{body}</section>\n' if body else ""


def series_name(own: At) -> str:
    """`model 1, origin=JFK`."""
    return f"{own['model'].show()} {own['version'].show()}, {own['segment'].show()}"


# -- what was told -----------------------------------------------------------------------------------------------


def summary(runs: Sequence[At]) -> str:
    """The counts of each configuration."""
    names = list(runs[0]["counts"].value)
    heads = ["number" if len(runs) == 1 else run.where.strip("/") for run in runs]
    rows = [
        [words(COUNTS.get(name, name.replace("_", " "))), *(_count(run["counts"], name) for run in runs)]
        for name in names
    ]
    return table("", ["", *heads], rows, heads)


def _count(counts: At, name: str) -> str:
    """One of the counts of a run or a setting. A delay beside an incident that was missed is that of the others."""
    if name != "delay_hours":
        return counts[name].show("count")
    of = " of those found" if counts.value.get("missed") and counts.has(name) else ""
    return f"{counts[name].show('tenths')}{of}"


def alerts(run: At) -> str:
    """What fired."""
    columns = (
        "fired",
        "resolved",
        "why",
        "severity",
        "rule",
        "model",
        "version",
        "segment",
        "value",
        "limit",
        "amended",
    )
    shown, left_out = earliest(list(run["alerts"]), ALERTS_MAX, "alerts")
    rows = [
        [
            a["fired_ms"].show("minute"),
            a["resolved_ms"].show("minute") if a.has("resolved_ms") else "open at the end",
            a["reason"].show("words"),
            f'<span class="{_severity(a)}">{a["severity"].show()}</span>',
            *(a[name].show() for name in ("rule", "model", "version", "segment")),
            *(a[name].show("number") for name in ("value", "threshold")),
            a["amended"].show("count"),
        ]
        for a in shown
    ]
    if not rows:
        return "<p>No alert.</p>\n"
    told = table("", columns, rows, ("value", "limit", "amended"))
    return left_out + folded("Every alert" if not left_out else "Alerts", told, unfolded=len(rows) <= UNFOLDED_MAX)


def _severity(alert: At) -> str:
    known = alert["severity"].value
    return known if known in ("page", "ticket", "info") else "other"


def incidents(run: At) -> str:
    """Known incidents and which alert found them, and what was for nothing."""
    if not run.has("incidents"):
        return ""
    columns = ("", "incident", "from", "until", "found by", "at", "delay", "lead")
    rows = []
    for place, one in enumerate(run["incidents"]["found"]):
        incident = one["incident"]
        row = [
            f"<b>{letters(place).lower()}</b>",
            incident["name"].show(),
            incident["from_ms"].show("minute"),
            incident["until_ms"].show("minute"),
        ]
        if one.has("by"):
            row += [one["by"]["rule"].show(), one["by"]["fired_ms"].show("minute")]
            row += [one["delay_ms"].show("hours"), one["lead_ms"].show("hours")]
        else:
            row += ["<strong>missed</strong>", NOTHING, NOTHING, NOTHING]
        rows.append(row)
    for incident in run["incidents"]["outside"]:
        times = [incident[name].show("minute") for name in ("from_ms", "until_ms")]
        rows.append(["", incident["name"].show(), *times, "not in the range that was read", *[NOTHING] * 3])
    found = table("Known incidents", columns, rows, ("delay", "lead"))
    unexplained, left_out = earliest(
        list(run["incidents"]["false_alarms"]), ALERTS_MAX, "alerts that no incident explains"
    )
    false = [
        [a["fired_ms"].show("minute"), *(a[name].show() for name in ("rule", "model", "version", "segment"))]
        for a in unexplained
    ]
    nothing = table("", ("fired", "rule", "model", "version", "segment"), false)
    title = "Alerts that no incident explains"
    return found + left_out + (folded(title, nothing, unfolded=len(false) <= UNFOLDED_MAX) if false else "")


def gates(document: At) -> str:
    """Which gates were asked for, and which hold."""
    asked = document["gates"]["asked"]
    if not asked.value:
        return ""
    held = [
        [
            gate["gate"].show(),
            gate["value"].show("count" if isinstance(gate["value"].value, int) else "number"),
            gate["where"].show(),
        ]
        for gate in document["gates"]["failed"]
    ]
    said = ", ".join(f"<code>{gate.show()}</code>" for gate in asked)
    failed = table(
        "Gates that hold, or could not be judged, so that this backtest fails",
        ("gate", "value", "where"),
        held,
        ("value",),
    )
    return f"<p>Asked: {said}.</p>\n{failed if held else '<p>None of them holds.</p>'}"


def sweep(document: At, charts: Charts) -> str:
    """What other values of the rules would have done."""
    if "sweep" not in document.value:
        return ""
    rows_of = document["sweep"]
    names = [name for name in rows_of.value[0] if name not in ("set", "front")]
    rows = [
        [
            f"<b>{letters(place)}</b>",
            row["set"].show(),
            *(_count(row, name) for name in names),
            "best" if row["front"].value else "",
        ]
        for place, row in enumerate(rows_of)
    ]
    heads = [COUNTS.get(name, name.replace("_", " ")) for name in names]
    told = table("", ("", "set", *heads, "trade-off"), rows, heads)
    if not any(row["front"].value for row in rows_of):
        note = "<p>Delay and false alarms are only known against incidents (<code>--incidents</code>).</p>"
        return told + note
    note = (
        "<p>Best: no other setting misses as little, is as quick and raises as few false alarms, and does better in one "
        "of them.</p>"
    )
    return charts.tradeoff(rows_of) + note + told


def differences(document: At) -> str:
    """What the second configuration changes: its settings, alerts, windows."""
    if "differences" not in document.value:
        return ""
    found = document["differences"]
    body = _versions(document["versions"]) if "versions" in document.value else _settings(document["changes"])
    changed = [["no more", a["fired_ms"].show("minute"), NOTHING, *_of(a)] for a in found["only_first"]]
    changed += [["new", NOTHING, a["fired_ms"].show("minute"), *_of(a)] for a in found["only_second"]]
    changed += [
        ["moved", m["first"]["fired_ms"].show("minute"), m["second"]["fired_ms"].show("minute"), *_of(m["second"])]
        for m in found["moved"]
    ]
    columns = ("change", "fired in the first", "in the second", "rule", "model", "version", "segment")
    differing, left_out = earliest(changed, ALERTS_MAX, "alerts that differ")
    body += left_out + (table("Alerts", columns, differing) if changed else "<p>No alert differs.</p>")
    sides = [found[side] for side in ("higher_metrics", "lower_metrics")]
    metrics = [
        [
            name.show(),
            count.show("count"),
            *(side[name.value].show("count") if name.value in side.value else NOTHING for side in sides),
        ]
        for name, count in found["changed_metrics"].items()
    ]
    heads = ("metric", "windows", "higher in the second", "lower")
    body += (
        f"<p>Alerts that fired at the same time in both: {found['same'].show('count')}. Final windows compared: "
        f"{found['windows'].show('count')}, of which {found['windows_changed'].show('count')} differ; only in the first: "
        f"{found['windows_only_first'].show('count')}, only in the second: {found['windows_only_second'].show('count')}.</p>"
    )
    return body + (table("Windows that differ, by metric", heads, metrics, heads[1:]) if metrics else "")


def _settings(changes: At) -> str:
    settings = [[change[part].show() for part in ("path", "first", "second", "effect")] for change in changes]
    if not settings:
        return "<p>No setting differs.</p>"
    return table("Settings", ("setting", "first", "second", "effect"), settings)


def _versions(versions: At) -> str:
    """What was told of each of two versions."""
    heads = [
        f"{which} version, {each['version'].value}" for which, each in zip(("first", "second"), versions, strict=True)
    ]
    rows = [
        [words(COUNTS.get(name, name.replace("_", " "))), *(_count(each["counts"], name) for each in versions)]
        for name in versions.value[0]["counts"]
    ]
    return table("Versions", ("", *heads), rows, heads)


def _of(alert: At) -> list[str]:
    return [alert[name].show() for name in ("rule", "model", "version", "segment")]


# -- windows -----------------------------------------------------------------------------------------------------


def windows(run: At, kind: str, charts: Charts) -> str:
    """The metrics of performance windows, or the distances of input windows, by series."""
    own = [each for each in run["series"] if each["kind"].value == kind]
    draw = charts.metrics if kind == "performance" else charts.drift
    weights = Weights(run)
    groups, left_out = chosen(list(_groups(own)), MODELS_MAX, weights.of_model, "models, by window")
    body = (LEGEND if kind == "input" and charts.on and _compared(own) else "") + left_out
    for every in groups:
        together, left_out = chosen(every, SERIES_MAX, weights.of_series, "versions and segments")
        body += draw(run, together) + left_out
        for each in together:
            title = f"{series_name(each)}, {words('windows of')} {each['window'].show()}"
            short = len(each["start_ms"].value) <= UNFOLDED_MAX
            unfolded = short and each["segment"].value == "all"
            body += folded(title, _windows(each, kind), unfolded=unfolded, long=not short)
    return body


def title_of_inputs(run: At) -> str:
    """Whether inputs are held against a reference; without one they have rates of missing and wrong values only."""
    return "Inputs against the reference" if _compared(run["series"]) else "Inputs"


def _compared(series: Iterable[At]) -> bool:
    return any(needs_reference(name) for each in series for name in each["shown"].value)


def _groups(series: list[At]) -> Iterator[list[At]]:
    """Series of one model and window, in the order in which they come."""
    groups: dict[tuple[Any, Any], list[At]] = {}
    for each in series:
        groups.setdefault((each["model"].value, each["window"].value), []).append(each)
    yield from groups.values()


def _windows(own: At, kind: str) -> str:
    names = own["shown"].value
    performance = kind == "performance"
    columns = ["from", "until", "seen", *(("labelled", "coverage") if performance else ()), *names]
    starts = own["start_ms"].value
    first = max(0, len(starts) - ROWS_MAX)
    rows = [
        [
            own["start_ms"][row].show("minute"),
            own["end_ms"][row].show("minute"),
            own["seen"][row].show("count"),
            *([own["labelled"][row].show("count"), own["coverage"][row].show("share")] if performance else []),
            *(estimate(own["metrics"][name], row) for name in names),
        ]
        for row in range(first, len(starts))
    ]
    left_out = f"<p>{words(f'The {first:,} windows before these are in the JSON.')}</p>" if first else ""
    return left_out + table("", columns, rows, columns[2:])


def distributions(run: At, charts: Charts) -> str:
    """Reference against current, feature by feature."""
    weights = Weights(run)
    features, left_out = chosen(
        list(run["distributions"]),
        FEATURES_MAX,
        lambda own: weights.of_version(own, own["current"]["rows"].value),
        "features of versions",
    )
    body = ""
    for own in features:
        rows = [
            [
                own["bins"][i].show(),
                *(own[side][part][i].show(form) for side in _SIDES for part, form in _PARTS),
            ]
            for i in range(len(own["bins"].value))
        ]
        columns = ("bin", "reference rows", "reference", "current rows", "current")
        title = f"{own['model'].show()} {own['version'].show()}: {own['feature'].show()}"
        bins = folded(title, table("", columns, rows, columns[1:]), long=True)
        body += f'<div class="cell">{charts.distribution(own)}{bins}</div>\n'
    return f'{left_out}<div class="grid">{body}</div>' if body else ""


_SIDES, _PARTS = ("reference", "current"), (("counts", "count"), ("share", "share"))


# -- the join ----------------------------------------------------------------------------------------------------


def delays(run: At, charts: Charts) -> str:
    """How long labels took."""
    weights = Weights(run)
    versions, body = chosen(
        list(run["delays"]), MODELS_MAX, lambda own: weights.of_version(own, own["seen"].value), "versions"
    )
    for own in versions:
        if own["from_prediction"].value:
            how = f"to within half a tick of {own['tick_ms'].show('hours')}"
        else:
            how = (
                f"each took at most so long: counted from the beginning of its {own['pane_ms'].show('hours')} pane of event time "
                "to the end of the tick in which it became known (<code>estimates: true</code> counts from the prediction)"
            )
        ends = own["ends_ms"].value
        rows = [
            [own["ends_ms"][i].show("hours"), own["arrived"][i].show("count"), own["share"][i].show("share")]
            for i in range(len(ends))
            if own["arrived"].value[i]
        ]
        columns = ("within", "labels", "of the predictions, so far")
        title = f"{own['model'].show()} {own['version'].show()}"
        body += (
            f"{charts.delay(own)}<p>{title}: {own['labelled'].show('count')} of {own['seen'].show('count')} predictions got "
            f"a label; {how}.</p>{folded('Label delays of ' + title, table('', columns, rows, columns), long=True)}"
        )
    return body


def outcomes(run: At) -> str:
    """What became of every record read."""
    if not run.has("outcomes"):
        return "<p>Not kept by the version that made these files.</p>"
    body = ""
    for stream, counted in run["outcomes"].items():
        rows = [[name.show(), count.show("count")] for name, count in counted.items() if count.value]
        rows += [["lost before they were read", run["lost"][stream.value].show("count")]]
        rows += [["<strong>read</strong>", run["records"][stream.value].show("count")]]
        body += (
            f'<div class="cell">{table(stream.value.capitalize(), ("outcome", "records"), rows, ("records",))}</div>'
        )
    return f'<div class="grid">{body}</div>'


# -- where it comes from -------------------------------------------------------------------------------------------


def sources(name: str, run: At) -> str:
    """Digests, files and offsets."""
    facts = [
        ["config: the whole configuration", run["config"].show()],
        ["meaning: what changes numbers; <code>config</code> of windows and alerts", run["meaning"].show()],
    ]
    facts += [["cluster", run["cluster_id"].show()]] if run.has("cluster_id") else []
    facts += [[f"reference of {model.show()}", digest.show()] for model, digest in run["references"].items()]
    facts += [
        [file.show(), f"{told['sha256'].show()} ({told['lines'].show('count')} lines)"]
        for file, told in run["files"].items()
    ]
    ranges = [
        [topic.show(), partition.show(), f"{span[0].show('count')} {NOTHING} {span[1].show('count')}"]
        for topic, spans in run["spans"].items()
        for partition, span in spans.items()
    ]
    return table(f"The {name} configuration", ("what", "digest"), facts) + table(
        "Records read, by offset (the last one excluded)", ("topic", "partition", "offsets"), ranges, ("partition",)
    )
