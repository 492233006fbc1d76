"""What `driftline init` proposes for who tries it on topics of their own: a model in an object, a rule that can fire soon."""

from __future__ import annotations

import pytest

from tests.config.test_infer import Made, happenings, payments, place, proposed, sample


def scored(every_s: int, owner: str = "ml", n: int = 400) -> Made:
    """Model and version in an object; a prediction every so many seconds."""
    predictions, labels = [], []
    for i, _, score, truth, _, _ in happenings(n):
        at = 1_700_000_000_000 + i * every_s * 1_000
        row = {"id": f"r{i}", owner: {"name": "fraud", "rev": "v7"}, "ts": at, "score": score}
        predictions.append(sample(row, at))
        labels.append(sample({"id": f"r{i}", "at": at + 1_000, "label": int(truth)}, at + 1_000))
    return predictions, labels


@pytest.mark.parametrize("owner", ["ml", "model", "modelInfo", "scorer"])
def test_a_model_in_an_object_is_found_by_its_name_there(owner: str) -> None:
    _, config = proposed(scored(60, owner))
    assert config.streams.predictions.fields.model == place(owner, "name")
    assert config.streams.predictions.fields.version == place(owner, "rev")
    assert [model.name for model in config.models] == ["fraud"]


def test_a_name_in_an_object_about_something_else_is_no_model() -> None:
    _, config = proposed(scored(60, "customer"))
    assert config.streams.predictions.fields.model != place("customer", "name")


@pytest.mark.parametrize(("every_s", "window"), [(1, "1h"), (10, "1d")])
def test_a_rule_waits_an_hour_where_an_hour_has_rows_enough_to_be_no_chance(every_s: int, window: str) -> None:
    text, config = proposed(scored(every_s))
    assert config.rules[0].window == window
    assert "a rule judges a window when it is over: for a first try add 5m" in text


def test_who_has_few_rows_is_not_told_of_windows_of_minutes() -> None:
    text, _ = proposed(payments())
    assert ("for a first try add 5m" in text) == ("windows: [1h, 1d]" in text)
