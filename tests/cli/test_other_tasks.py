"""Multiclass and regression through the whole daemon: what it publishes is what scikit-learn said of the same rows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.metrics.multiclass import ORDER
from tests.cli.driving import driftline
from tests.metrics.streams import Stream, approval, segments

DAY_MS = 86_400_000
START_MS = 1_700_352_000_000  # midnight, and the beginning of 16 days
CONFIG = """
namespace: tasks
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: $.at, prediction: $.answer, withdrawn: $.gone, SCORES}
    features: {}
  labels:
    topic: y
    fields: {id: $.id, at: $.at, label: $.truth}
time: {horizon: 2d, disorder: 10m, lateness: 3d, max_jump: 2d, tick: 1h}
models: [{name: m, MODEL}]
windows: [day, 16d]
rules:
  - {name: bad, RULE, window: day, min_rows: 10, min_coverage: 0.1}
http: {port: 0}
"""

Records = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def multiclass(stream: Stream) -> tuple[str, str, str]:
    """What the configuration says of the segments."""
    scores = ", ".join(f"{name}: $.p.{name}" for name in stream.classes)
    return (
        f"scores: {{{scores}}}",
        f"task: multiclass, classes: [{', '.join(stream.classes)}], one_vs_rest: true",
        ("metric: 'recall:window', op: '<', threshold: 0.9999"),
    )


def regression(_: Stream) -> tuple[str, str, str]:
    """What the configuration says of the ratings."""
    return "", "task: regression, largest: 100", "metric: mae, op: '>', threshold: 1"


def records(stream: Stream) -> Records:
    """A window of the table is a day. One label in five is wrong first and corrected a minute later, one in seven comes
    twice, and one prediction is taken back."""
    predictions, labels = [], []
    sizes = {row["window"]: row for row in stream.table}
    for i in range(len(stream.label)):
        day = i // stream.size
        at = START_MS + day * DAY_MS + (i % stream.size) * 60_000
        answer: Any = float(stream.predicted[i])
        truth: Any = float(stream.label[i])
        wrong: Any = truth + 1.5
        one: dict[str, Any] = {"id": str(i), "at": at}
        if stream.classes:
            names = stream.classes
            answer, truth, wrong = names[int(answer)], names[int(truth)], "a class that nobody listed"
            one["p"] = dict(zip(names, stream.probabilities[i].tolist(), strict=True))
        predictions.append({**one, "answer": answer})
        if i % 5 == 0:
            labels.append({"id": str(i), "at": at + 60_000, "truth": wrong})
        labels.append({"id": str(i), "at": at + 120_000, "truth": truth})
        if i % 7 == 0:
            labels.append(labels[-1])
    assert "all" in sizes
    gone = {"id": "gone", "at": START_MS + 5, "answer": predictions[0]["answer"]}
    predictions += [gone, {"id": "gone", "at": START_MS + 70, "gone": True}]
    return predictions, [*labels, {"id": "gone", "at": START_MS + 60_000, "truth": labels[0]["truth"]}]


def run(folder: Path, config: str, sent: list[tuple[str, list[dict[str, Any]]]], partitions: int, batch: int) -> Any:
    """Deliver the records, read to the end, and give the published windows."""
    folder.mkdir()
    path, log = folder / "d.yaml", folder / "log"
    path.write_text(config)
    for i, (topic, rows) in enumerate(sent):
        lines = folder / f"{i}.jsonl"
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = driftline("produce", topic, lines, "--embedded", log, "--partitions", partitions, "-q")
        assert done.code == 0, done.err
    where = ("-c", path, "--embedded", log)
    ran = driftline("run", *where, "--until-end", "--no-http", "-q", "--set", f"state.max_batch_rows={batch}")
    assert ran.code == 0, ran.err
    found = driftline("windows", *where, "-o", "json", "--final", "--segment", "every")
    assert found.code == 0, found.err
    table = driftline("windows", *where)
    assert table.code == 0, table.err
    fired = driftline("alerts", "list", *where, "--all", "-o", "json")
    return found.json["windows"], table.out, fired


def text_of(stream: Stream, of: Callable[[Stream], tuple[str, str, str]]) -> str:
    text = CONFIG
    for name, part in zip(("SCORES", "MODEL", "RULE"), of(stream), strict=True):
        text = text.replace(name, part)
    return text.replace(", }", "}")


CASES = {"multiclass": (segments, multiclass), "regression": (approval, regression)}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stream of a task, its folder, its configuration, and what the daemon says of records in order."""
    make, of = CASES[request.param]
    stream, folder = make(), tmp_path_factory.mktemp(request.param)
    predictions, labels = records(stream)
    config = text_of(stream, of)
    checked = folder / "c.yaml"
    checked.write_text(config)
    assert driftline("check", "-c", checked).code == 0
    return (
        stream,
        folder,
        config,
        (predictions, labels),
        run(folder / "plain", config, [("p", predictions), ("y", labels)], 1, 50_000),
    )


OF_PROBABILITIES = {
    "top2_accuracy": "top2_accuracy",
    "brier": "brier_multiclass",
    "ece": "ece15_top1_torchmetrics",
    "roc_auc_macro": "roc_auc_ovr_macro",
}
OF_NUMBERS = {
    name: {"correlation": "pearson"}.get(name, name)
    for name in (
        *("bias", "mae", "mse", "rmse", "r2", "explained_variance", "correlation", "mape"),
        *("median_ae", "max_error", "pinball_0_9"),
    )
}
"""Metrics by their column in the table."""


def days(windows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Windows of a day by the number of the day, and the one of all days as `all`."""
    return {
        "all" if w["end_ms"] - w["start_ms"] > DAY_MS else str((w["start_ms"] - START_MS) // DAY_MS): w
        for w in windows
        if w["kind"] == "performance"
    }


def test_the_daemon_publishes_what_scikit_learn_says_of_the_same_rows(case: Any) -> None:
    stream, _, _, _, (windows, _, _) = case
    found = days(windows)
    columns = {**dict(zip(ORDER, ORDER, strict=True)), **OF_PROBABILITIES} if stream.classes else OF_NUMBERS
    for row in stream.table:
        window = found[row["window"]]
        assert window["labelled"] == window["seen"] == int(row["n"])
        for name, column in columns.items():
            metric = window["metrics"][name]
            allowed = 1e-9 + 1e-11 * abs(metric["value"]) + metric["bound"] + (1e-6 if "torch" in column else 0.0)
            assert metric["value"] == pytest.approx(float(row[column]), abs=allowed, rel=0), (row["window"], name)
            if name != "max_error":
                assert metric["lower"] <= metric["value"] <= metric["upper"]


def test_the_confusion_matrix_is_published_and_the_overflow_counted(case: Any) -> None:
    stream, _, _, _, (windows, _, _) = case
    counts = days(windows)["all"]["counts"]
    if not stream.classes:
        assert counts["overflow"] == 0
        return
    pairs = zip(stream.label.astype(int).tolist(), stream.predicted.astype(int).tolist(), strict=True)
    expected: dict[str, int] = {}
    for actual, predicted in pairs:
        name = f"confusion:{stream.classes[actual]}:{stream.classes[predicted]}"
        expected[name] = expected.get(name, 0) + 1
    assert {name: n for name, n in counts.items() if name.startswith("confusion:")} == expected


def test_the_table_shows_the_metrics_of_the_task(case: Any) -> None:
    stream, _, _, _, (_, table, _) = case
    first = ("accuracy", "f1_macro") if stream.classes else ("mae", "rmse")
    for name in first:
        assert name in table


def test_a_rule_on_a_metric_of_the_task_fires(case: Any) -> None:
    stream, _, _, _, (_, _, alerts) = case
    assert alerts.code == 0, alerts.err
    metric = "recall:window" if stream.classes else "mae"
    assert metric in alerts.out
    assert "firing" in alerts.out


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_cut_and_number_of_partitions_publishes_the_same(case: Any, seed: int) -> None:
    _, folder, config, (predictions, labels), (plain, _, _) = case
    rng = random.Random(seed)
    predictions, labels = list(predictions), list(labels)
    # Within three hours: far more than the disorder that ticks allow, and well within the lateness.
    for rows in (predictions, labels):
        rows.sort(key=lambda row: row["at"] + rng.uniform(0, 3 * 3_600_000))
    half = len(labels) // 2
    sent = [("y", labels[:half]), ("p", predictions), ("y", labels[half:])]
    again, _, _ = run(folder / str(seed), config, sent, 3, 701)

    def bare(windows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(
            ({k: v for k, v in w.items() if k not in ("revision", "tick_ms")} for w in windows),
            key=lambda w: (w["kind"], w["window"], w["start_ms"]),
        )

    assert bare(again) == bare(plain)


def test_a_dataset_of_the_topics_holds_the_rows_with_their_answers(case: Any) -> None:
    from pipelines.dataset.shelf import Shelf
    from registry.directory import DirectoryStore

    stream, folder, _, _, _ = case
    where = ("-c", folder / "plain" / "d.yaml", "--embedded", folder / "plain" / "log", "--store", folder / "store")
    made = driftline("dataset", "create", *where, "--all", "--ids", "-o", "json")
    assert made.code == 0, made.err
    verified = driftline("dataset", "verify", made.json["dataset"], *where)
    assert verified.code == 0, verified.err
    shelf = Shelf(DirectoryStore(folder / "store"))
    rows: dict[str, tuple[Any, Any]] = {}
    for table in shelf.tables(shelf.version(made.json["dataset"]).manifest):
        ids = table.texts("id").texts()
        values = [
            table.texts(name).texts() if stream.classes else table.floats(name).values.tolist()
            for name in ("prediction", "label")
        ]
        rows.update((str(i), pair) for i, pair in zip(ids, zip(*values, strict=True), strict=True))
        if stream.classes:
            sky = table.floats("score.sky").values
            assert not np.isnan(sky).any()
    assert rows.keys() == {str(i) for i in range(len(stream.label))}
    for i, (predicted, label) in rows.items():
        expected = stream.predicted[int(i)], stream.label[int(i)]
        if stream.classes:
            expected = tuple(stream.classes[int(code)] for code in expected)
        assert (predicted, label) == expected


def test_the_drift_of_predicted_numbers_is_watched_as_the_score(case: Any) -> None:
    stream, folder, config, (predictions, labels), _ = case
    if stream.classes:
        return
    reference = folder / "reference.json"
    where = ("-c", folder / "plain" / "d.yaml", "--embedded", folder / "plain" / "log")
    built = driftline("reference", "build", *where, "--first", 600, "-o", reference)
    assert built.code == 0, built.err
    watched = config.replace("largest: 100", f"largest: 100, reference: {reference}")
    watched = watched.replace("metric: mae, op: '>', threshold: 1", "metric: 'psi:$score', op: '>', threshold: 0.5")
    watched = watched.replace(", min_coverage: 0.1", "")
    _, _, alerts = run(folder / "watched", watched, [("p", predictions), ("y", labels)], 1, 50_000)
    again = ("-c", folder / "watched" / "d.yaml", "--embedded", folder / "watched" / "log")
    windows = driftline("windows", *again, "--kind", "input", "-o", "json").json["windows"]
    drift = [window["metrics"]["psi:$score"] for window in windows]
    assert len(drift) == -(-len(stream.label) // stream.size) + 1  # days, and all of them
    assert all(metric["value"] >= 0.0 and metric["rows"] > 0 for metric in drift)
    assert "psi:$score" in alerts.out


def test_a_policy_over_a_multiclass_model_is_refused(case: Any) -> None:
    from monitor.cli.retrain_rows import TopicData
    from pipelines.dataset.shelf import Shelf
    from pipelines.errors import ConfigError
    from pipelines.policy import Data, Policy
    from registry.directory import DirectoryStore

    stream, folder, _, _, _ = case
    store = DirectoryStore(folder / "policies")
    data = TopicData(store, Shelf(store), {"m": folder / "plain" / "d.yaml"}, folder / "plain" / "log")
    policy = Policy(model="m", data=Data(features=("score",), label="label", at="at_ms"))
    if not stream.classes:
        assert data.mature(policy, START_MS + 30 * DAY_MS) == len(stream.label)
        kept = data.collect(policy, START_MS + 30 * DAY_MS, lambda: None)
        assert kept.train_rows + kept.test_rows == len(stream.label)
        return
    with pytest.raises(ConfigError, match="'m' is a multiclass model, and gates compare losses of numbers"):
        data.mature(policy, START_MS + 30 * DAY_MS)
