"""`driftline retrain` with the rows and alerts of a deployment's own topics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli.retrain import wire
from pipelines.cli.policies import load
from pipelines.dataset.shelf import Shelf
from pipelines.local import Places
from pipelines.tables import parse_rows
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from tests.cli.conftest import Deployment
from tests.cli.driving import Outcome, driftline

POLICY = """
models:
  arrival-delay:
    rows: {config}
    data: {{label: label, features: [{features}], window: 30d}}
    trigger: {{labels_min: 100}}
    gate: {{goal: not_worse, margin: 0.3, segments: [segment.origin], segment_margin: 0.4, rows_min: 50, segment_rows_min: 50}}
"""


class Bench:
    """A policy over the topics of a deployment, and a store of its own."""

    def __init__(self, deployment: Deployment, directory: Path, features: str = "hour, origin") -> None:
        self.deployment, self.directory, self.store = deployment, directory, directory / "store"
        self.policy = directory / "retrain.yaml"
        self.policy.write_text(POLICY.format(config=deployment.config, features=features))

    def retrain(self, what: str, *options: object) -> Outcome:
        where = ("-c", self.policy, "--alerts", self.deployment.config, "--embedded", self.deployment.log)
        return driftline("retrain", what, *where, "--store", self.store, "--work", self.directory / "work", *options)

    def asked(self) -> Outcome:
        return self.retrain("run", "--once", "--model", "arrival-delay", "--reason", "a test", "-o", "json")


@pytest.fixture
def bench(deployment: Deployment, tmp_path: Path) -> Bench:
    return Bench(deployment, tmp_path)


def test_a_run_trains_on_a_dataset_version_of_the_topics_that_they_give_again_bit_for_bit(bench: Bench) -> None:
    outcome = bench.asked()
    reached = [line["after"] for line in outcome.lines if "after" in line]
    assert reached[:3] == ["collecting", "validating", "training"], outcome.err
    store = DirectoryStore(bench.store)
    shelf = Shelf(store)
    [version] = shelf.versions()
    windows = driftline("windows", *bench.deployment.where, "--final", "-o", "json").json["windows"]
    assert version.manifest.rows - version.manifest.unlabelled_rows == sum(w["counts"]["labelled"] for w in windows)
    again = driftline("dataset", "verify", version.digest, *bench.deployment.where, "--store", bench.store)
    assert again.code == 0, again.err


def test_a_registered_version_names_its_rows_and_they_name_the_dataset_version(bench: Bench) -> None:
    bench.asked()
    store = DirectoryStore(bench.store)
    [model] = Catalog(store).versions("arrival-delay")
    rows = json.loads(b"".join(store.blob(str(Catalog(store).manifest(model).dataset))))
    [version] = Shelf(store).versions()
    assert rows["source"] == version.digest
    first = json.loads(next(iter(b"".join(store.blob(rows["train"])).splitlines())))
    assert set(first) == {
        "at_ms", "known_ms", "version", "score", "prediction", "label", "segment.origin", "hour", "origin",
    }  # fmt: skip


def test_what_fires_is_read_from_the_topic_of_the_same_configuration(bench: Bench) -> None:
    [plan] = bench.retrain("plan", "-o", "json").lines
    assert plan["why"] in {"nothing_fires", "performance"}, plan


def test_a_feature_that_the_configuration_does_not_have_is_named_with_the_nearest(
    deployment: Deployment, tmp_path: Path
) -> None:
    outcome = Bench(deployment, tmp_path, features="hour, orgin").asked()
    assert outcome.code != 0
    assert "orgin" in outcome.err
    assert "'origin'" in outcome.err


def test_a_check_of_a_column_that_the_topics_do_not_have_is_refused(bench: Bench) -> None:
    bench.policy.write_text(bench.policy.read_text().replace("window: 30d", "checks: {hourr: {min: 0}}"))
    outcome = bench.asked()
    assert outcome.code != 0
    assert "the checked column 'hourr'" in outcome.err
    assert "'hour'" in outcome.err


def test_the_pipelines_alone_say_that_topics_need_the_monitor(bench: Bench) -> None:
    from pipelines.cli import command

    with pytest.raises(Exception, match="needs the monitor"):
        command.main(
            ["plan", "-c", str(bench.policy), "--embedded", str(bench.deployment.log), "--store", str(bench.store)],
            standalone_mode=False,
        )


def test_training_on_this_machine_takes_the_same_rows(bench: Bench) -> None:
    model = bench.directory / "model"
    where = ("--embedded", bench.deployment.log, "--out", model)
    outcome = driftline("train", "--local", "-c", bench.policy, *where, "-o", "json")
    assert outcome.code == 0, outcome.err
    windows = driftline("windows", *bench.deployment.where, "--final", "-o", "json").json["windows"]
    rows = outcome.json["rows"]
    assert rows["train_rows"] + rows["test_rows"] == sum(w["counts"]["labelled"] for w in windows)
    assert (model / "model.onnx").is_file()


def test_lineage_goes_from_a_version_to_the_topics_and_from_a_dataset_to_its_versions(bench: Bench) -> None:
    assert bench.asked().code == 0
    [version] = Shelf(DirectoryStore(bench.store)).versions()
    here = ("--store", bench.store)
    back = driftline("lineage", "arrival-delay@1", *here, "-o", "json").json
    assert [(step["depth"], step["why"], step["what"]) for step in back["came_from"]] == [
        (1, "made by", "run"), (2, "took", "rows"), (3, "taken from", "dataset"),
    ]  # fmt: skip
    dataset = back["came_from"][-1]
    assert dataset["id"] == version.digest
    assert dataset["said"].startswith(
        f"{version.manifest.rows:,} rows of {version.manifest.source.predictions.name}, offsets 0: ["
    )
    forth = driftline("lineage", version.digest[:20], *here, "-o", "json").json
    assert [step["id"] for step in forth["led_to"]][-1] == "arrival-delay@1"
    firing = driftline("alerts", "list", *bench.deployment.where, "--firing", "-o", "json").lines[0]["data"]["episode"]
    where = ("--alerts", bench.deployment.config, "--embedded", bench.deployment.log)
    told = driftline("lineage", firing, *where, *here)
    assert (told.code, told.out.startswith(f"alert {firing}")) == (0, True)
    for line in driftline("alerts", "list", *bench.deployment.where, "-o", "json").lines:
        told = driftline("lineage", line["id"][:8], *where, *here)
        assert told.out.startswith(f"alert {line['data']['episode']}"), told.err
    shown = driftline("history", "arrival-delay", *here, "-o", "json").lines
    said = [line["what"].removeprefix(f"run {back['came_from'][0]['id'][:12]} ") for line in shown]
    assert said[0] == "begins"
    assert sorted(said[1:]) == ["arrival-delay@1 registered", "is awaiting_approval", "is registered"]


def test_predictions_of_two_versions_are_paired_by_the_hash_of_their_id(bench: Bench) -> None:
    shadow = "\n    shadow: {scored_by: serving, most: 20d}\n"
    text = bench.policy.read_text().replace("features:", "id: id_hash, score: score, features:") + shadow
    bench.policy.write_text(text)
    (asked,), files = load(bench.policy)
    here, log = bench.directory, bench.deployment.log
    places = Places(bench.store, bench.deployment.config, files.rows, here, here / "work", log)
    data = wire(places).data
    names = {
        w["version"] for w in driftline("windows", *bench.deployment.where, "--final", "-o", "json").json["windows"]
    }
    found = data.compared(asked, names, names, 0, 2**50, lambda: None)
    assert found is not None
    assert found.test_rows == data.mature(asked, 2**50) > 100
    rows = parse_rows(b"".join(DirectoryStore(bench.store).blob(found.test)), "the rows")
    assert all(row["score.served"] == row["score.other"] == row["score"] for row in rows), "each with itself"
    assert len({row["id_hash"] for row in rows}) == len(rows)
    assert data.compared(asked, names, {"another"}, 0, 2**50, lambda: None) is None


def test_whether_predictions_name_a_version_is_read_from_the_windows(bench: Bench) -> None:
    from monitor.cli.retrain_rows import TopicData
    from pipelines.cli.policies import load

    [policy], _ = load(bench.policy)
    store = DirectoryStore(bench.store)
    topics = TopicData(store, Shelf(store), {policy.model: bench.deployment.config}, bench.deployment.log)
    assert topics.seen(policy, {"1", "v1"}) is True
    assert topics.seen(policy, {"2", "v2"}) is False
    nowhere = TopicData(store, Shelf(store), {policy.model: bench.deployment.config}, bench.directory / "none")
    assert nowhere.seen(policy, {"1"}) is None


def test_rows_whose_numbers_were_texts_are_rejected_under_the_name_that_paged(
    deployment: Deployment, tmp_path: Path
) -> None:
    spoilt = tmp_path / "predictions.jsonl"
    lines = [json.loads(line) for line in deployment.predictions.read_text().splitlines()]
    for line in lines[::3]:
        line["features"]["hour"] = "late"
    spoilt.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config, log = tmp_path / "quality.yaml", tmp_path / "log"
    declared = "  - name: arrival-delay\n    quality: {features: {hour: {min: 0, max: 24}}}\n"
    config.write_text(deployment.config.read_text().replace("  - name: arrival-delay\n", declared))
    for topic, path in (("predictions", spoilt), ("labels", deployment.labels)):
        sent = driftline("produce", f"flights.{topic}", path, "--embedded", log, "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
    ran = driftline("run", "-c", config, "--embedded", log, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    bench = Bench(Deployment(config, log, spoilt, deployment.labels), tmp_path)
    outcome = bench.retrain("run", "--once", "--model", "arrival-delay", "--reason", "a test", "-o", "json")
    said = json.dumps(outcome.lines)
    assert f"wrong_type:hour in {len(lines[::3]):,} of {len(lines):,} rows" in said, (said, outcome.err)
    assert "data_quality" in said
