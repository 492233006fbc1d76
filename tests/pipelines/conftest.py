"""The small deployment of the command line's tests, for what reads a monitor's topics."""

from __future__ import annotations

from tests.cli.conftest import deployment

__all__ = ["deployment"]
