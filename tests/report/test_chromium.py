"""The page in a real browser: no error, no request, charts drawn, readable without scripts, printable."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from monitor.cli.report import page as renderer
from tests.report.chromium import Page
from tests.report.conftest import Report
from tests.report.test_page import HOSTILE, poisoned

FOREIGN = re.compile(r"^(?!data:|blob:|about:)")


def foreign(browser: Page, path: Path) -> list[str]:
    """What was asked for beside the page itself and what it holds."""
    return [url for url in browser.requests if FOREIGN.match(url) and url != path.resolve().as_uri()]


def fresh(browser: Page) -> Page:
    browser.requests.clear()
    browser.complaints.clear()
    return browser


@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_errors_or_requests_and_is_not_wider_than_the_window(
    report: Report, browser: Page, width: int
) -> None:
    fresh(browser).open(report.page, width)
    assert (browser.complaints, foreign(browser, report.page)) == ([], [])
    assert browser.value("document.documentElement.scrollWidth") <= width
    charts = browser.value("document.querySelectorAll('.chart').length")
    assert browser.value("document.querySelectorAll('.chart .main-svg').length") >= charts > 10
    assert browser.value("document.querySelector('.chart').clientWidth") > 0.8 * width
    assert browser.value("document.querySelector('.chart .main-svg').clientWidth") > 0.8 * width


def test_nothing_is_cut_on_a_narrow_page(report: Report, browser: Page) -> None:
    fresh(browser).open(report.page, 390)
    browser.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    cut = "[...document.querySelectorAll('.wide')].filter(d => d.scrollWidth > d.clientWidth + 1)"
    assert browser.value(f"{cut}.map(d => d.textContent.slice(0, 90))") == []
    heading = "getComputedStyle(document.querySelector('#first-incidents .cards td:nth-child(2)'), '::before').content"
    assert "incident" in browser.value(heading)
    titles = browser.value("document.querySelectorAll('.chart .gtitle').length")
    assert titles == 0, "titles stand above the drawings, where no legend can lie over them"


OUTSIDE = """[...document.querySelectorAll('.chart')].flatMap(chart => {
  const room = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('.main-svg text')].filter(text => {
    const own = text.getBoundingClientRect();
    return own.width > 0 && (own.left < room.left - 1 || own.right > room.right + 1 || own.bottom > room.bottom + 1);
  }).map(text => text.textContent);
})"""


@pytest.mark.parametrize("width", [360, 1280])
def test_long_names_take_no_room_from_what_they_name(report: Report, browser: Page, tmp_path: Path, width: int) -> None:
    long = {
        "distance": "distance_between_the_two_airports_in_miles_of_the_day",
        "low-recall": "low-recall-of-" + "a" * 50,
    }
    text = report.page.with_suffix(".json").read_text()
    for name, longer in long.items():
        text = re.sub(rf'(?<=[":~]){name}(?=["~])', longer, text)
    (tmp_path / "long.html").write_text(renderer.render(json.loads(text), charts=True))
    fresh(browser).open(tmp_path / "long.html", width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(OUTSIDE) == []
    drawn = browser.value("[...document.querySelectorAll('.chart [class*=tick] text')].map(text => text.textContent)")
    assert any("\u2026" in name for name in drawn) is (width == 360)
    assert any(long["low-recall"] in name for name in drawn) is (width == 1280)
    assert browser.complaints == []


def test_without_scripts_the_tables_are_there(report: Report, browser: Page) -> None:
    fresh(browser).open(report.page, scripts=False)
    assert foreign(browser, report.page) == []
    deadline, told = time.monotonic() + 60, list[str]()
    while not any("Charts need scripts, which are off here." in text for text in told):
        assert time.monotonic() < deadline, "it does not say that charts need scripts"
        told = browser.ask("DOMSnapshot.captureSnapshot", computedStyles=["display"])["strings"]
    assert any("snow of February" in text for text in told)


def pages(browser: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", browser.printed()))


def test_paper_has_what_is_folded_but_long_tables_only_when_they_are_unfolded(report: Report, browser: Page) -> None:
    fresh(browser).open(report.page)
    folded = "[...document.querySelectorAll('details%s')].filter(d => !d.open)"
    long, short = (browser.value(f"{folded % which}.length") for which in (".long", ":not(.long)"))
    assert long > 15
    assert short > 5
    few = pages(browser)
    assert few <= 20
    browser.value(f"{folded % ':not(.long)'}.forEach(d => {{ d.open = true; }})")
    assert pages(browser) == few, "what is short was on paper already"
    browser.value(f"{folded % '.long'}.forEach(d => {{ d.open = true; }})")
    assert pages(browser) > few + 15
    assert browser.complaints == []


def test_hostile_names_run_nothing(report: Report, browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(renderer.render(poisoned(report.json, "".join(HOSTILE)), charts=True), "utf-8", "replace")
    fresh(browser).open(path)
    assert (browser.complaints, foreign(browser, path)) == ([], [])
    assert browser.value("document.querySelectorAll('img, script:not([id])').length") == 2


def test_names_are_drawn_as_they_are_written(report: Report, browser: Page, tmp_path: Path) -> None:
    path, name = tmp_path / "quoted.html", 'O\'Brien "<b>" & sons'
    path.write_text(renderer.render(poisoned(report.json, name), charts=True), "utf-8")
    fresh(browser).open(path)
    drawn = browser.value("[...document.querySelectorAll('.legendtext')].map(e => e.textContent)")
    assert any(name in text for text in drawn), drawn
    assert not any("&amp;" in text or "&quot;" in text or "&#" in text for text in drawn)


def test_the_policy_would_stop_a_script_that_came_in(report: Report, browser: Page, tmp_path: Path) -> None:
    """The second lock, tried alone: what escaping lets through is refused."""
    path = tmp_path / "broken.html"
    path.write_text(
        report.html.replace("<main>", "<main><script>document.title = 'in'</script><img src='http://a.test/'>", 1)
    )
    fresh(browser).open(path)
    assert browser.value("document.title") != "in"
    assert any("Content Security Policy" in said for said in browser.complaints)
    assert "in" not in browser.value("document.title").split()
