"""Gates: what a backtest must not show. `pages > 3`, `missed >= 1`, `recall@1d < 0.8`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from monitor.alerts.event import rfc3339
from monitor.config.suggest import hint, listing
from monitor.errors import MonitorError
from monitor.windows.view import Kind

_OPS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_GATE = re.compile(r"\s*([^\s<>=@]+)(?:@([^\s<>=]+))?\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*\Z")
SCORED: Final = ("missed", "false_alarms", "delay_hours")
"""Counts that there are only where incidents are known."""
COUNTED: Final = ("alerts", "pages", "tickets", "amended", *SCORED)
"""Names that are numbers of the whole backtest; every other name is a metric of windows."""
_FIELDS: Final = {
    "volume": (Kind.INPUT, "seen"),
    "seen": (Kind.PERFORMANCE, "seen"),
    "labelled": (Kind.PERFORMANCE, "labelled"),
    "coverage": (Kind.PERFORMANCE, "coverage"),
}
"""Metrics, as rules know them, that windows of a kind have as a field of their own."""


MIN_ROWS: Final = 100
"""Rows that a metric must rest on to be judged, as of a rule that does not say: one wrong of three is no recall of 0.67."""


class GateError(MonitorError):
    """A gate that cannot be read, or that asks for what there is not."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """`name op limit` must not hold. `window` limits a metric to windows of that name."""

    text: str
    name: str
    window: str
    op: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether what must not be, is."""
        return _OPS[self.op](value, self.limit)


class Broken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gate that failed: by which value, and for a metric by which window. No value: there is none, and that is the
    failure; `judged` is False where no window had one to judge by, or no incident was scored."""

    gate: str
    value: float | None
    where: str
    judged: bool = True


def gate_of(text: str) -> Gate:
    """Read a gate. Raises GateError."""
    match = _GATE.match(text)
    limit = _number(match[4]) if match else None
    if match is None or limit is None:
        raise GateError(
            f"gate {text!r} cannot be read; write NAME OP NUMBER, such as 'pages > 3' or 'recall@1d < 0.8', with one of "
            "< <= > >="
        )
    return Gate(text=text.strip(), name=match[1], window=match[2] or "", op=match[3], limit=limit)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def judge(
    gates: Iterable[Gate],
    counted: Mapping[str, float | None],
    windows: Iterable[Mapping[str, Any]],
    min_rows: int = MIN_ROWS,
    *,
    scored: bool = True,
) -> list[Broken]:
    """The gates that fail. A count that does not exist (`missed` without incidents) is an error, one without a value does
    not fail; but an incident that was missed has no end to its delay, so an upper limit of `delay_hours` fails. `scored`:
    whether an incident was; where none was, what gates on `missed` and `delay_hours` ask was not tried, and they fail. A metric
    fails by the worst final window of the segment `all` in which it has a value that rests on `min_rows` rows, and when there
    is none. Raises GateError for a name that no window has."""
    found, final = [], [w for w in windows if w["segment"] == "all"]
    for gate in gates:
        if gate.name in COUNTED:
            if gate.name not in counted:
                raise GateError(f"gate {gate.text!r}: {gate.name} needs --incidents FILE")
            if gate.name in ("missed", "delay_hours") and not scored:
                where = "the range, of which no incident of the file is"
                found.append(Broken(gate=gate.text, value=None, where=where, judged=False))
                continue
            value = counted[gate.name]
            missed = counted.get("missed") or 0
            if gate.name == "delay_hours" and missed and gate.op in (">", ">="):
                where = f"{missed:g} incident{'s' if missed != 1 else ''} that no alert found"
                found.append(Broken(gate=gate.text, value=None, where=where))
            elif value is not None and gate.holds(value):
                found.append(Broken(gate=gate.text, value=value, where="the whole range"))
            continue
        broken = _worst(gate, final, min_rows)
        if broken is not None:
            found.append(broken)
    return found


def metric_gates(gates: Iterable[Gate]) -> list[Gate]:
    """Those about metrics of windows."""
    return [gate for gate in gates if gate.name not in COUNTED]


def too_small(gates: Iterable[Gate], windows: Iterable[Mapping[str, Any]], min_rows: int) -> dict[str, int]:
    """How many windows have a value of a gate's metric that rests on fewer rows, by gate; those without any are left out."""
    final = [w for w in windows if w["segment"] == "all"]
    found = {}
    for gate in gates:
        valued = [w for w in _chosen(gate, final) if _value(w, gate.name) is not None]
        if small := sum(not _is_large(w, gate.name, min_rows) for w in valued):
            found[gate.text] = small
    return found


def _chosen(gate: Gate, windows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [w for w in windows if gate.window in ("", w["window"]) and _has(w, gate.name)]


def _is_large(window: Mapping[str, Any], name: str, min_rows: int) -> bool:
    """Whether a value rests on enough rows; counts are what they are."""
    return name in _FIELDS or window["metrics"][name]["rows"] >= min_rows


def _worst(gate: Gate, windows: list[Mapping[str, Any]], min_rows: int) -> Broken | None:
    chosen = _chosen(gate, windows)
    if not chosen:
        names = sorted({name for w in windows for name in w["metrics"]} | {w["window"] for w in windows})
        raise GateError(
            f"gate {gate.text!r}: no final window has {gate.name}"
            + (f" in windows of {gate.window}" if gate.window else "")
            + f". There are the counts {', '.join(COUNTED)}, and of these windows: {', '.join(names) or 'none at all'}"
        )
    values = [(_value(w, gate.name), w) for w in chosen]
    if all(value is None for value, _ in values):
        # A gate that nothing could be held to is not passed: labels that are read from a wrong field would keep it green.
        many = "the one window" if len(values) == 1 else f"all {len(values)} windows"
        return Broken(gate=gate.text, value=None, where=many, judged=False)
    large = [(value, w) for value, w in values if value is not None and _is_large(w, gate.name, min_rows)]
    if not large:
        most = max(w["metrics"][gate.name]["rows"] for value, w in values if value is not None)
        where = f"a window on {min_rows} rows: the largest has {most}; --min-rows says how many are enough"
        return Broken(gate=gate.text, value=None, where=where, judged=False)
    failing = [(value, w) for value, w in large if gate.holds(value)]
    if not failing:
        return None
    value, window = (min if gate.op in ("<", "<=") else max)(failing, key=lambda one: one[0])
    where = f"{window['model']}/{window['version']} {window['window']} from {rfc3339(window['start_ms'])}"
    return Broken(gate=gate.text, value=value, where=where)


def _has(window: Mapping[str, Any], name: str) -> bool:
    return window["kind"] == _FIELDS[name][0] if name in _FIELDS else name in window["metrics"]


def _value(window: Mapping[str, Any], name: str) -> float | None:
    found: float | None = window[_FIELDS[name][1]] if name in _FIELDS else window["metrics"][name]["value"]
    return found


def refuse_unknown(gates: Iterable[Gate], metrics: Sequence[str], windows: Sequence[str]) -> None:
    """Raise GateError for a gate on what no window of the configuration will have: `metrics` it counts, and names of its
    `windows`."""
    for gate in gates:
        if gate.window and gate.window not in windows:
            near = hint(gate.window, windows)
            raise GateError(
                f"gate {gate.text!r}: there are no windows {gate.window!r}{near}; there are: {listing(windows)}"
            )
        if gate.name in COUNTED:
            if gate.window:
                raise GateError(f"gate {gate.text!r}: {gate.name} is of the whole range; leave @{gate.window} out")
            continue
        if gate.name not in (*metrics, *_FIELDS):
            names = (*COUNTED, *dict.fromkeys((*_FIELDS, *metrics)))
            raise GateError(
                f"gate {gate.text!r}: {gate.name!r} is no count and no metric of final windows{hint(gate.name, names)}; there "
                f"are: {listing(names, 40)}"
            )
