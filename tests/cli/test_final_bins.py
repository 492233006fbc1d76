"""An alert over a window that is final says which bins moved, and `explain` works its distance out of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.driving import driftline

HOUR_MS, START_MS = 3_600_000, 1_767_571_200_000
CONFIG = """
namespace: shops
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: $.at, score: $.score}
    features: {shop: categorical}
time: {lateness: LATENESS, disorder: 1m, tick: 1h}
models: [{name: m, reference: reference.json}]
windows: [1h]
explanations: true
rules:
  - {name: moved, metric: "psi:shop", op: ">", threshold: 0.5, window: 1h, min_rows: 50, severity: ticket, for: LASTS}
http: {port: 0}
"""


def lines(hours: int, turned_at: int) -> str:
    """100 predictions an hour: half of each shop, and from one hour on only of the second."""
    rows = []
    for i in range(hours * 100):
        hour = i // 100
        shop = "south" if hour >= turned_at or i % 2 else "north"
        rows.append(
            {"id": str(i), "at": START_MS + hour * HOUR_MS + i % 100 * 30_000, "score": 0.5, "features": {"shop": shop}}
        )
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("lateness", "lasts"),
    [
        ("1m", "0s"),  # a window is final in the tick that brings its rows
        ("10m", "2h"),  # what a rule waited for lies in windows that have become final meanwhile
    ],
)
def test_an_alert_over_a_final_window_says_which_bins_moved(tmp_path: Path, lateness: str, lasts: str) -> None:
    config, rows, log = tmp_path / "d.yaml", tmp_path / "p.jsonl", tmp_path / "log"
    config.write_text(CONFIG.replace("LATENESS", lateness).replace("LASTS", lasts))
    rows.write_text(lines(24, turned_at=12))
    where = ("-c", config, "--embedded", log)
    assert driftline("produce", "p", rows, "--embedded", log, "--partitions", 1, "-q").code == 0
    built = driftline("reference", "build", *where, "--first", 1200, "-o", tmp_path / "reference.json")
    assert built.code == 0, built.err
    ran = driftline("run", *where, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    (alert,) = driftline("alerts", "list", *where, "-o", "json").lines
    data = alert["data"]
    assert data["evidence"]["window"]["start_ms"] >= START_MS + 12 * HOUR_MS
    bins = data["explanation"]["bins"]
    assert {one["bin"]: (one["share"], one["reference"]) for one in bins} == {
        "'north'": (0.0, 0.5),
        "'south'": (1.0, 0.5),
    }
    told = driftline("explain", alert["id"], *where, "-q")
    assert told.code == 0, told.err
    assert "sum of (q - p) ln(q / p)" in told.out
