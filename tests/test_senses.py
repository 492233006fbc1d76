"""Every sense of a model, compiled, and predictions counted in several of them."""

from __future__ import annotations

import numpy as np
import orjson

from monitor.config import Config, loads
from monitor.daemon.senses import Section, compiled, union
from monitor.daemon.shared import make_shared
from monitor.events import RecordBatch
from monitor.groups import Group, sense_of, together
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.roster import Listed, Roster
from monitor.plan import Plan
from monitor.summary import Summariser

TEXT = """
namespace: n
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: FEATURES
  labels: {topic: l, fields: {id: $.id, at: $.at, label: $.label}}
time: {tick: 1m}
models: [{name: m, MODEL}]
windows: [1h]
"""
NOW = sense_of("m", 1)
FIRST = ("{hue: categorical, size: numeric}", "features: [size], segments: {hue: [red]}")
SECOND = (
    "{hue: {from: $.features.colour, type: categorical}, size: numeric, age: numeric}",
    "features: [age, size, hue], segments: {hue: [red, blue]}, threshold: 0.8",
)


def config(features: str, model: str) -> Config:
    return loads(TEXT.replace("FEATURES", features).replace("MODEL", model))


def made(*said: tuple[str, str]) -> tuple[Config, Plan]:
    """The configuration and the plan of a model that was each of these, one after the other."""
    configs = [config(*one) for one in said]
    sections = [
        Section(sense_of("m", number), one.models[0], one, None, f"sha256:{number}" if number else None)
        for number, one in enumerate(configs)
    ]
    everything = union(configs[-1], configs[0], sections)
    return everything, compiled(everything, configs[0], sections, {"m": sections[-1].sense})


def test_what_two_senses_read_from_different_places_are_two_columns_and_bins_they_share_are_kept_once() -> None:
    everything, plan = made(FIRST, SECOND)
    first, second = plan.senses["m"], plan.senses[NOW]
    assert plan.models == {"m": second}
    assert first.dimensions[0].column == "hue"
    (moved,) = (dimension.column for dimension in second.dimensions)
    assert moved != "hue"
    mapped = everything.streams.predictions.features
    assert {name: mapped[name].source.path for name in ("hue", moved)} == {
        "hue": ("features", "hue"), moved: ("features", "colour"),
    }  # fmt: skip
    assert first.places == (0,)
    assert second.places == (1, 0, 2), "size is where it was"
    assert plan.width == 3
    assert (first.threshold, second.threshold) == (None, 0.8)
    assert (first.config_digest, second.config_digest) == (None, "sha256:1")
    assert plan.of_window("m", "sha256:1") == second
    assert plan.of_window("m", "of the namespace") == first


def test_a_model_that_has_one_sense_only_has_the_plan_it_always_had() -> None:
    _, plan = made(FIRST)
    assert plan.senses == {}
    assert plan.counted_as("m") is plan.models["m"]


def test_a_prediction_counts_in_every_sense_that_its_place_in_the_log_and_its_time_ask_for() -> None:
    everything, plan = made(FIRST, SECOND)
    (old, new), begun = ("first", "second"), 1_704_067_200_000
    roster = Roster(
        3,
        (
            Listed("m", old, "d", None, 0, NEVER, 3, begun, begun + 3_600_000),
            Listed("m", new, "d", None, 2, begun, None, FOREVER, FOREVER),
        ),
    )
    shared = make_shared(everything, plan, roster=roster)
    rows = [(begun - 60_000, 0), (begun - 60_000, 2), (begun, 3), (begun + 3_600_000, 3)]
    columns = shared.predictions.decode(batch([at for at, _ in rows]))
    group, bins = shared.coder.code(columns, np.array([number for _, number in rows]))
    was = Group("m", "1", (("hue", "red"),))
    now = Group(NOW, "1", (("hue", "blue"),))
    assert [shared.groups.items[code] for code in group] == [was, together([was, now]), together([was, now]), now]
    assert bins[0, 1] == bins[0, 2] == 0, "what nobody asks for is not coded"
    summary = Summariser(plan, shared.groups)
    ticks, sign, score = columns.at_ms // 60_000, np.ones(4, np.int64), np.full(4, 0.7)
    summary.seen(group, columns.at_ms, ticks, score, np.ones(4, np.uint8), bins, sign)
    summary.labelled(group, columns.at_ms, ticks, score, np.ones(4, np.uint8), np.ones(4), sign, np.zeros((4, 0)))
    inputs, performance = summary.flush()
    seen = {}
    for sums, layouts in ((inputs, "input"), (performance, "task")):
        place = np.repeat(np.arange(sums.slots), sums.length)
        for slot, code in enumerate(sums.group.tolist()):
            model = plan.counted_as(shared.groups.items[code].model)
            layout = model.input_cells if layouts == "input" else model.task.cells
            names = [name for name in ("seen", "tp", "fn") if name in layout]
            cells = dict(zip(sums.cell[place == slot].tolist(), sums.amount[place == slot].tolist(), strict=True))
            key = layouts, shared.groups.items[code].model, int(sums.pane[slot])
            seen[key] = [cells.get(layout.index(name), 0) for name in names]
    hour = begun // 3_600_000
    assert seen == {
        ("input", "m", hour - 1): [2], ("input", NOW, hour - 1): [1], ("input", "m", hour): [1], ("input", NOW, hour): [1],
        ("input", NOW, hour + 1): [1],
        # 0.7 is the positive class by the threshold of 0.5, and not by that of 0.8
        ("task", "m", hour - 1): [2, 2, 0], ("task", NOW, hour - 1): [1, 0, 1], ("task", "m", hour): [1, 1, 0],
        ("task", NOW, hour): [1, 0, 1], ("task", NOW, hour + 1): [1, 0, 1],
    }  # fmt: skip


def batch(times: list[int]) -> RecordBatch:
    """Predictions at these times that say red where hue was, and blue where it is now."""
    features = {"hue": "red", "colour": "blue", "size": 3, "age": 7}
    records = [
        {"id": f"i{i}", "model": "m", "version": "1", "at": at, "score": 0.7, "features": features}
        for i, at in enumerate(times)
    ]
    offsets = np.arange(len(times))
    return RecordBatch("p", 0, offsets, np.array(times) + 1, [orjson.dumps(one) for one in records], len(times))
