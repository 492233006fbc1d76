"""Every number of the page is the JSON's; nothing in it comes from elsewhere, and nothing of data is markup."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from monitor.cli.report import page
from monitor.cli.report.heat import heat_map
from monitor.cli.report.nodes import At, shown
from monitor.cli.report.write import without_secrets
from tests.report.conftest import Report
from tests.report.reading import Read, at, traces


@pytest.fixture(scope="module")
def read(report: Report) -> Read:
    return Read.of(report.html)


def test_every_value_on_the_page_is_the_one_of_the_json(report: Report, read: Read) -> None:
    document = report.json
    assert len(read.values) > 10_000
    for value in read.values:
        told = at(document, value.where)
        assert value.text == shown(told, value.form), value
        assert value.form in ("text", "words") or json.loads(value.exact or "") == told, value


def test_no_table_says_a_number_that_has_no_place_in_the_json(read: Read) -> None:
    assert [text for text in read.bare if re.search(r"\d", text)] == []


def test_every_line_and_bar_is_drawn_from_the_json(report: Report, read: Read) -> None:
    document, count = report.json, 0
    for trace, name, where in traces(read.figures):
        if isinstance(where, str):
            data, told = trace[name], at(document, where)
        else:
            data, told = trace[name], [at(document, each) for each in where]
        if trace["type"] == "heatmap" and name == "x":
            data = data[:-1]  # where the last cell ends
        elif trace.get("line", {}).get("shape") == "hv" and len(data) == len(told) + 1:
            assert data[-1] > data[-2] if name == "x" else data[-1] == data[-2], "the last step goes on to its end"
            data = data[:-1]
        assert data == told, (trace["type"], where)
        count += len(data)
    assert count > 5_000


def test_steps_and_cells_end_with_the_last_window(report: Report, read: Read) -> None:
    series = {
        f"/{run}/series/{place}/start_ms": own
        for run in ("first", "second")
        for place, own in enumerate(report.json[run]["series"])
    }
    drawn = [(trace["x"], series[where]) for trace, _, where in traces(read.figures) if str(where) in series]
    assert len(drawn) > 100
    assert all(x == [*own["start_ms"], own["end_ms"][-1]] for x, own in drawn), "no window here overlaps the next"


def test_one_colour_is_one_distance_in_every_heat_map(read: Read) -> None:
    maps = [figure for figure in read.figures if figure["data"][0]["type"] == "heatmap"]
    rows = [row for figure in maps for row in figure["data"]]
    assert len(rows) > 30
    assert len({json.dumps([row["zmin"], row["zmax"], row["colorscale"]]) for row in rows}) == 1
    for row in rows:
        largest = max(value for value in row["z"][0] if value is not None)
        metric = row["meta"]["z"][0].split("/metrics/")[1].removesuffix("/value")
        assert row["name"] == f"{metric} \N{EN DASH} {shown(largest, 'number')}"
    for figure in maps:
        assert figure["layout"]["yaxis"]["ticktext"] == [row["name"] for row in figure["data"]]


def test_what_has_a_unit_of_its_own_has_a_scale_of_its_own() -> None:
    """The distances of one feature in its unit, and the number of rows, beside a share."""
    values = {"wasserstein:distance": [3.0, 90.5], "volume": [812, 1_204], "missing:hour": [0.25, None]}
    own = {
        **dict.fromkeys(("model", "version", "segment", "window"), "x"),
        "start_ms": [0, 10],
        "end_ms": [10, 20],
        "shown": list(values),
        "metrics": {name: {"value": column} for name, column in values.items()},
    }
    data, layout, _ = heat_map(At(own))
    by_name = {row["name"]: row for row in data}
    missing, volume, metres = (
        by_name[f"{name} \N{EN DASH} {told}"]
        for name, told in (
            ("missing:hour", "0.250"), ("volume", "1,204, own scale"), ("wasserstein:distance", "90.500, own scale")
        )
    )  # fmt: skip
    assert (missing["zmin"], missing["zmax"]) == (0.0, 2.0)
    assert (volume["zmax"], metres["zmax"]) == (1_204, 90.5)
    assert layout["yaxis"]["ticktext"] == [row["name"] for row in data]


def test_an_alert_of_one_configuration_stands_in_its_own_column(report: Report, read: Read) -> None:
    found = report.json["differences"]
    assert found["only_first"] != [] != found["only_second"]
    section = report.html.split('<section id="differences">')[1].split("</section>")[0]
    rows = re.findall("<tr><td>(no more|new|moved)</td><td>(.*?)</td><td>(.*?)</td>", section)
    told = {
        name: {("at=" in first, "at=" in second) for change, first, second in rows if change == name}
        for name, _, _ in rows
    }
    assert told == {"no more": {(True, False)}, "new": {(False, True)}, "moved": {(True, True)}}
    counts = [len(found[name]) for name in ("only_first", "only_second", "moved")]
    assert [sum(change == name for change, _, _ in rows) for name in ("no more", "new", "moved")] == counts


def test_a_delay_beside_a_missed_incident_is_said_to_be_that_of_the_others(report: Report) -> None:
    document = copy.deepcopy(report.json)
    document["first"]["counts"] |= {"missed": 1}
    document["sweep"][0] |= {"missed": 1}
    html = page.render(document, charts=False)
    delays = re.findall(r"delay_hours&?[^>]*>([^<]*)</data>([^<]*)</td>", html)
    assert [after for _, after in delays].count(" of those found") == 2
    assert html.count("of those found") == 2
    assert "of those found" not in report.html


def test_names_of_columns_are_no_syntax_of_styles(report: Report) -> None:
    document = copy.deepcopy(report.json)
    own = document["first"]["series"][0]
    hostile = "a'\";} body { display: none } \\</style>"
    own["metrics"][hostile] = own["metrics"].pop(own["shown"][0])
    own["shown"][0] = hostile
    read = Read.of(page.render(document, charts=False))
    styles = [value or "" for name, value in read.attributes if name == "style"]
    headings = [style for style in styles if style.startswith("--c1:")]
    assert len(headings) > 10
    column = r"--c\d+:'(?:[A-Za-z0-9]|\\[0-9a-f]+ )*'"
    assert all(re.fullmatch(f"{column}(?:;{column})*", style) for style in headings)
    assert any("body\\20 \\7b \\20 display" in style for style in headings)


def test_settings_on_one_point_are_named_once(read: Read) -> None:
    plot = next(f for f in read.figures if any(trace.get("name") == "best" for trace in f["data"]))
    told: dict[tuple[float, float], list[str]] = {}
    for trace in plot["data"]:
        for x, y, text in zip(trace["x"], trace["y"], trace["text"], strict=True):
            told.setdefault((x, y), []).append(text)
    assert all(len([text for text in texts if text]) == 1 for texts in told.values())
    names = sorted(" ".join(" ".join(texts) for texts in told.values()).split())
    assert names == ["A", "B", "C", "D", "E", "F"]
    assert set(names) <= set(read.bare), "and the table says which is which"


def test_all_that_was_asked_for_is_there(report: Report, read: Read) -> None:
    document = report.json
    places = {value.where for value in read.values}
    for series, own in enumerate(document["first"]["series"]):
        for name in own["shown"]:
            assert any(f"/first/series/{series}/metrics/{name}/value/0" == place for place in places), (series, name)
    for part in (
        "delays/0/arrived",
        "distributions/0/current/counts",
        "outcomes/predictions/matched",
        "config",
        "spans",
    ):
        assert any(place.startswith(f"/first/{part}") for place in places), part
    for part in (
        "/changes/0/path",
        "/sweep/0/set",
        "/differences/same",
        "/gates/failed/0/gate",
        "/first/incidents/found/0",
    ):
        assert any(place.startswith(part) for place in places), part
    kinds = {trace["type"] for trace, _, _ in traces(read.figures)}
    assert kinds == {"scatter", "heatmap", "bar"}
    assert document["command"] == report.command


def test_the_page_may_load_nothing_and_run_only_its_own_scripts(report: Report, read: Read) -> None:
    assert read.policy.startswith(
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-"
    )
    assert read.policy.count("sha256-") == 2
    links = [value for name, value in read.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert [link for link in links if link is None or not link.startswith(("#", "data:"))] == []
    assert not {"iframe", "object", "embed", "form", "img", "base"} & read.tags


HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<b onmouseover=alert(1)>x</b>",
    "a\x00\u202eb",
)
NAMES = ("model", "version", "segment", "rule", "feature", "summary", "window")


def poisoned(document: Any, text: str) -> Any:
    """The document with a text in the place of everything that comes from data or from files."""
    found = copy.deepcopy(document)
    for run in (found["first"], found["second"]):
        for part in ("alerts", "series", "delays", "distributions"):
            for own in run[part]:
                own |= {name: text for name in NAMES if name in own}
        for own in run["distributions"]:
            own["bins"] = [text for _ in own["bins"]]
        for one in run["incidents"]["found"]:
            one["incident"]["name"] = text
        run |= {"namespace": text, "references": {text: text}, "files": {text: {"lines": 1, "sha256": text}}}
        run["spans"] = {text: [[0, 1]]}
    found["command"] = ["driftline", text]
    found["changes"] = [{"path": text, "first": text, "second": text, "effect": text}]
    for row in found["sweep"]:
        row["set"] = f"rules.{text}=1"
    found["gates"] = {"asked": [text], "failed": [{"gate": text, "value": 1, "where": text}]}
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_data_is_text_and_never_markup(report: Report, text: str) -> None:
    document = report.json
    clean, read = (Read.of(page.render(each, charts=True)) for each in (document, poisoned(document, text)))
    assert read.tags == clean.tags
    assert {name for name, _ in read.attributes} == {name for name, _ in clean.attributes}
    assert len(read.scripts) == len(clean.scripts)
    seen = "".join(c if c.isprintable() else "\ufffd" for c in text)
    assert sum(value.text == seen for value in read.values) > 50
    # Plotly takes some markup in texts: it is given none.
    drawn = [
        trace.get(name) for figure in read.figures for trace in figure["data"] for name in ("name", "text", "x", "y")
    ]
    assert "<" not in json.dumps(drawn)


def test_secrets_of_the_command_line_are_not_told() -> None:
    told = without_secrets(
        ["driftline", "--set", "kafka.properties.sasl.password=x=y", "--set=kafka.properties.client.id=z"]
    )
    assert told == [
        "driftline",
        "--set",
        "kafka.properties.sasl.password=********",
        "--set=kafka.properties.client.id=z",
    ]


def test_without_plotly_the_tables_are_there_and_the_page_says_how_to_get_charts(report: Report) -> None:
    plain = Read.of(page.render(report.json, charts=False))
    with_charts = Read.of(re.sub("<figure>.*?</figure>", "", report.html, flags=re.DOTALL))
    assert [(v.where, v.text) for v in plain.values] == [(v.where, v.text) for v in with_charts.values]
    assert plain.scripts == []
    assert "script-src 'none'" in plain.policy
    html = page.render(report.json, charts=False)
    assert "pip install 'driftline[ui]'" in html
    assert len(html) < 3_000_000


def test_figures_are_what_plotly_knows(report: Report) -> None:
    from plotly import graph_objects

    for figure in Read.of(report.html).figures:
        graph_objects.Figure(data=figure["data"], layout=figure["layout"])


def test_bins_are_named_by_their_place_unless_values_may_be_shown(report: Report) -> None:
    names = {own["feature"]: own["bins"] for own in report.json["first"]["distributions"]}
    assert names["origin"] == ["category 1", "category 2", "category 3", "other", "unseen", "missing", "invalid"]
    assert names["hour"][:2] == ["below", "bin 1"]
    assert names["hour"][-2:] == ["above", "missing"]
    assert "UA" not in json.dumps(names)
