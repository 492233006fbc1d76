"""What things may be called. Every name becomes part of a key in a store, a line in a log or a word in a terminal.

A model is named as in the predictions topic: letters, digits, `.`, `_`, `-`, at most 100 characters, beginning with a
letter or a digit. An alias begins with a letter, so that `fraud@3` is a version and `fraud@champion` an alias. Paths in
a bundle are relative, with `/`, of the same characters and spaces; nothing in them can climb, and no two of them differ
in case only, so that a bundle can be unpacked anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from registry.errors import BadName

ACTOR_CHARS_MAX: Final = 200
REASON_CHARS_MAX: Final = 4000
PATH_CHARS_MAX: Final = 250

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
_PART: Final = re.compile(r"[A-Za-z0-9_+=@%-][A-Za-z0-9._+=@% -]{0,120}")


def checked_model(name: str) -> str:
    """The name of a model. Raises BadName."""
    if not _MODEL.fullmatch(name):
        raise BadName(
            "model", name, "Use letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit."
        )
    return name


def checked_alias(name: str) -> str:
    """The name of an alias. Raises BadName."""
    if not _ALIAS.fullmatch(name):
        raise BadName("alias", name, "Use letters, digits, '.', '_' and '-', at most 100, beginning with a letter.")
    return name


def checked_actor(name: str) -> str:
    """Who does it: one printable line. Raises BadName."""
    if not name.strip() or len(name) > ACTOR_CHARS_MAX or not name.isprintable():
        raise BadName("actor", name, f"Name a person or a job in one line of at most {ACTOR_CHARS_MAX} characters.")
    return name.strip()


def checked_reason(text: str) -> str:
    """Why it is done; never empty, because the log is read by those who were not there. Raises BadName."""
    if not text.strip() or len(text) > REASON_CHARS_MAX or not all(c.isprintable() or c == "\n" for c in text):
        raise BadName("reason", text, f"Say why in at most {REASON_CHARS_MAX} printable characters.")
    return text.strip()


def same_actor(one: str, other: str) -> bool:
    """Whether two names mean the same person: case, width and surrounding spaces make no second pair of eyes."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def path_fault(path: str) -> str | None:
    """Why a path cannot stand in a bundle, None when it can."""
    if path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", path):
        return "is absolute"
    parts = path.split("/")
    if ".." in parts or ".." in path.split("\\"):
        return "climbs out of the bundle with '..'"
    if not path or len(path) > PATH_CHARS_MAX:
        return f"is empty or longer than {PATH_CHARS_MAX} characters"
    if not all(_PART.fullmatch(part) for part in parts) or parts[-1].endswith((" ", ".")):
        return "has an empty part, a hidden name, or characters beyond letters, digits and ._+=@%- and spaces"
    return None


def colliding(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths that differ in case only, or are a file here and a folder there: they cannot be unpacked side by side."""
    known = sorted(paths)
    folded: dict[str, str] = {}
    found = []
    for path in known:
        if path.casefold() in folded:
            found.append(path)
        folded.setdefault(path.casefold(), path)
    for path in known:
        parts = path.casefold().split("/")
        if any("/".join(parts[:n]) in folded for n in range(1, len(parts))):
            found.append(path)
    return tuple(found)
