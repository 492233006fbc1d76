"""Records that are wrapped: how the tests write them, and how the checker reads them back, without the engine.

each         {"model": .., "rows": [{row without its model}, ..]}
cloudevents  an event whose `time` is the row's `at`; structured where its id is even, else binary
debezium     a change event whose `source.ts_ms` is the row's `at`; a withdrawal is a delete, with a tombstone behind it
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tests.checker.sources import Raw

Shape = Literal["plain", "each", "cloudevents", "debezium"]
Record = tuple[bytes | None, list[tuple[str, bytes | None]]]
"""Value and headers."""

MAPPING: dict[Shape, dict[str, Any]] = {
    "plain": {},
    "each": {"each": "$.rows", "fields": {"model": "outer:$.model"}},
    "cloudevents": {"envelope": "cloudevents", "fields": {"at": {"from": "envelope:$.time", "unit": "iso"}}},
    "debezium": {"envelope": "debezium", "fields": {"at": "envelope:$.source.ts_ms"}},
}
"""What a stream of each shape has in its configuration beside the plain one; labels of `each` have no model."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wrapped(rows: Sequence[dict[str, Any]], shape: Shape, group: Sequence[int] = ()) -> list[Record]:
    """Rows of one partition as records. `group`: how many neighbours share a record of `each`, over and over."""
    if shape == "each":
        return _batches(rows, group or (3,))
    if shape == "cloudevents":
        return [_event(number, row) for number, row in enumerate(rows)]
    if shape == "debezium":
        return [record for row in rows for record in _change(row)]
    return [(json.dumps(row).encode(), []) for row in rows]


def _batches(rows: Sequence[dict[str, Any]], group: Sequence[int]) -> list[Record]:
    found: list[Record] = []
    at = 0
    while at < len(rows):
        part = rows[at : at + max(1, group[len(found) % len(group)])]
        own = [{key: value for key, value in row.items() if key != "model"} for row in part]
        models = {row.get("model") for row in part}
        assert len(models) == 1, "rows of one record are of one model here"
        found.append((json.dumps({"model": models.pop(), "rows": own}).encode(), []))
        at += len(part)
    return found


def _event(number: int, row: dict[str, Any]) -> Record:
    data = {key: value for key, value in row.items() if key != "at"}
    time = (_EPOCH + timedelta(milliseconds=row["at"])).isoformat()
    attributes = {"specversion": "1.0", "id": str(number), "source": "/tests", "type": "row.v1", "time": time}
    if number % 2:
        return json.dumps(data).encode(), [
            ("content-type", b"application/json"),
            *((f"ce_{name}", value.encode()) for name, value in attributes.items()),
        ]
    kind = ("content-type", b"application/cloudevents+json; charset=utf-8")
    return json.dumps({**attributes, "datacontenttype": "application/json", "data": data}).encode(), [kind]


def _change(row: dict[str, Any]) -> list[Record]:
    gone = row.get("withdrawn") is True or ("label" in row and row["label"] is None)
    data = {key: value for key, value in row.items() if key not in ("at", "withdrawn")}
    if gone and "label" in data:
        data["label"] = 1
    change = {
        "op": "d" if gone else "cur"[row["at"] // 1_000 % 3],
        "before": data if gone else None,
        "after": None if gone else data,
    }
    payload = {**change, "source": {"ts_ms": row["at"], "table": "t"}, "ts_ms": row["at"] + 7}
    whole = {"schema": {"type": "struct"}, "payload": payload} if row["at"] % 2 else payload
    return [(json.dumps(whole).encode(), []), *([(None, [])] if gone else [])]


def opened(raws: Iterable[Raw], shape: Shape) -> list[Raw]:
    """The rows of records, each as a record of its own with the plain names; what is no such record is left as it is."""
    return [row for raw in raws for row in _opened(raw, shape)]


def _opened(raw: Raw, shape: Shape) -> list[Raw]:
    if shape == "plain":
        return [raw]
    if shape == "debezium" and raw.value is None:
        return []
    try:
        document = json.loads(raw.value or b"")
    except ValueError:
        return [raw]
    if shape == "each":
        return [_row(raw, {"model": document["model"], **row}) for row in document["rows"]]
    if shape == "cloudevents":
        structured = raw.headers.get("content-type", b"").startswith(b"application/cloudevents")
        time = document["time"] if structured else raw.headers["ce_time"].decode()
        data = document["data"] if structured else document
        return [_row(raw, {**data, "at": round(datetime.fromisoformat(time).timestamp() * 1_000)})]
    payload = document.get("payload", document)
    gone = payload["op"] == "d"
    row = {**payload["before" if gone else "after"], "at": payload["source"]["ts_ms"]}
    if gone:
        row |= {"label": None} if "label" in row else {"withdrawn": True}
    return [_row(raw, row)]


def _row(raw: Raw, row: dict[str, Any]) -> Raw:
    return replace(raw, value=json.dumps(row).encode())
