from __future__ import annotations

import pytest

from monitor.demo import INCIDENTS
from tests.demo.playing import Played, played


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demo without an incident, whole: a month of flights, with the loop."""
    return played(tmp_path_factory.mktemp("quiet"), INCIDENTS["none"])
