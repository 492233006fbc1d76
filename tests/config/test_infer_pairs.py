"""Which pairs of features `init` proposes to watch: those that go together in the sample, and no others."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import loads
from monitor.config.infer import propose
from monitor.config.infer_pairs import LEAST_ROWS, _cramers_v
from tests.config.test_infer import START_MS, Made, sample


def trips(n: int, seed: int = 3) -> Made:
    """The fare follows the distance, the tariff the zone; the hour goes with nothing."""
    dice, predictions, labels = random.Random(seed), [], []
    for i in range(n):
        at, km, zone = START_MS + i * 5_000, round(dice.expovariate(0.1), 1), dice.choice(["inner", "outer", "airport"])
        features = {
            "km": km,
            "fare": round(3 + 2 * km + dice.gauss(0, 2), 2),
            "zone": zone,
            "tariff": {"inner": 1, "outer": 2, "airport": 3}[zone] if dice.random() < 0.9 else dice.randint(1, 3),
            "hour": dice.randrange(24),
        }
        predictions.append(
            sample(
                {
                    "id": f"t{i}",
                    "at": at,
                    "model": "late",
                    "version": "1",
                    "score": dice.random(),
                    "features": features,
                },
                at,
            )
        )
        labels.append(sample({"id": f"t{i}", "at": at + 60_000, "label": dice.randint(0, 1)}, at + 60_000))
    return predictions, labels


def proposed(made: Made) -> str:
    return propose(*made, predictions_topic="trips", labels_topic="arrivals")


def test_pairs_that_go_together_are_proposed_with_how_far() -> None:
    text = proposed(trips(600))
    config = loads(text)
    assert {frozenset(pair) for pair in config.drift.pairs} == {
        frozenset({"km", "fare"}),
        frozenset({"zone", "tariff"}),
    }
    assert "# features that go together in the sample (Cramér's V: " in text
    assert "hour" not in text.split("drift:")[1].split("rules:")[0]


def test_a_small_sample_proposes_none() -> None:
    text = proposed(trips(LEAST_ROWS - 1))
    assert "drift:" not in text
    assert loads(text).drift.pairs == ()


@pytest.mark.parametrize("seed", range(20))
def test_chance_alone_proposes_none(seed: int) -> None:
    made = trips(400, seed)
    dice = random.Random(seed)
    predictions = []
    for i, one in enumerate(made[0]):
        features = {f"x{k}": dice.randrange(9) for k in range(12)}
        predictions.append(
            sample({"id": f"t{i}", "at": one.timestamp_ms, "score": 0.5, "features": features}, one.timestamp_ms)
        )
    assert loads(proposed((predictions, made[1]))).drift.pairs == ()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=20, max_size=200))
def test_the_association_is_scipys(rows: list[tuple[int, int]]) -> None:
    from collections import Counter

    from scipy.stats import chi2_contingency

    table = np.zeros((5, 4))
    for one, other in rows:
        table[one, other] += 1
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    found, n = _cramers_v(Counter(rows), len(rows)), len(rows)
    r, c = table.shape
    if min(r, c) < 2:
        assert found == 0.0
        return
    phi = chi2_contingency(table, correction=False).statistic / n
    beyond = max(0.0, phi - (r - 1) * (c - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    assert found == pytest.approx(min(beyond / smaller, 1.0) ** 0.5, abs=1e-6)
