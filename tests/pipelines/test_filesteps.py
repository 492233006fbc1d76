"""Steps over an executor: scores, timing, explanations and anchor sets, with the real trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.anchor import Anchor
from pipelines.cli.policies import load
from pipelines.codec import digest_of
from pipelines.errors import NotFound, PolicyError, StepFailed
from pipelines.explanation import Explanation
from pipelines.filesteps import FileSteps, Work
from pipelines.gate import GateReport, GateSpec, Outcome, Reason, Untested
from pipelines.intake import Intake
from pipelines.judging import judged
from pipelines.policy import Data, Policy, Train
from pipelines.ports import Alive, Artifact, Known, Serving
from pipelines.runner import TIMING, read_job, run
from pipelines.tables import Row, write_rows
from pipelines.trainer import score
from tests.pipelines.inprocess import InProcess, Loop
from tests.pipelines.memory import policy

ASKED = policy(
    data=Data("label", ("x", "idle")),
    train=Train(params={"format": "json"}),
    gate=GateSpec(size_bytes_max=10**6, scoring_ms=60_000, segments=("shop",)),
    intake=Intake("by"),
)


def rows(count: int = 3_000) -> list[Row]:
    luck = np.random.default_rng(3)
    x, idle = luck.normal(size=(2, count)).tolist()
    label = (luck.random(count) < 1 / (1 + np.exp(-4 * np.array(x)))).astype(int).tolist()
    return [
        {
            "at_ms": n,
            "x": x[n],
            "idle": idle[n],
            "label": label[n],
            "shop": "ab"[n % 2],
            **({"by": "desk"} if n % 3 else {}),
        }
        for n in range(count)
    ]


def awake() -> None:
    """Nobody wants anything."""


class Bench:
    def __init__(self, directory: Path) -> None:
        self.loop = Loop(directory, ASKED, {"fraud": directory / "anchors.jsonl"})
        self.loop.write(rows())
        self.ports, self.steps = self.loop.ports, self.loop.ports.evaluator
        self.dataset = self.ports.data.collect(ASKED, 2**40, awake)
        self.made = self.ports.trainer.train(ASKED, "r" * 32, 1, self.dataset, awake)
        self.anchors = directory / "anchors.jsonl"

    def judge(self, asked: Policy, challenger: Artifact | None = None, champion: Serving | None = None) -> GateReport:
        return judged(self.ports, asked, self.dataset, challenger or self.made, champion, awake)

    def anchored(self, anchors: list[Row], margin: float = 0.0) -> Policy:
        self.anchors.write_bytes(write_rows(anchors))
        gate = msgspec.structs.replace(ASKED.gate, anchor=Anchor(digest_of(self.anchors.read_bytes()), margin))
        return msgspec.structs.replace(ASKED, gate=gate)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_a_report_knows_size_and_time_and_what_both_lean_on(bench: Bench) -> None:
    report = bench.judge(ASKED, champion=Serving(1, ("1",), bench.made.files))
    assert isinstance(report.guards, tuple)
    found = {guard.name: guard.found for guard in report.guards}
    assert found[Reason.SIZE] == sum(file.size_bytes for file in bench.made.files.values())
    assert 0 < (found[Reason.SCORING] or 0) < 60_000
    assert isinstance(report.explanation, Explanation)
    leans = {each.feature: each.challenger for each in report.explanation.importance}
    assert leans["x"] > 0.1
    assert abs(leans["idle"]) < 0.01
    assert all(each.champion == each.challenger for each in report.explanation.importance)
    assert report.explanation.differing == (), "it was compared with itself"
    assert report.explanation.rows == 200


def test_against_the_base_rate_there_is_one_column_and_nobody_to_differ_from(bench: Bench) -> None:
    report = bench.judge(msgspec.structs.replace(ASKED, gate=msgspec.structs.replace(ASKED.gate, explain_rows=50)))
    assert isinstance(report.explanation, Explanation)
    assert {each.champion for each in report.explanation.importance} == {None}
    assert (report.explanation.rows, report.explanation.differing) == (50, ())


def test_a_verdict_stands_without_its_explanation_and_says_that_it_has_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Explanation:
        raise StepFailed("the step", "ended with code 1", "Look.")

    monkeypatch.setattr(bench.steps, "explained", broken)
    report = bench.judge(ASKED)
    assert (report.outcome, report.explanation) == (Outcome.PASS, msgspec.UNSET)
    assert isinstance(report.not_tested, tuple)
    left_out = report.not_tested[-1]
    assert (left_out.what, left_out.detail) == ("what they look at", "the step ended with code 1. Look.")


def test_a_segment_that_no_row_to_judge_by_is_of_is_listed(bench: Bench) -> None:
    store = bench.loop.store
    train = [{**row, "shop": "closed" if row["at_ms"] < 90 else row["shop"]} for row in rows(1_000)]
    train[0].pop("shop")
    given = msgspec.structs.replace(bench.dataset, train=store.put_blob([write_rows(train)]).digest)
    report = judged(bench.ports, ASKED, given, bench.made, None, awake)
    assert isinstance(report.not_tested, tuple)
    few = [(each.what, each.detail) for each in report.not_tested if each.why is Untested.FEW_ROWS]
    assert few == [("shop=closed", "no row to judge by; 89 to train on")]


@pytest.mark.parametrize("left", [None, "[]", "{}", '{"ms": "soon"}', '{"ms": -1}', '{"ms": NaN}', "[" * 100_000])
def test_a_step_that_does_not_say_how_long_it_took_is_not_known_to_be_fast(
    bench: Bench, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another system, which need not run our runner."""

    def executed(self: InProcess, work: Work, alive: Alive) -> None:
        assert work.function is not None
        run(read_job(work.directory), score, work.directory)
        (work.directory / TIMING).unlink()
        if left is not None:
            (work.directory / TIMING).write_text(left)

    monkeypatch.setattr(InProcess, "execute", executed)
    report = bench.judge(ASKED)
    assert (report.outcome, report.reasons) == (Outcome.INCONCLUSIVE, (Reason.BETTER, Reason.UNTESTED))
    assert "scoring could not be tested: nobody took the time" in report.detail


@pytest.mark.parametrize("left", [f"[1{'0' * 400}]", "[" * 100_000, "7", '{"a": 1}', "[null, {}]"])
def test_scores_that_are_none_are_said_and_end_nothing_else(
    bench: Bench, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def executed(self: InProcess, work: Work, alive: Alive) -> None:
        (work.directory / "out/scores.json").write_text(left)

    monkeypatch.setattr(InProcess, "execute", executed)
    with pytest.raises(StepFailed, match="scoring left no list of numbers"):
        bench.judge(ASKED)


def test_scores_of_dealt_rows_that_are_no_numbers_leave_the_explanation_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = FileSteps._scores

    def scores(self: FileSteps, asked: Policy, given: list[Row], *more: Any) -> object:
        found, taken = known(self, asked, given, *more)
        return (found if len(given) == bench.dataset.test_rows else found * np.nan), taken

    monkeypatch.setattr(FileSteps, "_scores", scores)
    report = bench.judge(msgspec.structs.replace(ASKED, data=Data("label", ("x",))))
    assert (report.outcome, report.explanation) == (Outcome.PASS, msgspec.UNSET)


def test_an_anchor_set_is_scored_like_the_held_out_rows_and_rejects_who_forgot_it(bench: Bench) -> None:
    assert bench.judge(bench.anchored(rows(400))).outcome is Outcome.PASS
    turned = [{**row, "label": 1 - row["label"]} for row in rows(400)]
    report = bench.judge(bench.anchored(turned))
    assert (report.outcome, report.reasons[-1]) == (Outcome.FAIL, Reason.ANCHOR)


def test_an_anchor_set_that_was_changed_is_refused_by_both_digests(bench: Bench) -> None:
    asked = bench.anchored(rows(400))
    bench.anchors.write_bytes(write_rows(rows(399)))
    with pytest.raises(NotFound, match=r"is sha256:[0-9a-f]{64}, and the policy names sha256:[0-9a-f]{64}"):
        bench.judge(asked)
    with pytest.raises(NotFound, match=r"gate\.segments: no row has a column 'shop'"):
        bench.judge(bench.anchored([{k: v for k, v in row.items() if k != "shop"} for row in rows(9)]))
    bench.anchors.unlink()
    with pytest.raises(NotFound, match="is not there"):
        bench.judge(asked)


def test_scores_that_rows_hold_already_are_taken_from_them(bench: Bench) -> None:
    store = bench.loop.store
    held = store.put_blob([write_rows([{**row, "old": 0.5, "new": row["label"]} for row in rows(100)])]).digest
    given = msgspec.structs.replace(bench.dataset, test=held, test_rows=100)
    champion = Serving(1, ("1",), bench.made.files)
    paired = bench.steps.losses(ASKED, given, bench.made, champion, awake, Known("old", "new"))
    assert (set(paired.champion.tolist()), set(paired.challenger.tolist()), paired.scoring_ms) == ({0.25}, {0.0}, None)
    scored = bench.steps.scored(ASKED, held, None, awake)
    assert scored.scores is None
    assert {name: sorted(set(values.tolist())) for name, values in scored.groups.items()} == {
        "by": ["(none)", "desk"], "shop": ["a", "b"],
    }  # fmt: skip
    known = bench.steps.scored(ASKED, held, champion, awake, "new").scores
    assert known is not None
    assert known.tolist() == scored.labels.tolist()


def test_a_file_of_policies_needs_the_anchor_set_and_its_digest_together(tmp_path: Path) -> None:
    data = "data: {label: y, features: [x]}"
    digest, path = "sha256:" + "b" * 64, tmp_path / "retrain.yaml"
    for more, said in (
        ("anchor: a.jsonl", "line 4, fraud.anchor: has a file, and gate.anchor no digest of it"),
        (
            f'gate: {{anchor: {{digest: "{digest}"}}}}',
            "line 4, fraud.gate.anchor: names a digest, and fraud.anchor no file",
        ),
    ):
        path.write_text(f"models:\n  fraud:\n    {data}\n    {more}\n")
        with pytest.raises(PolicyError, match=said):
            load(path)
    path.write_text(
        f'models:\n  fraud:\n    {data}\n    anchor: a.jsonl\n    gate: {{anchor: {{digest: "{digest}"}}}}\n'
    )
    (policy_,), files = load(path)
    assert isinstance(policy_.gate.anchor, Anchor)
    assert files.anchors == {"fraud": tmp_path / "a.jsonl"}
