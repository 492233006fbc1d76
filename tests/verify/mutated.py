"""A pytest plugin: the whole session runs under the mutation that the environment names."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

_stack = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    from tests.verify.mutations import VARIABLE, named

    _stack.enter_context(named(os.environ[VARIABLE]).applied())


def pytest_unconfigure(config: pytest.Config) -> None:
    _stack.close()
