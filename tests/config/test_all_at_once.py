"""Every mistake is told at once: of any two, each is told beside the other, unless one rests on the other."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest

from tests.config.examples import FULL, problems

VALUES = {
    "time.tick": ("tick: 1m", "tick: 1mm"),
    "time.idle_after": ("idle_after: 30s", "idle_after: never"),
    "time.disorder": ("disorder: 2m", "disorder: x"),
    "namespace": ("namespace: payments", "namespace: 'pay ments'"),
    "streams.predictions.max_bytes": ("max_bytes: 64KiB", "max_bytes: big"),
    "streams.predictions.features.hour": ("hour: numeric", "hour: number"),
    "streams.labels.absent.after": ("after: 7d", "after: soon"),
    "models[0].threshold": ("threshold: 0.25", "threshold: 1.5"),
    "models[0].positive": ("positive: 1", "positive: one"),
    "unlisted_models.task": ("task: binary, threshold: 0.5", "task: binry, threshold: 0.5"),
    "windows[0]": ("windows: [1d, 1h", "windows: [hourli, 1d, 1h"),
    "rules[0].threshold": ("threshold: 0.4", "threshold: x"),
    "rules[0].min_rows": ("min_rows: 200", "min_rows: -1"),
    "rules[0].for": ("for: 2h", "for: ever"),
    "rules[1].name": ("name: quiet, ", ""),
    "rules[1].threshold": ("threshold: 10, window: 1h", "window: 1h"),
    "http.port": ("port: 0", "port: 99999"),
}
BETWEEN = {
    "time.lateness": ("lateness: 1d", "lateness: 1m"),
    "streams.labels.topic": ("topic: truth", "topic: scores"),
    "models[0].features[0]": ("features: [hour, origin]", "features: [hours, origin]"),
    "models[0].segments.dest": ("segments: {origin: [EWR, LGA]}", "segments: {origin: [EWR, LGA], dest: [x]}"),
    "rules[0].metric": ("metric: recall", "metric: recal"),
    "rules[0].window": ("window: 24h/1h", "window: 3d"),
    "rules[1].window": ("window: 1h}", "window: 2d}"),
    "rules[1].min_coverage": ("metric: volume", "min_coverage: 0.5, metric: volume"),
    "rules[2].metric": ('"missing:origin"', '"missing:orign"'),
    "rules[2].segments[0]": ("origin=EWR", "origin=JFK"),
}
RESTS_ON = {("time.lateness", "time.disorder")}
"""What cannot be told before the other is mended."""

MISTAKES = VALUES | BETWEEN


@cache
def told(*places: str) -> frozenset[str]:
    """The places of which something is told when these mistakes are made."""
    text = FULL
    for place in places:
        old, new = MISTAKES[place]
        assert old in text
        text = text.replace(old, new, 1)
    return frozenset(problem.split(": ")[1] for problem in problems(text))


@pytest.mark.parametrize("place", MISTAKES)
def test_a_mistake_alone_is_told_at_its_place(place: str) -> None:
    assert told(place) == {place}


PAIRS = [pair for pair in combinations(MISTAKES, 2) if not {pair, pair[::-1]} & RESTS_ON]


@pytest.mark.parametrize("place", MISTAKES)
def test_no_mistake_hides_another(place: str) -> None:
    hidden = {pair: set(pair) - told(*pair) for pair in PAIRS if place == pair[0]}
    assert {pair: lost for pair, lost in hidden.items() if lost} == {}


def test_what_rests_on_a_broken_value_waits_for_it() -> None:
    for place, on in RESTS_ON:
        assert told(place, on) == {on}


def test_all_of_them_are_told_at_once() -> None:
    every = set(MISTAKES) - {place for place, _ in RESTS_ON}
    assert told(*sorted(every)) == every


def test_a_name_that_a_broken_one_may_have_been_meant_to_be_is_not_called_unknown() -> None:
    text = FULL.replace("windows: [1d, 1h, {", "windows: [1d, 1hh, {").replace("origin: {from", "'ori gin': {from")
    found = {problem.split(": ")[1] for problem in problems(text)}
    assert "rules[1].window" not in found
    assert "models[0].features[1]" not in found
    assert {"windows[1]", "streams.predictions.features.ori gin"} <= found


def test_what_is_wrong_whatever_the_model_is_told_beside_an_unknown_model() -> None:
    text = FULL.replace("unlisted_models: {task: binary, threshold: 0.5}", "unlisted_models: reject")
    text = text.replace("model: fraud", "model: fraude").replace("threshold: 0.4", "threshold: 40")
    assert {problem.split(": ")[1] for problem in problems(text)} == {"rules[0].model", "rules[0].threshold"}
