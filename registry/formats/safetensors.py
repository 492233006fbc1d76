"""safetensors: a JSON header and bytes of numbers. Held to its specification to the last byte, so that nothing hides in
a gap or behind the end."""

from __future__ import annotations

from typing import Any, Final

from registry.codec import strict_json
from registry.errors import FormatError
from registry.formats.finding import Malformed

HEADER_BYTES_MAX: Final = 100_000_000
"""As in the reference implementation."""
_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def check_safetensors(view: memoryview) -> None:
    """Raises Malformed for what is no safetensors file."""
    length = int.from_bytes(view[:8], "little")
    if len(view) < 10 or not 2 <= length <= min(HEADER_BYTES_MAX, len(view) - 8):
        raise Malformed("its header is longer than the file, or than it may be")
    if view[8] != ord("{"):
        raise Malformed("its header does not begin with '{'")
    try:
        header = strict_json(bytes(view[8 : 8 + length]), "its header")
    except FormatError as error:
        raise Malformed(f"its header {error.why}") from None
    if not isinstance(header, dict):
        raise Malformed("its header is no object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed("its metadata is not text")
    end = 0
    for begin, stop, name in sorted(_span(name, tensor) for name, tensor in header.items()):
        if begin != end:
            raise Malformed(f"there is a gap or an overlap before tensor {name!r}")
        end = stop
    if end != len(view) - 8 - length:
        raise Malformed("its tensors do not end where the file ends")


def _span(name: str, tensor: Any) -> tuple[int, int, str]:
    if not isinstance(tensor, dict) or tensor.keys() != {"dtype", "shape", "data_offsets"}:
        raise Malformed(f"tensor {name!r} is described by other fields than type, shape and offsets")
    bits, shape, offsets = _BITS.get(str(tensor["dtype"])), tensor["shape"], tensor["data_offsets"]
    if bits is None:
        raise Malformed(f"tensor {name!r} has a type that is none")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise Malformed(f"tensor {name!r} has a shape or offsets that are none")
    total = bits
    for size in shape:
        total *= size
    if total % 8 or offsets[1] - offsets[0] != total // 8:
        raise Malformed(f"tensor {name!r} is {offsets[1] - offsets[0]} bytes long, its shape says {total // 8}")
    return offsets[0], offsets[1], name


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value)
