"""A sample of the chaos on three nodes: every kind of fault once, and the checker finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kafka.fixtures import unavailable
from tests.kafka.jars import BrokerUnavailable
from tests.verify.chaos import run


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_a_few_faults_change_no_byte(tmp_path: Path) -> None:
    try:
        found, figures = run(faults=6, seed=1, minutes=None, folder=tmp_path, most=5_000)
    except BrokerUnavailable as error:
        unavailable(str(error))
    assert found == []
    assert figures["faults"] == 6
    happened = figures["of these"]
    assert isinstance(happened, dict)
    kinds = {name for name in happened if not name.startswith("(")}
    refused = figures["writes that the disk refused"]
    assert len(kinds) == 6 if isinstance(refused, int) else len(kinds) == 5, "each kind of fault once"
    assert not isinstance(refused, int) or refused > 0, "the disk was full, and somebody wanted to write"
