"""`driftline registry reproduce`: a version is trained again in an empty directory, and it is said how near it comes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from registry.catalog import Catalog
from registry.directory import DirectoryStore
from registry.manifest import FORMAT, Manifest, ModelFile, ModelFormat
from registry.probe import Agreement
from registry.reproduce import Again, Change, Level, Loss, changes, judged
from tests.cli.driving import Outcome, driftline
from tests.pipelines.test_subprocesses import flights
from tests.registry.stories import add

POLICY = """
models:
  flights:
    rows: joined.jsonl
    data: {{label: delayed, features: [hour, origin, distance]}}
    trigger: {{labels_min: 100}}
    gate: {{goal: not_worse, margin: 0.3, rows_min: 50}}
    train: {train}
"""
MINE = """
import os, sys
from pipelines import trainer

def train(job):
    said = trainer.train(job)
    path = job.model / "model.onnx"
    {then}
    return said
"""
DOCUMENTED = """
    import onnx, uuid
    model = onnx.load(path)
    model.doc_string = uuid.uuid4().hex
    {more}
    onnx.save(model, path)
"""
NUDGED = """for each in model.graph.initializer:
        if each.name == "bias":
            bias = onnx.numpy_helper.to_array(each) * (1 + onnx.numpy_helper.to_array(each).dtype.type({by}))
            each.CopyFrom(onnx.numpy_helper.from_array(bias, "bias"))"""


class Bench:
    """A project with rows, a policy and code of its own, and a store. One version is trained at the start."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.store = directory, directory / "store"
        (directory / "joined.jsonl").write_text("".join(json.dumps(row) + "\n" for row in flights(800)))

    def trained(self, code: str | None = None, revision: str | None = None) -> Bench:
        train: dict[str, Any] = {} if revision is None else {"code_revision": revision}
        if code is not None:
            self.code(code)
            train |= {"function": "mine:train", "score_function": "pipelines.trainer:score"}
        (self.directory / "retrain.yaml").write_text(POLICY.format(train=json.dumps(train)))
        where = ("-c", self.directory / "retrain.yaml", "--store", self.store, "--work", self.directory / "work")
        done = driftline("retrain", "run", *where, "--once", "--model", "flights", "--reason", "a test", "-o", "json")
        assert [line["after"] for line in done.lines if "after" in line][-1] == "awaiting_approval", done.out + done.err
        return self

    def code(self, then: str) -> None:
        (self.directory / "mine.py").write_text(MINE.format(then=then.strip()))

    def again(self, *options: object, spec: str = "flights@1") -> Outcome:
        done = driftline("registry", "reproduce", spec, "--store", self.store, "-o", "json", *options)
        assert done.out or done.code, done.err
        return done

    def blob(self, digest: str) -> Path:
        digits = digest.removeprefix("sha256:")
        return self.store / "blobs" / digits[:2] / digits


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def blobs(directory: Path) -> set[str]:
    return {path.name for path in (directory / "blobs").rglob("*")}


def test_the_default_trainer_gives_the_same_files_bit_for_bit_and_nothing_is_left_behind(bench: Bench) -> None:
    bench.trained(revision="9f1c2e0a")
    before = blobs(bench.store)
    done = bench.again("--at-least", "files", "--code-revision", "9f1c2e0a")
    assert (done.code, done.json["level"], done.json["changed"]) == (0, "files", []), done.out + done.err
    assert blobs(bench.store) == before
    assert len(Catalog(DirectoryStore(bench.store)).versions("flights")) == 1
    (place,) = [word.strip("'") for word in done.err.split() if "driftline-reproduce-" in word]
    assert not Path(place).exists()


def test_other_bytes_that_behave_the_same_to_the_bit_are_said_to(bench: Bench) -> None:
    done = bench.trained(DOCUMENTED.format(more="")).again("--at-least", "probe")
    assert (done.code, done.json["level"], done.json["probe"]) == (0, "probe", "bits"), done.out + done.err
    assert done.json["files"] == ["model.onnx"]
    assert bench.again("--at-least", "files").code == 1


def test_outputs_within_the_tolerance_are_a_level_below(bench: Bench) -> None:
    bench.trained(DOCUMENTED.format(more=""))
    bench.code(DOCUMENTED.format(more=NUDGED.format(by=1.2e-7)))
    done = bench.again()
    assert (done.code, done.json["level"]) == (0, "tolerance"), done.out + done.err


def test_a_model_whose_loss_is_not_shown_to_differ_reaches_metrics_only(bench: Bench) -> None:
    bench.trained(DOCUMENTED.format(more=""))
    bench.code(DOCUMENTED.format(more=NUDGED.format(by=1e-2)))
    done = bench.again()
    assert (done.code, done.json["level"], done.json["probe"]) == (0, "metrics", "different"), done.out + done.err
    loss = done.json["loss"]
    assert loss["lower"] <= 0 <= loss["upper"]
    assert loss["rows"] == 240


def test_another_model_is_called_different_with_what_changed(bench: Bench) -> None:
    bench.trained(DOCUMENTED.format(more=""), revision="before")
    bench.code(DOCUMENTED.format(more=NUDGED.format(by=100)))
    done = bench.again("--code-revision", "after")
    assert (done.code, done.json["level"]) == (1, "different"), done.out + done.err
    assert done.json["changed"] == [{"name": "code revision", "then": "before", "now": "after"}]
    said = driftline("registry", "reproduce", "flights@1", "--store", bench.store, "--code-revision", "after")
    assert (
        "flights@1: different: model.onnx differs; the outputs for the probe set differ; on 240 held-out rows"
        in said.out
    )
    assert "code revision" in said.out


def test_the_revision_of_the_code_is_asked_of_git(bench: Bench) -> None:
    def git(*words: str) -> str:
        named = ("-c", "user.name=ada", "-c", "user.email=ada@example.invalid")
        done = subprocess.run(["git", *named, *words], cwd=bench.directory, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    bench.code("pass")
    git("add", "mine.py")
    git("commit", "-qm", "code")
    head = git("rev-parse", "HEAD")
    bench.trained("pass", revision=head[:9])
    assert bench.again().json["changed"] == []
    bench.code("pass  # edited")
    assert bench.again().json["changed"] == [{"name": "code revision", "then": head[:9], "now": f"{head[:9]}-changed"}]


@pytest.mark.parametrize(
    ("hurt", "obstacle", "words"),
    [
        ("code", "training_failed", "NameError"),
        ("rows", "dataset_missing", "cannot be read"),
        ("run", "run_missing", "is not in this store"),
    ],
)
def test_what_cannot_be_trained_again_is_told_with_the_reason(
    bench: Bench, hurt: str, obstacle: str, words: str
) -> None:
    bench.trained("pass")
    if hurt == "code":
        bench.code("no_such_name")
    elif hurt == "rows":
        manifest = Catalog(DirectoryStore(bench.store)).manifest(
            Catalog(DirectoryStore(bench.store)).version("flights", 1)
        )
        assert manifest.dataset is not None
        bench.blob(json.loads(bench.blob(manifest.dataset).read_bytes())["train"]).unlink()
    else:
        shutil.rmtree(bench.store / "logs" / "retraining")
    done = bench.again("--at-least", "different")
    assert (done.code, done.json["level"], done.json["obstacle"]) == (1, "not_run", obstacle), done.out + done.err
    assert words in done.json["detail"]


def test_a_version_that_was_added_from_outside_has_no_run(bench: Bench) -> None:
    add(DirectoryStore(bench.store), "fraud")
    done = bench.again(spec="fraud@1")
    assert (done.code, done.json["obstacle"]) == (1, "no_run")


def test_a_damaged_version_cannot_be_compared_with(bench: Bench) -> None:
    bench.trained()
    manifest = Catalog(DirectoryStore(bench.store)).manifest(Catalog(DirectoryStore(bench.store)).version("flights", 1))
    path = bench.blob(manifest.files[0].digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    done = bench.again()
    assert (done.code, "is damaged" in done.err) == (1, True)


def test_a_directory_to_keep_must_be_empty_and_is_left(bench: Bench) -> None:
    bench.trained()
    kept = bench.directory / "kept"
    assert bench.again("--keep", kept).json["level"] == "files"
    assert any(kept.rglob("*"))
    assert (bench.again("--keep", kept).code, bench.again("--keep", bench.directory / "new").code) == (2, 0)


# ------------------------------------------------------------------------------------------------- levels, as values


def manifest(files: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Manifest:
    found = tuple(ModelFile(path, 1, digest, ModelFormat.JSON) for path, digest in sorted(files.items()))
    made = dict(environment or {})
    return Manifest(FORMAT, "m", found, None, None, "r1", made, {}, None, None, (), _card())


def _card() -> Any:
    from registry.manifest import Card

    return Card()


A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("again", "level", "files"),
    [
        (Again({"x": A}), Level.FILES, ()),
        (Again({"x": B}, Agreement.BITS), Level.PROBE, ("x",)),
        (Again({"x": A, "y": A}, Agreement.TOLERANCE), Level.TOLERANCE, ("y",)),
        (Again({}, Agreement.DIFFERENT, loss=Loss(9, 0.1, -0.1, 0.3)), Level.METRICS, ("x",)),
        (Again({"x": B}, Agreement.DIFFERENT, loss=Loss(9, 0.2, 0.1, 0.3)), Level.DIFFERENT, ("x",)),
        (Again({"x": B}, None, "there is no probe set", loss=Loss(9, -0.2, -0.3, -0.1)), Level.DIFFERENT, ("x",)),
        (Again({"x": B}, Agreement.DIFFERENT), Level.DIFFERENT, ("x",)),
    ],
)
def test_each_level_has_its_evidence(again: Again, level: Level, files: tuple[str, ...]) -> None:
    found = judged(manifest({"x": A}), again)
    assert (found.level, found.files) == (level, files)


def test_levels_are_in_order() -> None:
    order = list(Level)
    assert [[one.reaches(other) for other in order] for one in order] == [
        [i <= j for j in range(len(order))] for i in range(len(order))
    ]


def test_what_changed_is_listed_with_both_values() -> None:
    then = manifest({"x": A}, {"python": "3.11", "numpy": "2.2", "gone": "1"})
    assert changes(then, {"python": "3.11", "numpy": "2.4", "new": "1"}, "r1") == (
        Change("gone", "1", None),
        Change("new", None, "1"),
        Change("numpy", "2.2", "2.4"),
    )
    assert changes(then, then.environment, None) == (Change("code revision", "r1", None),)
