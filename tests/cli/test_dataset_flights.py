"""All flights of January to March: the rows of every day are those of truth.json, and overlapping versions share bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.dataset.shelf import Shelf, Version
from registry.directory import DirectoryStore
from tests.cli.conftest import FLIGHTS
from tests.cli.driving import driftline


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Version]:
    folder = tmp_path_factory.mktemp("flights")
    config = folder / "flights.yaml"
    text = (FLIGHTS.parent / "flights.yaml").read_text()
    config.write_text("".join(line + "\n" for line in text.splitlines() if "reference:" not in line))
    for topic in ("predictions", "labels"):
        sent = driftline("produce", f"flights.{topic}", FLIGHTS / f"{topic}.jsonl.gz", "--embedded", folder / "log",
                         "--partitions", 2, "-q")  # fmt: skip
        assert sent.code == 0, sent.err

    def one(*options: object) -> Version:
        where = ("-c", config, "--embedded", folder / "log", "--store", folder / "store")
        made = driftline("dataset", "create", *where, *options, "-o", "json")
        assert made.code == 0, made.err
        verified = driftline("dataset", "verify", made.json["dataset"], *where)
        assert verified.code == 0, verified.err
        return Shelf(DirectoryStore(folder / "store")).version(made.json["dataset"])

    one.folder = folder  # type: ignore[attr-defined]
    return one


def counted(store: Path, version: Version, width: int) -> dict[str, Counter[str]]:
    """Counts by the first `width` characters of the date, as truth.json names them."""
    found: dict[str, Counter[str]] = {}
    for table in Shelf(DirectoryStore(store)).tables(version.manifest):
        at, guess = table.ints("at_ms").values.tolist(), table.ints("prediction").values.tolist()
        for ms, y, p in zip(at, table.floats("label").values.tolist(), guess, strict=True):
            counts = found.setdefault(datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:width], Counter())
            counts["predictions"] += 1
            if not np.isnan(y):
                counts["labelled"] += 1
                counts[("t" if p == y else "f") + ("p" if p else "n")] += 1
    return found


def test_every_day_and_month_is_as_a_recount_says(make: Callable[..., Version]) -> None:
    truth = json.loads((FLIGHTS / "truth.json").read_text())
    names = ("predictions", "labelled", "tp", "fp", "fn", "tn")
    store = make.folder / "store"  # type: ignore[attr-defined]
    whole = make("--all")
    for kind, width in (("month", 7), ("day", 10)):
        expected = {k: {n: v[n] for n in names} for k, v in truth[kind].items()}
        assert {k: {n: v[n] for n in names} for k, v in counted(store, whole, width).items()} == expected
    january = make("--from", "2013-01-01", "--until", "2013-02-01")
    assert counted(store, january, 7)["2013-01"]["tp"] == truth["month"]["2013-01"]["tp"]
    assert january.manifest.rows == truth["month"]["2013-01"]["predictions"]


def test_overlapping_versions_share_their_segments(make: Callable[..., Version]) -> None:
    digests = [
        {segment.digest for segment in make("--from", start, "--until", end).manifest.segments}
        for start, end in (("2013-01-01", "2013-03-01"), ("2013-01-01", "2013-03-20"), ("2013-01-15", "2013-03-20"))
    ]
    assert len(digests[0] & digests[1]) == 6, "all but the last of each of the two partitions"
    assert len(digests[1] & digests[2]) == len(digests[1]) - 2, "all but the first of each"
