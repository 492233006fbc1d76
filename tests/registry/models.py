"""Small models as bytes, written by hand: no library that could run anything is needed to make or to read them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# ------------------------------------------------------------------------------------------------------------- ONNX


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, body: bytes | str) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def tensor(name: str, array: np.ndarray[Any, Any]) -> bytes:
    kind = {"float32": 1, "int64": 7}[array.dtype.name]
    dims = b"".join(number(1, size) for size in array.shape)
    return dims + number(2, kind) + part(8, name) + part(9, array.tobytes())


def outside_tensor(name: str, location: str, offset: str = "0", length: str = "24") -> bytes:
    said = {"location": location, "offset": offset, "length": length}
    entries = b"".join(part(13, part(1, key) + part(2, value)) for key, value in said.items())
    return number(1, 3) + number(1, 2) + number(2, 1) + part(8, name) + entries + number(14, 1)


def node(
    op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", attributes: Sequence[bytes] = ()
) -> bytes:
    ends = [part(1, name) for name in inputs] + [part(2, name) for name in outputs]
    return b"".join([*ends, part(4, op), *(part(5, a) for a in attributes), *([part(7, domain)] if domain else [])])


def value(name: str, *shape: int | str) -> bytes:
    dims = b"".join(part(1, number(1, s) if isinstance(s, int) else part(2, s)) for s in shape)
    return part(1, name) + part(2, part(1, number(1, 1) + part(2, dims)))


def graph(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Sequence[bytes] = (), outputs: Sequence[bytes] = ()
) -> bytes:
    parts = [part(1, n) for n in nodes] + [part(2, "g")] + [part(5, t) for t in tensors]
    return b"".join([*parts, *(part(11, i) for i in inputs), *(part(12, o) for o in outputs)])


def model(body: bytes, *, domains: Mapping[str, int] | None = None, rest: bytes = b"") -> bytes:
    sets = {"": 17, **(domains or {})}
    opsets = b"".join(part(8, (part(1, d) if d else b"") + number(2, v)) for d, v in sets.items())
    return number(1, 8) + part(2, "driftline-tests") + part(7, body) + opsets + rest


def linear(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """ONNX: score = features @ weights + bias, for float32 features of shape [rows, columns]."""
    array = np.array(weights, np.float32).reshape(-1, 1)
    nodes = [node("MatMul", ["features", "w"], ["product"]), node("Add", ["product", "b"], ["score"])]
    tensors = [tensor("w", array), tensor("b", np.array([bias], np.float32))]
    return model(graph(nodes, tensors, [value("features", "n", len(array))], [value("score", "n", 1)]))


def with_outside_data(location: str, **where: str) -> bytes:
    """ONNX whose weights are in another file, 24 bytes of it."""
    return model(graph([node("MatMul", ["x", "w"], ["y"])], [outside_tensor("w", location, **where)]))


# ------------------------------------------------------------------------------------------------ safetensors, JSON


def safetensors(tensors: Mapping[str, tuple[str, list[int], bytes]], *, tail: bytes = b"", gap: int = 0) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"made": "by hand"}}
    data = b""
    for name, (dtype, shape, body) in tensors.items():
        start = len(data) + gap
        data += b"\0" * gap + body
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + len(body)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data + tail


def weights() -> bytes:
    return safetensors({"w": ("F32", [2, 3], np.arange(6, dtype=np.float32).tobytes()), "b": ("F32", [1], b"\0" * 4)})


def json_model(*numbers: float) -> bytes:
    return json.dumps({"kind": "linear", "weights": list(numbers)}).encode()


def recipe(model: Any = None, **changed: Any) -> bytes:
    made = {"class": "river.linear_model.LogisticRegression", "params": {"l2": 0.01}}
    return json.dumps({
        "format": 1, "kind": "river-recipe", "river": "0.26.1", "model": model if model is not None else made, **changed
    }).encode()  # fmt: skip
