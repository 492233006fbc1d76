"""The texts of the exposition: names with labels, numbers, headers."""

from __future__ import annotations

import math

from monitor.alerts.event import LAST_MS
from monitor.telemetry import BY_NAME, FAMILIES, NAMESPACE_LABEL, PREFIX, Family, Type


def prefix(namespace: str, name: str, values: tuple[str, ...]) -> str:
    """`driftline_name{label="value",...} `, with the labels the catalogue says in its order."""
    family = BY_NAME[PREFIX + name]
    pairs = zip((NAMESPACE_LABEL, *family.labels), (namespace, *values), strict=True)
    labels = ",".join(f'{label}="{escape(value)}"' for label, value in pairs)
    return f"{PREFIX}{name}{{{labels}}} "


def escape(value: str) -> str:
    """A label value between its quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def number(value: float) -> str:
    """A sample value as both formats write it."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def seconds(at_ms: int) -> float:
    """Seconds of a time; the clocks of an ended input stand at infinity."""
    return math.inf if at_ms >= LAST_MS else at_ms / 1_000


def _header(family: Family) -> bytes:
    kind = "gauge" if family.type is Type.INFO else str(family.type)
    return f"# HELP {family.full_name} {family.help}\n# TYPE {family.full_name} {kind}\n".encode()


def _openmetrics_header(family: Family) -> bytes:
    name = family.full_name.removesuffix("_total").removesuffix("_info")
    unit = f"# UNIT {name} {family.unit}\n" if family.unit else ""
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n{unit}".encode()


HEADERS = {family.name: _header(family) for family in FAMILIES}
OPENMETRICS_HEADERS = {family.name: _openmetrics_header(family) for family in FAMILIES}
