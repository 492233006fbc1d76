"""What is fuzzed: every decoder of what others write, the configuration, and the codec of every durable record."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from monitor.adapters import recording_format
from monitor.adapters.snapshot_topic import read_manifest
from monitor.alerts import cloudevents
from monitor.config import loads
from monitor.daemon.shared import make_shared
from monitor.drift import document
from monitor.errors import ConfigError, LedgerError, ReferenceProfileError
from monitor.events import RecordBatch
from monitor.ledger import generations, records
from monitor.ledger.checkpoints import CheckpointError, open_manifest
from monitor.ledger.snapshots import SnapshotError
from monitor.plan import plan_of
from monitor.saved import read_evaluation
from monitor.windows import payload
from monitor.windows.canonical import FormatError
from pipelines.dataset.errors import UnreadableDataset
from pipelines.dataset.manifest import decode_manifest as decode_dataset
from pipelines.dataset.manifest import decode_naming
from pipelines.errors import FormatError as PipelineFormatError
from pipelines.journal import decode_record
from registry.errors import FormatError as RegistryFormatError
from registry.errors import RegistryError
from registry.manifest import decode_entry
from registry.manifest import decode_manifest as decode_model
from registry.moves import decode_move
from registry.publication import decode_state
from tests.drift.profiles import small
from tests.ledger import checkpoints as kept_checkpoints
from tests.ledger import records as kept_records
from tests.simulation.histories import split
from tests.simulation.test_crashes import a_history
from tests.simulation.world import CONFIG, LATENESS_S, config, topics, worker
from tests.verify import fuzz_wrapped
from tests.verify.fuzz import Target

GOLDEN = Path(__file__).parents[1] / "golden"


def targets() -> list[Target]:
    """All of them, with their corpora."""
    return [
        *_sources(),
        *fuzz_wrapped.targets(),
        *_ledger(),
        *_published(),
        *_recordings(),
        *_registry(),
        *_pipelines(),
    ]


# -- what others write -------------------------------------------------------------------------------------------------


def _sources() -> list[Target]:
    shared = make_shared(config("fuzz"), plan_of(config("fuzz")))
    assert shared.labels is not None
    predictions = [
        b'{"id":"a","model":"m","version":"1","at":1700000000000,"score":0.9,"prediction":1.0,"features":{"hue":"red"}}',
        b'{"id":"b","model":"m","version":"2","at":1700000001000,"prediction":0,"withdrawn":true}',
        b'{"id":7,"model":"m","version":1,"at":1700000002000,"score":0,"features":{"hue":null}}',
    ]
    labels = [b'{"id":"a","at":1700000000000,"label":1}', b'{"id":"b","at":1700000000000,"label":null}']
    text = CONFIG.format(namespace="fuzz", rows=10, lateness=LATENESS_S).encode()
    reference = small().dumps().encode()
    return [
        Target("predictions", _decoding("predictions", shared.predictions.decode), predictions, (), "json"),
        Target("labels", _decoding("labels", shared.labels.decode), labels, (), "json"),
        Target("configuration", lambda raw: loads(raw.decode("utf-8", "replace")), [text], (ConfigError,)),
        Target(
            "configuration as JSON",
            lambda raw: loads(raw.decode("utf-8", "replace")),
            [_as_json(text)],
            (ConfigError,),
            "json",
        ),
        Target("reference", document.loads, [reference], (ReferenceProfileError,), "json"),
    ]


def _as_json(text: bytes) -> bytes:
    import yaml

    return json.dumps(yaml.safe_load(text)).encode()


def _decoding(topic: str, decode: Callable[[RecordBatch], Any]) -> Callable[[bytes], object]:
    """A bad record is a value: nothing may be raised, and each of the records is a row or a rejection. The second record
    is good, and must not be dragged along."""
    good = b'{"id":"good","model":"m","version":"1","at":1700000000000,"score":0.5,"prediction":1,"label":1}'

    def run(raw: bytes) -> object:
        offsets = np.arange(2, dtype=np.int64)
        times = np.full(2, 1_700_001_000_000, np.int64)
        found = decode(RecordBatch(topic, 0, offsets, times, [raw, good], 2, [None, None], [None, None]))
        assert len(found) + len(found.rejected) == 2
        assert all(rejected.offset == 0 for rejected in found.rejected)
        return found

    return run


def _files(folder: Path, pattern: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted(folder.rglob(pattern))]
    assert found, f"no {pattern} in {folder}"
    return found


# -- what Driftline writes ---------------------------------------------------------------------------------------------


def _ledger() -> list[Target]:
    def ledger(raw: bytes) -> object:
        record = records.decode(raw, "it")
        again = records.decode(records.encode(record), "it")
        assert again == record
        if isinstance(record, records.Commit) and record.inputs is not None:
            return record.inputs.column("cell")
        return record

    golden = list(kept_records.golden().values())
    kept = kept_checkpoints.golden()
    manifests = [kept["ledger"], kept["evals"], kept["evals-switch"], kept["evals-schedule"]]
    bodies = [kept["body"], kept["body-schedule"], kept["body-losses"]]
    snapshots = (GOLDEN / "snapshot-topic-v1.txt").read_text().split()[3::4]
    generation = (GOLDEN / "configs-v1.txt").read_bytes().splitlines()[1]
    return [
        Target("ledger and evals", ledger, golden, (LedgerError,), "msgpack"),
        Target("packed columns", records.unpack, [records.pack([0, 1, -1]), records.pack([1 << 40])], (LedgerError,)),
        Target("checkpoint manifests", lambda raw: open_manifest(raw, "it"), manifests, (CheckpointError,), "msgpack"),
        Target("checkpoint bodies", read_evaluation, bodies, (msgspec.DecodeError,), "msgpack"),
        Target(
            "snapshots in a topic",
            lambda raw: read_manifest(raw, "it"),
            [bytes.fromhex(raw) for raw in snapshots],
            (SnapshotError,),
            "msgpack",
        ),
        Target("generations", lambda raw: generations.decode(raw, "it"), [generation], (LedgerError,), "json"),
    ]


def _published() -> list[Target]:
    predictions, labels = a_history()
    log = topics(split(predictions), split(labels))
    worker(log, config("fuzz")).run()
    windows = [stored.record.value for stored in log.records("fuzz.windows") if stored.record.value]
    lines = (GOLDEN / "alerts-v1.txt").read_text().splitlines()
    alerts = [line.partition(" ")[2].encode() for line in lines]
    return [
        Target("windows", payload.parse, windows[::20], (FormatError,), "json"),
        Target("alerts", cloudevents.parse, alerts, (FormatError,), "json"),
    ]


def _recordings() -> list[Target]:
    def blocks(raw: bytes) -> object:
        return list(recording_format.read_blocks(io.BytesIO(raw), "it", "t", 0))

    refused = (recording_format.RecordingError,)
    folder = GOLDEN / "recording-v1"
    manifest = [(folder / recording_format.MANIFEST).read_bytes()]
    return [
        Target("recorded segments", blocks, _files(folder, "*.seg"), refused),
        Target(
            "recording manifests", lambda raw: recording_format.decode_manifest(raw, "it"), manifest, refused, "json"
        ),
    ]


def _registry() -> list[Target]:
    bodies = json.loads((GOLDEN / "registry-v1.json").read_text())
    moves, entries, models, states = [], [], [], []
    for name, body in bodies.items():
        if "/moves/" in name and name.endswith(".entry"):
            moves.append(_unsealed(body))
        elif "/versions/" in name and name.endswith(".entry"):
            entries.append(_unsealed(body))
        elif name.startswith("documents/published/"):
            states.append(_unsealed(body))
        elif body.startswith('{"card"'):
            models.append(body.encode())
    refused = (RegistryFormatError, RegistryError)
    return [
        Target("registry: moves", lambda raw: decode_move(raw, "it"), moves, refused, "json"),
        Target("registry: versions", lambda raw: decode_entry(raw, "it"), entries, refused, "json"),
        Target("registry: manifests", lambda raw: decode_model(raw, "it"), models, refused, "json"),
        Target("registry: states", decode_state, states, refused, "json"),
    ]


def _unsealed(body: str) -> bytes:
    """An entry without the line that a store puts before it."""
    return body.partition("\n")[2].encode()


def _pipelines() -> list[Target]:
    journal = json.loads((GOLDEN / "pipelines-v1.json").read_text())
    dataset = json.loads((GOLDEN / "dataset-v1.json").read_text())
    runs = [body.encode() for name, body in journal.items() if "/runs/" in name or name.startswith("runs/")]
    return [
        Target("journal of runs", lambda raw: decode_record(raw, "it"), runs, (PipelineFormatError,), "json"),
        Target(
            "dataset manifests",
            lambda raw: decode_dataset(raw, "it"),
            [dataset["manifest"].encode()],
            (UnreadableDataset,),
            "json",
        ),
        Target(
            "dataset names",
            lambda raw: decode_naming(raw, "it"),
            [dataset["naming"].encode()],
            (UnreadableDataset,),
            "json",
        ),
    ]
