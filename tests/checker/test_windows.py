"""The comparison has to find what is wrong, so each test plants one thing."""

from __future__ import annotations

import ast
import json
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.checker.sources import Raw, Sqlite
from tests.checker.windows import Expected, against, alerts_of, current, differences, final, main

SCHEMA = """
CREATE TABLE topics (name TEXT PRIMARY KEY, topic_id TEXT NOT NULL, partitions INTEGER NOT NULL, config TEXT NOT NULL);
CREATE TABLE partitions (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, number INTEGER NOT NULL,
    first INTEGER NOT NULL, next INTEGER NOT NULL, UNIQUE (topic, number));
CREATE TABLE records (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, value BLOB, key BLOB, headers BLOB);
"""
KEY = ("m", "1", "all", "day", 0)


def document(**change: Any) -> dict[str, Any]:
    metrics = {"recall": {"value": 0.5, "rows": 2, "bound": 0.0}, "roc_auc": {"value": 0.70, "rows": 4, "bound": 0.01}}
    return {
        "model": "m",
        "version": "1",
        "segment": "all",
        "window": "day",
        "start_ms": 0,
        "kind": "performance",
        "final": True,
        "seen": 4,
        "labelled": 3,
        "counts": {"tp": 1, "fp": 0, "fn": 1, "tn": 1},
        "metrics": metrics,
        **change,
    }


def value(**change: Any) -> bytes:
    return json.dumps(document(**change)).encode()


EXPECTED = Expected(4, 3, {"tp": 1, "fp": 0, "fn": 1, "tn": 1}, {"recall": 0.5, "roc_auc": 0.705})


def test_a_window_that_says_what_it_should_has_no_complaint() -> None:
    assert against({"k": value()}, {KEY: EXPECTED}, {"day"}) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seen": 5}, "seen is 5, not 4"),
        ({"counts": {"tp": 2, "fp": 0, "fn": 1, "tn": 1}}, "tp is 2, not 1"),
        ({"counts": {"tp": 1, "fp": 0, "fn": 1}}, "tn is None, not 1"),
        ({"metrics": {"recall": {"value": 0.5}}}, "roc_auc is missing"),
        (
            {"metrics": {"recall": {"value": None}, "roc_auc": {"value": 0.7, "bound": 0.01}}},
            "recall is None, not 0.5",
        ),
        (
            {"metrics": {"recall": {"value": 0.5 + 2e-9, "bound": 0.1}, "roc_auc": {"value": 0.7, "bound": 0.01}}},
            "recall is 0.500000002, not 0.5: further away than 1e-09",
        ),
        (
            {"metrics": {"recall": {"value": 0.5}, "roc_auc": {"value": 0.7, "bound": 0.004}}},
            "roc_auc is 0.7, not 0.705: further away than 0.004000001",
        ),
    ],
)
def test_each_wrong_number_is_named(change: dict[str, Any], complaint: str) -> None:
    assert against({"k": value(**change)}, {KEY: EXPECTED}, {"day"}) == [f"window {KEY}: {complaint}"]


def test_a_missing_and_a_surplus_window_are_named() -> None:
    assert against({}, {KEY: EXPECTED}, {"day"}) == [f"window {KEY}: expected, not published"]
    assert against({"k": value()}, {}, {"day"}) == [f"window {KEY}: published, not expected"]
    assert against({"k": value()}, {}, {"month"}) == []


def test_the_highest_epoch_then_sequence_then_revision_is_current() -> None:
    def raw(offset: int, epoch: int, sequence: int, text: bytes | None) -> Raw:
        headers = {"driftline-epoch": b"%d" % epoch, "driftline-sequence": b"%d" % sequence}
        return Raw(0, offset, 0, b"k", text, headers)

    assert current([raw(0, 2, 1, b"owner"), raw(1, 1, 9, b"zombie")]) == {"k": b"owner"}
    assert current([raw(0, 1, 1, b"first"), raw(1, 1, 2, b"second")]) == {"k": b"second"}
    assert current([raw(0, 1, 1, b"first"), raw(1, 1, 2, None)]) == {}


def test_only_final_windows_are_compared_and_the_first_difference_is_named() -> None:
    left, right = {"a": value(), "b": value(final=False)}, {"a": value(seen=9), "b": value(final=False, seen=7)}
    assert differences(final(left), final(right), "window") == ["window a: $.seen is 4 and 9"]
    assert differences(final(left), {}, "window") == ["window a: only in the first"]
    spaced = {"a": json.dumps(document(), indent=1).encode()}
    assert differences(final(left), spaced, "window") == [
        "window a: equal values, different bytes: the payload is not canonical"
    ]


def alert(id_: str, namespace: str = "a", value: float = 0.5) -> Raw:
    data = {"fingerprint": namespace, "episode": id_, "value": value, "amends": {"event": id_, "value": 1.0}}
    event = {"id": id_, "source": f"driftline/{namespace}", "type": "firing", "subject": "recall/m", "time": "T"}
    return Raw(0, 0, 0, None, json.dumps({**event, "partitionkey": namespace, "data": data}).encode())


def test_alerts_are_taken_once_by_id_and_an_id_with_two_contents_is_a_complaint() -> None:
    alerts, complaints = alerts_of([alert("1"), alert("1"), alert("2"), alert("2", value=0.6)])
    assert sorted(alerts) == ["firing recall/m at T (0)", "firing recall/m at T (1)"]
    assert complaints == ["alert 2: published twice with different contents: $.data.value is 0.5 and 0.6"]


def test_alerts_of_two_namespaces_are_equal_but_for_the_namespace() -> None:
    left, right = alerts_of([alert("1")])[0], alerts_of([alert("9", "b")])[0]
    assert differences(left, right, "alert") == []
    other = alerts_of([alert("9", "b", 0.6)])[0]
    assert differences(left, other, "alert") == ["alert firing recall/m at T (0): $.data.value is 0.5 and 0.6"]
    assert differences(left, {}, "alert") == ["alert firing recall/m at T (0): only in the first"]


def test_alerts_of_a_condition_that_one_run_alone_was_in_are_left_out_and_no_others() -> None:
    document = json.loads(alert("1").value or b"")
    document["id"], document["data"]["condition"] = "2", "join-full"
    full = replace(alert("1"), value=json.dumps(document).encode())
    left, right = alerts_of([alert("1"), full], ["join-full"])[0], alerts_of([alert("1")], ["join-full"])[0]
    assert differences(left, right, "alert") == []
    assert len(alerts_of([alert("1"), full], ["label-feed-stalled"])[0]) == 2


def embedded(directory: Path, topics: dict[str, list[tuple[bytes, bytes]]]) -> str:
    """An embedded log by hand, as the layout in `monitor/adapters/embedded.py` describes it."""
    directory.mkdir()
    with sqlite3.connect(directory / "log.db") as db:
        db.executescript(SCHEMA)
        for topic, records in topics.items():
            db.execute("INSERT INTO topics VALUES (?, ?, 1, '{}')", (topic, topic))
            row = db.execute("INSERT INTO partitions VALUES (NULL, ?, 0, 0, ?)", (topic, len(records))).lastrowid or 0
            header = struct.pack("<ii", 18, 1) + b"driftline-revision" + b"3"
            db.executemany(
                "INSERT INTO records VALUES (?, 5, ?, ?, ?)",
                [((row << 40) + i, v, k, header) for i, (k, v) in enumerate(records)],
            )
    db.close()
    return str(directory)


def test_the_embedded_log_is_read_with_offsets_and_headers(tmp_path: Path) -> None:
    directory = embedded(tmp_path / "log", {"t": [(b"k", b"v"), (b"k", b"w")], "u": [(b"x", b"y")]})
    assert Sqlite(directory).read("t") == [
        [
            Raw(0, 0, 5, b"k", b"v", {"driftline-revision": b"3"}),
            Raw(0, 1, 5, b"k", b"w", {"driftline-revision": b"3"}),
        ]
    ]
    with pytest.raises(KeyError):
        Sqlite(directory).read("none")


def test_the_command_says_equal_only_when_something_was_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = embedded(
        tmp_path / "log",
        {
            "a.windows": [(b"k", value())],
            "a.alerts": [],
            "b.windows": [(b"k", value(seen=5))],
            "b.alerts": [],
            "c.windows": [],
            "c.alerts": [],
        },
    )
    where = ["--embedded", directory, "--namespace", "a", "--against"]
    assert main([*where, "a"]) == 0
    assert main([*where, "b"]) == 1
    assert "window k: $.seen is 4 and 5" in capsys.readouterr().err
    assert main(["--embedded", directory, "--namespace", "c", "--against", "c"]) == 1
    assert "nothing was compared" in capsys.readouterr().err


def test_checker_and_oracle_import_nothing_of_the_engine() -> None:
    checked = [p for folder in ("checker", "oracle") for p in (Path("tests") / folder).glob("*.py")]
    assert len(checked) > 4
    for path in checked:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.partition(".")[0] in {"monitor", "pipelines", "registry"}], path
