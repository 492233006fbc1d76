"""What one seed draws: a history of records with everything that can be odd about them, and how the world treats it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import cache

import orjson

from monitor.config import Config, loads
from tests.oracle.join import Params, Prediction, Window
from tests.simulation.world import CONFIG, PARAMS

START = 1_700_000_000_000
MAX_JUMP_MS = 120_000
LATENESS_MS = 60_000
SECOND, MODELS_SHARE = "n", 0.15
"""The model that comes and goes, and in how many seeds it does."""
WATCHED_SHARE = 0.2
"""In how many seeds what is watched of models changes: another feature is mapped, and another of its values is a segment."""
HUES = ("red", "blue", "green", None)
MALFORMED = (b"{", b"[1]", b"null", b"\xff\xfe", b"", b'{"id":"a"}', b'{"id":"a","at":"soon"}', b'{"id":7,"at":-4}')

SIM_PARAMS = Params(
    horizon_ms=PARAMS.horizon_ms,
    lateness_ms=LATENESS_MS,
    window=Window(50_000),
    skew_ms=PARAMS.skew_ms,
    disorder_ms=PARAMS.disorder_ms,
    max_jump_ms=MAX_JUMP_MS,
    tick_ms=PARAMS.tick_ms,
    settle_ms=PARAMS.settle_ms,
    segments=PARAMS.segments,
    content=PARAMS.content,
)
WATCHED_HUES = ("red", "blue", "green")


def _content(record: Prediction) -> str:
    hue = dict(record.get("segments") or {}).get("hue")
    return f"{record.get('score')} {record.get('prediction')} {hue if hue in WATCHED_HUES else 'other'}"


WATCHED_PARAMS = replace(SIM_PARAMS, segments={"hue": list(WATCHED_HUES)}, content=_content)
"""Of windows that start while more is watched."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record of a source topic, as its bytes."""

    topic: str
    partition: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Scenario:
    """One seed's world. Shares are probabilities per effect or per turn."""

    seed: int
    partitions: int
    workers: int
    rows: int  # a commit's most
    pace: int  # records handed out at once
    checkpoint_every: int  # 0: none
    trim: bool
    faults_max: int
    fault_share: float
    pause_share: float
    arrivals: list[Arrival] = field(repr=False)
    comes_and_goes: bool
    """Whether records of a second model come, which is added and taken out while the workers run."""
    is_watched: bool
    """Whether what is watched of models changes while the workers run."""

    @property
    def changes(self) -> bool:
        """Whether the configuration becomes another one while the workers run."""
        return self.comes_and_goes or self.is_watched

    def config(self, namespace: str, *, disturbed: bool, second: bool = False, more: bool = False) -> Config:
        """The disturbed deployment has small commits and checkpoints; the other neither. `second`: it lists both models; `more`
        is watched of them."""
        own = (self.rows, self.checkpoint_every, self.trim) if disturbed else (1_000, 0, False)
        found = _config(namespace, *own, more)
        if not second:
            return found
        other = found.models[0].model_copy(update={"name": SECOND})
        return found.model_copy(update={"models": (*found.models, other)})


@cache
def _config(namespace: str, rows: int, checkpoint_every: int, trim: bool, more: bool) -> Config:
    text = CONFIG.replace("max_jump: 30d", f"max_jump: {MAX_JUMP_MS // 1_000}s")
    text = text.replace(
        "idle_after: 30d", "idle_after: 30d, stalled_after: 40d"
    )  # the clock jumps, and decides nothing
    if checkpoint_every:
        state = f"checkpoint_records: {checkpoint_every}, trim: {str(trim).lower()}"
        text = text.replace("commit_interval: 1ms", f"commit_interval: 1ms, {state}")
    if more:
        text = text.replace("features: {{hue: categorical}}", "features: {{hue: categorical, size: numeric}}")
        text = text.replace("hue: [red, blue]", f"hue: [{', '.join(WATCHED_HUES)}]")
    return loads(text.format(namespace=namespace, rows=rows, lateness=LATENESS_MS // 1_000))


def draw(seed: int) -> Scenario:
    """The scenario of a seed: the same one every time."""
    chance = random.Random(f"scenario {seed}")
    partitions = chance.choice((1, 2, 2, 3))
    of_models = random.Random(f"models {seed}")
    comes_and_goes = of_models.random() < MODELS_SHARE
    scenario = Scenario(
        seed=seed,
        partitions=partitions,
        workers=chance.choice((1, 2, 2, 3)),
        rows=chance.randint(1, 14),
        pace=chance.randint(1, 12),
        checkpoint_every=chance.choice((0, 0, 1, 2, 5)),
        trim=chance.random() < 0.5,
        faults_max=chance.randint(0, 12),
        fault_share=chance.choice((0.02, 0.05, 0.1)),
        pause_share=chance.choice((0.0, 0.01, 0.03)),
        arrivals=_arrivals(chance, partitions),
        comes_and_goes=comes_and_goes,
        is_watched=random.Random(f"watched {seed}").random() < WATCHED_SHARE,
    )
    return replace(scenario, arrivals=_of_two(of_models, scenario.arrivals)) if comes_and_goes else scenario


def _of_two(chance: random.Random, arrivals: list[Arrival]) -> list[Arrival]:
    """The same records, some predictions by the second model."""
    old, new = orjson.dumps({"model": "m"})[1:-1], orjson.dumps({"model": SECOND})[1:-1]
    share = chance.choice((0.2, 0.5))
    return [
        replace(one, value=one.value.replace(old, new))
        if one.topic == "predictions" and chance.random() < share
        else one
        for one in arrivals
    ]


def _arrivals(chance: random.Random, partitions: int) -> list[Arrival]:
    """Both topics interleaved; each in the order of its times, but for what was shuffled."""
    predictions = _predictions(chance)
    labels = _labels(chance, predictions)
    lines = [(at, "predictions", record) for at, record in predictions] + [(at, "labels", r) for at, r in labels]
    lines = _repeated(chance, lines)
    disorder = chance.choice((0, 5_000, 40_000, 150_000))
    lines.sort(key=lambda line: line[0] + chance.randint(0, disorder))
    made = [Arrival(topic, _partition(record, partitions), orjson.dumps(record)) for _, topic, record in lines]
    for _ in range(chance.choice((0, 0, 1, 3))):
        bad = Arrival(chance.choice(("predictions", "labels")), chance.randrange(partitions), chance.choice(MALFORMED))
        made.insert(chance.randint(0, len(made)), bad)
    return made


def _partition(record: dict[str, object], partitions: int) -> int:
    """By id, as a producer's partitioner would."""
    return sum(str(record["id"]).encode()) % partitions


def _predictions(chance: random.Random) -> list[tuple[int, dict[str, object]]]:
    found = []
    good = chance.random()  # how often the model is sure of 1
    for number in range(chance.randint(4, 30)):
        at = START + chance.randint(0, 300) * 1_000
        if chance.random() < 0.03:
            at += chance.choice(
                (200_000, 2_000_000)
            )  # a clock that jumped: too far ahead, or beyond the log's own time
        y = float(chance.random() < good)
        record: dict[str, object] = {
            "id": chance.choice("abcdefgh") if chance.random() < 0.5 else f"p{number}",
            "model": "m",
            "version": chance.choice("112"),
            "at": at,
            "score": 0.9 if y else 0.1,
            "prediction": y,
        }
        if (hue := chance.choice(HUES)) is not None:
            record["features"] = {"hue": hue}
        if chance.random() < 0.06:
            record["withdrawn"] = True
        found.append((at, record))
    return found


def _labels(
    chance: random.Random, predictions: list[tuple[int, dict[str, object]]]
) -> list[tuple[int, dict[str, object]]]:
    found = []
    for at, record in predictions:
        if chance.random() < 0.12:
            continue
        known = at + chance.choice((0, 1_000, 30_000, 70_000, 100_000, 130_000)) + chance.randint(-12, 9) * 1_000
        value = chance.choice((0.0, 1.0, 1.0, 1.0))
        found.append((known, {"id": record["id"], "at": known, "label": value}))
        if chance.random() < 0.2:  # corrected or withdrawn, or another at the same time
            again = known + chance.choice((0, 1_000, 40_000))
            found.append((again, {"id": record["id"], "at": again, "label": chance.choice((0.0, 1.0, None))}))
    for _ in range(chance.choice((0, 0, 2))):
        at = START + chance.randint(0, 300) * 1_000
        found.append((at, {"id": "nobody", "at": at, "label": 1.0}))
    return found


def _repeated(
    chance: random.Random, lines: list[tuple[int, str, dict[str, object]]]
) -> list[tuple[int, str, dict[str, object]]]:
    share = chance.choice((0.0, 0.05, 0.2))
    return [line for each in lines for line in ([each, each] if chance.random() < share else [each])]
