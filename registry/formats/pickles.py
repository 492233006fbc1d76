"""Is this a pickle? Answered by walking opcodes; nothing is ever unpickled.

Since protocol 2 a pickle begins with a byte that no format we take begins with. Older protocols have no mark: there the
opcodes are walked. The walk is more lenient than any unpickler: it knows how long each argument is and looks at none, but
for names that are imported. Bytes of weights walk to an end by accident once in some ten files, so data counts as a
pickle only when it imports something, without which a pickle can do nothing; an end is not asked for then, because
what stands before a fault has been run by the time it is found.
"""

from __future__ import annotations

import pickletools
import re
from typing import Final

OPCODES_MAX: Final = 2_000_000
"""Opcodes walked before a stream without an end is called a pickle; about a second."""

_PROTOCOLS: Final = range(2, 12)
_WINDOW_BYTES: Final = 1 << 16
_NAME: Final = re.compile(r"[^\W\d][\w.]*")
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def _shapes() -> dict[int, tuple[str, int, int]]:
    """Opcode -> (its name, bytes of its argument or of its argument's length, lines of its argument)."""
    shapes = {}
    for opcode in pickletools.opcodes:
        size, lines = 0, 0
        if opcode.arg is not None:
            size = opcode.arg.n if opcode.arg.n > 0 else _LENGTHS.get(opcode.arg.n, 0)
            lines = 0 if size or opcode.arg.n >= 0 else 2 if opcode.name in {"GLOBAL", "INST"} else 1
        shapes[ord(opcode.code)] = (opcode.name, size, lines)
    return shapes


_SHAPES: Final = _shapes()
_VARIABLE: Final = frozenset(ord(o.code) for o in pickletools.opcodes if o.arg is not None and o.arg.n in _LENGTHS)


def pickled(view: memoryview, *, data: bool = False) -> str | None:
    """What kind of pickle this is, None when it is none. `data`: these are bytes of numbers until proven otherwise."""
    marked = len(view) >= 2 and view[0] == 0x80 and view[1] in _PROTOCOLS
    imports, count, ended = _walk(view)
    if imports is not None:
        return f"a pickle that imports {imports}"
    if marked and not data:
        return f"a pickle of protocol {view[1]}"
    if ended and count > 1 and not data:
        return "a pickle without a protocol mark"
    return None


def _walk(view: memoryview) -> tuple[str | None, int, bool]:
    """(first import, opcodes read, whether the end was reached)."""
    at = count = 0
    texts: list[str] = []
    while at < len(view) and (shape := _SHAPES.get(view[at])) is not None:
        name, size, lines = shape
        count += 1
        if name == "STOP" or count >= OPCODES_MAX:
            return None, count, True
        if name == "STACK_GLOBAL" and len(texts) >= 2:
            return f"{texts[-2]}.{texts[-1]}", count, False
        start = at + 1
        variable = view[at] in _VARIABLE
        at = start + size
        if variable:
            at += int.from_bytes(view[start:at], "little")
        for _ in range(lines):
            at = _line_end(view, at)
        if at > len(view):
            return None, count, False
        if name in {"GLOBAL", "INST"} and (found := _imported(view[start:at])) is not None:
            return found, count, False
        if "UNICODE" in name or "STRING" in name:
            text = bytes(view[start + (size if variable else 0) : at][:200]).strip(b"\n'\"").decode("utf-8", "replace")
            texts = [*texts[-9:], text] if _NAME.fullmatch(text) else texts
    return None, count, False


def _imported(lines: memoryview) -> str | None:
    """`module.name` of the two lines after a GLOBAL; None when no module can be called that."""
    if len(lines) > 1000:
        return None
    names = bytes(lines).decode("utf-8", "replace").split("\n")[:2]
    return ".".join(names) if all(_NAME.fullmatch(name) for name in names) else None


def _line_end(view: memoryview, at: int) -> int:
    """Where the line ends, however far that is: a short look could be walked around. Beyond the end when it does not."""
    while at < len(view):
        place = bytes(view[at : at + _WINDOW_BYTES]).find(b"\n")
        if place >= 0:
            return at + place + 1
        at += _WINDOW_BYTES
    return len(view) + 1
