"""Tasks in the configuration: what each needs, what means nothing to it, and what it may be called in rules."""

from __future__ import annotations

import pytest

from monitor.config import loads, tasks
from tests.config.examples import MINIMAL, only_problem, problems, with_lines

SEVERAL = """\
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.class, scores: {cat: $.p.cat}}
  labels:
    topic: labels
    fields: {id: $.id, at: $.at, label: $.label}
models:
  - {name: animals, task: multiclass, classes: [dog, cat, 3, true]}
"""
NUMBER = """\
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.value}
  labels:
    topic: labels
    fields: {id: $.id, at: $.at, label: $.label}
models:
  - {name: price, task: regression, largest: 5000}
"""
RULE = "  - {name: r, metric: METRIC, op: '<', threshold: 0.5, window: 1d}"


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def ruled(text: str, metric: str) -> str:
    return with_lines(text, "rules:", RULE.replace("METRIC", f"'{metric}'"))


def test_codes_of_classes_are_their_places_among_the_sorted_names_of_all_models() -> None:
    text = changed(SEVERAL, "models:\n", "models:\n  - {name: birds, task: multiclass, classes: [wren, cat]}\n")
    config = loads(text)
    assert tasks.coded_classes(config) == ("3", "cat", "dog", "true", "wren")
    assert tasks.scored_classes(config) == ("cat",)
    assert tasks.task_name(config) == "multiclass"


def test_absent_labels_of_multiclass_models_are_classes() -> None:
    for written, code in (("dog", 2.0), ("3", 0.0), ("other", 4.0)):
        config = loads(
            changed(SEVERAL, "label: $.label}", f"label: $.label}}\n    absent: {{value: {written}, after: 1h}}")
        )
        assert config.streams.labels is not None
        assert config.streams.labels.absent is not None
        assert tasks.absent_value(config, config.streams.labels.absent.value) == code
    assert tasks.absent_value(loads(NUMBER), 7.5) == 7.5


def test_a_document_of_another_task_reads_back_to_the_same() -> None:
    for text in (SEVERAL, NUMBER):
        config = loads(text)
        assert loads(config.document()).digest == config.digest
    assert loads(changed(SEVERAL, "dog, cat", "cat, dog")).digest != loads(SEVERAL).digest


@pytest.mark.parametrize(
    "metric", ["recall:cat", "precision:other", "f1:3", "f1_weighted", "log_loss", "mcc", "coverage"]
)
def test_rules_may_name_metrics_of_single_classes(metric: str) -> None:
    assert loads(ruled(SEVERAL, metric)).rules[0].min_coverage == (0.8)


@pytest.mark.parametrize("metric", ["mae", "rmse", "bias", "r2", "overflow"])
def test_rules_may_name_metrics_of_errors(metric: str) -> None:
    assert loads(ruled(NUMBER, metric)).rules[0].metric == metric


@pytest.mark.parametrize(
    ("text", "metric", "sentence"),
    [
        (SEVERAL, "recall", "'recall' is not a metric; allowed: seen, labelled, coverage, accuracy, precision_macro"),
        (SEVERAL, "recall:bird", "'recall:bird' is not a metric"),
        (SEVERAL, "roc_auc", "'roc_auc' is not a metric"),
        (
            NUMBER,
            "accuracy",
            "'accuracy' is not a metric; allowed: seen, labelled, coverage, bias, mae, mse, rmse, r2,",
        ),
        (MINIMAL, "mae", "'mae' is not a metric"),
        (
            SEVERAL.replace(", scores: {cat: $.p.cat}", ""),
            "log_loss",
            "'log_loss' needs the probability of each class, and streams.predictions.fields.scores is not configured",
        ),
    ],
)
def test_metrics_of_another_task_are_none(text: str, metric: str, sentence: str) -> None:
    assert sentence in only_problem(ruled(text, metric))


@pytest.mark.parametrize(
    ("text", "old", "new", "sentence"),
    [
        (
            SEVERAL,
            "models:\n",
            "models:\n  - {name: price, task: regression}\n",
            (
                "models[1].task: 'multiclass' beside 'regression': a label does not say which model it is about, so all models "
                "of a deployment have one task; run the others under a `namespace` of their own"
            ),
        ),
        (
            SEVERAL,
            ", classes: [dog, cat, 3, true]",
            "",
            "a multiclass model needs its `classes`, as in classes: [cat, dog]",
        ),
        (SEVERAL, "[dog, cat, 3, true]", "[dog, cat, dog]", "classes[2]: the class 'dog' is listed twice"),
        (
            SEVERAL,
            "[dog, cat, 3, true]",
            "[cat, other]",
            "'other' is the class of everything that is not listed; leave it out",
        ),
        (SEVERAL, "[dog, cat, 3, true]", "[cat]", "classes"),
        (
            SEVERAL,
            "multiclass,",
            "multiclass, positive: 2,",
            "'positive' means nothing to a multiclass model; leave it out",
        ),
        (SEVERAL, "multiclass,", "multiclass, threshold: 0.3,", "'threshold' means nothing to a multiclass model"),
        (NUMBER, "largest: 5000", "classes: [a, b]", "'classes' means nothing to a regression model; leave it out"),
        (NUMBER, "largest: 5000", "largest: 0", "models[0].largest"),
        (
            MINIMAL,
            "{name: fraud}",
            "{name: fraud, largest: 7}",
            "'largest' means nothing to a binary model; leave it out",
        ),
        (
            SEVERAL,
            "prediction: $.class, ",
            "score: $.s, ",
            "a multiclass model needs `prediction`, the class it answered",
        ),
        (NUMBER, "prediction: $.value", "prediction: $.value, score: $.s", "a regression model has no score"),
        (NUMBER, "prediction: $.value", "prediction: $.value, scores: {a: $.s}", "a regression model has no classes"),
        (
            MINIMAL,
            "score: $.score",
            "score: $.score, scores: {a: $.s}",
            "probabilities of classes are for multiclass models",
        ),
        (
            SEVERAL,
            "scores: {cat:",
            "scores: {cta:",
            "'cta' is not a class of any model; allowed: 3, cat, dog, true; did you mean 'cat'?",
        ),
        (
            SEVERAL,
            "label: $.label}",
            "label: $.label}\n    values: {cat: 1}",
            "streams.labels.values: classes are counted by the words",
        ),
        (
            SEVERAL,
            "label: $.label}",
            "label: $.label}\n    absent: {value: cta, after: 1h}",
            "'cta' is not a class; allowed: 3, cat, dog, true, other; did you mean 'cat'?",
        ),
        (
            NUMBER,
            "label: $.label}",
            "label: $.label}\n    absent: {value: none, after: 1h}",
            "'none' is no number, and the label of a regression model is one",
        ),
    ],
)
def test_a_mistake_about_the_task_is_one_sentence(text: str, old: str, new: str, sentence: str) -> None:
    assert sentence in only_problem(changed(text, old, new))


def test_a_threshold_that_no_r2_can_reach_is_told() -> None:
    text = ruled(NUMBER, "r2").replace("'<', threshold: 0.5", "'>', threshold: 1")
    assert "r2 > 1 never holds, because r2 is 1 or less" in problems(text)[0]


ALL_SCORES = changed(
    SEVERAL, "scores: {cat: $.p.cat}", "scores: {cat: $.p.c, dog: $.p.d, '3': $.p.three, 'true': $.p.t}"
)


def test_areas_under_curves_need_the_probability_of_every_class() -> None:
    asked = "classes: [dog, cat, 3, true], one_vs_rest: true"
    few = only_problem(changed(SEVERAL, "classes: [dog, cat, 3, true]", asked))
    assert "models[0].one_vs_rest: areas under ROC curves need the probability of every class" in few
    assert "does not map that of dog, 3, true" in few
    config = loads(ruled(changed(ALL_SCORES, "classes: [dog, cat, 3, true]", asked), "roc_auc:dog"))
    assert config.rules[0].metric == "roc_auc:dog"
    assert "'roc_auc:dog' is not a metric" in only_problem(ruled(ALL_SCORES, "roc_auc:dog"))
    assert "'one_vs_rest' means nothing to a regression model" in only_problem(
        changed(NUMBER, "largest: 5000", "largest: 5000, one_vs_rest: true")
    )


def test_what_answers_cost_is_a_metric_where_it_is_said() -> None:
    plain = changed(NUMBER, "{name: price, task: regression, largest: 5000}", "{name: price}")
    asked = changed(plain, "{name: price}", "{name: price, costs: {fp: 1, fn: 25}}")
    assert loads(ruled(asked, "cost")).rules[0].metric == "cost"
    assert "'cost' is not a metric" in only_problem(ruled(plain, "cost"))
    assert loads(asked).digest != loads(plain).digest
    assert "'costs' means nothing to a regression model" in only_problem(
        changed(NUMBER, "largest: 5000", "largest: 5000, costs: {fp: 1}")
    )


def test_a_metric_of_another_task_is_not_complained_of_beside_a_task_that_is_mistyped() -> None:
    mistyped = changed(SEVERAL, "task: multiclass", "task: multiclas")
    for metric in ("recall:cat", "f1_macro", "roc_auc_macro"):
        assert "did you mean 'multiclass'?" in only_problem(ruled(mistyped, metric))
    assert len(problems(ruled(mistyped, "recal"))) == 2, "it is a metric of no task"
