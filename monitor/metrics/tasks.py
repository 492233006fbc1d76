"""Every kind of prediction there is, by the name that a configuration uses. Another kind is one more file and a line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from monitor.metrics.binary import BINARY
from monitor.metrics.task import Task

TASKS: Final[Mapping[str, Task]] = MappingProxyType({"binary": BINARY})
