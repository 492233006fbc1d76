"""Layers of a config: files in order, then environment variables, then overrides; the later one wins.

Mappings are merged key by key, everything else is replaced whole. Every value keeps the place it came from.
`${VAR}` and `${VAR:-text}` are filled in after parsing and in values only, so a variable can never add a key; a
value without quotes is typed again (`port: ${PORT}` is a number). `$${` stands for `${` itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Table
from collections.abc import Sequence as Row

from monitor.config.yaml_positions import Mapping, Mistake, Node, Position, Scalar, Sequence, parse, retyped, typed

ENVIRONMENT_PREFIX = "DRIFTLINE__"
_VARIABLE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{([^}]*)\}?")
PROPERTIES = ("kafka", "properties")


def merge(under: Node, over: Node) -> Node:
    """`over` wins; two mappings are merged key by key."""
    if not isinstance(under, Mapping) or not isinstance(over, Mapping):
        return over
    entries = dict(under.entries)
    for key, (at, value) in over.entries.items():
        entries[key] = (at, merge(entries[key][1], value)) if key in entries else (at, value)
    return Mapping(entries, over.at)


def from_environment(environ: Table[str, str], mistakes: list[Mistake]) -> list[tuple[list[str], Node]]:
    """Paths and values of the variables that start with DRIFTLINE__, in the order of their names.

    `__` separates keys, which are lowercased. Below KAFKA__PROPERTIES a single `_` stands for the `.` of
    librdkafka's names, and a final `_FILE` stays (`..._SASL_PASSWORD_FILE` is `sasl.password_file`).
    """
    found = []
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        origin = Position(f"environment variable {name}")
        if not all(path):
            mistakes.append(Mistake(origin, "the name has an empty part; write DRIFTLINE__SECTION__KEY"))
            continue
        if tuple(path[:2]) == PROPERTIES and len(path) > 2:
            head, is_file, _ = path[2].rpartition("_file")
            path = [*PROPERTIES, f"{head.replace('_', '.')}_file" if is_file else path[2].replace("_", ".")]
        value = _value(environ[name], path, origin, mistakes)
        if value is not None:
            found.append((path, value))
    return found


def from_overrides(overrides: Row[str], mistakes: list[Mistake]) -> list[tuple[list[str], Node]]:
    """Paths and values of `a.b=v`. List items go by position or by `name` (`models.fraud.threshold=0.3`).

    Everything below kafka.properties is one key. The value is not repeated in messages: it may be a secret.
    """
    found = []
    for override in overrides:
        name, equals, text = override.partition("=")
        path = name.strip().split(".")
        origin = Position(f"--set {name.strip()}")
        if not equals or not all(path):
            mistakes.append(Mistake(Position("--set"), f"{name[:80]!r} is not an override; write a.b=value"))
            continue
        if tuple(path[:2]) == PROPERTIES and len(path) > 2:
            path = [*PROPERTIES, ".".join(path[2:])]
        value = _value(text, path, origin, mistakes)
        if value is not None:
            found.append((path, value))
    return found


def _value(text: str, path: Row[str], origin: Position, mistakes: list[Mistake]) -> Node | None:
    """A value given outside a file: lists and mappings in brackets are YAML, everything else is one plain scalar."""
    if tuple(path[:2]) == PROPERTIES and len(path) > 2:
        return Scalar(text, text, False, origin)
    if text.lstrip()[:1] not in ("[", "{", '"', "'"):
        return Scalar(typed(text), text, True, origin)
    parsed = parse(text, origin.origin)
    mistakes.extend(Mistake(origin, mistake.sentence) for mistake in parsed.mistakes)
    return None if parsed.tree is None or parsed.mistakes else _moved(parsed.tree, origin)


def _moved(node: Node, at: Position) -> Node:
    if isinstance(node, Scalar):
        return Scalar(node.value, node.text, node.plain, at)
    if isinstance(node, Sequence):
        return Sequence(tuple(_moved(item, at) for item in node.items), at)
    return Mapping({key: (at, _moved(item, at)) for key, (_, item) in node.entries.items()}, at)


def put(tree: Node, path: Row[str], value: Node, mistakes: list[Mistake]) -> Node:
    """The tree with `value` at `path`. Keys that are missing are made; positions of lists must exist."""
    if not path:
        return merge(tree, value) if isinstance(value, Mapping) else value
    head, rest = path[0], path[1:]
    if isinstance(tree, Sequence):
        index = _index(tree, head)
        if index is None:
            names = [name for item in tree.items if (name := _name(item)) is not None]
            known = f"names {', '.join(names)}, or " if names else ""
            sentence = f"the list has no item {head!r}; allowed: {known}0 to {len(tree.items) - 1}"
            mistakes.append(Mistake(value.at, sentence))
            return tree
        items = list(tree.items)
        items[index] = put(items[index], rest, value, mistakes)
        return Sequence(tuple(items), tree.at)
    entries = dict(tree.entries) if isinstance(tree, Mapping) else {}
    inner = entries[head][1] if head in entries else Mapping({}, value.at)
    entries[head] = (value.at, put(inner, rest, value, mistakes))
    return Mapping(entries, tree.at if isinstance(tree, Mapping) else value.at)


def _index(sequence: Sequence, head: str) -> int | None:
    if head.isdecimal() and int(head) < len(sequence.items):
        return int(head)
    return next((i for i, item in enumerate(sequence.items) if _name(item) == head), None)


def _name(item: Node) -> str | None:
    entry = item.entries.get("name") if isinstance(item, Mapping) else None
    return entry[1].text if entry and isinstance(entry[1], Scalar) else None


def fill_in(node: Node, environ: Table[str, str], mistakes: list[Mistake]) -> Node:
    """The tree with `${VAR}` replaced in every value; keys are left alone."""
    if isinstance(node, Sequence):
        return Sequence(tuple(fill_in(item, environ, mistakes) for item in node.items), node.at)
    if isinstance(node, Mapping):
        entries = {key: (at, fill_in(item, environ, mistakes)) for key, (at, item) in node.entries.items()}
        return Mapping(entries, node.at)
    if "${" not in node.text:
        return node

    def text_of(match: re.Match[str]) -> str:
        escaped, name, has_default, default, odd = match.groups()
        if escaped:
            return "${"
        if name is None:
            mistakes.append(
                Mistake(node.at, f"'${{{odd[:40]}}}' is not a variable; write ${{NAME}} or ${{NAME:-default}}")
            )
            return ""
        value = environ.get(name, "")
        if has_default and not value:
            return str(default)
        if name not in environ:
            remedy = f"set it, or give a default as in ${{{name}:-value}}"
            mistakes.append(Mistake(node.at, f"the environment variable {name!r} is not set; {remedy}"))
        return value

    return retyped(node, _VARIABLE.sub(text_of, node.text))
