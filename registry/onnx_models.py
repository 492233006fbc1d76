"""Scoring ONNX with onnxruntime, when that is installed (`pip install 'driftline[serve]'`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from registry.errors import NotInstalled, RegistryError
from registry.manifest import Manifest, ModelFormat
from registry.probe import Arrays


class OnnxScorer:
    """One ONNX model on one thread: the same inputs give the same bits in every process of this machine."""

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
        self.inputs = tuple(each.name for each in self._session.get_inputs())
        self.outputs = tuple(each.name for each in self._session.get_outputs())

    def score(self, inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """All outputs of the model. Raises RegistryError for inputs that it does not take, and for outputs that are no
        arrays."""
        try:
            found = self._session.run(None, dict(inputs))
        except Exception as error:
            remedy = f"It takes {', '.join(self.inputs)}."
            raise RegistryError("the model", f"cannot score these inputs: {error}", remedy) from error
        odd = [name for name, value in zip(self.outputs, found, strict=True) if not isinstance(value, np.ndarray)]
        if odd:
            raise RegistryError(f"output {odd[0]!r}", "is no array", "Export the model without ZipMap.")
        return dict(zip(self.outputs, found, strict=True))


def load_onnx(manifest: Manifest, files: Mapping[str, Path]) -> OnnxScorer:
    """`registry.reader.Loader` for a version with exactly one ONNX file."""
    paths = [file.path for file in manifest.files if file.format is ModelFormat.ONNX]
    if len(paths) != 1:
        raise RegistryError(
            f"model {manifest.model!r}", f"has {len(paths)} ONNX files", "A loader of your own can choose."
        )
    return OnnxScorer(files[paths[0]])
