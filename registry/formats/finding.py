"""Why files are refused: a bounded reason, where, and a detail for people. And the limits, beside what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FILES_MAX: Final = 1_000
"""Files of a bundle or members of an archive."""
BUNDLE_BYTES_MAX: Final = 64 * 2**30
"""All files of a model. They are read three times when they are added: to hash, to inspect, to copy."""
JSON_BYTES_MAX: Final = 256 * 2**20
"""A JSON model is parsed in memory, at about ten times its size."""
RATIO_MAX: Final = 200
"""Declared size by compressed size; what compresses better is a bomb. Deflate cannot do more than 1032."""
LOOK_BYTES: Final = 1 << 20
"""How much of a member or stream is unpacked to see what it is."""
NESTING_MAX: Final = 3
"""Archives within archives that are looked into."""


class Refusal(StrEnum):
    """The reason, one word: logged, counted and asserted on."""

    PICKLE = "pickle"
    ARCHIVE = "archive"
    COMPRESSED = "compressed"
    EXECUTABLE = "executable"
    UNKNOWN_FORMAT = "unknown_format"
    WRONG_SUFFIX = "wrong_suffix"
    MALFORMED = "malformed"
    PATH = "path"
    SYMLINK = "symlink"
    SPECIAL_FILE = "special_file"
    EXTERNAL_DATA = "external_data"
    CUSTOM_OPERATOR = "custom_operator"
    RECIPE = "recipe"
    BOMB = "bomb"
    TOO_LARGE = "too_large"
    TOO_MANY_FILES = "too_many_files"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One reason to refuse one file; `path` goes on into containers: `model.pt!archive/data.pkl`."""

    path: str
    refusal: Refusal
    detail: str

    def __str__(self) -> str:
        return f"{printable(self.path)}: {str(self.refusal).replace('_', ' ')}: {printable(self.detail)}"


class Malformed(ValueError):
    """The bytes are not what their format says. Raised and caught within this package only."""


def printable(text: str, chars_max: int = 200) -> str:
    """Text out of a hostile file, safe to show."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:chars_max])
    return shown if len(text) <= chars_max else shown + "…"
