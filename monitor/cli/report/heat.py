"""Heat maps of distances to the reference: one scale for all of them, so that the same colour is the same distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from monitor.cli.report.nodes import NOTHING, At, drawn
from monitor.cli.show import number
from monitor.config.metric_names import INPUT

Figure = dict[str, Any]

STEPS: Final = (
    (0.0, 0.0, "#00204c"),
    (0.02, 0.1176, "#00346e"),
    (0.05, 0.2353, "#3c4a6b"),
    (0.1, 0.4118, "#686a70"),
    (0.25, 0.6471, "#a19876"),
    (0.5, 0.7647, "#c0b16d"),
    (1.0, 0.8824, "#e1cc5c"),
    (2.0, 1.0, "#ffe945"),
)
"""(distance, its place on the scale, colour): Cividis, which all eyes see in order of brightness. Most of it is spent below 0.25,
where it matters how far a feature is; beyond 2 everything is as bright as can be."""
TICKS: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
BRIGHTEST: Final = STEPS[-1][0]
UNBOUNDED: Final = frozenset({"chi_square", "wasserstein"})
"""Distances in the unit of the feature, or that grow with the rows: no scale holds two of them."""


def _legend() -> str:
    colours = ", ".join(f"{colour} {100 * place:g}%" for _, place, colour in STEPS)
    ticks = "".join(
        f'<span style="left:{100 * place:g}%">{value:g}{" and more" if value == BRIGHTEST else ""}</span>'
        for value, place, _ in STEPS
        if value in TICKS
    )
    return (
        "<p>One colour is one distance to the reference in every chart. Beside the name of a row stands its largest; "
        "<em>own scale</em> marks rows in a unit of their own, whose brightest cell is their largest.</p>\n"
        f'<div class="scale"><div style="background:linear-gradient(to right, {colours})"></div>{ticks}</div>\n'
    )


LEGEND: Final = _legend()
"""What the colours mean, as HTML."""


def heat_map(own: At) -> tuple[list[Figure], Figure, int]:
    """Traces, layout and height of the shown metrics of a series, a row for each."""
    names = list(reversed(own["shown"].value))
    data = [_row(own, name, own["metrics"][name]["value"], place) for place, name in enumerate(names)]
    ticks = {"tickvals": list(range(len(data))), "ticktext": [row["name"] for row in data]}
    layout = {
        "xaxis": {"type": "date", "hoverformat": "%Y-%m-%d %H:%M", "tickangle": 0},
        "yaxis": {"automargin": True, "showgrid": False, "zeroline": False, **ticks},
        "margin": {"l": 10, "r": 10, "t": 6, "b": 46},
    }
    return data, layout, 64 + 22 * len(data)


def _row(own: At, name: str, values: At, place: int) -> Figure:
    """One metric of a heat map, the `place`-th from below."""
    known = [value for value in values.value if value is not None]
    largest = f" {NOTHING} {number(max(known))}" if known else ""
    return {
        "type": "heatmap",
        "x": edges(own["start_ms"].value, own["end_ms"].value),
        "y": [place - 0.5, place + 0.5],  # edges: of categories one trace would have to hold all
        "name": drawn(f"{name}{largest}{'' if _common(name) else ', own scale'}"),
        "z": [values.value],
        **_scale(name, known),
        "meta": {"x": own["start_ms"].where, "z": [values.where]},
        "showscale": False,
        "hovertemplate": "%{x|%Y-%m-%d %H:%M}<br>%{z:.3f}<extra>%{fullData.name}</extra>",
    }


def _common(name: str) -> bool:
    """Whether a metric has the scale of all: distances and shares, but for those in units of their own."""
    kind, _, of = name.partition(":")
    return bool(of) and kind in INPUT and kind not in UNBOUNDED


def _scale(name: str, known: Sequence[float]) -> Figure:
    if _common(name):
        return {
            "zmin": 0.0,
            "zmax": BRIGHTEST,
            "colorscale": [[value / BRIGHTEST, colour] for value, _, colour in STEPS],
        }
    low, high = min([0.0, *known]), max([0.0, *known])
    return {"zmin": low, "zmax": high if high > low else low + 1.0, "colorscale": "Cividis"}


def edges(starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Where cells begin, and where the last one ends: one step on, where windows overlap."""
    overlap = len(starts) > 1 and ends[-2] > starts[-1]
    return [*starts, 2 * starts[-1] - starts[-2] if overlap else ends[-1]]
