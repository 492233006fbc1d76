"""How commands print: tables that are not squeezed in a pipe, times in UTC, metrics with their intervals."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from monitor.windows.view import Estimate

if TYPE_CHECKING:
    from rich.console import Console

PIPE_COLUMNS = 200
"""Width of tables that go into a file or a pipe, where nobody's window can be asked."""


def console() -> Console:
    """Standard output. Without a terminal the tables are wide and plain."""
    from rich.console import Console

    people = sys.stdout.isatty()
    return Console(width=None if people else PIPE_COLUMNS, highlight=False, soft_wrap=False)


def table(title: str | None, *columns: str, right: tuple[str, ...] = (), narrow: bool = False) -> Any:
    """A rich table; `right` names the columns that are numbers. `narrow`: columns stand closer, for many of them."""
    from rich.box import SIMPLE
    from rich.table import Table

    padding = (0, 1, 0, 0) if narrow else (0, 1)
    made = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=padding)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def plain(text: str) -> str:
    """Text from outside, safe in a table: no markup, no control characters."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def note(sentence: str) -> None:
    """A line for people, on standard error."""
    click.echo(f"driftline: {sentence}", err=True)


def print_json(document: Any) -> None:
    """One JSON document as one line on standard output."""
    import orjson

    click.echo(orjson.dumps(document))


def minute(ms: int) -> str:
    """`2013-01-05 00:00`, with seconds only where there are some. UTC."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(ms, 253_402_300_799_999))
    return at.strftime("%Y-%m-%d %H:%M" if ms % 60_000 == 0 else "%Y-%m-%d %H:%M:%S")


def share(ratio: float | None) -> str:
    """`92 %`, or a dash. Only what is whole is called 100 %."""
    if ratio is None:
        return "-"
    return f"{min(99.9, 100 * ratio):.1f} %" if 0.995 <= ratio < 1 else f"{100 * ratio:.0f} %"


def estimate(one: Estimate | None) -> str:
    """`0.842 [0.801, 0.877]`, `0.031` where no interval is defined, or why there is no value."""
    if one is None:
        return ""
    if one.value is None:
        return f"- ({str(one.undefined).replace('_', ' ')})"
    value = number(one.value)
    if one.lower is None or one.upper is None:
        return value
    return f"{value} [{number(one.lower)}, {number(one.upper)}]"


def number(value: float) -> str:
    """Three decimals; what is large, and whole numbers from 10 on, without: `0.842`, `12`, `1,235`. From 10^15 on four digits."""
    if abs(value) >= 1e15 or not math.isfinite(value):
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 1000 or (value.is_integer() and abs(value) >= 10) else f"{value:.3f}"


def iso_ms(text: str) -> int:
    """An instant on the command line, as ms: `2013-01-05`, `2013-01-05T06:00`, with an offset or else in UTC. For
    `type=` of an option."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; write 2013-01-05 or 2013-01-05T06:00:00Z (without an offset: UTC)"
        ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
