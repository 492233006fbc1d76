"""Coverage-guided fuzzing: inputs that reach new lines of ours are kept and changed again.

A target is a function of bytes, a corpus of good inputs and the errors that may come out. Inputs are changed as bytes (bits,
cuts, repeats, pieces of another input) and, where a target says that they are JSON or MessagePack, as values: a leaf or a key
becomes something that decoders trip over. Lines are seen by `sys.settrace` in our own modules only. One seed, one run.
"""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, Literal

import msgspec

from tests.verify import report
from tests.verify.progress import shown

OURS = tuple(str(report.ROOT / package) for package in ("monitor", "registry", "pipelines"))
BYTES_MAX = 20_000
CORPUS_MAX = 400
Shape = Literal["bytes", "json", "msgpack"]
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 255, 1 << 31, 1 << 53, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1, 1 << 70, 0.5, -0.0, 1e308,
    5e-324, float("nan"), float("inf"), "", "a", "\x00", "\ud800", "é" * 300, "1", "sha256:", [], {}, [[]], {"": None},
    {"format": 1}, b"", b"\xff\x00",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """`run` may raise what is in `allowed`, and nothing else."""

    name: str
    run: Callable[[bytes], object]
    corpus: Sequence[bytes]
    allowed: tuple[type[Exception], ...] = ()
    shape: Shape = "bytes"


@dataclass(slots=True)
class Crash:
    """An input that let something else out."""

    target: str
    raw: bytes
    error: str


@dataclass(slots=True)
class Result:
    """What fuzzing one target came to."""

    target: str
    inputs: int = 0
    refused: int = 0
    lines: int = 0
    first_lines: int = 0
    kept: int = 0
    crashes: list[Crash] = field(default_factory=list)


class Lines:
    """The lines of ours that ran."""

    def __init__(self) -> None:
        self.seen: set[tuple[CodeType, int]] = set()
        self._ours: dict[CodeType, bool] = {}

    def of(self, run: Callable[[], object]) -> int:
        """Run something; how many lines ran that had not before."""
        before = len(self.seen)
        outer = sys.gettrace()
        sys.settrace(self._call)
        try:
            run()
        finally:
            sys.settrace(outer)
        return len(self.seen) - before

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code not in self._ours:
            self._ours[code] = code.co_filename.startswith(OURS)
        return self._line if self._ours[code] else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.seen.add((frame.f_code, frame.f_lineno))
        return self._line


def fuzz(target: Target, inputs: int, seed: int = 0) -> Result:
    """Run a target on its corpus and on so many changed inputs; ends at the third crash."""
    chance = random.Random(f"{target.name} {seed}")
    lines, result = Lines(), Result(target.name)
    corpus = list(target.corpus)
    for raw in corpus:
        _one(target, raw, lines, result)
    assert result.refused == 0, f"{target.name}: the corpus is to be good inputs"
    result.first_lines = len(lines.seen)
    while result.inputs < inputs and len(result.crashes) < 3:
        raw = changed(chance, chance.choice(corpus), corpus, target.shape)
        if _one(target, raw, lines, result) and len(corpus) < CORPUS_MAX:
            corpus.append(raw)
            result.kept += 1
    result.lines = len(lines.seen)
    return result


def _one(target: Target, raw: bytes, lines: Lines, result: Result) -> bool:
    """Whether an input ran lines that none did before."""
    result.inputs += 1
    before = len(lines.seen)
    try:
        lines.of(lambda: target.run(raw))
    except target.allowed:
        result.refused += 1
    except Exception as error:  # noqa: BLE001  that is what is looked for
        told = traceback.format_exception(error, limit=-2)
        result.crashes.append(Crash(target.name, raw, "".join(told).strip()))
    return len(lines.seen) > before


# -- changing inputs -------------------------------------------------------------------------------------------------


def changed(chance: random.Random, raw: bytes, corpus: Sequence[bytes], shape: Shape) -> bytes:
    """An input near to another one."""
    if shape != "bytes" and chance.random() < 0.6:
        as_value = _value_changed(chance, raw, shape)
        if as_value is not None:
            return as_value
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        raw = _bytes_changed(chance, raw, corpus)
    return raw[:BYTES_MAX]


def _bytes_changed(chance: random.Random, raw: bytes, corpus: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(raw) + 1)
    end = min(len(raw), at + chance.choice((1, 2, 4, 8, 30)))
    match chance.randrange(8):
        case 7 if chance.random() < 0.1:
            return (
                raw[:at] + chance.choice((b"[", b'{"a":', b"\x91", b"\x81\xa1a")) * 3_000 + raw[at:]
            )  # deeper than any stack
        case 0 if at < len(raw):
            return raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :]
        case 1:
            return (
                raw[:at]
                + chance.choice((b"\x00", b"\xff", b"\x80", b'"', b"{", b"]", b"-", b"9" * 20, b"\n", b": "))
                + raw[at:]
            )
        case 2:
            return raw[:at] + raw[end:]
        case 3:
            return raw[:at]
        case 4:
            return raw[:at] + raw[at:end] * chance.choice((2, 3, 50)) + raw[end:]
        case 5:
            other = chance.choice(list(corpus))
            return raw[:at] + other[chance.randrange(len(other) + 1) :]
        case _:
            return raw[:at] + chance.randbytes(end - at) + raw[end:]


def _value_changed(chance: random.Random, raw: bytes, shape: Shape) -> bytes | None:
    """Somewhere in the document stands something odd, is nothing, or stands twice; None where it is no document."""
    try:
        document = json.loads(raw) if shape == "json" else msgspec.msgpack.decode(raw)
    except (ValueError, RecursionError):
        return None
    places = list(_places(document))
    if not places:
        return None
    holder, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 2 if isinstance(holder, dict):
            holder["more" if chance.random() < 0.5 else str(key) + "s"] = holder.pop(key)
        case 3:
            other, name = chance.choice(places)
            if key in holder if isinstance(holder, dict) else key < len(holder):
                holder[key] = other[name]
        case _:
            holder[key] = chance.choice(ODD)
    return _encoded(document, shape)


def _encoded(document: object, shape: Shape) -> bytes | None:
    try:
        if shape == "msgpack":
            return msgspec.msgpack.encode(document)
        return json.dumps(document, default=lambda raw: raw.decode("latin-1")).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError, OverflowError, TypeError):  # a document within itself, or one that has no bytes
        return None


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    found: list[tuple[Any, Any]] = []
    left = [document]
    while left:
        holder = left.pop()
        if isinstance(holder, dict | list):
            items = list(holder.items() if isinstance(holder, dict) else enumerate(holder))
            found += [(holder, key) for key, _ in items]
            left += [each for _, each in items]
    return found


# -- running -----------------------------------------------------------------------------------------------------------


def main(inputs: int, seed: int, only: str | None) -> int:
    """Fuzz every target, tell, keep the figures."""
    from tests.verify.fuzz_targets import targets

    began, results = time.monotonic(), list[Result]()
    chosen = [target for target in targets() if only in (None, target.name)]
    for target in shown(chosen, len(chosen), "targets"):
        result = fuzz(target, inputs, seed)
        results.append(result)
        print(
            f"{result.target}: {result.inputs:,} inputs, {result.refused:,} refused, lines {result.first_lines} to "
            f"{result.lines}, {result.kept} inputs kept, {len(result.crashes)} crashes",
            flush=True,
        )
        for crash in result.crashes:
            print(f"  {crash.raw.hex()[:2_000]}\n  {crash.error}")
    crashes = sum(len(result.crashes) for result in results)
    figures = {
        "inputs": sum(result.inputs for result in results),
        "of these refused by the error that is named for it": sum(result.refused for result in results),
        "anything else raised": crashes,
    }
    rows = [("decoder", "inputs, lines reached by the corpus and in the end")]
    rows += [(r.target, f"{r.inputs:,}, {r.first_lines} to {r.lines}") for r in results]
    report.keep(
        "fuzz", f"python -m tests.verify fuzz --inputs {inputs} --seed {seed}", time.monotonic() - began, figures, rows
    )
    return 1 if crashes else 0
