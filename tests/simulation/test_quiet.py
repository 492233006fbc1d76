"""Labels come and predictions do not: what the labels say is shown, and nothing that was final differs afterwards."""

from __future__ import annotations

import orjson

from tests.simulation.test_label_feed import PARTITIONS, STEP_MS, Deployment, config
from tests.simulation.world import finals, worker


def labelled(deployment: Deployment) -> int:
    """Predictions with a label, by the newest revision of every window of the shortest kind."""
    newest: dict[bytes, int] = {}
    for stored in deployment.log.records("one.windows"):
        assert stored.record.key is not None
        window = orjson.loads(stored.record.value or b"{}")
        if window.get("kind") == "performance" and window["segment"] == "all" and window["window"] == WINDOW:
            newest[stored.record.key] = window["labelled"]
    return sum(newest.values())


WINDOW = config().windows[0].name


def send_labels(deployment: Deployment, count: int) -> None:
    """A label for each of the first predictions, one at a step, in the partitions they are in."""
    for number in range(1, count + 1):
        record = {"id": f"p{number}", "at": deployment.now_ms, "label": 1}
        deployment.send("labels", (number - 1) % PARTITIONS, record)
        deployment.step(predictions=False)


def test_labels_are_seen_while_predictions_are_quiet() -> None:
    deployment = Deployment(config())
    deployment.step(times=4)
    send_labels(deployment, 8)
    assert any(task.flags.quiet for task in deployment.workers[0].tasks.values())
    assert labelled(deployment) >= 4  # the last ones wait for the disorder and their own tick
    deployment.step(times=1)
    assert not any(task.flags.quiet for task in deployment.workers[0].tasks.values())


def test_a_quiet_spell_changes_no_final_window() -> None:
    deployment = Deployment(config())
    deployment.step(times=4)
    send_labels(deployment, 8)
    deployment.step(times=3)
    live = deployment.workers[0]
    live.end_when_read()
    while not live.done():
        live.turn()
    live.close()
    worker(deployment.log, config("two")).run()
    assert finals(deployment.log, "one") == finals(deployment.log, "two")


def test_without_labels_nothing_is_quiet() -> None:
    deployment = Deployment(config(labels=False))
    deployment.step(times=4)
    deployment.step(predictions=False, times=10)
    (only,) = deployment.workers
    assert [(task.flags.quiet, task.flags.idle) for task in only.tasks.values()] == [(False, True)] * PARTITIONS


def test_what_comes_for_final_windows_after_a_pause_is_counted_once() -> None:
    """Partition 1 pauses until windows are final without it, then sends what still counts by its own clock."""
    deployment = Deployment(config(labels=False))
    deployment.step(times=3)
    at_ms = deployment.now_ms

    def only(partition: int, at_ms: int, times: int) -> int:
        for number in range(times):
            record = {
                "id": f"o{partition}-{at_ms}-{number}",
                "model": "m",
                "version": "1",
                "score": 0.9,
                "prediction": 1,
            }
            at = at_ms + number * STEP_MS
            deployment.send("predictions", partition, {**record, "at": at, "features": {"hue": "red"}})
            deployment.step(predictions=False)
        return deployment.workers[0].statistics.unplaced

    assert only(0, at_ms, 20) == 0
    published = [orjson.loads(stored.record.value or b"{}") for stored in deployment.log.records("one.windows")]
    assert any(window["final"] for window in published)
    only(1, at_ms, 1)
    assert only(0, deployment.now_ms, 8) > 0, "it is decided when the ticks of now close"
    deployment.restart()
    assert only(0, deployment.now_ms, 3) == 0, "what was decided before is decided again, and not counted again"
