"""Mistakes between a model's task and the rest: the other models, the streams, the keys that mean nothing to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.config import metric_names
from monitor.config.problems import Path, Problem
from monitor.config.suggest import hint, listing
from monitor.config.tasks import OTHER, coded_classes, models_of, task_name

if TYPE_CHECKING:
    from monitor.config.types import Config, ModelTemplate

_FIELDS: Path = ("streams", "predictions", "fields")
_TASKS: tuple[Path, ...] = (("models", "*", "task"), ("unlisted_models", "task"))
_OWN_KEYS = {
    "threshold": "binary",
    "positive": "binary",
    "costs": "binary",
    "classes": "multiclass",
    "one_vs_rest": "multiclass",
    "largest": "regression",
}
"""Keys of a model that mean something to one task only."""


def has_scores(config: Config) -> bool:
    """Whether the predictions carry what metrics of scores need."""
    fields = config.streams.predictions.fields
    return bool(fields.scores) if task_name(config) == "multiclass" else fields.score is not None


def any_score(config: Config) -> bool:
    """Whether there is any number that metrics of scores could be about."""
    return has_scores(config) or _column_of_scores(config) is not None


def needs_score(config: Config, metric: str, path: Path) -> Iterator[Problem]:
    """A rule on a metric of scores that are not there."""
    by_score = metric_names.needs_score(metric) or metric.startswith("unlabelled:")
    if by_score and not has_scores(config):
        name = "scores" if task_name(config) == "multiclass" else "score"
        what = "the probability of each class" if name == "scores" else "a score"
        sentence = f"{metric!r} needs {what}, and streams.predictions.fields.{name} is not configured"
        yield Problem(path, sentence, ((*_FIELDS, name), *_TASKS))
    elif metric_names.subject(metric) == metric_names.SCORE and _column_of_scores(config) is None:
        sentence = f"{metric!r} needs a score, and streams.predictions.fields.score is not configured"
        yield Problem(path, sentence, ((*_FIELDS, "score"),))


def _column_of_scores(config: Config) -> object:
    """The place of what `$score` stands for: of regression models it is the prediction."""
    fields = config.streams.predictions.fields
    return fields.prediction if task_name(config) == "regression" else fields.score


def models(config: Config) -> Iterator[Problem]:
    """Models of different tasks, and keys of one task under another."""
    first: ModelTemplate | None = None
    for at, model in _placed(config):
        if first is None:
            first = model
        elif model.task != first.task:
            yield Problem(
                (*at, "task"),
                f"{model.task!r} beside {first.task!r}: a label does not say which model it is about, so all models of a "
                "deployment have one task; run the others under a `namespace` of their own",
                _TASKS,
            )
        for key, task in _OWN_KEYS.items():
            # The document of a config has every default in full, so what is as it would be unsaid is no mistake.
            if model.task != task and getattr(model, key) != type(model).model_fields[key].default:
                yield Problem(
                    (*at, key), f"{key!r} means nothing to a {model.task} model; leave it out", ((*at, "task"),)
                )
        if model.task == "multiclass":
            yield from _classes(model, at)
            yield from _areas(config, model, at)


def _placed(config: Config) -> Iterator[tuple[Path, ModelTemplate]]:
    for index, model in enumerate(config.models):
        yield ("models", index), model
    if config.unlisted_models is not None:
        yield ("unlisted_models",), config.unlisted_models


def _classes(model: ModelTemplate, at: Path) -> Iterator[Problem]:
    if model.classes is None:
        yield Problem(
            at,
            "a multiclass model needs its `classes`, as in classes: [cat, dog]; `driftline init --from-topic` finds them "
            "in the topics",
            ((*at, "classes"), (*at, "task")),
        )
    for index, name in enumerate(model.classes or ()):
        if name in (model.classes or ())[:index]:
            yield Problem((*at, "classes", index), f"the class {name!r} is listed twice")


def _areas(config: Config, model: ModelTemplate, at: Path) -> Iterator[Problem]:
    """Areas under ROC curves without the probabilities that they are made of."""
    scores = config.streams.predictions.fields.scores or {}
    missing = [name for name in model.classes or () if name not in scores]
    if model.one_vs_rest and missing:
        sentence = (
            "areas under ROC curves need the probability of every class, and streams.predictions.fields.scores does not map that "
            f"of {listing(missing)}"
        )
        yield Problem((*at, "one_vs_rest"), sentence, ((*_FIELDS, "scores"), (*at, "classes")))


def streams(config: Config) -> Iterator[Problem]:
    """What the streams map that the task does not read, and what it reads and they do not map."""
    task, predictions, labels = task_name(config), config.streams.predictions, config.streams.labels
    if len({model.task for model in models_of(config)}) != 1:
        return  # none at all, or several, which is a mistake of its own
    if task != "binary":
        yield from _not_binary(config, task)
    elif predictions.fields.scores is not None:
        sentence = "probabilities of classes are for multiclass models; a binary model has one `score`"
        yield Problem((*_FIELDS, "scores"), sentence, _TASKS)
    if labels is None or labels.absent is None:
        return
    value, classes = labels.absent.value, coded_classes(config)
    at: Path = ("streams", "labels", "absent", "value")
    if task != "multiclass" and isinstance(value, str):
        yield Problem(at, f"{value!r} is no number, and the label of a {task} model is one", _TASKS)
    elif task == "multiclass" and classes and str(value) not in (*classes, OTHER) and isinstance(value, str):
        yield Problem(
            at, f"{value!r} is not a class; allowed: {listing((*classes, OTHER))}{hint(value, classes)}", _TASKS
        )


def _not_binary(config: Config, task: str) -> Iterator[Problem]:
    predictions, labels = config.streams.predictions, config.streams.labels
    fields = predictions.fields
    if fields.prediction is None and fields.score is not None:
        what = "class" if task == "multiclass" else "number"
        sentence = f"a {task} model needs `prediction`, the {what} it answered, as in prediction: $.prediction"
        yield Problem(_FIELDS, sentence, ((*_FIELDS, "prediction"), *_TASKS))
    if task == "regression" and fields.score is not None:
        yield Problem((*_FIELDS, "score"), "a regression model has no score; its number is `prediction`", _TASKS)
    if task == "regression" and fields.scores is not None:
        yield Problem((*_FIELDS, "scores"), "a regression model has no classes; leave `scores` out", _TASKS)
    if task == "multiclass":
        for name, stream in (("predictions", predictions), ("labels", labels)):
            if stream is not None and stream.values:
                sentence = "classes are counted by the words themselves; list them under the model's `classes` instead"
                yield Problem(("streams", name, "values"), sentence, _TASKS)
        known = coded_classes(config)
        for name in fields.scores or ():
            if known and name not in known:
                sentence = f"{name!r} is not a class of any model; allowed: {listing(known)}{hint(name, known)}"
                yield Problem((*_FIELDS, "scores", name), sentence, (("models", "*", "classes"),))
