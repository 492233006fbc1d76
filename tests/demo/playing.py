"""The demo, played once as fast as this machine can, and what came of it. What later truth says is computed here, from the
recorded flights and the model files, and not by the engine."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from monitor.adapters.embedded import EmbeddedLog
from monitor.cli.demo import play
from monitor.cli.demo_loop import MODEL
from monitor.demo import LABELS_AFTER_MS, LAST_MS
from monitor.demo.incidents import Incident
from pipelines.states import State
from pipelines.trainer import model_inputs
from pipelines.worker import Happening
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from registry.onnx_models import OnnxScorer


@dataclass(frozen=True)
class Played:
    """What is left after a play. `promoted`: version -> event time at which it became champion."""

    folder: Path
    incident: Incident
    happened: list[Happening]
    served: list[int]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything on the alerts topic, in event time."""
        return sorted(self._records("demo.alerts"), key=lambda event: str(event["time"]))

    @property
    def runs(self) -> list[str]:
        """Runs in order of their beginning."""
        return list(dict.fromkeys(moved.run for moved in self.happened))

    def states(self, run: str) -> list[State]:
        """What a run went through."""
        return [moved.after for moved in self.happened if moved.run == run]

    @property
    def promotions(self) -> list[tuple[int, int]]:
        """(version, event time) of each promotion."""
        times = [moved.at_ms for moved in self.happened if moved.after is State.PROBATION]
        return list(zip(self.served, times, strict=True))

    def predictions(self) -> list[dict[str, Any]]:
        """The topic of predictions, in event time."""
        return sorted(self._records("flights.predictions"), key=lambda record: int(record["at"]))

    def _records(self, topic: str) -> list[dict[str, Any]]:
        log = EmbeddedLog(self.folder)
        reader = log.reader()
        try:
            ends = log.end_offsets(topic)
            reader.assign({(topic, partition): 0 for partition in range(len(ends))})
            found: list[dict[str, Any]] = []
            while len(found) < sum(ends):
                for batch in reader.poll(10_000, 100):
                    found += [json.loads(value) for value in batch.values if value is not None]
            return found
        finally:
            reader.close()
            log.close()

    def brier_later(self, version: int, since_ms: int) -> float:
        """Mean Brier score of a version on all flights that departed later and have their label."""
        rows, labels = self._later(since_ms)
        store = DirectoryStore(self.folder / "registry")
        catalog = Catalog(store)
        by_path = {file.path: file.digest for file in catalog.manifest(catalog.version(MODEL, version)).files}
        raw = {path: b"".join(store.blob(digest)) for path, digest in by_path.items()}
        onnx = self.folder / f"{version}.onnx"
        onnx.write_bytes(raw["model.onnx"])
        inputs = model_inputs(rows, json.loads(raw["columns.json"]))
        scores = np.asarray(OnnxScorer(onnx).score(inputs)["probabilities"])[:, 1]
        return float(np.mean((scores - labels) ** 2))

    def _later(self, since_ms: int) -> tuple[list[dict[str, Any]], np.ndarray[Any, Any]]:
        flights = {r["id"]: r for r in recorded("predictions") if since_ms <= r["at"] < LAST_MS}
        rows, labels = [], []
        for record in recorded("labels"):
            flight = flights.get(record["id"])
            if flight is not None and record["at"] < LAST_MS + LABELS_AFTER_MS:
                rows.append(flight["features"])
                truth = self.incident.truth(record, flight["at"], flight["features"])
                assert truth is not None
                labels.append(truth["label"])
        return rows, np.array(labels, np.float64)


def recorded(stream: str) -> Iterator[dict[str, Any]]:
    with (files("monitor.demo") / "flights" / f"{stream}.jsonl.gz").open("rb") as raw, gzip.open(raw) as lines:
        for line in lines:
            yield json.loads(line)


def played(folder: Path, incident: Incident) -> Played:
    """Play it."""
    loop = play(incident, 10_000, folder)
    assert loop is not None, "the development environment has every extra"
    return Played(folder, incident, loop.happened, loop.promoted)
