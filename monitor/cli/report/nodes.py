"""Values of the document on their way into HTML: each with the place it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from monitor.cli.show import minute, number, share

HOUR_MS = 3_600_000

_HEADING = re.compile(r"--c(\d+):'")

FORMS: dict[str, Callable[[Any], str]] = {
    "count": lambda value: f"{value:,}",
    "number": lambda value: number(float(value)),
    "tenths": lambda value: f"{value:,.1f}",
    "share": share,
    "minute": minute,
    "hours": lambda ms: f"{ms / HOUR_MS:.1f} h",
    "text": lambda value: printable(str(value)),
    "words": lambda value: printable(str(value).replace("_", " ")),
}
"""How a value is written for people."""

NOTHING = "\N{EN DASH}"
CARDS_FROM = 5
"""Columns from which on a row is written as words on a narrow page, each value behind the name of its column."""


def printable(text: str) -> str:
    """Text without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def words(text: str) -> str:
    """Our own words, or text from outside, as HTML."""
    return escape(printable(text))


def drawn(text: str) -> str:
    """Text from outside for a drawing, where Plotly reads tags and the entities of `<`, `>` and `&`, and no others."""
    return escape(printable(text), quote=False)


def shown(value: Any, form: str) -> str:
    """What stands on the page for a value: text, not HTML."""
    return NOTHING if value is None else FORMS[form](value)


class At:
    """A value of the document and where it stands (a JSON pointer)."""

    __slots__ = ("value", "where")

    def __init__(self, value: Any, where: str = "") -> None:
        self.value, self.where = value, where

    def __getitem__(self, step: str | int) -> At:
        escaped = str(step).replace("~", "~0").replace("/", "~1")
        return At(self.value[step], f"{self.where}/{escaped}")

    def __iter__(self) -> Iterator[At]:
        return (self[i] for i in range(len(self.value)))

    def items(self) -> Iterator[tuple[At, At]]:
        """Of a mapping (name, value), of a list (place, value). Where a name stands is its mapping, `#` and the name."""
        steps = self.value if isinstance(self.value, dict) else range(len(self.value))
        return ((At(step, f"{self.where}#{step}"), self[step]) for step in steps)

    def has(self, name: str) -> bool:
        """Whether a mapping says something under this name."""
        return self.value.get(name) is not None

    def show(self, form: str = "text") -> str:
        """As HTML: what people read, and for machines the value itself and its place."""
        exact = "" if form in ("text", "words") else f' value="{escape(json.dumps(self.value))}"'
        return f'<data data-at="{escape(self.where)}" data-as="{form}"{exact}>{escape(shown(self.value, form))}</data>'


def estimate(metric: At, row: int) -> str:
    """`0.842 [0.801, 0.877]`, or why there is no value; `metric` holds columns."""
    value, lower, upper, reason = (metric[part][row] for part in ("value", "lower", "upper", "reason"))
    if value.value is None:
        return f"{NOTHING} ({reason.show()})" if reason.value is not None else ""
    if lower.value is None or upper.value is None:
        return value.show("number")
    return f'{value.show("number")} <span class="ci">[{lower.show("number")}, {upper.show("number")}]</span>'


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table of cells that are HTML already; `columns` and `caption` are text. `right` names those that are numbers."""
    sides = ['<td class="n">' if column in right else "<td>" for column in columns]
    head = "".join(f'<th scope="col"{" class=n" if c in right else ""}>{words(c)}</th>' for c in columns)
    body = "\n".join(
        "<tr>" + "".join(f"{side}{cell}</td>" for side, cell in zip(sides, row, strict=True)) + "</tr>" for row in rows
    )
    title = f"<caption>{words(caption)}</caption>" if caption else ""
    wide = f' class="cards" style="{_headings(columns)}"' if len(columns) >= CARDS_FROM else ""
    return (
        f'<div class="wide"><table{wide}>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n'
    )


def _headings(columns: Sequence[str]) -> str:
    """The names of columns as properties `--c1`, `--c2`, ... of a style, which `heading_rules` puts before the cells."""
    return ";".join(f"--c{place}:{_quoted(column)}" for place, column in enumerate(columns, 1))


def _quoted(text: str) -> str:
    """A string of CSS within an attribute: whatever is no letter or digit by its number, so nothing of it is syntax."""
    return "'" + "".join(c if c.isalnum() and c.isascii() else f"\\{ord(c):x} " for c in printable(text)) + "'"


def heading_rules(columns: int) -> str:
    """The rules of style that tell cells of so many columns which heading is theirs."""
    return "".join(f".cards td:nth-child({place}) {{ --h: var(--c{place}); }}\n" for place in range(1, columns + 1))


def most_columns(html: str) -> int:
    """The columns of the widest table whose rows may be written as words."""
    return max((int(place) for place in _HEADING.findall(html)), default=0)


def folded(title: str, body: str, *, unfolded: bool = False, long: bool = False) -> str:
    """A part that can be folded; `title` is HTML. What is `long` comes on paper only if somebody unfolded it."""
    kind = ' class="long"' if long else ""
    return f"<details{kind}{' open' if unfolded else ''}><summary>{title}</summary>\n{body}</details>\n"
