"""`driftline registry probe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import note

if TYPE_CHECKING:
    import numpy as np

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("probe")
@click.argument("model", metavar="MODEL.onnx", type=_FILE)
@click.argument("inputs", metavar="INPUTS.json", type=_FILE)
@click.option(
    "--absolute", type=click.FloatRange(min=0), default=0.0, help="How far outputs may be off, in their unit."
)
@click.option("--relative", type=click.FloatRange(min=0), default=0.0, help="How far outputs may be off, as a share.")
def probe(model: Path, inputs: Path, absolute: float, relative: float) -> None:
    """Make the probe set of an ONNX model: score a few inputs and print both, for `add --probe`. Needs onnxruntime.

    INPUTS.json holds an array for each input of the model by name, a row for each prediction: {"features": [[0.5, 1, 2]]}.
    Do it where the model was trained, and choose rows that differ. Outputs are compared to the bit unless a tolerance is given.

    \b
    Example:
      driftline registry probe model.onnx inputs.json > probe.json
    """
    from registry.codec import encode, strict_json
    from registry.errors import FormatError
    from registry.onnx_models import OnnxScorer
    from registry.probe import differences, probe_of

    document = strict_json(inputs.read_bytes(), f"file {str(inputs)!r}")
    scorer = OnnxScorer(model)
    if not isinstance(document, dict) or document.keys() != scorer.dtypes.keys():
        said = ", ".join(sorted(document)) if isinstance(document, dict) else "no object"
        remedy = "Write an array for each input of the model by name."
        raise FormatError(f"file {str(inputs)!r}", f"holds {said}; the model takes {', '.join(scorer.dtypes)}", remedy)
    arrays = {name: _array(str(inputs), name, document[name], dtype) for name, dtype in scorer.dtypes.items()}
    made = probe_of(arrays, scorer.score(arrays), absolute, relative)
    if wrong := list(differences(made, OnnxScorer(model).score(arrays))):
        why = f"gives other outputs the second time: {'; '.join(wrong)}"
        raise FormatError(f"model {str(model)!r}", why, "State a tolerance, or make the model deterministic.")
    click.echo(encode(made))
    rows = {name: list(array.shape) for name, array in arrays.items()}
    note(f"probe set of {', '.join(f'{name} {shape}' for name, shape in rows.items())}")


def _array(where: str, name: str, values: Any, dtype: str) -> np.ndarray[Any, Any]:
    import numpy as np

    from registry.errors import FormatError

    try:
        return np.array(values, dtype=object if dtype == "string" else np.dtype(dtype))
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(
            f"input {name!r} of {where!r}", f"is no array of {dtype}: {error}", "Are all rows as long?"
        ) from None


COMMANDS = (probe,)
