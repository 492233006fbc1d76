"""Data as YAML that people like to read and that `yaml_positions` reads back to the same data.

PyYAML's own writer follows YAML 1.1 and would leave `1e5` bare, which is a number under JSON's rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.config.yaml_positions import typed

WIDEST = 100
"""Longest line of a list or mapping in brackets; longer ones are written one item a line."""

_PLAIN = re.compile(r"[A-Za-z0-9_$/.][A-Za-z0-9_$/.+@-]*(:[A-Za-z0-9_$/.+@-]+)*\Z", re.ASCII)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def scalar(value: str | float | bool | None) -> str:
    """One value; text is quoted unless it reads back as the same text."""
    if isinstance(value, str):
        # Words of YAML 1.1 are quoted although our reader takes them as text: other tools do not.
        bare = _PLAIN.match(value) and typed(value) == value and value.lower() not in _WORDS
        return value if bare else quoted(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    return json.dumps(value)


_WORDS = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false", "null"})


def quoted(text: str) -> str:
    """Text in double quotes, with YAML's escapes."""
    return _UNPRINTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text, ensure_ascii=False))


def flow(value: Any) -> str:
    """A value on one line, lists and mappings in brackets."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(key))}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    text = scalar(value)
    return text if not isinstance(value, str) or not re.search(r"[,\[\]{}]", text) else quoted(value)


def block(value: Mapping[str, Any], indent: int = 0) -> str:
    """A mapping as lines; what fits on one line and holds no mapping of mappings stays on one."""
    pad = " " * indent
    lines = []
    for key, item in value.items():
        head = f"{pad}{scalar(str(key))}:"
        nested = isinstance(item, Mapping) and any(isinstance(inner, (Mapping, list)) for inner in item.values())
        one_line = f"{head} {flow(item)}"
        if isinstance(item, Mapping) and item and (nested or len(one_line) > WIDEST):
            lines += [head, block(item, indent + 2).rstrip("\n")]
        elif isinstance(item, list) and item and (len(one_line) > WIDEST or isinstance(item[0], Mapping)):
            lines += [head, *(f"{pad}  - {flow(inner)}" for inner in item)]
        else:
            lines.append(one_line)
    return "\n".join(lines) + "\n"
