"""`driftline registry seen`: the acknowledgement of a promotion is read from what the monitor counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.registry_seen import Sighting, names_of, sightings
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline
from tests.registry.stories import add, by

MODEL = "arrival-delay"
HOUR_MS = 3_600_000


def view(
    version: str,
    start: int,
    seen: int,
    *,
    hours: int = 1,
    model: str = MODEL,
    segment: str = "all",
    kind: Kind = Kind.INPUT,
) -> WindowView:
    key = WindowKey(SeriesKey(model, version, segment), f"{hours}h", start * HOUR_MS, (start + hours) * HOUR_MS)
    return WindowView(key, kind, 1, False, 0, seen, 0, {}, {}, "sha256:0")


def test_the_newest_window_with_rows_of_a_version_is_where_it_was_seen() -> None:
    views = [
        view("1", 0, 10), view("1", 1, 7), view("2", 1, 3), view("2", 2, 9), view("1", 2, 0),
        view("1", 5, 99, model="other"), view("1", 5, 99, segment="origin=JFK"), view("1", 5, 99, kind=Kind.PERFORMANCE),
        view("1", 0, 30, hours=24),
    ]  # fmt: skip
    assert sightings(views, MODEL) == [
        Sighting("1", "1h", 1 * HOUR_MS, 2 * HOUR_MS, 7, now=False),
        Sighting("2", "1h", 2 * HOUR_MS, 3 * HOUR_MS, 9, now=True),
    ]
    assert sightings(views, "nobody") == []


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for weight in (1, 2):
        add(DirectoryStore(tmp_path / "store"), MODEL, weight)
    return tmp_path / "store"


def test_a_champion_is_acknowledged_when_predictions_name_it(deployment: Deployment, store: Path) -> None:
    aliases = Aliases(Catalog(DirectoryStore(store)))
    asked = ("registry", "seen", MODEL, *deployment.where, "--store", store)
    nothing = driftline(*asked)
    assert (nothing.code, f"{MODEL}/champion points at nothing, which is not seen" in nothing.out) == (1, True)
    aliases.promote(MODEL, "champion", 1, by())
    seen = driftline(*asked, "-o", "json")
    assert (seen.code, seen.json["acknowledged"]) == (0, True), seen.out + seen.err
    (line,) = seen.json["seen"]
    assert (line["version"], line["now"], line["rows"] > 0) == (1, True, True)
    assert f"{MODEL}/champion is version 1, and is seen" in driftline(*asked).out
    aliases.promote(MODEL, "champion", 2, by())
    waiting = driftline(*asked)
    assert (waiting.code, f"{MODEL}/champion is version 2, which is not seen" in waiting.out) == (1, True)


def test_predictions_may_name_a_version_in_four_ways(store: Path) -> None:
    version = Catalog(DirectoryStore(store)).version(MODEL, 2)
    assert names_of(version) == ("2", "v2", f"{MODEL}@2", version.digest)


def test_a_model_that_is_not_there_is_said(deployment: Deployment, store: Path) -> None:
    done = driftline("registry", "seen", "nobody", *deployment.where, "--store", store)
    assert (done.code, "nobody" in done.err) == (1, True)
