"""Pairs through the whole daemon: a profile with them built by the command's own code, windows, a rule, the budget."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from monitor.config import Config, load
from monitor.drift.pairs import bins_of, dependence, groups_of, joint
from monitor.drift.reference import Column, FirstRows, Reference, build_reference
from monitor.errors import ReferenceProfileError
from monitor.plan import plan_of
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, sentences
from tests.simulation.test_budget import AFTER, BEAT_MS, CHANGE_MS, LEARN, START_MS, told
from tests.simulation.world import World, alerts, finals, topics, worker

CONFIG = """
namespace: one
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, withdrawn: $.withdrawn}}
    features: {{hue: categorical, size: numeric}}
  labels:
    topic: labels
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: 60s, max_jump: 30d, tick: 10s, idle_after: 30d}}
models: [{{name: m, reference: m.json{quality}}}]
drift: {{pairs: {pairs}}}
windows: [10m, 30s]
rules:
  - {{name: apart, metric: "dependence:hue~size", op: ">", threshold: 0.3, window: 10m, min_rows: 300}}
budget: {{false_pages: 1, per: 5h, every: 30s, learn: 40m, season: none, quiet: 10m}}
state: {{max_batch_rows: {rows}, commit_interval: 1ms}}
"""
HUES = ("blue", "green", "red")


def row(rng: random.Random, changed: bool) -> tuple[str | None, float]:
    """Red things are large and blue ones small, until it is the other way round; either alone stays what it was."""
    place = rng.randrange(3)
    other = 2 - place if changed else place
    return (None if rng.random() < 0.03 else HUES[place]), round(other + rng.gauss(0, 0.3), 3)


def reference(pairs: bool = True) -> Reference:
    rng = random.Random(11)
    rows = [row(rng, False) for _ in range(4_000)]
    columns: dict[str, Column] = {"hue": [hue for hue, _ in rows], "size": np.array([size for _, size in rows])}
    score = np.full(len(rows), 0.8)
    return build_reference("m", columns, score, FirstRows("p"), pairs=[("hue", "size")] if pairs else [])


@cache
def history() -> tuple[list[Prediction], list[Label]]:
    """Forty predictions a beat; some come twice or are taken back."""
    rng = random.Random(12)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range((LEARN + AFTER) * 40):
        at = START_MS + number * BEAT_MS // 40
        hue, size = row(rng, at >= CHANGE_MS)
        features = {**({} if hue is None else {"hue": hue}), "size": size}
        one = {"id": f"p{number}", "model": "m", "version": "1", "at": at, "score": 0.8, "segments": features}
        predictions.append(one)
        if number % 97 == 0:
            predictions.append({**one, "at": at + 1, "withdrawn": True})
        labels.append({"id": f"p{number}", "at": at + rng.randint(500, 30_000), "label": 1})
    return predictions, labels


def world(partitions: int = 1) -> World:
    def spread(records: list[Any]) -> list[list[Any]]:
        return [[r for r in records if int(r["id"][1:]) % partitions == p] for p in range(partitions)]

    predictions, labels = history()
    return topics(spread(predictions), spread(labels))


def config(
    folder: Path, rows: int = 1_000, pairs: str = "[[hue, size]]", quality: str = "", own: bool = True
) -> Config:
    (folder / "m.json").write_text(reference(own).dumps())
    path = folder / "driftline.yaml"
    path.write_text(CONFIG.format(rows=rows, pairs=pairs, quality=quality))
    return load([path])


@pytest.mark.parametrize(
    "quality", ["", ", quality: {features: {size: {min: -3, max: 5}, hue: {values: [red, blue]}}}"]
)
def test_windows_say_how_far_a_pair_is_from_the_reference_as_the_rows_do(tmp_path: Path, quality: str) -> None:
    log = world()
    worker(log, config(tmp_path, quality=quality)).run()
    predictions, _ = history()
    own = reference()
    gone = {p["id"] for p in predictions if p.get("withdrawn")}
    found = {}
    for value in finals(log, "one").values():
        window = orjson.loads(value)
        if window["kind"] == "input" and window["window"] == "10m" and window["segment"] == "all":
            found[window["start_ms"]] = window["metrics"]["dependence:hue~size"]
    assert len(found) > 8
    for start, metric in found.items():
        rows = [p["segments"] for p in predictions if start <= p["at"] < start + 600_000 and p["id"] not in gone]
        columns: tuple[Column, Column] = (
            [r.get("hue") for r in rows],
            np.array([r["size"] for r in rows]),
        )
        groups = [
            groups_of(profile.binning, profile.reference)[bins_of(profile.binning, column)]
            for profile, column in zip((own.features["hue"], own.features["size"]), columns, strict=True)
        ]
        expected = dependence(np.array(own.pairs["hue", "size"]), joint(*groups)[np.newaxis]).at(0)
        assert metric["rows"] == expected.rows
        assert metric["value"] == pytest.approx(expected.value, abs=1e-9)


def test_a_rule_and_the_budget_tell_of_a_pair_when_its_features_say_nothing(tmp_path: Path) -> None:
    log = world()
    worker(log, config(tmp_path)).run()
    events = [orjson.loads(value)["data"] for value in alerts(log, "one")]
    (ruled,) = [data for data in events if data["category"] == "rule" and data["state"] == "firing"]
    assert (ruled["rule"], ruled["evidence"]["metric"]) == ("apart", "dependence:hue~size")
    assert ruled["evidence"]["window"]["end_ms"] > CHANGE_MS
    (firing,) = [data for data in told(log) if data["state"] == "firing"]
    assert (firing["rule"], firing["severity"]) == ("budget-input", "ticket")
    assert firing["causes"][0]["channel"] == "hue~size"
    assert abs(firing["since_ms"] - CHANGE_MS) <= 2 * BEAT_MS
    assert [cause["channel"] for cause in firing["causes"] if cause["listed"]] == ["hue~size"]
    three = world(3)
    worker(three, config(tmp_path, rows=50)).run()
    assert alerts(three, "one") == alerts(log, "one")
    assert finals(three, "one") == finals(log, "one")
    assert sentences(prove(log, config(tmp_path)).differences) == []


def test_a_reference_without_the_pair_is_refused_with_advice(tmp_path: Path) -> None:
    own = config(tmp_path, own=False)
    with pytest.raises(ReferenceProfileError, match=r"does not say how 'hue' and 'size' go together\. Build it again"):
        plan_of(own)
