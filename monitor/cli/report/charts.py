"""The charts of the page, as plain values for plotly.js. Every trace says in `meta` where its data stand in the document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.cli.report.heat import Figure, edges, heat_map
from monitor.cli.report.nodes import At, drawn, words
from monitor.config.metric_names import BINARY

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
"""Okabe and Ito's, which people see apart whatever their eyes; repeated when they run out."""
SEVERITIES = {"page": "#b40426", "ticket": "#d98200", "info": "#7f7f7f"}
PANELS_MAX = 12
"""Metrics that are drawn above each other: all that people ask for first, and some that rules look at beside them."""
LINES_MAX = 25
"""Alerts whose beginning is drawn through all panels; more would hide what they are about, and have their bars."""
WHOLE_MAX = 12
"""Steps of an axis of counts, up to which each whole number has a tick."""
LABELS_MAX = 6
"""Settings that are named at one point."""


@dataclass
class Charts:
    """Collects figures; without `on` there are none, and the page has its tables only."""

    on: bool
    figures: list[Figure] = field(default_factory=list)

    def _place(
        self, data: list[Figure], layout: Figure, height: int, label: str, title: str = "", under: str = ""
    ) -> str:
        """Where a figure goes. `label` is for who cannot see it; `title` is text, and `under` HTML, outside of the drawing,
        where both have the room that they need on any page."""
        if not self.on or not data:
            return ""
        name = f"chart-{len(self.figures)}"
        self.figures.append({"id": name, "data": data, "layout": {**_LAYOUT, **layout, "height": height}})
        caption = f"<figcaption>{words(title)}</figcaption>" if title else ""
        place = f'<div class="chart" id="{name}" role="img" aria-label="{words(label)}" style="min-height:{height}px"></div>'
        return f"<figure>{caption}{place}{under}</figure>\n"

    def metrics(self, run: At, series: Sequence[At]) -> str:
        """Metrics with intervals, coverage, and alerts on the same axis."""
        names = list(dict.fromkeys(name for each in series for name in each["shown"].value))[:PANELS_MAX]
        panels = [*names, "coverage"]
        data: list[Figure] = []
        for line, each in enumerate(series):
            for panel, name in enumerate(names):
                if name in each["metrics"].value:
                    data += _line(each, line, panel, each["metrics"][name], legend=panel == 0)
            data.append(_trace(each, line, len(names), each["coverage"], legend=False))
        told, shapes = _alerts(run, series[0]["model"].value, len(panels))
        model, window = (series[0][part].value for part in ("model", "window"))
        rules = len({trace["y"][0] for trace in told})
        layout = {**_stacked([*panels, "alerts"], run, 0.2 + 0.2 * rules), "shapes": [*shapes, *_incidents(run)]}
        layout["legend"] = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}
        height = int(120 * (len(panels) + 0.2 + 0.2 * rules)) + 90
        title = f"{model}, windows of {window}"
        return self._place(data + told, layout, height, f"metrics of {model} by {window}", title, _shaded(run))

    def drift(self, run: At, series: Sequence[At]) -> str:
        """Distances of the features by time, a heat map for each series."""
        return "".join(self._heat(each) for each in series)

    def _heat(self, own: At) -> str:
        if not own["shown"].value:
            return ""
        data, layout, height = heat_map(own)
        label = f"distances of {own['model'].value} to its reference, {own['segment'].value}"
        title = f"{own['model'].value} {own['version'].value}, {own['segment'].value}, windows of {own['window'].value}"
        return self._place(data, layout, height, label, title)

    def distribution(self, own: At) -> str:
        """Shares of the reference and of this range in each bin."""
        bins = [drawn(label) for label in own["bins"].value]
        data = [
            {
                "type": "bar",
                "name": side,
                "x": bins,
                "y": own[side]["share"].value,
                "meta": {"y": own[side]["share"].where},
                "marker": {"color": colour},
            }
            for side, colour in (("reference", "#9a9a9a"), ("current", COLOURS[0]))
        ]
        name = f"{own['model'].value} {own['version'].value}: {own['feature'].value}"
        layout = {
            "barmode": "group",
            "bargap": 0.15,
            "xaxis": {"type": "category", "tickfont": {"size": 10}, "automargin": True},
            "yaxis": {"tickformat": ".0%", "automargin": True},
            "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"},
            "margin": {"l": 40, "r": 10, "t": 30, "b": 40},
        }
        return self._place(data, layout, 240, f"distribution of {name}", name)

    def delay(self, own: At) -> str:
        """Share of the predictions that have their label, by the time since."""
        trace = {
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hv", "color": COLOURS[0]},
            "x": own["ends_hours"].value,
            "y": own["share"].value,
            "meta": {"x": own["ends_hours"].where, "y": own["share"].where},
            "hovertemplate": "within %{x:.2f} h: %{y:.1%}<extra></extra>",
        }
        since = "hours from prediction to label" if own["from_prediction"].value else "hours that it took at most"
        layout = {
            "xaxis": {"title": {"text": since}, "type": "log", "automargin": True},
            "yaxis": {"title": {"text": "labelled"}, "tickformat": ".0%", "range": [0, 1], "automargin": True},
            "margin": {"l": 50, "r": 10, "t": 10, "b": 45},
        }
        return self._place([trace], layout, 280, f"label delay of {own['model'].value} {own['version'].value}")

    def tradeoff(self, rows: At) -> str:
        """Delay against false alarms, a point for each setting."""
        called = _called(rows)
        data = [
            _settings(
                [pair for pair in called if pair[0]["front"].value is best], "best" if best else "others", best=best
            )
            for best in (False, True)
        ]
        counts = [row["false_alarms"].value for row in rows]
        whole = {"dtick": 1} if max(counts) - min(counts) <= WHOLE_MAX else {}  # there is no half of a false alarm
        layout = {
            "xaxis": {"title": {"text": "false alarms"}, "automargin": True, **whole},
            "yaxis": {"title": {"text": "largest delay, hours (x: misses some)"}, "automargin": True},
            "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
            "margin": {"l": 60, "r": 60, "t": 40, "b": 50},
        }
        found_nothing = [letters(place) for place, row in enumerate(rows) if row["delay_hours"].value is None]
        under = f"<p>Not drawn, since no incident was found: {', '.join(found_nothing)}.</p>" if found_nothing else ""
        return self._place(data, layout, 380, "delay against false alarms of each setting", under=under)


_LAYOUT: Figure = {
    "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#222"},
    "paper_bgcolor": "#fff",
    "plot_bgcolor": "#fff",
    "hovermode": "closest",
    "colorway": list(COLOURS),
    "autosize": True,
}


def _steps(values: Sequence[float | None]) -> list[float | None]:
    """Values at the edges of their windows: at the last one the last value once more."""
    return [*values, values[-1]]


def letters(place: int) -> str:
    """`A` to `Z`, then `AA`: what a setting is called in the plot and in its table."""
    before = letters(place // 26 - 1) if place >= 26 else ""
    return before + chr(ord("A") + place % 26)


def _called(rows: At) -> list[tuple[At, str]]:
    """Each setting with its letters. Of those that lie on one point the first says them all, so that no label is written
    over another."""
    at: dict[tuple[Any, Any], list[int]] = {}
    for place, row in enumerate(rows):
        at.setdefault((row["false_alarms"].value, row["delay_hours"].value), []).append(place)
    said = {
        own[0]: " ".join(map(letters, own[:LABELS_MAX])) + (" ..." if len(own) > LABELS_MAX else "")
        for own in at.values()
    }
    return [(row, said.get(place, "")) for place, row in enumerate(rows)]


def _settings(own: Sequence[tuple[At, str]], name: str, *, best: bool) -> Figure:
    rows = [row for row, _ in own]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [row["false_alarms"].value for row in rows],
        "y": [row["delay_hours"].value for row in rows],
        "text": [said for _, said in own],
        "customdata": [[drawn(row["set"].value), row["missed"].value] for row in rows],
        "textposition": "top center",
        "textfont": {"size": 11, "color": "#222"},
        "cliponaxis": False,
        "meta": {"x": [row["false_alarms"].where for row in rows], "y": [row["delay_hours"].where for row in rows]},
        "marker": {
            "size": 10,
            "color": COLOURS[0 if best else 6],
            "symbol": ["x" if row["missed"].value else "diamond" if best else "circle" for row in rows],
        },
        "hovertemplate": "%{customdata[0]}<br>%{x} false alarms, %{y:.1f} h, %{customdata[1]} missed<extra></extra>",
    }


def _name(own: At) -> str:
    return drawn(f"{own['version'].value} {own['segment'].value}")


def _trace(own: At, line: int, panel: int, values: At, *, legend: bool) -> Figure:
    whole = own["segment"].value == "all"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": _name(own),
        "legendgroup": _name(own),
        "showlegend": legend,
        # A value is that of a whole window, which begins where it is drawn: the last step goes on to its end.
        "x": edges(own["start_ms"].value, own["end_ms"].value),
        "y": _steps(values.value),
        "meta": {"x": own["start_ms"].where, "y": values.where},
        "xaxis": "x",
        "yaxis": _axis("y", panel),
        "line": {"color": COLOURS[line % len(COLOURS)], "width": 2 if whole else 1, "shape": "hv"},
        "marker": {"size": [*[4 if whole else 3] * len(values.value), 0]},
        "opacity": 1 if whole else 0.75,
        "hovertemplate": "%{y:.3f}" if values.where.rpartition("/")[2] != "coverage" else "%{y:.1%}",
    }


def _line(own: At, line: int, panel: int, metric: At, *, legend: bool) -> list[Figure]:
    """A metric of one series; of the segment `all` with its interval as a band."""
    trace = _trace(own, line, panel, metric["value"], legend=legend)
    if own["segment"].value != "all":
        return [trace]
    edge = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "showlegend": False, "hoverinfo": "skip"}
    lower, upper = (
        {
            **{k: v for k, v in trace.items() if k not in ("marker", "hovertemplate")},
            **edge,
            "y": _steps(metric[side].value),
        }
        for side in ("lower", "upper")
    )
    lower["meta"] = {**trace["meta"], "y": metric["lower"].where}
    red, green, blue = (int(COLOURS[line % len(COLOURS)][i : i + 2], 16) for i in (1, 3, 5))
    upper |= {"fill": "tonexty", "fillcolor": f"rgba({red},{green},{blue},0.15)"}
    upper["meta"] = {**trace["meta"], "y": metric["upper"].where}
    return [lower, upper, trace]


def _axis(letter: str, panel: int) -> str:
    return letter if panel == 0 else f"{letter}{panel + 1}"


def _stacked(panels: Sequence[str], run: At, last: float) -> Figure:
    """Panels above each other on one axis of time; the `last` is so high, the others 1."""
    weights = [1.0] * (len(panels) - 1) + [last]
    gap, total = 0.025, sum(weights)
    layout: Figure = {"margin": {"l": 20, "r": 10, "t": 40, "b": 46}}
    top = 1.0
    for panel, (name, weight) in enumerate(zip(panels, weights, strict=True)):
        height = weight / total
        key = "yaxis" if panel == 0 else f"yaxis{panel + 1}"
        layout[key] = {
            "domain": [max(0.0, top - height + gap), top],
            "title": {"text": drawn(name), "font": {"size": 11}},
            "automargin": True,
            "gridcolor": "#e5e5e5",
            "zeroline": False,
            "anchor": "x",
        }
        if name == "coverage":
            layout[key]["tickformat"] = ".0%"
        low, high = BINARY.get(name, (-math.inf, math.inf))
        if math.isfinite(low + high):  # a share is never drawn on an axis to 2
            layout[key]["autorangeoptions"] = {"clipmin": low, "clipmax": high}
        top -= height
    layout[f"yaxis{len(panels)}"] |= {"type": "category", "tickfont": {"size": 10}, "title": {"text": ""}}
    layout["xaxis"] = {
        "type": "date",
        "anchor": _axis("y", len(panels) - 1),
        "range": [run["begin_ms"].value, run["end_ms"].value],
        "gridcolor": "#e5e5e5",
        "hoverformat": "%Y-%m-%d %H:%M",
        "tickangle": 0,
    }
    return layout


def _alerts(run: At, model: str, panel: int) -> tuple[list[Figure], list[Figure]]:
    """Bars from firing to the end in the lowest panel, and lines through all of them where one fired."""
    own = [alert for alert in run["alerts"] if alert["model"].value in ("", model)]
    traces, shapes = [], []
    for alert in own:
        ends = alert["resolved_ms"] if alert.has("resolved_ms") else run["end_ms"]
        colour = SEVERITIES.get(alert["severity"].value, SEVERITIES["info"])
        rule = drawn(alert["rule"].value)
        said = drawn(f"{alert['severity'].value}: {alert['summary'].value}")
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [alert["fired_ms"].value, max(ends.value, alert["fired_ms"].value)],
                "y": [rule, rule],
                "meta": {"x": [alert["fired_ms"].where, ends.where]},
                "text": [said, said],
                "hovertemplate": "%{text}<extra></extra>",
                "showlegend": False,
                "xaxis": "x",
                "yaxis": _axis("y", panel),
                "line": {"color": colour, "width": 5},
                "marker": {"color": colour, "size": 7, "symbol": ["circle", "line-ns"]},
            }
        )
    for alert in own[:LINES_MAX]:
        colour = SEVERITIES.get(alert["severity"].value, SEVERITIES["info"])
        at = alert["fired_ms"].value
        line = {"color": colour, "width": 1, "dash": "dot"}
        shapes.append(
            {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}
        )
    return traces, [{**shape, "opacity": 0.5, "layer": "below"} for shape in shapes]


def _incidents(run: At) -> list[Figure]:
    """Known incidents as shaded spans."""
    if not run.has("incidents"):
        return []
    return [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": max(one["incident"]["from_ms"].value, run["begin_ms"].value),
            "x1": min(one["incident"]["until_ms"].value, run["end_ms"].value),
            "y0": 0,
            "y1": 1,
            "fillcolor": "#f4d03f",
            "opacity": 0.2,
            "line": {"width": 0},
            "layer": "below",
            "label": {"text": letters(place).lower(), "textposition": "top center", "font": {"size": 10}},
        }
        for place, one in enumerate(run["incidents"]["found"])
    ]


def _shaded(run: At) -> str:
    """Which incidents the shaded spans are: their names would lie over each other in the drawing."""
    if not run.has("incidents"):
        return ""
    found = run["incidents"]["found"]
    names = ", ".join(
        f"<b>{letters(place).lower()}</b> {one['incident']['name'].show()}" for place, one in enumerate(found)
    )
    return f"<p>Shaded: {names}.</p>" if names else ""
