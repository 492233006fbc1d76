"""`drift.pairs`: what may be written, and that nothing changes where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import load, loads
from tests.config.examples import MINIMAL, only_problem, problems

TEXT = """\
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {hour: numeric, origin: categorical, distance: numeric}
models:
  - {name: fraud, reference: f.json}
  - {name: other, reference: f.json, features: [hour]}
drift: {pairs: PAIRS}
rules:
  - {name: r, metric: "METRIC", op: ">", threshold: 0.1, window: 1d}
"""


def text(pairs: str, metric: str = "psi:hour") -> str:
    return TEXT.replace("PAIRS", pairs).replace("METRIC", metric)


def test_a_rule_may_name_a_pair_that_is_watched_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text("{}")
    path = tmp_path / "c.yaml"
    path.write_text(text("[[hour, origin]]", "dependence:hour~origin"))
    assert load([path]).drift.pair_names == ("hour~origin",)
    for metric in ("dependence:origin~hour", "dependence:hour"):
        (sentence,) = problems(text("[[hour, origin]]", metric))
        assert f"{metric!r} is not a metric; allowed: " in sentence
        assert "dependence:hour~origin" in sentence


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ("[[hour, hour]]", "drift.pairs[0]: 'hour' always goes together with itself; name two features"),
        ("[[hour, origin], [origin, hour]]", "the pair 'origin~hour' is named twice; the order of its features"),
        ("[[hour, minute]]", "drift.pairs[0][1]: 'minute' is not a feature of the stream; allowed: distance, hour"),
        ("[[hour]]", "drift.pairs[0]"),
    ],
)
def test_pairs_that_cannot_be_are_refused(pairs: str, sentence: str) -> None:
    assert sentence in only_problem(text(pairs))


def test_a_rule_about_a_pair_that_its_model_does_not_watch_is_refused() -> None:
    own = text("[[hour, origin]]", "dependence:hour~origin").replace("window: 1d", "window: 1d, model: other")
    assert "no model of this rule watches both features of the pair 'hour~origin'" in only_problem(own)


def test_pairs_change_what_windows_hold_and_none_leaves_the_digest_as_it_was() -> None:
    plain = loads(MINIMAL)
    assert loads(MINIMAL + "drift: {pairs: []}\n").digest == plain.digest
    assert "pairs" not in plain.document()
