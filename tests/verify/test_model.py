"""Small models hold, and are large enough to see a rule that is gone."""

from __future__ import annotations

import pytest

from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import Commit, Record
from tests.verify import model
from tests.verify.model import SMALL, Bounds, Model

SAMPLES = [Bounds(log=4, flying=1), *(pytest.param(bounds, marks=pytest.mark.slow) for bounds in SMALL)]


@pytest.mark.parametrize("bounds", SAMPLES, ids=["smallest", "careful", "careless"])
def test_whatever_two_writers_do_only_commits_on_what_counted_count(bounds: Bounds) -> None:
    found = Model(bounds).explore()
    assert found.violation is None
    assert found.states > 5_000
    assert found.accepted > 20


def test_a_reader_that_takes_whatever_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gullible(state: FoldState, record: Record, raw: bytes) -> tuple[FoldState, Verdict]:
        if isinstance(record, Commit) and state.genesis is not None:
            return FoldState(
                state.genesis, state.epoch, state.owner, record.sequence, record.predictions[1]
            ), Verdict.ACCEPTED
        return fold(state, record, raw)

    monkeypatch.setattr(model, "fold", gullible)
    found = model.violation()
    assert found is not None
    assert "Commit(" in found
