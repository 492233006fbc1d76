"""Scoring ONNX with onnxruntime, when that is installed (`pip install 'driftline[serve]'`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from registry.errors import NotInstalled, RegistryError
from registry.manifest import Manifest, ModelFormat
from registry.probe import Arrays

_DTYPES: Final = {
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "string",
    **{
        f"tensor({name})": name
        for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}


class OnnxScorer:
    """One ONNX model on one thread: the same inputs give the same bits in every process of this machine.

    `dtypes` are its inputs by name, `outputs` the names of its outputs.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise NotInstalled("scoring an ONNX model", "onnxruntime", "serve") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors are raised as well
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes are not part of its interface
            raise RegistryError(
                f"model {path.name!r}", f"cannot be loaded: {error}", "Export it for this runtime."
            ) from error
        self.dtypes = {each.name: _DTYPES.get(each.type, each.type) for each in self._session.get_inputs()}
        self.outputs = tuple(each.name for each in self._session.get_outputs())

    def score(self, inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """All outputs of the model. Raises RegistryError for inputs that it does not take, and for outputs that are no
        arrays."""
        try:
            found = self._session.run(None, dict(inputs))
        except Exception as error:
            remedy = f"It takes {', '.join(self.dtypes)}."
            raise RegistryError("the model", f"cannot score these inputs: {error}", remedy) from error
        odd = [name for name, value in zip(self.outputs, found, strict=True) if not isinstance(value, np.ndarray)]
        if odd:
            raise RegistryError(f"output {odd[0]!r}", "is no array", "Export the model without ZipMap.")
        return dict(zip(self.outputs, found, strict=True))


def unscorable(manifest: Manifest) -> str | None:
    """Why `load_onnx` has nothing to load in a version, as the end of a sentence; None when it has."""
    count = sum(file.format is ModelFormat.ONNX for file in manifest.files)
    return None if count == 1 else f"has {count} ONNX files"


def load_onnx(manifest: Manifest, files: Mapping[str, Path]) -> OnnxScorer:
    """`registry.reader.Loader` for a version with exactly one ONNX file."""
    if (why := unscorable(manifest)) is not None:
        raise RegistryError(f"model {manifest.model!r}", why, "A loader of your own can choose.")
    (path,) = (file.path for file in manifest.files if file.format is ModelFormat.ONNX)
    return OnnxScorer(files[path])
