"""Where things came from and what they led to, walked both ways; and what happened to a model, in order."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from pipelines.codec import digest_of
from pipelines.dataset.shelf import Shelf
from pipelines.errors import NotFound
from pipelines.lineage import Graph, Step, What, _rows, data_versions, graph, history
from pipelines.policy import DAY_MS, HOUR_MS
from pipelines.ports import Artifact, Draft, ModelFile
from pipelines.states import State
from tests.pipelines.dataset.test_erasing import do, two
from tests.pipelines.memory import alert, fakes
from tests.pipelines.test_worker import Story
from tests.registry.memory import MemoryStore as RegistryStore


def two_rounds() -> Story:
    """Version 1 by a first incident; 2 by an alert about it, which stays; 3 by an alert about 2, which goes back."""
    story = Story(fakes())
    for number, live in ((2, 0.1), (3, -0.2)):
        story.ports.fires = [
            alert(f"{number:032x}", f"{number:x}" * 32, version=f"v{number - 1}", fired_ms=story.ports.clock.ms)
        ]
        story.round()
        story.ports.live = live
        story.later(2 * DAY_MS)
    return story


def drawn(story: Story) -> Graph:
    return graph(story.ports.store, story.ports.models, story.ports.fires)


def lines(steps: list[Step]) -> list[tuple[int, str, What, str]]:
    return [(step.depth, step.why, step.node.what, step.node.id[:8]) for step in steps]


def test_behind_an_alert_are_the_model_that_it_is_about_and_the_rows_that_made_it() -> None:
    story = two_rounds()
    made = drawn(story)
    second = story.book.admissions("fraud")[1]
    rows = story.book.journal(second.run).view.facts["dataset"]["digest"]
    back = lines(made.walk("3" * 32, back=True))
    assert back[:4] == [
        (1, "about", What.VERSION, "fraud@2"), (2, "made by", What.RUN, second.run[:8]), (3, "took", What.ROWS, rows[:8]),
        (3, "because of", What.ALERT, "2" * 8),
    ]  # fmt: skip
    assert back[4][2:] == (What.VERSION, "fraud@1"), "and so on to the first"
    assert [step[:3] for step in lines(made.walk("3" * 32, back=False))] == [
        (1, "began", What.RUN), (2, "made", What.VERSION),
    ]  # fmt: skip


def test_from_rows_the_same_walk_leads_to_all_that_they_led_to() -> None:
    story = two_rounds()
    made = drawn(story)
    rows = story.book.journal(story.book.admissions("fraud")[0].run).view.facts["dataset"]["digest"]
    reached = {step.node.id for step in made.walk(rows, back=False)}
    assert {"fraud@1", "fraud@2", "fraud@3", "2" * 32, "3" * 32} <= reached
    for key in reached:
        assert rows in {step.node.id for step in made.walk(key, back=True)}, "both ways are one graph"


def test_things_are_found_by_what_people_call_them() -> None:
    story = two_rounds()
    made = drawn(story)
    run = story.book.admissions("fraud")[2].run
    rows = story.book.journal(run).view.facts["dataset"]["digest"]
    for asked, found in (
        ("fraud@3", "fraud@3"), ("3" * 32, "3" * 32), (f"{3:032x}", "3" * 32), (run[:8], run), (rows, rows),
        (rows.removeprefix("sha256:")[:9], rows),
    ):  # fmt: skip
        assert made.find(asked).id == found
    for asked in ("fraud@9", "zz", "", "a" * 64):
        with pytest.raises(NotFound, match="is no alert, run, version or dataset that is known here"):
            made.find(asked)
    with pytest.raises(NotFound, match="may be"):
        made.find("fraud")


def test_rows_that_were_removed_are_a_node_that_says_so() -> None:
    story = two_rounds()
    rows = story.book.journal(story.book.admissions("fraud")[0].run).view.facts["dataset"]["digest"]
    del story.ports.store.blobs[rows]
    made = drawn(story)
    assert made.nodes[rows].said.endswith("not in this store any more")
    assert "fraud@1" in {step.node.id for step in made.walk(rows, back=False)}


def test_a_version_added_by_hand_and_a_data_version_that_is_elsewhere_are_nodes_too() -> None:
    story = two_rounds()
    source = digest_of(b"elsewhere")
    manifest = story.ports.store.put_blob([json.dumps({"kind": "driftline-rows", "source": source}).encode()]).digest
    story.ports.models.register(
        Draft("churn", "gone", manifest, Artifact({"m": ModelFile("d", 1)}, {}, {}), {}, None, "r"), "ada", 5
    )
    made = drawn(story)
    assert lines(made.walk("churn@1", back=True))[0][:3] == (1, "made by", What.RUN)
    assert made.nodes["gone"].said == "its journal is not in this store"
    other = Graph()
    assert other.walk("nothing", back=True) == []


def test_a_node_that_is_reached_twice_is_shown_once_with_what_is_beyond_it() -> None:
    made = Graph()
    story = two_rounds()
    nodes = list(drawn(story).nodes.values())[:3]
    for node in nodes:
        made.add(node)
    a, b, c = (node.id for node in nodes)
    made.link(a, "made by", b, "made")
    made.link(a, "took", c, "taken by")
    made.link(b, "took", c, "taken by")
    made.link(b, "took", c, "taken by")
    assert [(step.depth, step.node.id, step.again) for step in made.walk(a, back=True)] == [
        (1, b, False), (2, c, False), (1, c, True),
    ]  # fmt: skip


def test_the_history_of_a_model_is_all_that_happened_to_it_in_order() -> None:
    story = two_rounds()
    story.switch("stop")
    found = history(story.ports.store, story.ports.models, "fraud")
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(found))
    said = [event.what for event in found]
    assert [each for each in said if "moved" in each] == [
        "champion moved to 1", "champion moved to 2", "champion moved to 3", "champion moved back to 2",
    ]  # fmt: skip
    assert sum("begins" in each for each in said) == 3
    assert sum(str(State.ROLLED_BACK) in each for each in said) == 1
    assert sum("approved" in each for each in said) == 1
    assert said[-1] == "stop of fraud"
    assert {event.actor for event in found} == {"w1", "eve", "ada"}
    with pytest.raises(NotFound, match=r"model 'other' has no history here.*There are: fraud"):
        history(story.ports.store, story.ports.models, "other")
    story.later(HOUR_MS)


def test_every_dataset_of_a_store_is_known_by_name_digest_and_beginning_also_after_an_erasure() -> None:
    store, story = RegistryStore(), two_rounds()
    whole, first = two(store)
    Shelf(store).name("first", first, "ada", 6)
    before = graph(store, story.ports.models, (), data_versions(store))
    for asked in ("whole", whole, whole.removeprefix("sha256:")[:12]):
        assert before.find(asked).id == whole
    do(store, 25)  # of the second segment: `first` has no row of it
    after = graph(store, story.ports.models, (), data_versions(store))
    successor = Shelf(store).version("whole").digest
    for asked in ("whole", whole, whole.removeprefix("sha256:")[:12], successor[:20]):
        assert (after.find(asked).id, after.find(asked).said[:7]) == (successor, "29 rows")
    assert after.find("first").id == first
    do(store, *range(30))
    gone = graph(store, story.ports.models, (), data_versions(store))
    assert gone.find(first).said == "no row is left after an erasure"


def test_what_was_trained_on_a_dataset_is_found_from_its_successor() -> None:
    store, story = RegistryStore(), two_rounds()
    whole, _ = two(store)
    models = story.ports.models
    models.register(Draft("churn", "r", whole, Artifact({"m": ModelFile("d", 1)}, {}, {}), {}, None, "r"), "ada", 5)
    do(store, 25)
    rows = store.put_blob([json.dumps({"kind": "driftline-rows", "source": whole}).encode()]).digest
    made = graph(store, models, (), data_versions(store))
    _rows(made, rows, store, data_versions(store))
    assert [step.node.id for step in made.walk(made.find("whole").id, back=False)] == [rows]


def test_an_alert_is_known_by_the_ids_of_its_events_those_of_one_that_is_over_too() -> None:
    story = two_rounds()
    over = alert("9" * 32, "8" * 32, version="2")
    told = {"b42e86d0" + "0" * 24: over, "c1" * 16: story.ports.fires[0]}
    made = graph(story.ports.store, story.ports.models, story.ports.fires, None, told)
    assert made.find("b42e86d0").id == over.episode
    assert made.find("c1c1c1c1").id == story.ports.fires[0].episode
