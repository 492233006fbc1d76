"""Labels that come three days late and a change in one segment: the alert says since when and where, and is worked out again."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.driving import driftline
from tests.cli.test_explain_command import leaves

HOUR_MS = 3_600_000
START_MS = 1_699_920_000_000  # on a day
LATE_MS = 72 * HOUR_MS
HOURS, CHANGE = 9 * 24, 7 * 24 + 5
CHANGE_MS = START_MS + CHANGE * HOUR_MS

CONFIG = """
namespace: late
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}
    features: {shop: categorical}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 4d, lateness: 4d, disorder: 15m, max_jump: 30d, tick: 1h}
models: [{name: m, segments: {shop: [north, south, west]}}]
windows: WINDOWS
budget: {false_pages: 1, per: 30d, every: 1h, learn: 5d, season: none}
explanations: true
"""


@dataclass(frozen=True)
class Told:
    """The alert, what there was to be known, and where it is."""

    event: dict[str, Any]
    rows: list[tuple[int, str, bool]]  # at, shop, wrong
    where: tuple[object, ...]

    @property
    def data(self) -> dict[str, Any]:
        """Of the alert."""
        data: dict[str, Any] = self.event["data"]
        return data


def streams(folder: Path) -> list[tuple[int, str, bool]]:
    """Forty predictions an hour, one in ten wrong; from the change on every second one of the shop in the south."""
    rng, rows = random.Random(61), list[tuple[int, str, bool]]()
    predictions, labels = list[str](), list[tuple[int, str]]()
    for number in range(HOURS * 40):
        at, shop, called = START_MS + number * HOUR_MS // 40, rng.choice(("north", "south", "west")), rng.randint(0, 1)
        wrong = rng.random() < (0.5 if at >= CHANGE_MS and shop == "south" else 0.1)
        rows.append((at, shop, wrong))
        predictions.append(
            json.dumps(
                {"id": f"p{number}", "model": "m", "version": "1", "at": at, "score": 0.2 + 0.6 * called, "prediction": called,
                 "features": {"shop": shop}}
            )
        )  # fmt: skip
        label_at = at + LATE_MS + rng.randint(0, 30 * 60_000)
        labels.append((label_at, json.dumps({"id": f"p{number}", "at": label_at, "label": called ^ wrong})))
    (folder / "predictions.jsonl").write_text("\n".join(predictions) + "\n")
    (folder / "labels.jsonl").write_text("\n".join(line for _, line in sorted(labels)) + "\n")
    return rows


@pytest.fixture(scope="module", params=["[1h, 1d]", "[6h/1h]"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """From files to the alert, by commands alone. The first windows are the panes, the second ones overlap."""
    folder = tmp_path_factory.mktemp("late")
    rows = streams(folder)
    (folder / "d.yaml").write_text(CONFIG.replace("WINDOWS", request.param))
    for topic in ("predictions", "labels"):
        sent = driftline("produce", topic, folder / f"{topic}.jsonl", "--embedded", folder / "log", "-q")
        assert sent.code == 0, sent.err
    where = ("-c", folder / "d.yaml", "--embedded", folder / "log")
    ran = driftline("run", *where, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    events = driftline("alerts", "list", *where, "--all", "-o", "json").lines
    (firing,) = [event for event in events if event["data"]["state"] == "firing"]
    return Told(firing, rows, where)


def test_the_alert_says_since_when_by_the_predictions_not_by_their_labels(told: Told) -> None:
    data = told.data
    assert (data["rule"], data["severity"]) == ("budget-performance", "page")
    assert abs(data["since_ms"] - CHANGE_MS) <= 3 * HOUR_MS
    assert data["causes"][0]["since_ms"] == data["since_ms"]
    assert data["fired_ms"] > CHANGE_MS + LATE_MS, "nobody could know before"
    assert data["fired_ms"] <= CHANGE_MS + LATE_MS + 24 * HOUR_MS


def test_it_names_the_slice_and_what_it_is_compared_with(told: Told) -> None:
    why = told.data["explanation"]
    assert [part["segment"] for part in why["slices"]] == ["shop=south"]
    before = [wrong for at, _, wrong in told.rows if why["before_start_ms"] <= at < why["before_end_ms"]]
    assert (why["before_rows"], why["before_errors"]) == (len(before), sum(before)), "no row counts twice"
    assert why["before_end_ms"] <= told.data["since_ms"]
    (part,) = why["slices"]
    assert part["errors"] / part["rows"] > 2 * part["expected"]


def test_explain_works_it_out_again(told: Told) -> None:
    shown = driftline("explain", told.event["id"], *told.where, "-q", "-o", "json")
    assert shown.code == 0, shown.out + shown.err
    assert (shown.json["replayed"], shown.json["differs"]) == (True, [])
    numbers = {number["name"]: number for number in shown.json["numbers"]}
    assert all(number["agrees"] for number in numbers.values())
    assert {number["path"] for number in numbers.values()} >= set(leaves(told.data)), "every number of it"
    question = f"confusion, {told.data['causes'][0]['question']}"
    made = ("rows", "mean", "dispersion", "reference", "limit", "log_evidence", "share", "listed", "lower", "upper")
    assert all(numbers[f"{question}: {name}"]["inputs"] for name in made)
    assert numbers["an alarm, with its share of the budget"]["result"] is True
