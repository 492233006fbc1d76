"""The demo's other half: somebody who retrains, somebody who approves, and a service that serves what is promoted.

    alerts topic --> orchestrator --> registry --> models topic --> service --> predictions topic
                        (a thread)                                  (the play)

Nothing of it is made for the demo but the people: the policy, the orchestrator, the gate, the registry and the reader of a
service are those of `driftline retrain` and `driftline registry`. Its clock is the event time of the play.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import numpy as np

from monitor.demo import by_the_formula

if TYPE_CHECKING:
    from pipelines.policy import Policy
    from pipelines.runs import Admission
    from pipelines.worker import Happening
    from registry.manifest import Manifest
    from registry.probe import Arrays
    from registry.reader import Taken

MODEL: Final = "arrival-delay"
THRESHOLD: Final = 0.25
"""From which score on the service says that a flight will be late; the same as in demo.yaml."""
_MONTH_MS: Final = 31 * 86_400_000
_WHO_ASKS, _WHO_APPROVES = "ada", "eve"


def missing() -> str | None:
    """What has to be installed before anything can be retrained, None when nothing is missing."""
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in ("pipelines", "registry")):
        return "Install the whole of Driftline."
    needed = {"pyarrow": "datasets", "sklearn": "train", "onnx": "train", "onnxruntime": "train"}
    extras = sorted({extra for module, extra in needed.items() if find_spec(module) is None})
    return f"pip install 'driftline[{','.join(extras)}]'" if extras else None


@dataclass(slots=True)
class PlayClock:
    """Event time of the play, for whoever asks what time it is."""

    ms: int

    def now_ms(self) -> int:
        """See Clock."""
        return self.ms


class _Flights:
    """A scorer that takes the features of one flight. `registry.reader.Scorer` besides."""

    def __init__(self, manifest: Manifest, files: Mapping[str, Path]) -> None:
        from registry.onnx_models import load_onnx

        self._scorer = load_onnx(manifest, files)
        self._columns: dict[str, list[str]] = json.loads(files["columns.json"].read_bytes())

    def score(self, inputs: Arrays) -> Mapping[str, np.ndarray[Any, Any]]:
        """See Scorer."""
        return self._scorer.score(inputs)

    def late(self, features: Mapping[str, Any]) -> float:
        """The probability that this flight is late."""
        from pipelines.trainer import model_inputs

        return float(self.score(model_inputs([dict(features)], self._columns))["probabilities"][0, 1])


class Loop:
    """Retrains, approves and serves. `folder` holds the log, demo.yaml and retrain.yaml; `say` is told of every step."""

    def __init__(self, folder: Path, clock: PlayClock, say: Callable[[str], None]) -> None:
        from monitor.cli.common import load_config
        from monitor.cli.models_topic import topic_of
        from monitor.cli.retrain import wire
        from pipelines.book import Book
        from pipelines.cli.policies import load
        from pipelines.local import Places, owner
        from pipelines.orchestrator import Orchestrator
        from registry.directory import DirectoryStore
        from registry.reader import ModelReader

        policies, files = load(folder / "retrain.yaml")
        store = folder / "registry"
        places = Places(store, folder / "demo.yaml", files.rows, folder, folder / "work", folder)
        ports = replace(wire(places), clock=clock)
        self._announce = ports.announce
        self._states = topic_of(load_config((folder / "demo.yaml",), ()), folder).tail()
        [self._policy] = policies
        self._clock, self._say = clock, say
        self._book = Book(ports.store)
        self._orchestrator = Orchestrator(ports, policies, owner())
        self._reader = ModelReader(
            DirectoryStore(store), MODEL, self._policy.alias, _Flights, folder / "cache", probe_required=True
        )
        self._threads = ThreadPoolExecutor(1, "retraining")
        self._at_work: Future[None] | None = None
        self._waiting_for = ""
        self.promoted: list[int] = []
        """Versions in the order in which the service took them up."""
        self.happened: list[Happening] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.submit(self._states.close)
        self._threads.shutdown()

    # -- what the play asks --------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether somebody is at work. Raises what went wrong there."""
        if self._at_work is not None and self._at_work.done():
            self._at_work.result()
            self._at_work = None
        return self._at_work is not None

    def begin(self) -> None:
        """Ask for the first model."""
        self._at_work = self._threads.submit(self._first)

    def look(self) -> None:
        """Ask what fires, and do what follows."""
        self._at_work = self._threads.submit(self._round)

    def serve(self, record: dict[str, Any]) -> dict[str, Any]:
        """A prediction by the version that is served now; by the formula that came with the flights before there is one."""
        serving = self._reader.serving
        if serving is None:
            return by_the_formula(record)
        assert isinstance(serving.scorer, _Flights)
        score = round(serving.scorer.late(record["features"]), 6)
        return {**record, "version": str(serving.version), "score": score, "prediction": int(score >= THRESHOLD)}

    # -- in the thread -------------------------------------------------------------------------------------------

    def _first(self) -> None:
        from pipelines.trigger import Asked

        asked = Asked("first", _WHO_ASKS, "the first model, of all of January")
        plan = self._orchestrator.admit(_of_a_month(self._policy), asked)
        assert plan.begins, plan.detail
        self._say(f"{_WHO_ASKS} asks for a run: {asked.reason}")
        self._round()

    def _round(self) -> None:
        """Rounds until nothing moves any more. People answer at once."""
        while True:
            done = self._orchestrator.round()
            for plan in done.plans:
                if plan.why != self._waiting_for:
                    self._waiting_for = plan.why
                    self._say(f"retraining: {plan.why}: {plan.detail}")
            for moved in done.happened:
                self.happened.append(moved)
                self._say(f"run {moved.run[:8]}: {moved.after}" + (f": {moved.detail}" if moved.detail else ""))
            waiting = [each for each in self._book.active() if _waits(self._book, each)]
            for admission in waiting:
                self._book.approve(admission, _WHO_APPROVES, "the gate's report convinces", self._clock.now_ms())
                self._say(f"{_WHO_APPROVES} approves run {admission.run[:8]}")
            for sentence in self._announce():
                self._say(f"registry: {sentence}")
            for state in self._states.poll(0):
                if state.key.decode() == self._reader.key:
                    self._take(self._reader.offer(state.value))
            if not waiting:
                return

    def _take(self, taken: Taken) -> None:
        from registry.reader import Outcome

        if taken.outcome is Outcome.SWAPPED:
            assert self._reader.serving is not None
            self.promoted.append(self._reader.serving.version)
            self._say(f"service: {taken.detail}")
        elif taken.outcome is Outcome.REFUSED:
            self._say(f"service: refused: {taken.detail}")


def _of_a_month(policy: Policy) -> Policy:
    """The policy for the first model: there is nothing to forget yet."""
    data = msgspec.structs.replace(policy.data, window_ms=_MONTH_MS)
    return msgspec.structs.replace(policy, data=data)


def _waits(book: Any, admission: Admission) -> bool:
    from pipelines.states import State

    return bool(book.journal(admission.run).view.state is State.AWAITING_APPROVAL)
