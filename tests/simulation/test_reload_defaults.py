"""What a changed file says of keys that nobody wrote."""

from __future__ import annotations

import pytest

from tests.simulation.test_reload import BASE, Deployment, Files, d

__all__ = ["d"]


@pytest.mark.parametrize(("stalled", "complaints"), [("", 1), (", stalled_after: 80s", 2)])
def test_a_default_that_follows_what_cannot_be_changed_is_no_complaint_of_its_own(
    d: Deployment, stalled: str, complaints: int
) -> None:
    files = Files(BASE.replace(", stalled_after: 60s", ""))
    worker = d.start(files)
    d.step(8)
    files.text = files.text.replace("horizon: 100s", f"horizon: 90s{stalled}")
    d.step(4)
    assert worker.reloads is not None
    assert len(worker.reloads.complaints) == complaints, worker.reloads.complaints
    assert worker.reloads.complaints[0].startswith("time.horizon (1m40s -> 1m30s) gives rows another meaning")
