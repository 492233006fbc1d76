"""The documents of format 1 as they were first written. `python -m tests.pipelines.dataset.golden` writes the file anew: do
that for a new format only, under a new name."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.dataset import manifest as m
from pipelines.dataset.table import Field, Type

FILE = Path(__file__).parents[2] / "golden" / "dataset-v1.json"

MANIFEST = m.Manifest(
    format=1,
    source=m.Source(
        "cluster-1",
        m.Topic("predictions", "topic-1"),
        m.Topic("labels", "topic-2"),
        (
            m.PartitionSource(
                0,
                m.Range(100, 20_000, m.Clock(1_357_000_000_000, ((1_357_900_000_000, "00ff00ff00ff00ff"),))),
                m.Range(90, 19_000, m.Clock(None)),
                1_357_200_000_000,
            ),
            m.PartitionSource(3, m.Range(0, 1, m.Clock(None))),
        ),
    ),
    selection=m.Selection(
        1_357_000_000_000, 1_357_100_000_000, (m.Offsets(0, 0, 5),), ("fraud",), 1_357_200_000_000, True, True
    ),
    horizon_ms=129_600_000,
    rules={"time": {"horizon": "36h"}, "models": [{"name": "fraud", "threshold": 0.25}]},
    schema=(Field("id_hash", Type.HASH), Field("at_ms", Type.INT), Field("score", Type.FLOAT), Field("id", Type.TEXT)),
    segments=(
        m.Segment(0, 0, 8_092, "sha256:" + "ab" * 32, 120_000, 1_357_000_000_000, 1_357_050_000_000),
        m.Segment(0, 1, 11, "sha256:" + "cd" * 32, 900, 1_357_050_000_001, 1_357_099_999_999),
    ),
    rows_digest="sha256:" + "ef" * 32,
    rows=8_103,
    unlabelled_rows=17,
    records={"predictions": 19_901, "labels": 18_910},
    excluded=m.Counts({"late": 3, "not_selected": 11_795}, {"after_cutoff": 1}),
)
NAMING = m.Naming(1, "sha256:" + "01" * 32, "ada", 1_700_000_000_000)


def main() -> None:
    """Write the file."""
    bodies = {"manifest": m.encode(MANIFEST).decode(), "naming": m.encode(NAMING).decode()}
    document = {**bodies, "manifest_digest": m.digest_of_manifest(MANIFEST)}
    FILE.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
