"""Keys that are called otherwise now. The old name is accepted until a release that is stated when it is renamed, and told once.

A namespace keeps the configurations that were in force for as long as it lives: what was written there under an old name is
read by every later release. So no line ever leaves the table; at the end of its time it is only no longer `accepted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.config.layers import put
from monitor.config.problems import Path, path_text
from monitor.config.yaml_positions import Mapping, Mistake, Node, Position
from monitor.config.yaml_positions import Sequence as Listed

EACH = "*"
"""In a path: every item of a list, or every key of a mapping."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A key that was renamed, or moved. `new` has as many EACH as `old`, for the same items. `since`: the release that renamed
    it; `until`: the first that does not take the old name any more."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    since: str
    until: str
    accepted: bool = True


RENAMED: tuple[Renamed, ...] = ()
"""All of them, the oldest first. See docs/operating.md ("Upgrading") for how long names are accepted."""


@dataclass(frozen=True, slots=True)
class OldName:
    """A key that was written under its old name."""

    at: Position
    old: str
    new: str
    since: str
    until: str

    def __str__(self) -> str:
        return (
            f"{self.at}: {self.old} is called {self.new} since Driftline {self.since}: write that; {self.old} is accepted until "
            f"{self.until}"
        )


def with_new_names(
    root: Mapping, mistakes: list[Mistake], renamed: Sequence[Renamed], *, recorded: bool
) -> tuple[Mapping, tuple[OldName, ...]]:
    """The tree with every old name replaced, and those that were found. One that is accepted no more is a mistake, unless what is
    read is `recorded`; so is one beside its new name, unless an override or the environment gives either: that wins."""
    found: list[OldName] = []
    for each in renamed:
        for path, at in list(_found(root, each.old, ())):
            old, new = path_text(path), _place(each, path)
            told = OldName(at, old, path_text(new), each.since, each.until)
            if not (each.accepted or recorded):
                ended = (
                    f"{old} is called {told.new} since Driftline {each.since} and is not accepted any more: write that"
                )
                mistakes.append(Mistake(at, ended))
            value, beside = _node(root, path), _node(root, new)
            assert value is not None, "a path that was found"
            root = _without(root, path)
            if beside is not None and _from_file(beside.at) == _from_file(at):
                mistakes.append(
                    Mistake(at, f"{old} and {told.new} are one key under its old and its new name; keep {told.new}")
                )
            elif beside is None or not _from_file(at):
                changed = put(root, [str(step) for step in new], value, mistakes)
                assert isinstance(changed, Mapping), "the root stays what it is"
                root = changed
            found.append(told)
    return root, tuple(found)


def _found(node: Node, old: tuple[str, ...], at: Path) -> Iterator[tuple[Path, Position]]:
    """Where a key stands, and where its value was written."""
    if not old:
        return
    head, rest = old[0], old[1:]
    if isinstance(node, Listed):
        for index, item in enumerate(node.items if head == EACH else ()):
            yield from _found(item, rest, (*at, index))
    elif isinstance(node, Mapping):
        for key, (_, inner) in node.entries.items():
            if head in (EACH, key):
                if rest:
                    yield from _found(inner, rest, (*at, key))
                else:
                    yield (*at, key), inner.at


def _place(renamed: Renamed, found: Path) -> Path:
    """The new place of a key that was found at an old one."""
    items = iter([step for step, name in zip(found, renamed.old, strict=True) if name == EACH])
    return tuple(next(items) if name == EACH else name for name in renamed.new)


def _node(root: Node, path: Path) -> Node | None:
    """What stands at a path."""
    node: Node | None = root
    for step in path:
        if isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)][1]
        elif isinstance(node, Listed) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def _from_file(at: Position) -> bool:
    return bool(at.line)


def _without(node: Mapping, path: Path) -> Mapping:
    """The tree without what stands at a path."""
    gone = _cut(node, path)
    assert isinstance(gone, Mapping), "the root stays what it is"
    return gone


def _cut(node: Node, path: Path) -> Node:
    head, rest = path[0], path[1:]
    if isinstance(node, Listed):
        assert isinstance(head, int), "a path that was found"
        items = [_cut(item, rest) if index == head else item for index, item in enumerate(node.items)]
        return Listed(tuple(items), node.at)
    assert isinstance(node, Mapping), "a path that was found"
    if not rest:
        return Mapping({key: entry for key, entry in node.entries.items() if key != head}, node.at)
    entries = dict(node.entries)
    at, inner = entries[str(head)]
    entries[str(head)] = (at, _cut(inner, rest))
    return Mapping(entries, node.at)
