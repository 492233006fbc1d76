"""The default trainer: a logistic regression, as ONNX where skl2onnx is installed and as plain JSON where it is not.

    columns.json    which columns are numbers, which are texts
    model.onnx      inputs `numbers` float32[N, k] and `texts` string[N, m]; output `probabilities` float32[N, 2]
    model.json      the same model as weights, when there is no ONNX

Numbers: missing ones become the mean, all are scaled. Texts: one column a value that was seen; a new value has none. The label is
0 or 1. Training is on one thread with a stated seed. Not done: choosing between models, interactions, dates. Whoever needs
more names an own function; this one closes the loop without.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from pipelines.errors import NotInstalled, StepFailed
from pipelines.runner import Job
from pipelines.tables import Row, numbers

KIND: Final = "driftline-logistic-1"
VALUES_MAX: Final = 1000
"""Values of one text column; a column with more is an id."""
_LABELS_SAID: Final = 5


def train(job: Job) -> dict[str, Any]:
    """Fit, and write the files of the model. Params: `inverse_penalty` (1.0), `format` (`onnx`, `json`; what is there)."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise NotInstalled("the default trainer", "scikit-learn", "train") from None
    labels = numbers(job.rows, job.label)
    if set(np.unique(labels)) != {0.0, 1.0}:
        found = ", ".join(f"{value:g}" for value in np.unique(labels)[:_LABELS_SAID])
        why = f"is not both 0 and 1 in the rows, and nothing else: it is {found}"
        raise StepFailed(f"label {job.label!r}", why, "Mend the rows, or train by code of your own (train.function).")
    texts = [name for name in job.features if any(isinstance(row.get(name), str) for row in job.rows)]
    plain = [name for name in job.features if name not in texts]
    encoding = [*(_number_column(job.rows, name) for name in plain), *(_text_column(job.rows, name) for name in texts)]
    matrix = encode(job.rows, encoding)
    fitted = LogisticRegression(C=float(job.params.get("inverse_penalty", 1.0)), max_iter=1000, random_state=job.seed)
    fitted.fit(matrix, labels.astype(np.int64))
    weights, intercept = [float(w) for w in fitted.coef_[0]], float(fitted.intercept_[0])
    document = {"kind": KIND, "columns": encoding, "weights": weights, "intercept": intercept}
    job.model.mkdir(parents=True, exist_ok=True)
    columns = {"numbers": plain, "texts": texts}
    (job.model / "columns.json").write_text(json.dumps(columns))
    kind = job.params.get("format")
    graph = onnx_of(document) if kind in (None, "onnx") else None
    if kind == "onnx" and graph is None:
        raise NotInstalled("writing ONNX", "onnx", "train")
    if graph is not None:
        (job.model / "model.onnx").write_bytes(graph)
    else:
        (job.model / "model.json").write_text(json.dumps(document))
    base = float(labels.mean())
    return {"rows": len(job.rows), "base_rate": base, "format": "json" if graph is None else "onnx"}


def score(job: Job) -> Sequence[float]:
    """The probability of a 1 for each row."""
    if (job.model / "model.onnx").is_file():
        return _score_onnx(job)
    document = json.loads((job.model / "model.json").read_bytes())
    if document.get("kind") != KIND:
        raise StepFailed("model.json", f"is no {KIND}", "Name a scoring function of your own.")
    linear = encode(job.rows, document["columns"]) @ np.array(document["weights"]) + document["intercept"]
    return [float(p) for p in 1 / (1 + np.exp(-np.clip(linear, -700, 700)))]


def encode(rows: Sequence[Row], columns: Sequence[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows as a matrix: a column a number, a column a value of a text."""
    made = []
    for column in columns:
        if "values" in column:
            values = np.array([str(row.get(column["name"])) for row in rows], dtype=object)
            made += [(values == value).astype(np.float64) for value in column["values"]]
        else:
            found = numbers(rows, column["name"])
            made.append((np.where(np.isnan(found), column["mean"], found) - column["mean"]) / column["scale"])
    return np.column_stack(made) if made else np.zeros((len(rows), 0))


def _number_column(rows: Sequence[Row], name: str) -> dict[str, Any]:
    found = numbers(rows, name)
    known = found[~np.isnan(found)]
    mean = float(np.float32(known.mean())) if known.size else 0.0
    scale = float(np.float32(known.std())) if known.size else 1.0
    return {"name": name, "mean": mean, "scale": scale if scale > 0 and math.isfinite(scale) else 1.0}


def _text_column(rows: Sequence[Row], name: str) -> dict[str, Any]:
    values = sorted({str(row.get(name)) for row in rows})
    if len(values) > VALUES_MAX:
        texts = [place for place, row in enumerate(rows, 1) if isinstance(row.get(name), str)]
        if others := sum(isinstance(row.get(name), int | float) for row in rows):
            why = f"is text in {len(texts):,} rows, first in row {texts[0]:,} to train on, and a number in {others:,}"
            raise StepFailed(
                f"feature {name!r}", why, "Mend the rows: it is taken as text, and has too many values for that."
            )
        raise StepFailed(f"feature {name!r}", f"has {len(values):,} values", "Leave out what is an id.")
    return {"name": name, "values": values}


def onnx_of(document: dict[str, Any]) -> bytes | None:
    """The model as an ONNX graph; None where the library is not installed. Written node by node: what is in it can be read."""
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        return None
    plain = [column for column in document["columns"] if "values" not in column]
    texts = [column for column in document["columns"] if "values" in column]
    weights = np.array(document["weights"], dtype=np.float32)
    nodes, inputs, constants, parts = [], [], [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    if plain:
        inputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, len(plain)]))
        mean = constant("mean", np.array([column["mean"] for column in plain], np.float32))
        scale = constant("scale", np.array([column["scale"] for column in plain], np.float32))
        nodes += [
            helper.make_node("IsNaN", ["numbers"], ["missing"]),
            helper.make_node("Where", ["missing", mean, "numbers"], ["filled"]),
            helper.make_node("Sub", ["filled", mean], ["centred"]),
            helper.make_node("Div", ["centred", scale], ["scaled"]),
            helper.make_node("MatMul", ["scaled", constant("w0", weights[: len(plain), None])], ["part0"]),
        ]
        parts.append("part0")
    at = len(plain)
    if texts:
        inputs.append(helper.make_tensor_value_info("texts", TensorProto.STRING, [None, len(texts)]))
    for number, column in enumerate(texts, 1):
        mine = weights[at : at + len(column["values"])]
        at += len(column["values"])
        index = constant(f"i{number}", np.array([number - 1], np.int64))
        nodes += [
            helper.make_node("Gather", ["texts", index], [f"text{number}"], axis=1),
            helper.make_node(
                "LabelEncoder", [f"text{number}"], [f"part{number}"], domain="ai.onnx.ml",
                keys_strings=column["values"], values_floats=[float(w) for w in mine], default_float=0.0,
            ),
        ]  # fmt: skip
        parts.append(f"part{number}")
    bias = constant("bias", np.array([document["intercept"]], np.float32))
    one = constant("one", np.array([1.0], np.float32))
    nodes += [
        helper.make_node("Sum", [*parts, bias], ["linear"]),
        helper.make_node("Sigmoid", ["linear"], ["yes"]),
        helper.make_node("Sub", [one, "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    graph = helper.make_graph(nodes, "logistic", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="driftline")
    checker.check_model(model)
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw


def model_inputs(rows: Sequence[Row], columns: dict[str, list[str]]) -> dict[str, np.ndarray[Any, Any]]:
    """Rows as the ONNX model takes them."""
    made: dict[str, np.ndarray[Any, Any]] = {}
    if columns["numbers"]:
        made["numbers"] = np.column_stack([numbers(rows, name) for name in columns["numbers"]]).astype(np.float32)
    if columns["texts"]:
        made["texts"] = np.array([[str(row.get(name)) for name in columns["texts"]] for row in rows], dtype=object)
    return made


def _score_onnx(job: Job) -> list[float]:
    try:
        import onnxruntime
    except ImportError:
        raise NotInstalled("scoring an ONNX model", "onnxruntime", "serve") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    columns = json.loads((job.model / "columns.json").read_bytes())
    session = onnxruntime.InferenceSession(str(job.model / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return [float(p) for p in session.run(["probabilities"], model_inputs(job.rows, columns))[0][:, 1]]
