"""What every test folder shares: the Kafka fixtures, the order of the tests, hypothesis' settings."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka.fixtures import fresh_topics, kafka, own_kafka

__all__ = ["fresh_topics", "kafka", "own_kafka"]

KAFKA_FIXTURES = {"kafka", "fresh_topics", "own_kafka"}
LONGEST_FILES = {"test_chromium.py", "test_faults.py", "test_rolling.py", "test_scripted.py"}
KAFKA_TIMEOUT_SECS = 900
"""The longest takes 90 s on an idle machine, and each wait in them has a limit of its own that says what did not come."""

# No deadline: two cores are shared by everything that runs. CI repeats the same cases each time, so that a red run is a
# changed program; people and `make verify` draw new ones, and a hundred of them where a law does not say how many.
settings.register_profile("people", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("people"), derandomize=True, database=None, max_examples=40)
settings.load_profile("ci" if os.environ.get("CI") else "people")


class _Left:
    """In place of `gc` for workers that run in this process. They collect once each and every five seconds of their clock, and
    unfreeze when they end: with what a whole run of pytest holds, each of those thousands of collections took a second."""

    @staticmethod
    def collect() -> int:
        return 0

    disable = enable = freeze = unfreeze = collect


@pytest.fixture(autouse=True, scope="session")
def garbage_is_left_to_the_interpreter() -> Iterator[None]:
    """See `_Left`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitor.daemon.worker.gc", _Left)
        yield


@pytest.fixture(autouse=True)
def logging_is_as_it_was() -> Iterator[None]:
    """Commands that are driven in this process set the root logger up, and import-linter disables every logger there is; either
    would hold for every later test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.disabled = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a broker, and run the quick tests first: a mistake that needs no broker is told without one. The longest
    files of each kind begin it: one process that has such a file left at the end is waited for by the others."""
    for item in items:
        if KAFKA_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)
        if item.get_closest_marker("kafka") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(KAFKA_TIMEOUT_SECS))
    items.sort(key=lambda item: [
        *(item.get_closest_marker(name) is not None for name in ("slow", "kafka")),
        item.path.name not in LONGEST_FILES,
    ])  # fmt: skip


def pytest_collection_finish() -> None:
    """What the tests are made of stays until the end: no collection of garbage needs to look through it."""
    gc.collect()
    gc.freeze()
