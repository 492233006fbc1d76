"""Predictions with all that can be wrong with a feature, and what a plain recount says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import orjson
from hypothesis import strategies as st

from monitor.config import Config, loads
from monitor.ports import OutRecord, TopicSpec
from tests.simulation.world import World

START = 1_700_000_000_000
WINDOW_MS = 50_000
SECRETS = ("Ziegenpeter", 987654.321)
"""Values that must not be found anywhere behind the windows."""
LOW, HIGH = 0, 6000
CARRIERS = ("AA", "DL")

TEXT = """
namespace: {namespace}
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}}
    features: {{distance: numeric, carrier: categorical, hour: numeric}}
  labels: {{topic: labels, fields: {{id: $.id, at: $.at, label: $.label}}}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: 400s, max_jump: 30d, tick: 10s, idle_after: {idle}}}
models:
  - name: m
    quality: {quality}
  - {{name: n}}
windows: [50s]
state: {{max_batch_rows: {rows}, commit_interval: 1ms}}
"""
QUALITY = """
      {features: {distance: {min: 0, max: 6000, missing: {at_most: 0.3}, out_of_range: {at_most: 0.2}},
      carrier: {values: [AA, DL], missing: {at_most: 0.3}}}, volume: {at_least: 4}, freshness: {at_most: 70s}, min_rows: 3}"""


def config(namespace: str = "one", rows: int = 1_000, quality: str = QUALITY, idle: str = "30d") -> Config:
    """The deployment's configuration."""
    return loads(TEXT.format(namespace=namespace, rows=rows, quality=quality, idle=idle))


Absent = Literal["absent"]
distances = st.one_of(
    st.sampled_from([0, 6000, 12.5, True, None, "absent", "far", {"a": 1}, -1, 6000.5, SECRETS[1]]),
    st.integers(1, 5000),
)
carriers = st.sampled_from(["AA", "AA", "DL", "ZZ", 7, None, "absent", {"a": 1}, [1], SECRETS[0]])
records = st.lists(
    st.builds(
        lambda at, i, model, version, distance, carrier: {
            "id": f"{i}", "model": model, "version": version, "at": START + at * 1000, "score": 0.9,
            "features": {k: v for k, v in (("distance", distance), ("carrier", carrier)) if v != "absent"},
        },
        st.integers(0, 300), st.integers(0, 40), st.sampled_from("mmn"), st.sampled_from("12"), distances, carriers,
    ),
    max_size=60,
)  # fmt: skip


def split(rows: Sequence[dict[str, Any]], n: int = 2) -> list[list[dict[str, Any]]]:
    """By id, as a producer's partitioner would."""
    logs: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    for row in rows:
        logs[int(row["id"]) % n].append(row)
    return logs


def topics(logs: Sequence[Sequence[dict[str, Any]]]) -> World:
    """A log that holds the predictions, and no labels."""
    log = World()
    log.ensure(TopicSpec("labels", len(logs)))
    log.ensure(TopicSpec("predictions", len(logs)))
    appender = log.appender()
    for partition, rows in enumerate(logs):
        for row in rows:
            appender.append("predictions", partition, OutRecord(orjson.dumps(row)))
    return log


def kinds(features: dict[str, Any]) -> list[str]:
    """What is wrong with a row of model m, in plain Python."""
    found = []
    distance, carrier = features.get("distance"), features.get("carrier")
    if distance is None:
        found.append("missing:distance")
    elif not isinstance(distance, (int, float)):
        found.append("wrong_type:distance")
    elif distance < LOW:
        found.append("below_min:distance")
    elif distance > HIGH:
        found.append("above_max:distance")
    if carrier is None:
        found.append("missing:carrier")
    elif isinstance(carrier, (dict, list)):
        found.append("wrong_type:carrier")
    elif str(carrier) not in CARRIERS:
        found.append("unexpected:carrier")
    return found


def recount(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, int], dict[str, int]]:
    """(version, start of window) -> counts of model m. No id comes twice in one version."""
    found: dict[tuple[str, int], Counter[str]] = {}
    for row in rows:
        if row["model"] == "m":
            counts = found.setdefault((row["version"], row["at"] // WINDOW_MS * WINDOW_MS), Counter())
            counts.update(["seen", *kinds(row["features"])])
    return {key: dict(counts) for key, counts in found.items()}
