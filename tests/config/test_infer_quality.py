"""What a sample says of the data, as limits with a margin."""

from __future__ import annotations

from typing import Any

from monitor.config import loads
from monitor.config.infer import Sample, propose
from monitor.config.quality import AtMost, Quality
from tests.config.test_infer import HOUR, START_MS, sample


def flights(n: int = 400, hours: int = 1, **strange: Any) -> list[Sample]:
    """A prediction every now and then, over so many hours."""
    step = hours * HOUR // n
    rows = []
    for i in range(n):
        features = {"distance": 80 + 37 * i % 5000, "carrier": ["AA", "DL", "UA"][i % 3], "gust": i % 7 or None}
        features |= {name: values[i] for name, values in strange.items() if i < len(values)}
        value = {
            "id": f"{i}",
            "model": "m",
            "version": "1",
            "at": START_MS + i * step,
            "score": 0.5,
            "features": features,
        }
        rows.append(sample(value, START_MS + i * step))
    return rows


def quality_of(rows: list[Sample]) -> tuple[str, Quality]:
    text = propose(rows, None, predictions_topic="p")
    quality = loads(text).models[0].quality
    assert quality is not None
    return text, quality


def test_limits_of_the_data_are_proposed_with_a_margin_and_with_what_was_seen() -> None:
    text, quality = quality_of(flights())
    distance, carrier, gust = (quality.features[name] for name in ("distance", "carrier", "gust"))
    assert (distance.min, distance.missing) == (0, AtMost(at_most=0.01))
    assert distance.max is not None
    assert 5079 < distance.max <= 8000
    assert carrier.values == ("AA", "DL", "UA")
    assert gust.missing == AtMost(at_most=0.3), "twice what is missing now, and one percent"
    assert "# seen between 0 and 6000; without a value in 0 of 400 records\n        distance: {min: 0" in text
    assert "# 3 values seen; without a value in 0 of 400 records\n        carrier: {values" in text
    assert "without a value in 58 of 400 records\n        gust: {min" in text


def test_values_below_zero_have_a_margin_too() -> None:
    low = quality_of(flights(distance=[-50.0]))[1].features["distance"].min
    assert low is not None
    assert low < -2000


def test_a_list_of_values_that_is_not_complete_is_not_made() -> None:
    many = [f"carrier {i % 60}" for i in range(400)]
    assert quality_of(flights(carrier=many))[1].features["carrier"].values is None
    _, quality = quality_of(flights(carrier=["9E"]))
    assert quality.features["carrier"].values == ("9E", "AA", "DL", "UA")
    assert quality.features["carrier"].unexpected == AtMost(at_most=0.02), "one in 400 came once: there may be others"


def test_a_small_sample_proposes_nothing() -> None:
    assert loads(propose(flights(50), None, predictions_topic="p")).models[0].quality is None


def test_traffic_is_proposed_only_where_the_sample_saw_a_day() -> None:
    text, quality = quality_of(flights(hours=1))
    assert (quality.volume, quality.freshness) == (None, None)
    assert "# freshness: {at_most: 15m}" in text
    _, quality = quality_of(flights(hours=72))
    assert quality.volume is not None
    assert (quality.volume.at_least, quality.volume.window) == (33, "1d"), "a quarter of 400 in three days"
    assert quality.freshness is not None
    assert quality.freshness.at_most_ms == HOUR


def test_what_was_sampled_at_both_ends_says_nothing_of_what_lies_between() -> None:
    rows = flights(200, hours=1)
    later = [
        Sample(s.key, (s.value or b"").replace(b"17600", b"17609"), s.headers, s.timestamp_ms + 900_000_000)
        for s in rows
    ]
    _, quality = quality_of(rows + later)
    assert quality.volume is None


def test_what_is_no_record_lacks_no_value() -> None:
    broken = [sample("not JSON", START_MS + i) for i in range(20)]
    text, quality = quality_of([*flights(), *broken])
    assert "20 of 420 sampled records are not JSON objects" in text
    assert quality.features["distance"].missing == AtMost(at_most=0.01)
    assert "without a value in 0 of 400 records" in text


def test_each_model_has_the_traffic_and_the_limits_of_its_own_records() -> None:
    rows = flights(1_200, 72)
    text = propose([*rows, *small_model(240, 72)], None, predictions_topic="p")
    busy, quiet = loads(text).models
    assert (busy.name, quiet.name) == ("m", "small")
    assert busy.quality is not None
    assert quiet.quality is not None
    assert busy.quality.volume is not None
    assert quiet.quality.volume is not None
    assert busy.quality.volume.at_least == 100, "a quarter of 400 a day"
    assert quiet.quality.volume.at_least == 20, "a quarter of 80 a day"
    assert quiet.quality.features["distance"].max == 15


def small_model(n: int, hours: int) -> list[Sample]:
    step = hours * HOUR // n
    return [
        sample(
            {
                "id": f"s{i}",
                "model": "small",
                "version": "1",
                "at": START_MS + i * step,
                "score": 0.5,
                "features": {"distance": i % 11, "carrier": "AA", "gust": 1},
            },
            START_MS + i * step,
        )
        for i in range(n)
    ]
