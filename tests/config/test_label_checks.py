"""Labels of alerts hold no password."""

from __future__ import annotations

import pytest

from monitor.config import loads, recorded
from tests.config.examples import FULL, only_problem

PAGE = "https://ada:canary@wiki.example/page?x=1"


@pytest.mark.parametrize(
    ("old", "where"),
    [("labels: {owner: team-x", "labels.owner"), ("    labels: {owner: team-fraud}\n", "models[0].labels.owner")],
)
def test_an_address_with_a_password_is_a_mistake_that_does_not_show_it(old: str, where: str) -> None:
    assert old in FULL
    said = only_problem(
        FULL.replace(old, old.partition("{")[0] + f"{{owner: '{PAGE}'" + ("}\n" if "\n" in old else ""), 1)
    )
    assert f"{where}: '...@wiki.example/page' holds credentials" in said
    assert "canary" not in said
    assert "ada" not in said


@pytest.mark.parametrize(
    "fine", ["https://wiki.example/page", "mailto:ada@example.org", "team: a, mail b@c", "https://x/@a:b@c"]
)
def test_what_is_no_password_is_none(fine: str) -> None:
    assert loads(FULL.replace("{owner: team-x", f"{{owner: '{fine}'", 1)).labels["owner"] == fine


def test_a_configuration_that_was_in_force_is_read_as_it_was() -> None:
    text = loads(FULL).document().replace('"team-x"', f'"{PAGE}"', 1)
    assert recorded(text.encode()).labels["owner"] == PAGE
