"""Steps as processes: what they get, what they may not do, how they end; and the default trainer."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import CancelAsked, NotFound, StepFailed
from pipelines.gate import GateSpec, Outcome, Reason, judge
from pipelines.local_data import FileData
from pipelines.policy import Data, Policy, Train
from pipelines.ports import Alive, Artifact, Dataset, ModelFile, Serving
from pipelines.quality import Check
from pipelines.runner import Job
from pipelines.subprocesses import Subprocesses
from pipelines.tables import Row, parse_rows, write_rows
from pipelines.trainer import onnx_of, score, train
from tests.pipelines.memory import MemoryStore, policy


def flights(count: int, seed: int = 1) -> list[Row]:
    luck = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        hour, origin = int(luck.integers(24)), str(luck.choice(["EWR", "JFK", "LGA"]))
        late = luck.random() < 1 / (1 + math.exp(1.5 - (hour - 12) / 4 - (origin == "EWR")))
        distance = None if luck.random() < 0.05 else float(np.float32(luck.normal(1000, 300)))
        at_ms = 1_700_000_000_000 + number * 60_000
        rows.append({"at_ms": at_ms, "hour": hour, "origin": origin, "distance": distance, "delayed": int(late)})
    return rows


FEATURES = ("hour", "origin", "distance")
DATA = Data("delayed", FEATURES)


class Bench:
    """A store, a place to work in, a dataset of 600 flights."""

    def __init__(self, directory: Path) -> None:
        self.store, self.work, self.project = MemoryStore(), directory / "work", directory
        self.steps = Subprocesses(self.store, self.work, directory)
        (directory / "rows.jsonl").write_bytes(write_rows(flights(600)))
        data = FileData(self.store, {"fraud": directory / "rows.jsonl"})
        self.dataset: Dataset = data.collect(policy(data=DATA), 2**50, awake)

    def code(self, body: str) -> None:
        (self.project / "mine.py").write_text("import json, os, sys, time, pathlib\n" + body)

    def train(self, policy: Policy, alive: Alive | None = None) -> Artifact:
        return self.steps.train(policy, "r" * 32, 1, self.dataset, alive or awake)


def awake() -> None:
    """Nobody wants anything."""


def mine(**more: Any) -> Policy:
    return policy(data=DATA, train=Train(function="mine:train", score_function="mine:score", **more))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_function_gets_rows_and_parameters_and_leaves_files(bench: Bench) -> None:
    bench.code(
        "def train(job):\n"
        "    (job.model / 'sub').mkdir()\n"
        "    (job.model / 'sub/model.json').write_text(json.dumps([len(job.rows), job.params['depth'], job.seed]))\n"
        "    return {'depth': job.params['depth']}\n"
        "def score(job):\n"
        "    assert not any('delayed' in row for row in job.rows), 'the label is not for scoring'\n"
        "    return [json.loads((job.model / 'sub/model.json').read_text())[1] / 10 for _ in job.rows]\n"
    )
    chosen = mine(params={"depth": 6}, seed=9)
    artifact = bench.train(chosen)
    assert bench.store.blobs[artifact.files["sub/model.json"].digest] == b"[420, 6, 9]"
    assert (artifact.said, artifact.environment["threads"]) == ({"depth": 6}, "1")
    paired = bench.steps.losses(chosen, bench.dataset, artifact, None, awake)
    assert paired.challenger.size == 180
    assert list(bench.work.iterdir()) == [], "what went well is cleared away"


def test_a_command_of_any_language_has_the_same_contract(bench: Bench) -> None:
    script = bench.project / "train.sh"
    script.write_text("#!/bin/sh\nwc -l < in/rows.jsonl > out/model/rows.json\n")
    script.chmod(0o700)
    artifact = bench.train(policy(data=DATA, train=Train(command=("./train.sh",), score_command=("./score.sh",))))
    assert bench.store.blobs[artifact.files["rows.json"].digest].strip() == b"420"


def test_nothing_of_our_environment_reaches_user_code_unless_it_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("REGION", "eu")
    bench.code("def train(job):\n    (job.model / 'env.json').write_text(json.dumps(dict(os.environ)))\n")
    seen = json.loads(bench.store.blobs[bench.train(mine(environment=("REGION",))).files["env.json"].digest])
    assert seen["REGION"] == "eu"
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert set(seen) <= {
        "PATH", "TMPDIR", "HOME", "PYTHONPATH", "DRIFTLINE_PROJECT", "REGION", "PYTHONHASHSEED", "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LC_ALL", "LC_CTYPE", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "again", "sentence"),
    [
        ("    sys.exit(75)", True, "ended with code 75"),
        ("    raise ValueError('no such column')", False, "ended with code 1: ValueError: no such column"),
        ("    os.kill(os.getpid(), 9)", False, "ended with code -9"),
        ("    pass", False, "left no file in out/model"),
        ("    (job.model / 'm').symlink_to('/etc/hostname')", False, "is no regular file"),
        ("    (job.model / 'm').touch(); return {'x': float('nan')}", False, "cannot be kept"),
    ],
)
def test_what_goes_wrong_is_said_and_can_be_looked_at(bench: Bench, body: str, again: bool, sentence: str) -> None:
    bench.code(f"def train(job):\n{body}\n")
    with pytest.raises(StepFailed, match=sentence) as caught:
        bench.train(mine())
    assert (caught.value.again, caught.value.timed_out) == (again, False)
    assert len(list(bench.work.iterdir())) == 1


GRANDCHILD = (
    "import subprocess\n"
    "def train(job):\n"
    "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "    (pathlib.Path(os.environ['DRIFTLINE_PROJECT']) / 'child').write_text(str(child.pid))\n"
    "    time.sleep(60)\n"
)


def gone(pid: int) -> bool:
    """Whether the process ended; one that nobody has waited for yet is gone all the same."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if " Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_step_that_takes_too_long_is_killed_with_all_that_it_started(bench: Bench) -> None:
    bench.code(GRANDCHILD)
    with pytest.raises(StepFailed, match="took longer than 2 s and was killed") as caught:
        bench.train(mine(timeout_ms=2000))
    assert caught.value.timed_out
    assert gone(int((bench.project / "child").read_text()))


def test_a_run_that_is_cancelled_leaves_no_process(bench: Bench) -> None:
    bench.code(GRANDCHILD)

    def cancelled() -> None:
        if (bench.project / "child").exists():
            raise CancelAsked("r")

    with pytest.raises(CancelAsked):
        bench.train(mine(), cancelled)
    assert gone(int((bench.project / "child").read_text()))


@pytest.mark.parametrize("given", ["[0.5]", "{}", "nonsense", '["a"]'])
def test_scores_that_are_none_fail_the_step(bench: Bench, given: str) -> None:
    chosen = policy(
        data=DATA, train=Train(command=("x",), score_command=("sh", "-c", f"echo '{given}' > out/scores.json"))
    )
    with pytest.raises(StepFailed, match="scoring"):
        bench.steps.losses(chosen, bench.dataset, Artifact({}, {}, {}), None, awake)


def test_a_champion_that_cannot_be_scored_again_is_judged_by_what_it_said_then(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    rows = [row | {"said": 0.25} for row in flights(600)]
    (tmp_path / "rows.jsonl").write_bytes(write_rows(rows))
    chosen = policy(data=Data("delayed", FEATURES, score="said"))
    dataset = FileData(bench.store, {"fraud": tmp_path / "rows.jsonl"}).collect(chosen, 2**50, awake)
    artifact = bench.steps.train(chosen, "r" * 32, 1, dataset, awake)
    champion = Serving(1, ("1",), {"gone.onnx": ModelFile("sha256:" + "0" * 64, 1)})
    paired = bench.steps.losses(chosen, dataset, artifact, champion, awake)
    assert set(np.round(paired.champion, 6)) == {0.0625, 0.5625}


# ---------------------------------------------------------------------------------------------------------- trainer


def job(directory: Path, rows: Sequence[Row], step: str = "train", **params: Any) -> Job:
    return Job(step, FEATURES, "delayed", params, 1, rows, directory)


def test_the_default_model_scores_the_same_as_onnx_and_as_json(tmp_path: Path) -> None:
    rows = flights(2000)
    for kind in ("onnx", "json"):
        assert train(job(tmp_path / kind, rows, format=kind))["format"] == kind
    odd = [*flights(50, 2), {"hour": None, "origin": "SFO"}, {"origin": None, "distance": -1e6}]
    found = [score(job(tmp_path / kind, odd, "score")) for kind in ("onnx", "json")]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert 0 < min(found[0]) < max(found[0]) < 1


def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(job(tmp_path / name, flights(500)))
    assert (tmp_path / "a/model.onnx").read_bytes() == (tmp_path / "b/model.onnx").read_bytes()


def test_without_onnx_the_model_is_plain_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert onnx_of({}) is None
    assert train(job(tmp_path, flights(500)))["format"] == "json"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["columns.json", "model.json"]


def test_a_label_that_is_not_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="is not both 0 and 1"):
        train(job(tmp_path, [row | {"delayed": 1} for row in flights(20)]))


def test_rows_are_read_strictly() -> None:
    assert parse_rows(b'{"a":1}\n\n{"a":2}\n', "f") == [{"a": 1}, {"a": 2}]
    for wrong in (b"{", b"[1]", b"1"):
        with pytest.raises(StepFailed, match="line 2 of f"):
            parse_rows(b"{}\n" + wrong, "f")


def test_rows_tell_whether_a_version_predicts_when_they_say_who_did(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    data = FileData(MemoryStore(), {"fraud": path})
    rows: list[Row] = [{**row, "version": "1", "delayed": None} for row in flights(3)]
    for said, expected in ((rows, [True, False]), (flights(3), [None, None])):
        path.write_bytes(write_rows(said))
        assert [data.seen(policy(data=DATA), {name}) for name in ("1", "2")] == expected


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"data": Data("delayed", ("hour", "orgin"))}, "features: no row has a column 'orgin', did you mean 'origin'?"),
        ({"data": Data("dellayed", ("hour",))}, "label: no row has a column 'dellayed', did you mean 'delayed'?"),
        ({"data": Data("delayed", ("hour",), checks={"hourr": Check(min=0)})}, "checks: no row has a column 'hourr'"),
        ({"data": DATA, "gate": GateSpec(segments=("nosuch",))}, "gate.segments: no row has a column 'nosuch'."),
    ],
)
def test_a_column_that_no_row_has_is_refused_by_its_name(bench: Bench, named: dict[str, Any], sentence: str) -> None:
    source, chosen = FileData(bench.store, {"fraud": bench.project / "rows.jsonl"}), policy(**named)
    for ask in (lambda: source.mature(chosen, 2**50), lambda: source.collect(chosen, 2**50, awake)):
        with pytest.raises(NotFound, match="There are: at_ms, delayed, distance, hour,") as caught:
            ask()
        assert sentence in str(caught.value)


def test_a_guarded_segment_without_a_value_is_an_error_of_the_gate(bench: Bench) -> None:
    chosen = policy(data=DATA, gate=GateSpec(segments=("nosuch",)))
    report = judge(bench.steps.losses(chosen, bench.dataset, bench.train(chosen), None, awake), chosen.gate)
    assert (report.outcome, report.reasons) == (Outcome.ERROR, (Reason.NO_SEGMENT,))
