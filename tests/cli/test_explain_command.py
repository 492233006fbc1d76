"""`driftline explain`: an alert worked out again from the topics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.ports import OutRecord
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


@pytest.fixture(scope="module")
def alert(deployment: Deployment) -> str:
    events = driftline("alerts", "list", *deployment.where, "--all", "-o", "json").lines
    return str(next(event["id"] for event in events if event["data"]["state"] == "firing"))


def test_an_alert_is_told_again_from_the_topics_and_every_number_agrees(deployment: Deployment, alert: str) -> None:
    shown = driftline("explain", alert[:10], *deployment.where, "-q", "-o", "json")
    assert shown.code == 0, shown.err
    told = shown.json
    assert (told["event"]["id"], told["replayed"], told["differs"]) == (alert, True, [])
    names = [number["name"] for number in told["numbers"] if number["inputs"]]
    assert names == ["rows", "accuracy", "lower", "upper", "coverage", "broken"]
    assert all(number["agrees"] for number in told["numbers"])
    assert {number["path"] for number in told["numbers"]} - {"evidence.broken"} == set(leaves(told["event"]["data"]))
    arithmetic = driftline("explain", alert[:10], *deployment.where, "-q", "-o", "json", "--no-replay").json
    assert [number["name"] for number in arithmetic["numbers"]] == names


def leaves(found: Any, path: str = "") -> Iterator[str]:
    """Where the numbers of a document stand."""
    if isinstance(found, (dict, list)):
        parts = found.items() if isinstance(found, dict) else enumerate(found)
        for name, part in parts:
            yield from leaves(part, f"{path}.{name}" if path else str(name))
    elif isinstance(found, (int, float)) and not isinstance(found, bool):
        yield path


def test_the_table_says_formula_inputs_and_result(deployment: Deployment, alert: str) -> None:
    shown = driftline("explain", alert, *deployment.where, "-q")
    assert (shown.code, shown.err) == (0, "")
    assert "(tp + tn) / (tp + fp + fn + tn)" in shown.out
    assert shown.out.count("Wilson's 95 % interval") == 1, "what several numbers are made by is said once"
    (upper,) = (line.split() for line in shown.out.splitlines() if line.strip().startswith("upper"))
    assert upper[-2:] == ["as", "above"]
    assert max(map(len, shown.out.splitlines()[1:])) <= 120
    assert "and counted again, " in shown.out
    assert (
        "a run over the source topics under generation 1 of the configuration tells the same alert, field by field"
        in shown.out
    )


def test_an_alert_that_says_something_else_than_the_topics_is_found(
    deployment: Deployment, alert: str, tmp_path: Path
) -> None:
    events = driftline("alerts", "list", *deployment.where, "--all", "-o", "json").lines
    forged = next(event for event in events if event["id"] == alert)
    forged["data"]["evidence"]["counts"]["tp"] += 1
    forged["id"] = "f" * 32
    copy = tmp_path / "log"
    copy.mkdir()
    for file in Path(deployment.log).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    log = EmbeddedLog(copy)
    appender = log.appender()
    appender.append("small.alerts", 0, OutRecord(orjson.dumps(forged), b"key"))
    appender.close()
    log.close()
    where = ("-c", deployment.config, "--embedded", copy)
    shown = driftline("explain", "ffff", *where, "-q")
    assert shown.code == 3
    assert "DIFFERS" in shown.out
    assert "NOT TOLD AGAIN" in shown.out


def test_letters_that_name_no_alert_are_refused(deployment: Deployment) -> None:
    shown = driftline("explain", "zzzz", *deployment.where)
    assert shown.code == 2
    assert "names no single event of topic 'small.alerts': none is there" in shown.err
    many = driftline("explain", "", *deployment.where)
    assert many.code == 2
    assert "alerts begin so: give more letters" in many.err


def test_an_alert_is_told_again_under_the_rules_that_held_whatever_the_files_say_now(
    deployment: Deployment, alert: str, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.yaml"
    edited.write_text(deployment.config.read_text().replace("threshold: 0.99", "threshold: 0.98"))
    where = ("-c", edited, "--embedded", deployment.log)
    shown = driftline("explain", alert, *where, "-q", "-o", "json")
    assert (shown.code, shown.json["generation"], shown.json["differs"]) == (0, 1, [])
