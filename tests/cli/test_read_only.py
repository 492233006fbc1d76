"""Commands that only look need no right to write into the folder of an embedded log."""

from __future__ import annotations

import pytest

from tests.adapters.strangers import lent
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline

LOOKING = (
    ("windows",),
    ("ledger", "cat"),
    ("ledger", "audit"),
    ("alerts", "list"),
    ("alerts", "tail", "--no-follow"),
    ("dlq", "list"),
    ("dlq", "replay", "--all", "--dry-run"),
    ("reference", "build", "--first", "100", "--output", "-"),
)


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_command_that_looks_needs_no_right_to_write(deployment: Deployment, command: tuple[str, ...]) -> None:
    expected = driftline(*command, *deployment.where)  # and what it imports on its way may be closed to others
    with lent(deployment.log, deployment.config) as folder:
        looked = driftline(*command, "-c", folder.parent / deployment.config.name, "--embedded", folder)
    assert (looked.code, looked.out) == (0, expected.out), looked.err
