"""`monitor.notebook`: the numbers of the daemon, out of Arrow tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from monitor.adapters.arrow_log import TableError, table_of
from monitor.config import load
from monitor.errors import ConfigError, MonitorError
from monitor.notebook import backtest, drift, windows
from tests.cli.conftest import FLIGHTS, Deployment, deployment
from tests.cli.driving import driftline
from tests.cli.test_replay_command import published

__all__ = ["deployment"]

DEMO = FLIGHTS.parent / "flights.yaml"
SERIES = ("model", "version", "segment", "window", "kind")
Tables = tuple[pa.Table, pa.Table]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def tables(deployment: Deployment) -> Tables:
    """What the deployment was sent, as nested tables; the bad records cannot be in one."""
    return pa.Table.from_pylist(rows(deployment.predictions)), pa.Table.from_pylist(rows(deployment.labels))


def told(table: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By window and metric."""
    return {(*(row[name] for name in SERIES), row["start"], row["metric"]): row for row in table.to_pylist()}


def test_windows_are_those_that_the_daemon_published(deployment: Deployment, tables: Tables) -> None:
    found = told(windows(deployment.config, *tables))
    finals, _ = published(deployment.log, "small")
    count = 0
    for value in map(json.loads, finals.values()):
        start, end = (datetime.fromtimestamp(value[name] / 1_000, UTC) for name in ("start_ms", "end_ms"))
        for metric, estimate in value["metrics"].items():
            row = found.pop((*(value[name] for name in SERIES), start, metric))
            assert row["end"] == end
            assert {name: row[name] for name in ("seen", "labelled", "coverage")} == {
                name: value[name] for name in ("seen", "labelled", "coverage")
            }
            parts = ("value", "lower", "upper", "rows", "bound", "reason")
            assert {part: row[part] for part in parts} == {part: estimate.get(part) for part in parts}
            count += 1
    assert found == {}
    assert count > 100


def test_alerts_are_those_that_the_command_tells(deployment: Deployment, tables: Tables) -> None:
    command = driftline(
        "backtest", *deployment.where, "--against-set", "rules.too-good.threshold=0.5", "-q", "-o", "json"
    )
    one, other = load([deployment.config]), load([deployment.config], ["rules.too-good.threshold=0.5"])
    incident = {"name": "bad day", "from": "2013-01-01", "until": "2013-01-02T06:00Z"}
    found = backtest(one, *tables, against=other, incidents=[incident])
    alerts = command.json["first"]["alerts"]
    assert [row["episode"] for row in found.alerts.to_pylist()] == [alert["episode"] for alert in alerts] != []
    assert found.alerts["value"].to_pylist() == [alert["value"] for alert in alerts]
    assert [int(at.timestamp() * 1_000) for at in found.alerts["fired"].to_pylist()] == [a["fired_ms"] for a in alerts]
    assert found.differences is not None
    assert [alert.episode for alert in found.differences.only_first] == [alert["episode"] for alert in alerts]
    assert found.incidents is not None
    assert (found.incidents.missed, found.incidents.found[0].delay_ms) == (0, alerts[0]["fired_ms"] - 1_356_998_400_000)
    known = {row["id"] for row in tables[1].to_pylist()}
    assert found.outcomes["predictions"]["matched"] == sum(row["id"] in known for row in tables[0].to_pylist()) > 1_000
    assert found.windows.equals(windows(deployment.config, *tables))


def flat(table: pa.Table) -> pa.Table:
    """Features as columns of their own, times as timestamps, in another order."""
    lifted = pa.Table.from_pylist([{**row.pop("features", {}), **row} for row in table.to_pylist()])
    at = pa.array(lifted["at"].to_pylist(), pa.timestamp("ms", tz="UTC"))
    made = lifted.set_column(lifted.column_names.index("at"), "at", at)
    return made.take(list(range(len(made) - 1, -1, -1)))


def test_a_flat_table_in_any_order_gives_the_same(deployment: Deployment, tables: Tables) -> None:
    assert windows(deployment.config, *map(flat, tables)).equals(windows(deployment.config, *tables))


def test_without_sorting_what_comes_late_is_late(deployment: Deployment, tables: Tables) -> None:
    config = load([deployment.config], ["time.lateness=1h"])
    backwards = [table.take(list(range(len(table) - 1, -1, -1))) for table in tables]
    assert backtest(config, *backwards, sort=False).outcomes["predictions"]["late"] > 1_000
    assert backtest(config, *backwards).outcomes["predictions"]["late"] == 0


def test_drift_needs_no_labels_and_is_that_of_the_windows(tables: Tables) -> None:
    found = drift(DEMO, tables[0]).to_pylist()
    whole = windows(DEMO, *tables).to_pylist()
    of_windows = {
        (row["segment"], row["window"], row["start"], row["metric"]): row["value"]
        for row in whole
        if row["metric"].startswith(("psi:", "ks:"))
    }
    assert {
        (row["segment"], row["window"], row["start"], f"{row['distance']}:{row['feature']}"): row["value"]
        for row in found
    } == of_windows
    assert {row["feature"] for row in found} == {"hour", "distance", "origin", "carrier", "$score"}


def test_drift_tells_of_pairs_too(tables: Tables, tmp_path: Path) -> None:
    made = tmp_path / "flights.reference.json"
    pairs = ["drift.pairs=[[hour, origin]]"]
    where = ("-c", DEMO, "--set", *pairs, "--file", FLIGHTS / "predictions.jsonl.gz", "--to", "2013-01-10")
    assert driftline("reference", "build", *where, "-o", made).code == 0
    (tmp_path / "flights.yaml").write_bytes(DEMO.read_bytes())
    found = drift(load([tmp_path / "flights.yaml"], pairs), tables[0]).to_pylist()
    of_pairs = [row for row in found if row["distance"] == "dependence"]
    assert {row["feature"] for row in of_pairs} == {"hour~origin"}
    assert any(row["value"] is not None for row in of_pairs)


CONFIG: dict[str, Any] = {
    "namespace": "here",
    "streams": {
        "predictions": {
            "topic": "p",
            "fields": {
                "id": "key",
                "model": "header:m",
                "version": {"const": "1"},
                "at": {"from": "$.when.at", "unit": "s"},
                "score": "$.score",
            },
        },
        "labels": {"topic": "l", "fields": {"id": "$.id", "at": {"from": "$.at", "unit": "iso"}, "label": "$.label"}},
    },
    "time": {"horizon": "2h", "tick": "1m"},
    "models": [{"name": "fraud"}],
    "windows": ["1h"],
}


def test_keys_headers_and_units_are_those_of_the_configuration() -> None:
    at = [datetime(2026, 1, 5, 7, minute, tzinfo=UTC) for minute in range(50)]
    times = {unit: pa.array(at, pa.timestamp(unit, tz="UTC")) for unit in ("us", "ns")}
    ids = [str(i) for i in range(50)]
    predictions = pa.table({"key": ids, "m": ["fraud"] * 50, "at": times["us"], "score": [0.9] * 50})
    labels = pa.table({"id": ids, "at": times["ns"], "label": [i % 5 > 0 for i in range(50)]})
    (accuracy,) = [r["value"] for r in windows(CONFIG, predictions, labels).to_pylist() if r["metric"] == "accuracy"]
    assert accuracy == 0.8


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (
            lambda t: t.drop_columns(["id"]),
            TableError,
            "the predictions table has no column for id, which is looked for at",
        ),
        (
            lambda t: t.drop_columns(["features"]),
            TableError,
            "no column for features.hour, which is looked for at $.features",
        ),
        (
            lambda t: t.set_column(t.column_names.index("model"), "model", pa.array(["x"] * len(t))),
            MonitorError,
            "predictions can be used: unknown_model",
        ),
        (
            lambda t: [*t.to_pylist()[:3], 7],
            TableError,
            "the predictions are a list whose row 3 is of type int, which is no table",
        ),
        (
            pa.Table.to_pydict,
            TableError,
            "the predictions are of type dict, which is no table: give a pyarrow.Table",
        ),
        (lambda t: [{"id": 1}, {"id": t}], TableError, "the predictions cannot be made a table: "),
    ],
)
def test_what_does_not_go_together_is_told(
    deployment: Deployment, tables: Tables, change: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        windows(deployment.config, change(tables[0]), tables[1])
    assert sentence in str(raised.value)


def test_rows_and_record_batches_are_tables_too(deployment: Deployment, tables: Tables) -> None:
    wanted = windows(deployment.config, *tables)
    assert windows(deployment.config, tables[0].to_pylist(), tables[1].to_pylist()).equals(wanted)
    (batch,) = tables[0].combine_chunks().to_batches()
    assert windows(deployment.config, batch, tables[1].to_reader()).equals(wanted)


def test_a_field_that_some_rows_lack_is_a_column_all_the_same() -> None:
    found = table_of([{"id": 1}, {"id": 2, "late": True}], "labels")
    assert found.to_pydict() == {"id": [1, 2], "late": [None, True]}


def test_why_labels_were_rejected_is_told_and_none_that_can_be_used_is_an_error(
    deployment: Deployment, tables: Tables
) -> None:
    predictions, labels = tables
    place, known = labels.column_names.index("label"), labels["label"].to_pylist()
    some = labels.set_column(place, "label", pa.array([7, 7, *known[2:]]))
    found = backtest(deployment.config, predictions, some)
    assert found.rejected == {"predictions": {}, "labels": {"label_value": 2}}
    assert found.outcomes["labels"]["rejected"] == 2
    none = labels.set_column(place, "label", pa.array([7] * len(labels)))
    with pytest.raises(
        MonitorError, match=f"none of the {len(none):,} labels can be used: label_value {len(none):,}. Look at"
    ):
        windows(deployment.config, predictions, none)


def test_an_empty_list_is_labels_that_have_not_come(deployment: Deployment, tables: Tables) -> None:
    found = windows(deployment.config, tables[0], []).to_pylist()
    assert {row["labelled"] for row in found} == {0}
    assert sum(row["seen"] for row in found) > 0
    assert windows(deployment.config, [], []).num_rows == 0


def test_what_is_missing_is_told(deployment: Deployment, tables: Tables) -> None:
    with pytest.raises(MonitorError, match="the configuration reads labels: give their table"):
        windows(deployment.config, tables[0])
    with pytest.raises(MonitorError, match="there is no reference to compare with"):
        drift(deployment.config, tables[0])
    with pytest.raises(ConfigError):
        windows({"namespace": "x"}, *tables)


def test_nothing_is_left_behind(
    deployment: Deployment, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    windows(deployment.config, *tables)
    with pytest.raises(TableError):
        windows(deployment.config, tables[0].drop_columns(["id"]), tables[1])
    assert list(tmp_path.iterdir()) == []
