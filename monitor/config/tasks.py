"""What a model predicts, as configured: classes, numbers, and the metrics that rules may name for each task.

Labels do not say which model they are about, so all models of a deployment have one task, and the classes of all of its
multiclass models share one list of codes: the names, sorted. Codes are thereby a function of the configuration alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, StringConstraints

from monitor.config.base import Written, exact_number, problem
from monitor.config.metric_names import BINARY

if TYPE_CHECKING:
    from monitor.config.types import Config, ModelTemplate

TASKS = ("binary", "multiclass", "regression")

MOST_CLASSES = 64
"""As many classes can be listed; a matrix of more is nothing that anybody looks at."""
OTHER = "other"
"""The class of everything that is not listed."""
SMALLEST_LARGEST, LARGEST_LARGEST = 1e-9, 1e15
"""Bounds of `largest`: its resolution must be an ordinary number."""

_WHOLE = ("seen", "labelled", "coverage")
_SHARE = (0.0, 1.0)

TOP = (2, 3, 5)
"""How many first classes are looked at, each as `topK_accuracy`, where there are more classes than that."""

MULTICLASS: dict[str, tuple[float, float]] = {
    **{name: BINARY[name] for name in _WHOLE},
    "accuracy": _SHARE,
    **{f"{name}_{how}": _SHARE for how in ("macro", "micro", "weighted") for name in ("precision", "recall", "f1")},
    "balanced_accuracy": _SHARE,
    "mcc": (-1.0, 1.0),
    "kappa": (-1.0, 1.0),
    "log_loss": (0.0, math.inf),
    **{f"top{k}_accuracy": _SHARE for k in TOP},
    "brier": (0.0, math.inf),
    "ece": _SHARE,
}
"""Performance metrics of multiclass models with their ranges; those of single classes are `PER_CLASS`."""

PER_CLASS = ("precision", "recall", "f1")
"""Metrics of one class, as `NAME:CLASS`."""
AREAS = ("roc_auc_macro", "roc_auc")
"""Of models with `one_vs_rest`: the mean area under the ROC curves of all classes, and that of one, as `NAME:CLASS`."""
COST = "cost"
"""Of binary models with `costs`."""

REGRESSION: dict[str, tuple[float, float]] = {
    **{name: BINARY[name] for name in _WHOLE},
    "bias": (-math.inf, math.inf),
    "mae": (0.0, math.inf),
    "mse": (0.0, math.inf),
    "rmse": (0.0, math.inf),
    "r2": (-math.inf, 1.0),
    "explained_variance": (-math.inf, 1.0),
    "correlation": (-1.0, 1.0),
    "mape": (0.0, math.inf),
    "rmsle": (0.0, math.inf),
    "median_ae": (0.0, math.inf),
    "max_error": (0.0, math.inf),
    **dict.fromkeys(("error_p05", "error_p50", "error_p95"), (-math.inf, math.inf)),
    **dict.fromkeys(("pinball_0_1", "pinball_0_9"), (0.0, math.inf)),
    "at_or_below": _SHARE,
    "overflow": _SHARE,
}
"""Performance metrics of regression models with their ranges."""


_FIRST = {
    "rmse": ("mae", "rmse", "bias", "r2"),
    "f1_macro": ("accuracy", "f1_macro", "precision_macro", "recall_macro"),
    "accuracy": ("accuracy", "precision", "recall", "roc_auc"),
}
"""Metrics most asked for, by one that tells the task."""


def first_metrics(there: Collection[str]) -> tuple[str, ...]:
    """Those of some performance metrics that people ask for first; without them the rest makes no picture."""
    names = next((first for name, first in _FIRST.items() if name in there), ())
    return tuple(name for name in names if name in there)


def _class_name(value: Any) -> Any:
    """A class as text; of a number the text that a number in a record has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(value)
    if value == OTHER:
        raise problem("'other' is the class of everything that is not listed; leave it out")
    return value


ClassName = Annotated[
    str,
    BeforeValidator(_class_name),
    StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f:,]+$"),
    Written({"type": ["string", "number", "boolean"], "maxLength": 100}),
]
"""A class as the records write it. It becomes part of metric names (`recall:NAME`), which commands take in lists."""


def _label_value(value: Any) -> float | str:
    """A number as it is, text as a class."""
    if isinstance(value, str) and 0 < len(value) <= 100:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(exact_number(value))
    raise problem(f"{value!r} is no label; allowed: a number, or for multiclass models a class")


LabelValue = Annotated[
    float | str, BeforeValidator(_label_value), Written({"type": ["number", "string"], "maxLength": 100})
]
"""A label: a number, or a class by its name."""


def models_of(config: Config) -> tuple[ModelTemplate, ...]:
    """The listed models and the template."""
    return (*config.models, *((config.unlisted_models,) if config.unlisted_models is not None else ()))


def task_name(config: Config) -> str:
    """The task of the deployment: that of its models, which is one."""
    return next((model.task for model in models_of(config)), "binary")


def coded_classes(config: Config) -> tuple[str, ...]:
    """The classes of all models, sorted: the place of a class is its code, the number of them the code of any other."""
    return tuple(sorted({name for model in models_of(config) for name in model.classes or ()}))


def scored_classes(config: Config) -> tuple[str, ...]:
    """The classes that the predictions carry probabilities of, in the order of their columns."""
    return tuple(config.streams.predictions.fields.scores or ())


def absent_value(config: Config, value: float | str) -> float:
    """`labels.absent.value` as a label: a number as it is, a class as its code."""
    if task_name(config) != "multiclass":
        return float(value)
    classes = coded_classes(config)
    name = _class_name(value) if value != OTHER else OTHER
    return float(classes.index(name)) if name in classes else float(len(classes))


def performance(models: Iterable[ModelTemplate]) -> Mapping[str, tuple[float, float]]:
    """The performance metrics that rules about these models may name, with their ranges."""
    found: dict[str, tuple[float, float]] = {}
    for model in models:
        found |= performance_of(model)
    return found or BINARY


def performance_of(model: ModelTemplate) -> Mapping[str, tuple[float, float]]:
    """The performance metrics of a model, with their ranges."""
    if model.task == "binary":
        return BINARY if model.costs is None else BINARY | {COST: (-math.inf, math.inf)}
    if model.task == "regression":
        return REGRESSION
    classes = model.classes or ()
    gone = {f"top{k}_accuracy" for k in TOP if k >= len(classes)}
    found = {name: ends for name, ends in MULTICLASS.items() if name not in gone}
    mean, each = AREAS if model.one_vs_rest else (None, None)
    if mean is not None:
        found[mean] = _SHARE
    found |= {f"{name}:{own}": _SHARE for own in (*classes, OTHER) for name in PER_CLASS}
    return found | ({} if each is None else {f"{each}:{own}": _SHARE for own in classes})
