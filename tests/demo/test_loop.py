"""Alert, retraining, gate, approval, promotion, service, new predictions, resolution: the demo's stories end to end."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.cli.models_topic import LogTopic
from monitor.demo import INCIDENTS, LAST_MS, LIVE_MS
from monitor.demo.incidents import DAY_MS, WORLDS, ConceptChange, Incident
from pipelines.states import State
from registry.publication import decode_state
from tests.cli.driving import driftline
from tests.demo.playing import Played, played

PROMOTED = [
    State.COLLECTING, State.VALIDATING, State.TRAINING, State.EVALUATING, State.REGISTERED, State.AWAITING_APPROVAL,
    State.PROMOTING, State.PROBATION,
]  # fmt: skip


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return played(tmp_path_factory.mktemp("changed"), INCIDENTS["concept-change"])


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demo without an incident, whole: a month of flights, with the loop."""
    return played(tmp_path_factory.mktemp("quiet"), INCIDENTS["none"])


def test_a_change_of_the_world_pages_and_ends_with_a_better_model_in_service(changed: Played) -> None:
    first, second = changed.runs
    assert changed.states(first) == [*PROMOTED, State.SETTLED]
    assert changed.states(second) == [*PROMOTED, State.SETTLED]
    told = [(event["data"]["version"], event["data"]["state"], event["data"]["reason"]) for event in changed.events]
    assert told[0] == ("1", "firing", "sustained")
    assert ("1", "resolved", "version_replaced") in told
    assert {event["data"]["rule"] for event in changed.events} == {"accuracy-low"}
    assert told[-1][1] == "resolved"


def test_a_backtest_of_the_policy_promotes_what_the_loop_promoted_and_when(changed: Played) -> None:
    """The loop's own history, from its first version on: the same stream, alerts and labels give the same promotions."""
    (_, first_ms), *later = changed.promotions
    begin = datetime.fromtimestamp(first_ms / 1000, UTC).isoformat()
    where = (
        "-c",
        changed.folder / "retrain.yaml",
        "--alerts",
        changed.folder / "demo.yaml",
        "--embedded",
        changed.folder,
    )
    asked = ("--from", begin, "--every", "6h", "--false-promotions-max", 0, "-o", "json")
    done = driftline("backtest-policy", *where, *asked)
    assert done.code == 0, done.err
    policy, never, weekly, always = done.lines
    assert [told["name"] for told in done.lines] == ["policy", "never", "weekly", "always"]
    assert [(each["version"], each["at_ms"]) for each in policy["promotions"]] == later
    assert (policy["false_promotions"], policy["rolled_back"], policy["ends"]) == (0, 0, {"settled": 1})
    assert policy["loss"] < never["loss"] - 0.05
    assert never["promotions"] == []
    assert policy["trainings"] < weekly["trainings"] < always["trainings"]
    assert always["false_promotions"] > 0, "who promotes without a gate promotes what is no better"


def test_what_the_model_leans_on_stands_beside_the_features_of_its_alert(changed: Played) -> None:
    fired = changed.events[0]
    where = ("-c", changed.folder / "demo.yaml", "--embedded", changed.folder, "--store", changed.folder / "registry")
    done = driftline("explain", fired["id"], *where, "--no-replay", "-o", "json")
    assert done.code == 0, done.err
    (told,) = done.lines
    found = {one["feature"]: one["importance"] for one in told["features"]}
    assert found, "an alert about a metric has the most important features of the model, or those of its explanation"
    assert all(isinstance(value, float) for value in found.values())


def test_predictions_are_of_the_formula_then_of_version_1_then_of_version_2(changed: Played) -> None:
    found = changed.predictions()
    versions = [record["version"] for record in found]
    assert [versions[0], *(b for a, b in pairwise(versions) if a != b)] == ["0", "1", "2"]
    of_second = next(record["at"] for record in found if record["version"] == "2")
    (_, _), (version, promoted_ms) = changed.promotions
    assert version == 2
    assert of_second >= promoted_ms


def test_each_move_was_published_and_the_service_took_it_from_the_topic(changed: Played) -> None:
    states = [decode_state(record.value) for record in LogTopic(changed.folder, "demo.models").read()]
    versions = [state.version for state in states if state.version is not None]
    assert [versions[0], *(b for a, b in pairwise(versions) if a != b)] == changed.served == [1, 2]
    assert [state.sequence for state in states] == sorted({state.sequence for state in states})


def test_each_run_keeps_its_dataset_version_and_looks_at_a_probation_keep_none(changed: Played) -> None:
    listed = driftline("dataset", "list", "--store", changed.folder / "registry", "-o", "json")
    assert len(listed.json["datasets"]) == len(changed.runs)


def test_the_promoted_version_is_better_on_the_truth_that_came_later(changed: Played) -> None:
    _, (version, since_ms) = changed.promotions
    assert changed.brier_later(version, since_ms) < 0.6 * changed.brier_later(1, since_ms)


def test_what_it_leaves_is_proved_by_replays(changed: Played) -> None:
    where = ("replay", "-c", changed.folder / "demo.yaml", "--embedded", changed.folder, "--verify", "-q")
    for how in ((), ("--without-decisions",)):
        proved = driftline(*where, *how)
        assert proved.code == 0, proved.err
        assert "driftline: identical: " in proved.err


def test_without_an_incident_nothing_fires_and_nothing_but_the_first_model_is_trained(quiet: Played) -> None:
    assert quiet.events == [], "nothing that is declared of the flights is broken either"
    [first] = quiet.runs
    assert quiet.states(first) == [*PROMOTED, State.SETTLED]
    assert quiet.served == [1]


def story(seed: int) -> Incident:
    """Every fifth is quiet; the others differ in what changes, how much of it, and when."""
    luck = random.Random(seed)
    if seed % 5 == 4:
        return Incident("none", 0, 0)
    world = WORLDS[luck.choice(sorted(WORLDS))]
    start_ms = LIVE_MS + luck.randrange(2 * DAY_MS, 12 * DAY_MS)
    return ConceptChange("concept-change", start_ms, LAST_MS, world, luck.choice([0.3, 0.6, 0.8, 1.0]), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_whatever_changes_only_what_later_truth_proves_better_is_promoted(seed: int, tmp_path: Path) -> None:
    incident = story(seed)
    found = played(tmp_path, incident)
    before = 1
    for version, since_ms in found.promotions[1:]:
        new, old = found.brier_later(version, since_ms), found.brier_later(before, since_ms)
        print(f"seed {seed}: {incident}: version {version} from {since_ms}: {new:.4f} instead of {old:.4f}")
        assert new < old
        before = version
    print(f"seed {seed}: {incident}: promoted {found.served}, alerts {len(found.events)}")
    if not isinstance(incident, ConceptChange):
        assert (found.served, found.events) == ([1], [])
