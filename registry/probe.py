"""The probe set: a few inputs and what the model made of them when it was registered.

A server that loads a model computes the outputs again before it serves it. Digests say that the bytes are right; the probe
set says that the behaviour is: another version of a library, another processor, a broken preprocessing show here. Outputs must
be equal to the bit unless the set states a tolerance.

    {"format": 1,
     "inputs":  {"features": {"dtype": "float32", "shape": [2, 3], "values": [0.5, 1, 2, 0, 0, 1]}},
     "outputs": {"probability": {"dtype": "float32", "shape": [2], "values": [0.25, 0.75]}},
     "absolute": 0.0, "relative": 0.0}

Values are in row order; what JSON cannot say is written as "NaN", "Infinity" and "-Infinity". Labels are texts of
dtype "string".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np

from registry import codec

FORMAT: Final = 1
VALUES_MAX: Final = 1_000_000
"""Values of all inputs and outputs: a probe is checked at every swap."""
DTYPES: Final = ("bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "string", "uint8", "uint16",
                 "uint32", "uint64")  # fmt: skip

Arrays = Mapping[str, "np.ndarray[Any, Any]"]

_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Agreement(StrEnum):
    """How far outputs are those of a probe set."""

    BITS = "bits"  # to the bit
    TOLERANCE = "tolerance"  # as near as the set asks for
    DIFFERENT = "different"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named array."""

    dtype: str
    shape: tuple[int, ...]
    values: tuple[bool | int | float | str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        if any(size < 0 for size in self.shape) or math.prod(self.shape) != len(self.values):
            raise ValueError(f"shape {list(self.shape)} does not fit {len(self.values):,} values")
        self.array()

    def array(self) -> np.ndarray[Any, Any]:
        """The values as numpy has them. Raises ValueError for a value that the type does not hold exactly as meant."""
        if self.dtype == "string":
            if not all(isinstance(value, str) for value in self.values):
                raise ValueError("a value of dtype string is no text")
            return np.array(self.values, dtype=object).reshape(self.shape)
        values = [_WORDS.get(v, v) if isinstance(v, str) else v for v in self.values]
        if any(isinstance(value, str) for value in values):
            raise ValueError(f"a value of dtype {self.dtype} is text")
        try:
            return np.array(values, dtype=np.dtype(self.dtype)).reshape(self.shape)
        except (OverflowError, TypeError) as error:
            raise ValueError(f"a value does not fit dtype {self.dtype}: {error}") from None


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs, the outputs that were seen, and how far others may be from them."""

    format: int
    inputs: dict[str, Column]
    outputs: dict[str, Column]
    absolute: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.inputs or not self.outputs:
            raise ValueError("it needs inputs and outputs")
        if sum(len(c.values) for c in (*self.inputs.values(), *self.outputs.values())) > VALUES_MAX:
            raise ValueError(f"it has more than {VALUES_MAX:,} values")
        if not all(0 <= tolerance < math.inf for tolerance in (self.absolute, self.relative)):
            raise ValueError("a tolerance is below zero or no number")

    @property
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The inputs as numpy has them."""
        return {name: column.array() for name, column in self.inputs.items()}


def decode_probe(raw: bytes, where: str) -> Probe:
    """Raises FormatError."""
    found: Probe = codec.decode(Probe, raw, where, FORMAT)
    return found


def probe_of(inputs: Arrays, outputs: Arrays, absolute: float = 0.0, relative: float = 0.0) -> Probe:
    """The probe set of arrays."""
    columns = [{name: _column(np.asarray(array)) for name, array in part.items()} for part in (inputs, outputs)]
    return Probe(FORMAT, columns[0], columns[1], absolute, relative)


def differences(probe: Probe, outputs: Arrays) -> Iterator[str]:
    """Every output that is not as the probe set says, as a sentence. None: the model behaves as registered."""
    for name, column in probe.outputs.items():
        if name not in outputs:
            yield f"output {name!r} is not among {', '.join(sorted(outputs)) or 'none'}"
            continue
        expected, found = column.array(), np.asarray(outputs[name])
        if found.shape != expected.shape:
            yield f"output {name!r} has shape {list(found.shape)} instead of {list(expected.shape)}"
            continue
        wrong = ~_equal(expected, found, probe)
        if wrong.any():
            first = int(np.flatnonzero(wrong.reshape(-1))[0])
            values = f"{expected.reshape(-1)[first]!s} was registered, {found.reshape(-1)[first]!s} came out"
            yield f"output {name!r}: {int(wrong.sum()):,} of {wrong.size:,} values differ; at {first} {values}"


def agreement(probe: Probe, outputs: Arrays) -> Agreement:
    """How far outputs are those of the probe set."""
    if next(differences(probe, outputs), None) is not None:
        return Agreement.DIFFERENT
    pairs = ((column.array(), np.asarray(outputs[name])) for name, column in probe.outputs.items())
    return Agreement.BITS if all(_same_bits(expected, found) for expected, found in pairs) else Agreement.TOLERANCE


def _same_bits(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> bool:
    if expected.dtype.kind != "f":
        return True  # these never have a tolerance
    both_nan = np.isnan(expected) & np.isnan(found)  # JSON does not tell one NaN from another
    same = (expected == found) & (np.signbit(expected) == np.signbit(found))
    return expected.dtype == found.dtype and bool(np.all(same | both_nan))


def _equal(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any], probe: Probe) -> np.ndarray[Any, Any]:
    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        return np.asarray(expected == found.astype(object) if expected.dtype == object else expected == found)
    wide, other = expected.astype(np.float64), found.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(wide - other) <= probe.absolute + probe.relative * np.abs(wide)
    return np.asarray(near | (wide == other) | (np.isnan(wide) & np.isnan(other)))


def _column(array: np.ndarray[Any, Any]) -> Column:
    text = array.dtype.kind in "OUS"
    values = tuple(str(v) if text else _plain(v) for v in array.reshape(-1).tolist())
    return Column("string" if text else array.dtype.name, array.shape, values)


def _plain(value: Any) -> bool | int | float | str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    assert isinstance(value, bool | int | float)
    return value
