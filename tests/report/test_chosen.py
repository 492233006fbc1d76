"""Of thousands of models a page shows those with something to see, and says by which rule; the JSON has all."""

from __future__ import annotations

import re
from typing import Any

from monitor.cli.report import sections
from monitor.cli.report.charts import Charts
from monitor.cli.report.chosen import ALERTS_MAX, FEATURES_MAX, MODELS_MAX, SERIES_MAX, chosen, earliest
from monitor.cli.report.nodes import At

HOUR_MS = 3_600_000


def series(model: str, seen: int, segment: str = "all", version: str = "1") -> dict[str, Any]:
    """Two windows of performance."""
    columns = {name: [None, 0.5] for name in ("value", "lower", "upper", "rows", "reason")}
    return {
        "model": model, "version": version, "segment": segment, "window": "1h", "kind": "performance",
        "start_ms": [0, HOUR_MS], "end_ms": [HOUR_MS, 2 * HOUR_MS], "seen": [seen, seen], "labelled": [0, 0],
        "coverage": [None, 0.0], "metrics": {"accuracy": columns}, "shown": ["accuracy"],
    }  # fmt: skip


def alert(model: str, segment: str = "all", fired_ms: int = 0) -> dict[str, Any]:
    return {
        "fired_ms": fired_ms, "resolved_ms": None, "reason": "sustained", "severity": "page", "rule": "r", "model": model,
        "version": "1", "segment": segment, "value": 0.5, "threshold": 0.6, "amended": 0,
        "summary": "accuracy is low",
    }  # fmt: skip


def run(own: list[dict[str, Any]], alerts: list[dict[str, Any]]) -> At:
    return At({"series": own, "alerts": alerts, "begin_ms": 0, "end_ms": 2 * HOUR_MS, "incidents": None}, "/first")


def titles(html: str) -> list[str]:
    """What the tables of series are called."""
    return [re.sub("<[^>]*>", "", title) for title in re.findall("<summary>(.*?)</summary>", html)]


def test_a_page_of_thousands_shows_models_with_alerts_then_those_with_most_predictions() -> None:
    own = [series(f"m{i:04}", seen=i) for i in range(2_000)]
    html = sections.windows(run(own, [alert("m0003"), alert("m0007"), alert("m0007")]), "performance", Charts(True))
    names = [title.split()[0] for title in titles(html)]
    assert names == ["m0003", "m0007", *(f"m{i:04}" for i in range(2_000 - (MODELS_MAX - 2), 2_000))]
    said = "those with most alerts, then those with most predictions. The JSON has all."
    assert f"<p>Shown are {MODELS_MAX} of 2,000 models, by window: {said}</p>" in html
    assert html.count("<figure>") == MODELS_MAX


def test_of_many_versions_and_segments_all_rows_come_first_then_those_with_alerts() -> None:
    own = [
        *(series("m", 9, version=str(v)) for v in range(3)),
        *(series("m", i, segment=f"s={i:03}") for i in range(200)),
    ]
    html = sections.windows(run(own, [alert("m", "s=005")]), "performance", Charts(False))
    found = titles(html)
    assert len(found) == SERIES_MAX
    assert [title.partition(",")[0] for title in found[:3]] == ["m 0", "m 1", "m 2"]
    assert "s=005" in found[3]
    assert "s=199" in found[-1]
    assert f"Shown are {SERIES_MAX} of 203 versions and segments" in html


def test_few_are_all_shown_and_nothing_is_said() -> None:
    html = sections.windows(run([series(f"m{i}", 1) for i in range(MODELS_MAX)], []), "performance", Charts(False))
    assert len(titles(html)) == MODELS_MAX
    assert "Shown are" not in html


def test_of_many_alerts_the_first_are_in_the_table() -> None:
    html = sections.alerts(run([], [alert("m", fired_ms=i) for i in range(ALERTS_MAX + 1)]))
    assert html.count("<tr>") == ALERTS_MAX + 1
    assert f"Shown are the first {ALERTS_MAX} of {ALERTS_MAX + 1} alerts. The JSON has all." in html


def test_distributions_are_of_versions_with_alerts_first() -> None:
    side = {"rows": 1, "counts": [1], "share": [1.0]}
    document = {
        "distributions": [
            {"model": f"m{i}", "version": "1", "feature": "f", "bins": ["a"], "reference": side, "current": side}
            for i in range(500)
        ],
        "alerts": [alert("m499")],
    }
    html = sections.distributions(At(document, "/first"), Charts(False))
    assert html.count('class="cell"') == FEATURES_MAX
    assert "m499" in html
    assert f"Shown are {FEATURES_MAX} of 500 features of versions" in html


def test_what_is_kept_stands_in_its_order() -> None:
    kept, note = chosen([3, 1, 4, 1, 5], 3, lambda value: value, "numbers")
    assert (kept, "3 of 5 numbers" in note) == ([3, 4, 5], True)
    assert chosen([3, 1], 2, lambda value: value, "numbers") == ([3, 1], "")
    assert earliest([3, 1], 2, "numbers") == ([3, 1], "")
