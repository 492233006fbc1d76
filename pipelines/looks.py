"""What looks at a shadow or a probation counted and said: `looks/RUN`, beside the journal of the run, entry n the n-th kept.

A look decides nothing until it ends the run, so the journal has none of them: whoever waits for weeks would fill it. Nothing
here decides anything either. No claim is needed to keep a look, a look that is not kept is missed by nobody but people, and
of looks that follow within the time between two (another worker's, a process that was started again) the first is enough.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pipelines.codec import decode, encode
from pipelines.errors import FormatError
from pipelines.gate import GateReport, Goal, Outcome
from pipelines.log import append_to
from pipelines.ports import Store
from pipelines.states import State

ROOT: Final = "looks"
FORMAT: Final = 1
_LATEST_MS: Final = 253_402_300_799_999


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One look. All numbers are of the time since the state began.

    `labelled`: predictions of the version that serves whose label is known; `paired`: those of them that have a score by both
    versions, of which `needed` are asked for; `newest_ms`: when the newest of them was predicted, None where that was not asked.
    `difference` is the mean loss of the version that was there first, minus that of the new one, `lower` and `upper` bounds on it
    that hold at every look; `asked`: a lower one above it is enough, an upper one that is not ends it. None without a report.
    """

    format: int
    state: State
    at_ms: int
    next_ms: int
    labelled: int
    paired: int
    needed: int
    newest_ms: int | None
    outcome: Outcome | None
    difference: float | None
    lower: float | None
    upper: float | None
    asked: float | None
    detail: str


def look(
    state: State, at_ms: int, every_ms: int, counted: tuple[int, int, int | None], needed: int,
    report: GateReport | None, detail: str,
) -> Look:  # fmt: skip
    """A look with what came of it. `counted`: labelled, paired, newest_ms."""
    labelled, paired, newest_ms = counted
    given = (FORMAT, state, at_ms, at_ms + every_ms, labelled, paired, needed, newest_ms)
    if report is None:
        return Look(*given, None, None, None, None, None, detail)
    overall, spec = report.overall, report.spec
    asked = spec.margin if spec.goal is Goal.BETTER else -spec.margin
    return Look(*given, report.outcome, overall.difference, overall.lower, overall.upper, asked, detail)


def keep(store: Store, run: str, made: Look) -> None:
    """Keep a look, unless the last one is so young and says the same. Raises StoreError."""
    log = looks_log(run)
    number = store.last(log)
    body = store.entry(log, number) if number else None
    if number and body is None:
        return  # not seen yet: somebody else has just looked
    if body is not None:
        try:
            last = _decoded(body, log, number)
        except FormatError:
            return  # a newer version looks at this run as well, and keeps what it finds
        if made.at_ms < last.next_ms and (made.state, made.outcome) == (last.state, last.outcome):
            return
    append_to(store, log, number, body, encode(made))


def latest(store: Store, run: str) -> Look | None:
    """The last look that was kept; None for a run that nobody looked at, or before looks were kept. Raises FormatError."""
    log = looks_log(run)
    number = store.last(log)
    body = store.entry(log, number) if number else None
    return None if body is None else _decoded(body, log, number)


def looks_log(run: str) -> str:
    """Where the looks at a run are entered."""
    return f"{ROOT}/{run}"


def told(found: Look) -> str:
    """A look in a sentence, for people."""
    both = found.newest_ms is not None or found.paired != found.labelled
    rows = (
        f"{found.labelled:,} labelled predictions of the version that serves, {found.paired:,} of them scored by both"
    )
    counted = rows if both else f"{found.paired:,} labelled predictions scored by both"
    said = "nothing to compare"
    if found.difference is not None:
        said = (
            f"difference {found.difference:+.4g}, within {found.lower:+.4g} and {found.upper:+.4g}; enough is a lower bound "
            f"above {found.asked:+.4g}, an upper bound that is not above it ends it; these rows say {found.outcome}"
        )
    return (
        f"last looked at {moment(found.at_ms)}: {counted}, of {found.needed:,} needed; {said}; "
        f"the next look is due {moment(found.next_ms)}"
    )


def moment(ms: int) -> str:
    """`2013-01-05 06:00:00`, in UTC."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(ms, _LATEST_MS))
    return at.strftime("%Y-%m-%d %H:%M:%S")


def decode_look(raw: bytes, where: str) -> Look:
    """Raises FormatError."""
    found: Look = decode(Look, raw, where, FORMAT)
    return found


def _decoded(body: bytes, log: str, number: int) -> Look:
    return decode_look(body, f"entry {number} of {log!r}")
