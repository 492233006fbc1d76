"""`driftline retrain` on a dataset version of an archive whose topics are gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.cli.retrain import wire
from pipelines.cli.policies import load
from pipelines.dataset.redaction import KEY_BYTES, Redaction, add, key_of, keyed
from pipelines.dataset.shelf import Shelf
from pipelines.dataset.table import Hashes
from pipelines.errors import NotFound, StepFailed
from pipelines.local import Places
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from tests.cli.conftest import Deployment
from tests.cli.driving import Outcome, driftline

MODEL = "arrival-delay"
POLICY = """
models:
  arrival-delay:
    rows: {rows}
    data: {{label: label, features: [hour, origin], window: 30d}}
    trigger: {{labels_min: 100}}
    gate: {{goal: not_worse, margin: 0.3, rows_min: 50}}
"""


def succeed(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


class Bench:
    """A store with an archive, and a version of it that is called `days`."""

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        self.directory, self.store, self.policy = directory, directory / "store", directory / "retrain.yaml"
        here = ("--store", self.store)
        succeed(driftline("archive", "write", *deployment.where, *here, "--pane", "1d", "--until-end"))
        succeed(driftline("archive", "dataset", "small", *here, "--name", "days"))
        self.rows("dataset:days")

    def rows(self, rows: str) -> None:
        self.policy.write_text(POLICY.format(rows=rows))

    def retrain(self, what: str, *options: object) -> Outcome:
        where = ("-c", self.policy, "--store", self.store, "--work", self.directory / "work")
        return driftline("retrain", what, *where, *options, "-o", "json")

    def asked(self) -> Outcome:
        return self.retrain("run", "--once", "--model", MODEL, "--reason", "a test")

    def data(self, deployment: Deployment | None = None) -> Any:
        _, files = load(self.policy)
        here, alerts = self.directory, None if deployment is None else deployment.config
        log = None if deployment is None else deployment.log
        return wire(Places(self.store, alerts, files.rows, here, here / "work", log, datasets=files.datasets)).data


@pytest.fixture
def bench(deployment: Deployment, tmp_path: Path) -> Bench:
    return Bench(deployment, tmp_path)


def test_a_run_trains_on_a_version_of_an_archive_and_its_model_is_made_again_from_it(bench: Bench) -> None:
    outcome = succeed(bench.asked())
    assert [line["after"] for line in outcome.lines if "after" in line][-1] == "awaiting_approval", outcome.err
    store = DirectoryStore(bench.store)
    [model] = Catalog(store).versions(MODEL)
    rows = json.loads(b"".join(store.blob(str(Catalog(store).manifest(model).dataset))))
    [version] = Shelf(store).versions()
    assert rows["source"] == version.digest
    assert rows["train_rows"] + rows["test_rows"] == version.manifest.rows - version.manifest.unlabelled_rows
    back = driftline("lineage", f"{MODEL}@1", "--store", bench.store, "-o", "json").json
    assert (back["came_from"][-1]["what"], back["came_from"][-1]["id"]) == ("dataset", version.digest)
    again = driftline("registry", "reproduce", f"{MODEL}@1", "--store", bench.store, "-o", "json")
    assert (again.code, again.json["level"]) == (0, "files"), again.err


def test_its_rows_are_those_that_the_topics_give(bench: Bench, deployment: Deployment) -> None:
    [policy], _ = load(bench.policy)
    archived = bench.data().collect(policy, 2**50, lambda: None)
    bench.rows(str(deployment.config))
    topics = bench.data(deployment).collect(policy, 2**50, lambda: None)
    assert (archived.train, archived.test) == (topics.train, topics.test)
    assert archived.train_rows > 100


def test_an_erased_id_is_in_no_rows_of_a_run(bench: Bench, deployment: Deployment) -> None:
    [policy], _ = load(bench.policy)
    data = bench.data()
    before = data.mature(policy, 2**50)
    store = DirectoryStore(bench.store)
    digest = Shelf(store).version("days").digest
    flight = json.loads(deployment.labels.read_text().splitlines()[0])["id"]
    succeed(driftline("redact", flight, *deployment.where, "--no-topics", "--store", bench.store, "--yes"))
    assert data.mature(policy, 2**50) == before - 1
    kept = data.collect(policy, 2**50, lambda: None)
    assert kept.train_rows + kept.test_rows == before - 1
    source = json.loads(b"".join(store.blob(kept.digest)))["source"]
    assert source == Shelf(store).version("days").digest != digest


def test_an_id_whose_erasure_has_not_reached_the_version_yet_is_in_no_rows_either(bench: Bench) -> None:
    [policy], _ = load(bench.policy)
    store, data = DirectoryStore(bench.store), bench.data()
    before = data.mature(policy, 2**50)
    table = next(Shelf(store).tables(Shelf(store).version("days").manifest))
    ids = table.columns["id_hash"]
    assert isinstance(ids, Hashes)
    erased = keyed(ids.values[table.known("label")][:1], key_of(store, bytes(KEY_BYTES)))
    add(store, Redaction(1, "ada", 1, "a request", erased, (), ()))
    assert data.mature(policy, 2**50) == before - 1


def test_a_version_whose_segment_is_lost_is_told_and_tried_again(bench: Bench) -> None:
    digest = Shelf(DirectoryStore(bench.store)).version("days").manifest.segments[0].digest.removeprefix("sha256:")
    (bench.store / "blobs" / digest[:2] / digest).unlink()
    [policy], _ = load(bench.policy)
    with pytest.raises(StepFailed, match="`driftline dataset verify days` tells what is left of it") as raised:
        bench.data().collect(policy, 2**50, lambda: None)
    assert raised.value.again
    plan = bench.asked().lines[0]
    assert (plan["why"], "in dataset 'days' cannot be read: " in plan["detail"]) == ("unreadable", True)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("dataset:dais", "dataset 'dais' is not in this store. Did you mean 'days'?"),
        ("dataset:2013", "dataset '2013' is not in this store. There are: days."),
        ("dataset:small", "`driftline archive dataset small --name NAME` makes a version of it."),
    ],
)
def test_a_version_that_is_not_there_is_told_with_what_is(bench: Bench, rows: str, said: str) -> None:
    bench.rows(rows)
    plan = bench.asked().lines[0]
    assert plan["why"] == "unreadable"
    assert said in plan["detail"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("'dataset:'", "line 4, arrival-delay.rows: names no dataset version"),
        ("{dataset: days}", "write `rows: dataset:NAME`, without a space"),
        ("archive:small", "`driftline archive dataset small --name NAME` makes a version: write dataset:NAME"),
    ],
)
def test_rows_that_name_no_version_are_a_mistake_of_the_policy(bench: Bench, rows: str, said: str) -> None:
    bench.rows(rows)
    plan = bench.retrain("plan")
    assert plan.code == 78
    assert said in plan.err


def test_a_column_or_model_that_the_version_does_not_have_is_named_with_those_it_has(bench: Bench) -> None:
    bench.policy.write_text(bench.policy.read_text().replace("origin", "orgin"))
    plan = bench.asked().lines[0]
    assert "features: no row has a column 'orgin', did you mean 'origin'?" in plan["detail"]
    bench.rows("dataset:days")
    [policy], _ = load(bench.policy)
    other = msgspec.structs.replace(policy, model="arrival-dely")
    bench.policy.write_text(bench.policy.read_text().replace("arrival-delay:", "arrival-dely:"))
    with pytest.raises(NotFound, match=r"no row of the model 'arrival-dely', did you mean 'arrival-delay'\?"):
        bench.data().mature(other, 2**50)


def test_training_on_this_machine_says_that_it_needs_the_store_and_takes_the_same_rows(bench: Bench) -> None:
    train = ("train", "--local", "-c", bench.policy, "--out", bench.directory / "model", "-o", "json")
    bare = driftline(*train)
    assert bare.code == 2
    assert "lie in a store, and none is named. --store or DRIFTLINE_STORE says which." in bare.err
    rows = succeed(driftline(*train, "--store", bench.store)).json["rows"]
    manifest = Shelf(DirectoryStore(bench.store)).version("days").manifest
    assert rows["train_rows"] + rows["test_rows"] == manifest.rows - manifest.unlabelled_rows
    assert len(Shelf(DirectoryStore(bench.store)).versions()) == 1


def test_what_serves_after_a_promotion_is_looked_for_in_the_topics_of_the_alerts(
    bench: Bench, deployment: Deployment
) -> None:
    [policy], _ = load(bench.policy)
    alone, beside = bench.data(), bench.data(deployment)
    assert beside.seen(policy, {"1"}) is True
    found = beside.watched(policy, {"1"}, 0, 2**50, lambda: None)
    assert found.test_rows > 100
    assert "source" not in json.loads(b"".join(DirectoryStore(bench.store).blob(found.digest)))
    assert alone.watched(policy, {"7"}, 0, 2**50, lambda: None) is None


def test_the_pipelines_alone_say_that_a_version_needs_driftline(bench: Bench) -> None:
    from pipelines.cli import command

    with pytest.raises(Exception, match="is a dataset version, which this package alone cannot read"):
        command.main(["plan", "-c", str(bench.policy), "--store", str(bench.directory / "s")], standalone_mode=False)
