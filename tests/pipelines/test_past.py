"""The policy backtest: the loop of production over the past, with labels and alerts as they became known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipelines.cli.past import Progress
from pipelines.errors import StepFailed
from pipelines.filesteps import FileSteps
from pipelines.gate import GateSpec
from pipelines.local_data import FileAnchors
from pipelines.past import Backtest, Inline, PastAlerts, PastClock, PastData, Span, Told
from pipelines.policy import DAY_MS, HOUR_MS, Data, Policy, Probation, Promotion, Shadow, Train, Trigger
from pipelines.rows import labelled, split
from pipelines.tables import Row, write_rows
from tests.cli.driving import driftline
from tests.pipelines.memory import BORN_MS, MemoryStore, policy

DELAY_MS = 12 * HOUR_MS
TURNED_MS = BORN_MS + 10 * DAY_MS
AFTER_MS = 3 * DAY_MS  # so that it learns nothing of the world as it was
UNTIL_MS = BORN_MS + 20 * DAY_MS
POLICY = policy(
    data=Data("label", ("x",), window_ms=3 * DAY_MS, score="score"),
    train=Train(params={"format": "json"}),
    gate=GateSpec(explain_rows=0),
    trigger=Trigger(cooldown_ms=HOUR_MS, labels_min=200, after_ms=AFTER_MS),
    probation=Probation(least_ms=4 * DAY_MS),
    promote=Promotion.AUTO,
)
SPAN = Span(BORN_MS + 4 * DAY_MS, UNTIL_MS, 12 * HOUR_MS)


def world(back: bool = False, seed: int = 5) -> list[Row]:
    """Twenty days; after ten the world turns round, and if `back` five days later it is as it was."""
    luck, count = np.random.default_rng(seed), 15_000
    at_ms = np.sort(luck.integers(BORN_MS, UNTIL_MS, count))
    turned = (at_ms >= TURNED_MS) & ~(back & (at_ms >= TURNED_MS + 5 * DAY_MS))
    x = luck.normal(size=count)
    label = luck.random(count) < 1 / (1 + np.exp(-3 * x * np.where(turned, -1, 1)))
    return [
        {"at_ms": int(a), "known_ms": int(a) + DELAY_MS, "x": float(b), "label": int(c), "version": "7", "score": 0.5}
        for a, b, c in zip(at_ms, x, label, strict=True)
    ]


def event(state: str, tick_ms: int, fired_ms: int) -> bytes:
    data: dict[str, Any] = {
        "category": "rule", "fingerprint": "f1", "episode": "e1", "state": state, "latest": True, "summary": "low",
        "rule": "low-recall", "model": "fraud", "version": "7", "segment": "all", "tick_ms": tick_ms,
        "fired_ms": fired_ms, "evidence": {"metric": "recall"},
    }  # fmt: skip
    return json.dumps({"dataschema": "urn:driftline:schema:alert:v1", "data": data}).encode()


FIRED_MS, RESOLVED_MS = TURNED_MS + DAY_MS, TURNED_MS + 8 * DAY_MS
EVENTS = [event("firing", FIRED_MS, FIRED_MS), event("resolved", RESOLVED_MS, FIRED_MS)]


def made(tmp_path: Path, rows: list[Row], asked: Policy = POLICY) -> Backtest:
    return Backtest(
        asked, rows, EVENTS, lambda store: FileAnchors(store, {}), tmp_path,
        lambda store: FileSteps(store, tmp_path / "work", Inline()),
    )  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return {each.name: each for each in made(tmp_path_factory.mktemp("past"), world()).compare(SPAN)}


def test_the_policy_promotes_once_when_its_alert_has_fired_for_long_enough(told: dict[str, Told]) -> None:
    (promoted,) = told["policy"].promotions
    assert promoted.at_ms == FIRED_MS + AFTER_MS
    assert (promoted.version, promoted.false, promoted.back_ms) == (2, False, None)
    assert (promoted.better or 0) > 0.2
    assert (told["policy"].trainings, told["policy"].ends) == (1, {"settled": 1})
    why = told["policy"].why
    assert why["early"] == AFTER_MS // SPAN.every_ms
    assert set(why) <= {"nothing_fires", "early", "run_active", "already_run"}


def test_it_is_compared_with_never_weekly_and_always(told: dict[str, Told]) -> None:
    assert [len(told[name].promotions) for name in ("never", "weekly", "always")] == [0, 2, 15]
    assert told["always"].rows_trained > 5 * told["policy"].rows_trained
    assert told["policy"].loss < told["never"].loss - 0.1
    assert len({each.rows for each in told.values()}) == 1, "on the same rows"
    assert told["always"].false > 0


def test_who_has_no_gate_trains_on_every_row_that_is_known(tmp_path: Path) -> None:
    """Nothing is held out, so neither is the gap before what would be."""
    gap = msgspec.structs.replace(POLICY, data=msgspec.structs.replace(POLICY.data, gap_ms=DAY_MS))
    span, rows = Span(SPAN.from_ms, SPAN.from_ms + 2 * DAY_MS, DAY_MS), world()
    told = made(tmp_path, rows, gap).regularly("daily", span, DAY_MS)
    first, _ = split(labelled(rows, gap, span.from_ms), gap)
    assert told.rows_trained == len(first) + len(labelled(rows, gap, span.from_ms + DAY_MS))


def test_never_is_the_loss_of_the_first_model_recomputed_by_hand(told: dict[str, Told]) -> None:
    """A model of what was known at the start, fitted here, on every later row."""
    known = [row for row in world() if row["known_ms"] <= SPAN.from_ms]
    window = [row for row in known if row["at_ms"] > known[-1]["at_ms"] - 3 * DAY_MS]
    first = window[: int(len(window) * 0.7)]
    later = [row for row in world() if row["at_ms"] >= SPAN.from_ms]
    x, y = (np.array([row[name] for row in first]) for name in ("x", "label"))
    fitted = LogisticRegression().fit(x[:, None], y)
    scores = fitted.predict_proba(np.array([row["x"] for row in later])[:, None])[:, 1]
    labels = np.array([row["label"] for row in later])
    assert told["never"].loss == pytest.approx(float(((scores - labels) ** 2).mean()), abs=0.001)
    assert told["never"].rows == len(later)


def test_the_same_past_gives_the_same_answer(told: dict[str, Told], tmp_path: Path) -> None:
    again = made(tmp_path, world()).loop(SPAN)
    assert (again.promotions, again.loss, again.why) == tuple(
        getattr(told["policy"], name) for name in ("promotions", "loss", "why")
    )


def test_a_world_that_turns_back_is_rolled_back_and_later_truth_calls_it_false(tmp_path: Path) -> None:
    found = made(tmp_path, world(back=True)).loop(SPAN)
    (promoted,) = found.promotions
    assert promoted.back_ms is not None
    assert (promoted.false, found.false, found.rolled_back, found.ends) == (True, 1, 1, {"rolled_back": 1})


def test_the_shadow_of_a_policy_is_gone_through_as_well(tmp_path: Path) -> None:
    shadowed = policy(
        data=POLICY.data, train=POLICY.train, gate=POLICY.gate, trigger=POLICY.trigger, probation=POLICY.probation,
        promote=Promotion.APPROVE, shadow=Shadow(least_ms=DAY_MS, most_ms=3 * DAY_MS, rows_min=200),
    )  # fmt: skip
    found = made(tmp_path, world(), shadowed).loop(SPAN)
    assert [promoted.at_ms for promoted in found.promotions] == [FIRED_MS + AFTER_MS + DAY_MS]


def test_labels_and_alerts_count_from_when_they_were_known() -> None:
    data = PastData(MemoryStore(), world())
    now_ms = BORN_MS + 4 * DAY_MS
    held = data.collect(POLICY, now_ms, lambda: None)
    newest = max(row["at_ms"] for row in world() if row["at_ms"] + DELAY_MS <= now_ms)
    assert held.train_rows + held.test_rows == sum(
        row["at_ms"] + DELAY_MS <= now_ms and row["at_ms"] > newest - 3 * DAY_MS for row in world()
    )
    clock = PastClock(FIRED_MS - 1)
    alerts = PastAlerts(reversed(EVENTS), clock)
    for at_ms, count in (
        (FIRED_MS - 1, 0),
        (FIRED_MS, 1),
        (RESOLVED_MS - 1, 1),
        (RESOLVED_MS, 0),
    ):
        clock.ms = at_ms
        assert len(alerts.firing()) == count
    with pytest.raises(StepFailed, match="event 1 is no alert"):
        PastAlerts([b"{}"], clock)


def test_a_start_before_there_is_anything_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="Let the backtest begin later"):
        made(tmp_path, world()).never(Span(BORN_MS, UNTIL_MS, DAY_MS))


# -------------------------------------------------------------------------------------------------------- the command


def test_the_command_prints_a_table_and_can_fail_a_change_of_policy(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(write_rows(world(back=True)))
    (tmp_path / "alerts.jsonl").write_bytes(b"\n".join(EVENTS))
    (tmp_path / "retrain.yaml").write_text(
        "models:\n  fraud:\n    rows: rows.jsonl\n    data: {label: label, features: [x], window: 3d}\n"
        "    train: {params: {format: json}}\n    gate: {explain_rows: 0}\n    promote: auto\n"
        "    trigger: {after: 3d, labels_min: 200}\n    probation: {least: 4d}\n"
    )
    where = ("-c", tmp_path / "retrain.yaml", "--alerts", tmp_path / "alerts.jsonl")
    done = driftline("backtest-policy", *where, "--every", "12h", "--false-promotions-max", 0)
    assert done.code == 3, done.err
    assert "version 2 promoted: -" in done.out
    assert "; rolled back 2025-10-" in done.out
    assert [line.split()[0] for line in done.out.splitlines() if line.strip()][2:6] == [
        "policy",
        "never",
        "weekly",
        "always",
    ]
    quiet = driftline(
        "backtest-policy", *where[:2], "--every", "1d", "--from", "2025-10-14", "--to", "2025-10-17T00:00Z"
    )
    assert "the policy promoted nothing; runs: none; rounds that began nothing: nothing_fires 3" in quiet.out


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--every", "often"), "'often' is no duration"),
        (("--from", "yesterday"), "'yesterday' is no time"),
        (("--from", "2030-01-01"), "is not before"),
        (("--alerts", "none.jsonl"), "is not there"),
    ],
)
def test_what_cannot_be_meant_is_a_matter_of_usage(tmp_path: Path, args: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(write_rows(world()[:100]))
    (tmp_path / "retrain.yaml").write_text(
        "models:\n  fraud:\n    rows: rows.jsonl\n    data: {label: label, features: [x]}\n"
    )
    done = driftline("backtest-policy", "-c", tmp_path / "retrain.yaml", *args)
    assert (done.code, sentence in done.err) == (2, True), done.err


def test_how_far_it_is_and_what_is_left_is_told_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    progress = Progress(Span(BORN_MS, BORN_MS + 10 * DAY_MS, DAY_MS), lambda: now[0])
    for name in ("weekly", "policy"):
        for day in range(10):
            progress.show(name, BORN_MS + day * DAY_MS)
            now[0] += 4
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("driftline: weekly retraining (1 of 3): at ")
    assert lines[0].endswith("30%, about 0:00:28 left")
    assert lines[-1].startswith("driftline: the policy (3 of 3): at ")
    assert len(lines) == 6


def test_the_pace_of_a_way_counts_from_where_it_was_first_heard_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Two of twelve weekly trainings took 12 s: ten are left."""
    now = [0.0]
    progress = Progress(Span(BORN_MS, BORN_MS + 12 * DAY_MS, DAY_MS), lambda: now[0])
    for day in range(2, 5):
        progress.show("weekly", BORN_MS + day * DAY_MS)
        now[0] += 6
    assert capsys.readouterr().err.endswith("33%, about 0:00:48 left\n")


def test_each_way_is_heard_of_before_its_first_model_is_trained(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []
    test = made(tmp_path, world())
    test._headway = lambda *told: heard.append(told)
    test.regularly("weekly", Span(SPAN.from_ms, SPAN.from_ms + 3 * DAY_MS, DAY_MS), 2 * DAY_MS)
    assert heard == [("weekly", SPAN.from_ms), ("weekly", SPAN.from_ms + 2 * DAY_MS)]


def test_rows_are_put_in_order_once_and_are_those_of_a_run(tmp_path: Path) -> None:
    rows = world()[::-1]
    data = PastData(MemoryStore(), rows)
    plain = [{key: value for key, value in row.items() if key != "version"} for row in rows]
    for until_ms in (BORN_MS + DAY_MS, TURNED_MS, UNTIL_MS):
        assert data._labelled(POLICY, until_ms) == labelled(plain, POLICY, until_ms)
