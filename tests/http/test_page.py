"""The page in a real browser, for three tasks: its numbers are the API's, it asks nobody else, fits a phone, and answers to
its address, to keys and to a token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.http import HttpServer
from monitor.adapters.http_answers import Snapshot
from monitor.adapters.http_token import TokenFile
from monitor.view import Evaluator, Headroom, ModelStatus, encode
from tests.http.serving import get, served
from tests.report.chromium import Page
from tests.report.conftest import browser
from tests.telemetry.samples import DAY_MS, sample_view

__all__ = ["browser"]

CELLS = "[...document.querySelectorAll('#{} tbody tr')].map(r => [...r.cells].map(c => c.textContent))"


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with served(tmp_path_factory.mktemp(request.param), request.param) as server:
        yield server


def until(page: Page, expression: str) -> None:
    deadline = time.monotonic() + 30
    while not page.value(expression):
        assert time.monotonic() < deadline, f"{expression} never came true: {page.complaints}"
        time.sleep(0.05)


def shown(page: Page, server: HttpServer, fragment: str = "", width: int = 1280) -> Page:
    page.ask("Page.navigate", url="about:blank")
    page.requests.clear()
    page.complaints.clear()
    page.open(f"{server.url}/ui/{fragment}", width)
    until(page, "'drawn' in document.documentElement.dataset")
    return page


def told(e: dict[str, Any]) -> list[str]:
    """Value, interval and rows of a metric as the page must have them, made from the API's document apart from its code."""
    value = e["undefined"].replace("_", " ") if e["value"] is None else digits(e["value"])
    between = "" if e["lower"] is None or e["upper"] is None else f"{digits(e['lower'])} to {digits(e['upper'])}"
    return [value, between, f"{e['rows']:,}".replace(",", " ")]


def digits(value: float) -> str:
    """Six digits, never in the notation with an exponent that JavaScript has for very small numbers only."""
    text = f"{float(f'{value:.6g}')!r}".removesuffix(".0")
    return "0" if text == "-0" else text


def same(page: list[str], api: list[str]) -> bool:
    """Equal texts, or the same number in another notation (1e-07, 1e-7)."""
    return all(
        a == b or [float(n) for n in a.split(" to ")] == [float(n) for n in b.split(" to ")]
        for a, b in zip(page, api, strict=True)
    )


def rows(page: Page, table: str) -> list[list[str]]:
    found: list[list[str]] = page.value(CELLS.format(table))
    return found


@pytest.mark.parametrize("width", [1280, 360])
def test_it_draws_without_complaint_or_foreign_request_and_is_no_wider_than_the_window(
    server: HttpServer, browser: Page, width: int
) -> None:
    shown(browser, server, width=width)
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith((server.url, "about:"))] == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelectorAll('section').length") >= 8
    assert browser.value("[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-label'))")


def test_every_number_of_metrics_segments_and_drift_is_the_apis(server: HttpServer, browser: Page) -> None:
    status = get(server, "/api/v1/status")
    for name in sorted({w["key"]["window"] for w in status["windows"]}):
        shown(browser, server, f"#window={name}")
        of_all = [w for w in status["windows"] if w["key"]["window"] == name and w["key"]["series"]["segment"] == "all"]
        api = {metric: told(e) for w in of_all for metric, e in w["metrics"].items()}
        page = {r[0]: r[1:4] for table in ("metrics-table", "drift-table") for r in rows(browser, table)}
        assert set(page) == set(api)
        assert [m for m in api if not same(page[m], api[m])] == []
        metric = browser.value("document.getElementById('choose-metric').value")
        of_segments = {r[0]: r[1:4] for r in rows(browser, "segments-table")}
        windows = [w for w in status["windows"] if w["key"]["window"] == name and metric in w["metrics"]]
        if len(windows) > 1:
            wanted = {w["key"]["series"]["segment"]: told(w["metrics"][metric]) for w in windows}
            assert set(of_segments) == set(wanted)
            assert [s for s in wanted if not same(of_segments[s], wanted[s])] == []
        else:
            assert "No segment beside all rows" in browser.value("document.getElementById('segments').textContent")


def test_every_number_of_models_alerts_labels_and_streams_is_the_apis(server: HttpServer, browser: Page) -> None:
    status, past = get(server, "/api/v1/status"), get(server, "/api/v1/history")
    shown(browser, server)
    window, metric = (browser.value(f"document.getElementById('choose-{name}').value") for name in ("window", "metric"))
    newest = next(
        w
        for w in status["windows"]
        if metric in w["metrics"] and w["key"]["window"] == window and w["key"]["series"]["segment"] == "all"
    )
    heard = {w["key"]["series"]["model"] for w in status["windows"]}
    table = rows(browser, "models-table")
    assert [row[1] for row in table if row[0].split()[-1] not in heard] == ["no numbers yet"] * (
        len(status["models"]) - 1
    )
    (model,) = [row for row in table if row[0].split()[-1] in heard]
    assert same(model[5:7], told(newest["metrics"][metric])[:2])
    assert len(rows(browser, "alerts-table")) == len(status["alerts"])
    for row, alert in zip(rows(browser, "alerts-table"), status["alerts"], strict=True):
        assert [row[0], row[1], row[3], row[4]] == [alert["severity"], alert["rule"], alert["window"], alert["metric"]]
        assert float(row[5]) == float(f"{alert['value']:.6g}")
    labels = [
        w
        for w in past["windows"]
        if w["kind"] == "performance" and w["key"]["window"] == window and w["key"]["series"]["segment"] == "all"
    ]
    counts = [[f"{w[n]:,}".replace(",", " ") for n in ("seen", "labelled")] for w in labels[-12:]][::-1]
    assert [row[2:4] for row in rows(browser, "labels-table")] == counts
    drawn = browser.value("document.querySelectorAll('#metrics .dot, #metrics .open').length")
    assert drawn == sum(w["metrics"][metric]["value"] is not None for w in labels)
    streams = [(p["partition"], s) for p in status["partitions"] for s in (p["predictions"], p["labels"]) if s]
    for row, (number, s) in zip(rows(browser, "streams-table"), streams, strict=True):
        spaced = [f"{n:,}".replace(",", " ") for n in (s["position"], s["end"], s["end"] - s["position"])]
        assert (row[0], row[1], row[3:6]) == (str(number), s["topic"], spaced)
    said = browser.value("document.getElementById('timeline').textContent")
    assert [v["version"] for v in past["versions"] if f"version {v['version']}" not in said] == []


def test_distributions_are_the_apis(server: HttpServer, browser: Page) -> None:
    shown(browser, server)
    window = browser.value("document.getElementById('choose-window').value")
    wanted = [
        [
            d["feature"],
            "; ".join(f"{b['name']} {b['reference']} in the reference, {b['current']} now" for b in d["bars"]),
        ]
        for d in get(server, f"/api/v1/history?segment=all&window={window}")["distributions"]
    ]
    found = browser.value(
        "[...document.querySelectorAll('.spread')]"
        ".map(d => [d.dataset.feature, d.querySelector('svg').getAttribute('aria-label')])"
    )
    assert [[f, text.removeprefix(f"{f}: ")] for f, text in found] == wanted


def test_the_address_chooses_and_keys_do_too(server: HttpServer, browser: Page) -> None:
    status = get(server, "/api/v1/status")
    segment = max(w["key"]["series"]["segment"] for w in status["windows"])
    shown(browser, server, f"#segment={segment}")
    assert browser.value("document.getElementById('choose-segment').value") == segment
    wanted = next(w for w in status["windows"] if w["key"]["series"]["segment"] == segment and w["kind"] == "performance"
                  and w["key"]["window"] == browser.value("document.getElementById('choose-window').value"))  # fmt: skip
    about = browser.value("document.querySelector('.about[data-kind=performance]').textContent")
    assert f"{wanted['labelled']:,} labelled".replace(",", " ") in about
    browser.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'w', bubbles: true}))")
    assert browser.value("document.activeElement.id") == "choose-window"
    browser.value("document.activeElement.blur()")
    browser.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true}))")
    until(browser, f"location.hash === '#model={status['models'][0]['name']}'")
    until(browser, "document.querySelector('#models tr[aria-current] td').textContent.startsWith('1 ')")


def test_a_link_to_what_is_not_there_says_so_and_leads_back(server: HttpServer, browser: Page) -> None:
    status = get(server, "/api/v1/status")
    model = next(w["key"]["series"]["model"] for w in status["windows"])
    for fragment, words in (
        ("#version=never", f"{model} has windows, but none of version never, segment all"),
        ("#model=nobody", "There is no model nobody here: neither is it configured"),
        ("#model=not-heard-of-yet", "No window of not-heard-of-yet yet"),
    ):
        if fragment.endswith("yet") and len(status["models"]) == 1:
            continue
        shown(browser, server, fragment)
        for name in ("metrics", "drift", "labels"):
            text = browser.value(f"document.getElementById('{name}').textContent")
            assert words in text, (fragment, name, text)
            assert "streams.labels" not in text
        unsliced = {m["name"] for m in status["models"] if not m["segments"]}
        of = fragment.removeprefix("#model=") if "model" in fragment else model
        wanted = "Name categorical features under segments" if of in unsliced else words
        assert wanted in browser.value("document.getElementById('segments').textContent")
    shown(browser, server, "#version=never")
    browser.value("document.querySelector('#metrics .empty a').click()")
    until(browser, "document.getElementById('metrics-table') !== null")


def test_keys_go_from_one_list_to_the_other_and_leave_them(server: HttpServer, browser: Page) -> None:
    shown(browser, server)
    press = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true, cancelable: true}))"
    for key, name in (("v", "version"), ("s", "segment"), ("w", "window"), ("m", "metric")):
        assert browser.value(press % key) is False, f"{key} looks for no value of the list that has the focus"
        assert browser.value("document.activeElement.id") == f"choose-{name}"
    assert browser.value(press % "m"), "in its own list a letter looks for a value"
    assert browser.value(press % "1")
    assert browser.value("location.hash") == ""
    browser.value(press % "Escape")
    assert browser.value("document.activeElement.tagName") == "BODY"
    browser.value(press % "1")
    until(browser, "location.hash.startsWith('#model=')")


def test_a_process_without_numbers_says_what_to_do_and_names_run_nothing(browser: Page) -> None:
    bare = replace(sample_view(), models=(), windows=(), alerts=(), partitions=(), thresholds=(), evaluator=Evaluator())
    hostile = replace(bare, models=(ModelStatus("<img src=x onerror=alert(1)>", "binary"),))
    holder = [Snapshot(status=encode(bare))]
    server = HttpServer("127.0.0.1", 0, lambda: holder[0], lambda: 0)
    server.start()
    try:
        text = shown(browser, server).value("document.body.textContent")
        for words in ("No model is configured", "not the evaluator", "owns no partition, which is normal"):
            assert words in text
        holder[0] = Snapshot(status=encode(hostile))
        until(browser, "document.getElementById('models').textContent.includes('<img')")
        assert browser.value("document.querySelectorAll('img').length") == 0
        assert browser.complaints == []
    finally:
        server.stop()


@pytest.mark.parametrize("configured", [True, False])
def test_before_the_first_prediction_the_page_goes_by_what_is_configured(browser: Page, configured: bool) -> None:
    view = sample_view()
    fraud = ModelStatus("fraud", "binary", segments=("origin",) if configured else ())
    topics = view.topics[: 2 if configured else 1]
    bare = replace(view, models=(fraud,), topics=topics, windows=(), alerts=(), thresholds=())
    snapshot = Snapshot(status=encode(bare))
    server = HttpServer("127.0.0.1", 0, lambda: snapshot, lambda: 0)
    server.start()
    try:
        shown(browser, server)
        said = {
            n: browser.value(f"document.getElementById('{n}').textContent") for n in ("segments", "labels", "metrics")
        }
        assert "No window of fraud yet" in said["metrics"]
        assert ("Name categorical features under segments" in said["segments"]) is not configured
        assert ("map them under streams.labels" in said["labels"]) is not configured
        if configured:
            assert "No window of fraud yet" in said["segments"]
            assert "No window of fraud yet" in said["labels"]
        assert browser.value("document.getElementById('choose-version').textContent") == "none yet"
    finally:
        server.stop()


def test_the_room_until_retention_is_told_for_what_it_is(browser: Page) -> None:
    view, found, holder = sample_view(partitions=1), [], list[Snapshot]()
    server = HttpServer("127.0.0.1", 0, lambda: holder[0], lambda: 0)
    server.start()
    for headroom in (
        Headroom(0, None),
        Headroom(7, None),
        Headroom(7, None, DAY_MS),
        Headroom(7, DAY_MS // 2, DAY_MS),
    ):
        p = view.partitions[0]
        part = replace(p, predictions=replace(p.predictions, headroom=headroom))
        holder[:] = [Snapshot(status=encode(replace(view, partitions=(part,))))]
        shown(browser, server)
        found.append(rows(browser, "streams-table")[0][-1])
    server.stop()
    assert found == ["no limit of time", "no limit of time, 7 records", "no record is needed", "7 records, 12 h"]


def test_with_a_token_the_page_asks_for_it_and_keeps_it_in_the_tab(browser: Page, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-7f3a9c51d2e84b60")
    snapshot = Snapshot(status=encode(sample_view()))
    server = HttpServer("127.0.0.1", 0, lambda: snapshot, lambda: 0, token=TokenFile(str(tmp_path / "token")))
    server.start()
    try:
        browser.open(f"{server.url}/ui/")
        until(browser, "!document.getElementById('unlock').hidden")
        assert browser.value("document.getElementById('main').textContent") == ""
        browser.value(
            "document.getElementById('token').value = 'canary-7f3a9c51d2e84b60'; document.querySelector('#unlock button').click()"
        )
        until(browser, "document.getElementById('models') !== null && document.getElementById('unlock').hidden")
        assert "canary" not in browser.value(
            "document.documentElement.outerHTML + location.href + JSON.stringify(localStorage)"
        )
    finally:
        server.stop()


def test_what_is_not_allowed_in_is_refused_by_the_policy(server: HttpServer, browser: Page) -> None:
    shown(browser, server)
    browser.value(
        "var s = document.createElement('script'); s.textContent = 'document.title = \"in\"'; document.body.append(s)"
    )
    assert browser.value("document.title") != "in"
    assert any("Content Security Policy" in said for said in browser.complaints)
