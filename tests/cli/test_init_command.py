"""`driftline init`."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.init import _ends
from monitor.cli.scan import Scan
from monitor.config import load
from tests.cli.conftest import FLIGHTS, Deployment
from tests.cli.driving import driftline

TOPICS = ("--from-topic", "flights.predictions", "--labels", "flights.labels")


def test_what_is_proposed_from_topics_passes_check_as_it_is(deployment: Deployment, tmp_path: Path) -> None:
    proposed = driftline("init", *TOPICS, "--embedded", deployment.log, "--namespace", "mine")
    assert proposed.code == 0
    made = tmp_path / "made.yaml"
    made.write_text(proposed.out)
    assert driftline("check", "-c", made).code == 0
    config = load([made])
    assert config.namespace == "mine"
    assert "\n  skew: 10s\n" in proposed.out, "what the numbers mean is written, not left to a default"
    assert config.streams.labels is not None
    assert (config.streams.predictions.topic, config.streams.labels.topic) == ("flights.predictions", "flights.labels")
    assert config.models[0].name == "arrival-delay"
    assert config.models[0].threshold == 0.25


def test_files_do_as_well_plain_or_gz(deployment: Deployment, tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    files = ("--from-file", deployment.predictions, "--labels-file", FLIGHTS / "labels.jsonl.gz")
    proposed = driftline("init", *files, "--output", made)
    assert (proposed.code, proposed.out) == (0, "")
    config = load([made])
    assert config.streams.predictions.topic == "predictions"
    assert config.streams.labels is not None
    assert config.streams.labels.topic == "labels"


def test_a_file_is_never_overwritten_unasked(deployment: Deployment, tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    made.write_text("precious")
    asked = ("init", "--from-file", deployment.predictions, "-o", made)
    assert driftline(*asked).code == 2
    assert made.read_text() == "precious"
    assert driftline(*asked, "--force").code == 0
    assert "streams:" in made.read_text()


def test_a_topic_that_is_not_there_is_named(deployment: Deployment) -> None:
    proposed = driftline("init", "--from-topic", "flight.predictions", "--embedded", deployment.log)
    assert (proposed.code, proposed.out) == (1, "")
    assert "there is no topic 'flight.predictions'" in proposed.err


@pytest.mark.parametrize(
    "asked",
    [
        (),
        ("--from-topic", "p"),
        ("--from-topic", "p", "--bootstrap", "h:1", "--embedded", "d"),
        ("--from-topic", "p", "--embedded", "d", "--labels-file", __file__),
        ("--from-file", __file__, "--labels", "l"),
    ],
)
def test_where_to_look_must_be_said_in_one_way(asked: tuple[str, ...]) -> None:
    assert driftline("init", *asked).code == 2


def test_both_ends_of_every_partition_are_sampled_and_nothing_twice() -> None:
    whole = Scan({("t", 0): (10, 1000), ("t", 1): (0, 3), ("t", 2): (5, 5)})
    first, last = _ends(whole, 4)
    assert first.ranges == {("t", 0): (10, 14), ("t", 1): (0, 3), ("t", 2): (5, 5)}
    assert last.ranges == {("t", 0): (996, 1000), ("t", 1): (3, 3), ("t", 2): (5, 5)}
