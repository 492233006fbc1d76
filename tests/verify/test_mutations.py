"""A sample of the table of rules; and every mutation still fits the code that it changes."""

from __future__ import annotations

import pytest

from tests.verify.mutations import MUTATIONS, Mutation, caught_by, code_of, named

SAMPLE = {
    "a fence counts with a higher epoch": "the model: ",
    "the first genesis counts": "the model: ",
    "the label with the larger value wins at one time": "the simulation, seed 1: ",
    "a tick waits for the slowest partition": "the simulation, seed 5: ",
    "how many labels wait is a function of what is held": "the simulation, seed 0: ",
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rule)
def test_a_mutation_changes_its_function_and_puts_it_back(mutation: Mutation) -> None:
    function = code_of(mutation.function)
    before = function.__code__
    with mutation.applied():
        assert function.__code__ is not before
        assert function.__code__.co_name == before.co_name
    assert function.__code__ is before


@pytest.mark.parametrize("rule", SAMPLE)
def test_a_rule_that_is_gone_is_noticed(rule: str) -> None:
    found = caught_by(named(rule), seeds_max=3)
    assert found is not None
    assert found.startswith(SAMPLE[rule])
