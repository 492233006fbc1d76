"""The page while somebody uses it: it goes on under focus, scroll and selection, is read by all, and survives odd names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import structs

from monitor.adapters import page as package
from monitor.adapters.http import HttpServer
from monitor.adapters.http_answers import Snapshot
from monitor.adapters.http_token import TokenFile
from monitor.alerts.examples import example_events
from monitor.cli.app import cli
from monitor.history import History, Past
from monitor.view import Evaluator, View, encode
from monitor.windows.view import Estimate, SeriesKey, WindowView
from tests.http.test_page import shown, until
from tests.report.chromium import Page
from tests.report.conftest import browser
from tests.telemetry.samples import DAY_MS, START_MS, input_window, performance_window, sample_view

__all__ = ["browser"]


@dataclass
class Daemon:
    """What is handed out; a test changes it."""

    view: View
    past: Past = field(default_factory=Past)

    @property
    def snapshot(self) -> Snapshot:
        """As the listener asks for it."""
        return Snapshot(status=encode(self.view), past=self.past)

    def goes_on(self) -> None:
        """A second later: it has read more."""
        first = self.view.partitions[0]
        read = replace(first, predictions=replace(first.predictions, position=first.predictions.position + 7))
        self.view = replace(self.view, at_ms=self.view.at_ms + 1_000, partitions=(read, *self.view.partitions[1:]))


def history(view: View, days: int = 12) -> Past:
    """Windows before those of a view, some beyond their limit, and what happened."""
    collected = History()
    for series in {window.key.series for window in view.windows}:
        for n in range(days):
            start = START_MS - n * DAY_MS
            moved = {"psi:hour": Estimate(0.5 if n % 3 == 0 else 0.1, None, None, 900)}
            inputs = input_window(series, start_ms=start)
            collected.add(
                [performance_window(series, start_ms=start), replace(inputs, metrics={**inputs.metrics, **moved})]
            )
    for event in example_events().values():
        collected.happened(event)
    past = collected.past()
    own = [
        replace(h, series=view.windows[0].key.series, at_ms=START_MS - n * DAY_MS, metric="")
        for n, h in enumerate(past.happenings)
        if h.lane == "alert"
    ]
    return replace(past, happenings=tuple(own))


@pytest.fixture
def daemon() -> Daemon:
    view = sample_view(versions=2, segments=4)
    return Daemon(view, history(view))


@pytest.fixture
def server(daemon: Daemon) -> Iterator[HttpServer]:
    server = HttpServer("127.0.0.1", 0, lambda: daemon.snapshot, lambda: 0)
    server.start()
    yield server
    server.stop()


def redrawn(page: Page, daemon: Daemon) -> None:
    """Wait until the page shows what the daemon says after a second more."""
    daemon.goes_on()
    until(page, f"document.documentElement.dataset.drawn === '{daemon.view.at_ms}'")


def test_a_choice_is_shown_while_its_list_keeps_the_focus(server: HttpServer, browser: Page, daemon: Daemon) -> None:
    shown(browser, server)
    browser.value(
        "(() => { const s = document.getElementById('choose-metric'); s.focus(); s.value = 'brier';"
        " s.dispatchEvent(new Event('change')) })()"
    )
    until(browser, "document.querySelector('#metrics figcaption').textContent.startsWith('brier,')")
    assert browser.value("document.activeElement.id") == "choose-metric"
    browser.value("document.activeElement.sign = 'the same'")
    redrawn(browser, daemon)
    assert browser.value("document.activeElement.sign") == "the same", "an open list stays while nothing else is chosen"
    browser.value(
        "(() => { const s = document.getElementById('choose-segment'); s.value = 'origin=EWR';"
        " s.dispatchEvent(new Event('change')) })()"
    )
    until(browser, "location.hash.includes('metric=brier') && location.hash.includes('segment=origin%3DEWR')")


def test_what_is_scrolled_opened_selected_or_has_the_focus_stays_when_more_is_read(
    server: HttpServer, browser: Page, daemon: Daemon
) -> None:
    shown(browser, server, width=360)
    browser.value(
        "document.getElementById('streams-table-scroll').scrollLeft = 120;"
        "document.getElementById('values').open = true;"
        "document.getElementById('drift-details').open = false;"
        "getSelection().selectAllChildren(document.querySelector('#metrics .about'));"
        "document.querySelector('#metrics-table a').sign = 'the same'"
    )
    before = browser.value("document.querySelector('#streams-table tbody td:nth-child(4)').textContent")
    for place in ("streams-table-scroll", "values-summary"):
        browser.value(f"document.getElementById('{place}').focus({{ preventScroll: true }})")
        redrawn(browser, daemon)
        assert browser.value("document.activeElement.id") == place
    assert browser.value("document.querySelector('#streams-table tbody td:nth-child(4)').textContent") != before
    assert browser.value("document.getElementById('streams-table-scroll').scrollLeft") == 120
    assert browser.value("document.getElementById('values').open")
    assert not browser.value("document.getElementById('drift-details').open")
    assert browser.value("getSelection().toString().length") > 20
    assert browser.value("document.querySelector('#metrics-table a').sign") == "the same"


def test_only_a_change_of_what_fires_is_read_out(server: HttpServer, browser: Page, daemon: Daemon) -> None:
    shown(browser, server)
    browser.value(
        "window.said = 0; new MutationObserver(() => { window.said += 1 })"
        ".observe(document.querySelector('[role=status]'), { childList: true, subtree: true, characterData: true })"
    )
    redrawn(browser, daemon)
    redrawn(browser, daemon)
    assert browser.value("window.said") == 0
    daemon.view = replace(daemon.view, alerts=())
    redrawn(browser, daemon)
    until(browser, "window.said > 0")
    assert browser.value("document.querySelector('[role=status]').textContent") == "● nothing fires"


CONTRASTS = """(() => {
  const parse = (text) => { const m = text.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (e) => {
    for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; }
    return [255, 255, 255, 1];
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || e.tagName === "title" || e.closest("noscript, [hidden], option") || !e.getClientRects().length) continue;
    const s = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg"), ink = light(parse(svg ? s.fill : s.color));
    const paper = light(svg && s.paintOrder.startsWith("stroke") ? parse(s.stroke) : behind(e));
    found.push([(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), text.slice(0, 40)]);
  }
  return found;
})()"""
HALOS = """[...document.querySelectorAll('.heat text')].filter((t) => t.textContent === '!')
  .map((t) => getComputedStyle(t)).map((s) => s.paintOrder.startsWith('stroke') ? parseFloat(s.strokeWidth) : 0)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_what_is_behind_it(
    server: HttpServer, browser: Page, daemon: Daemon, scheme: str
) -> None:
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        shown(browser, server)
        browser.value("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        found = browser.value(CONTRASTS)
        assert len(found) > 200
        assert [each for each in found if each[0] < 4.5] == []
        halos = browser.value(HALOS)
        assert len(halos) >= 4
        assert min(halos) >= 3, "a mark on a red cell has paper around it"
    finally:
        browser.ask("Emulation.setEmulatedMedia", features=[])


def test_what_happened_is_told_by_shape_too(server: HttpServer, browser: Page) -> None:
    shown(browser, server)
    shapes = browser.value(
        "[...document.querySelectorAll('polygon.mark')].map((p) => {"
        " const n = p.getAttribute('points').split(/[ ,]/).map(Number);"
        " return [p.getAttribute('class'), n.map((v, i) => Math.round(v - n[i % 2])).join(' ')] })"
    )
    by_change: dict[str, set[str]] = {}
    for change, shape in shapes:
        by_change.setdefault(change, set()).add(shape)
    assert set(by_change) == {"mark firing", "mark resolved", "mark amended"}
    assert len(set.union(*by_change.values())) == 3
    assert "▼ firing, ▲ resolved, ◆ amended" in browser.value("document.getElementById('timeline').textContent")


def test_the_values_of_the_chart_are_a_table_too(server: HttpServer, browser: Page) -> None:
    shown(browser, server, "#metric=accuracy&segment=all")
    rows = browser.value(
        "[...document.querySelectorAll('#values-table tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert len(rows) == browser.value("document.querySelectorAll('#metrics .dot, #metrics .open').length") == 12
    assert rows[0][1:4] == ["0.643", "0.637 to 0.649", "1 204"]


ODD = (
    "constructor",
    "__proto__",
    "toString",
    "<img src=x onerror=alert(1)>",
    "\u202eevil",
    "a&model=b",
    "'\"><svg onload=alert(1)>",
)


def test_odd_names_in_the_address_or_from_records_are_names(server: HttpServer, browser: Page, daemon: Daemon) -> None:
    for odd in ODD:
        for name in ("model", "version", "segment", "window", "metric"):
            shown(browser, server, f"#{name}={quote(odd)}")
            assert browser.complaints == [], (name, odd)
            assert "undefined" not in browser.value("document.title")

    first = daemon.view

    def renamed(window: WindowView, odd: str) -> WindowView:
        series = SeriesKey(odd, odd, "all" if window.key.series.segment == "all" else odd)
        metrics = {**window.metrics, f"psi:{odd}": Estimate(0.5, None, None, 9)}
        return replace(window, key=structs.replace(window.key, series=series), metrics=metrics)

    for odd in ODD:
        windows = tuple(renamed(w, odd) for w in first.windows if w.key.series.version == "v1")
        models = (replace(first.models[0], name=odd),)
        alerts = tuple(replace(a, rule=odd, series=SeriesKey(odd, odd, "all")) for a in first.alerts)
        daemon.view = replace(first, windows=windows, models=models, alerts=alerts, namespace=odd)
        daemon.past = history(daemon.view)
        shown(browser, server, f"#model={quote(odd)}")
        redrawn(browser, daemon)
        assert browser.complaints == [], odd
        assert browser.value("document.querySelector('#models tbody tr td').textContent") == f"1 {odd}"
        assert browser.value("document.getElementById('metrics-table') !== null"), odd
        assert browser.value("document.querySelectorAll('img, svg svg, script:not([src])').length") == 0


def test_an_evaluator_that_is_none_any_more_is_said(server: HttpServer, browser: Page, daemon: Daemon) -> None:
    shown(browser, server)
    assert "not the evaluator now" not in browser.value("document.body.textContent")
    daemon.view = replace(daemon.view, evaluator=Evaluator(False, daemon.view.evaluator.tick_ms))
    redrawn(browser, daemon)
    assert "this process is not the evaluator now" in browser.value("document.querySelector('header').textContent")


def test_a_token_that_no_header_can_carry_is_a_wrong_one(daemon: Daemon, browser: Page, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary/7f3a9c+51d2e84%b60==")
    token = TokenFile(str(tmp_path / "token"))
    server = HttpServer("127.0.0.1", 0, lambda: daemon.snapshot, lambda: 0, token=token)
    server.start()
    try:
        browser.open(f"{server.url}/ui/")
        typed = "document.getElementById('token').value = '{}'; document.querySelector('#unlock button').click()"
        browser.value(typed.format("schlüssel-mit-umlaut"))
        until(
            browser,
            "sessionStorage.getItem('token') === null && document.getElementById('standing').textContent === 'locked'",
        )
        browser.value(typed.format("canary/7f3a9c+51d2e84%b60=="))
        until(browser, "document.getElementById('models') !== null")
    finally:
        server.stop()


def test_commands_that_the_page_names_are_there() -> None:
    folder = Path(package.__file__).parent
    text = "".join(path.read_text() for path in sorted(folder.glob("*.js"))) + (folder / "index.html").read_text()
    named = re.findall(r'"driftline ([a-z -]+)"|<code>driftline ([a-z -]+)</code>', text)
    assert len(named) >= 4
    for words in (" ".join(each).split() for each in named):
        command: Any = cli
        for word in words:
            command = command.get_command(None, word)
            assert command is not None, words
    assert "driftline-" not in text
