"""The page as a reader of HTML sees it: values with their places, cells, scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Value:
    """A value on the page: where it says it stands in the document, and what it shows."""

    where: str
    form: str
    exact: str | None
    text: str = ""


@dataclass
class Read(HTMLParser):
    """Collects. `bare` is the text of table cells outside of values; `scripts` the text of scripts."""

    values: list[Value] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    scripts: list[tuple[dict[str, str | None], str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    policy: str = ""
    _open: Value | None = None
    _cell: bool = False
    _script: dict[str, str | None] | None = None

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, html: str) -> Read:
        """Read a page."""
        read = cls()
        read.feed(html)
        read.close()
        return read

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.add(tag)
        self.attributes += attrs
        if tag == "data":
            self._open = Value(named["data-at"] or "", named["data-as"] or "", named.get("value"))
        elif tag == "td":
            self._cell = True
        elif tag == "script":
            self._script = named
        elif tag == "meta" and named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "data" and self._open is not None:
            self.values.append(self._open)
            self._open = None
        elif tag == "td":
            self._cell = False
        elif tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))
        elif self._open is not None:
            self._open.text += data
        elif self._cell:
            self.bare.append(data)

    @property
    def figures(self) -> list[dict[str, Any]]:
        """What the charts draw."""
        (found,) = [text for named, text in self.scripts if named.get("id") == "figures"]
        read: list[dict[str, Any]] = json.loads(found)
        return read


def at(document: Any, where: str) -> Any:
    """The value at a JSON pointer; with `#NAME` behind it that name, which must be there."""
    path, _, name = where.partition("#")
    for step in path.split("/")[1:]:
        own = step.replace("~1", "/").replace("~0", "~")
        document = document[int(own)] if isinstance(document, list) else document[own]
    if not name:
        return document
    known = [str(i) for i in range(len(document))] if isinstance(document, list) else list(document)
    assert name in known, where
    return name


def traces(figures: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """(trace, which data, where they stand) of every trace that says so."""
    for figure in figures:
        for trace in figure["data"]:
            for name, where in trace["meta"].items():
                yield trace, name, where
