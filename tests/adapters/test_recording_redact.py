"""Records of ids leave a recording: those and no others, whoever is killed where, and every digest is of what is there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from monitor.adapters import recorder
from monitor.adapters.absence import search_path
from monitor.adapters.needles import Needles
from monitor.adapters.recorder import Plan, Recorder, planned
from monitor.adapters.recording import RecordedLog
from monitor.adapters.recording_check import findings
from monitor.adapters.recording_format import FORMAT, decode_manifest
from monitor.adapters.recording_redact import Matcher, Who, count, leftovers, redact, was_redacted
from monitor.config import load
from monitor.config.types import Config
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import MemoryLog
from tests.adapters.test_recording import files, rows
from tests.replay.golden_recording import REDACTED, REDACTED_WHO, redacted_golden

WHO = Who("ada", "request 7", 1_700_000_000_000, b"k" * 16)
IDS = [f"id-{n}" for n in range(6)]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "golden" not in request.node.name:
        monkeypatch.setattr(recorder, "SEGMENT_OFFSETS", 8)
        monkeypatch.setattr(recorder, "BLOCK_RECORDS", 3)


def a_config(tmp_path: Path) -> Config:
    path = tmp_path / "driftline.yaml"
    path.write_text(
        """
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: {from: $.at, unit: ms}, score: $.score}
  labels: {topic: l, fields: {id: key, at: {from: $.at, unit: ms}, label: $.label}}
time: {horizon: 1h}
models: [{name: m}]
windows: [1h]
"""
    )
    return load([path], [], environ={})


def a_log(ids: list[str | None], labels: list[str]) -> MemoryLog:
    """A prediction an id, with what is no prediction where there is none; and a label an id, by key."""
    log = MemoryLog()
    log.ensure(TopicSpec("p", 2))
    log.ensure(TopicSpec("l", 2))
    log.ensure(TopicSpec("other", 1))
    appender = log.appender()
    for n, one in enumerate(ids):
        value = b"{no json id-1" if one is None else json.dumps({"id": one, "at": 1_000 + n, "score": 0.5}).encode()
        appender.append("p", n % 2, OutRecord(value, None, [("h", b"v")], 1_000 + n))
    for n, one in enumerate(labels):
        appender.append("l", n % 2, OutRecord(b'{"at": 2000, "label": 1}', one.encode(), (), 2_000 + n))
    appender.append("other", 0, OutRecord(b"id-0 is none of ours"))
    return log


def recorded(log: MemoryLog, folder: Path, *topics: str) -> RecordedLog:
    names = topics or ("p", "l")
    spans = {name: list(zip(log.begin_offsets(name), log.end_offsets(name), strict=True)) for name in names}
    plan = Plan(FORMAT, log.cluster_id(), None, tuple(planned(log, dict.fromkeys(spans, "predictions"), spans)))
    Recorder.begin(log, folder, plan, lambda *_: None).run()
    return RecordedLog(folder)


def everything(log: RecordedLog | MemoryLog) -> list[tuple[str, int, bytes | None, bytes | None]]:
    return [
        (f"{topic}/{partition}", offset, key, value)
        for topic in ("p", "l")
        for partition in (0, 1)
        for offset, _, key, value, _ in rows(log, topic, partition)
    ]


def test_of_a_record_with_rows_of_others_the_rows_of_the_ids_leave_alone(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_text(a_config(tmp_path).document())
    changed = ["streams.predictions.each=$.rows", "streams.predictions.fields.at.from=outer:$.at"]
    config = load([path], changed, environ={})
    log = MemoryLog()
    for topic in ("p", "l"):
        log.ensure(TopicSpec(topic, 2))
    said = [["id-0", "id-1", "id-2"], ["id-1"], ["id-2", "id-1"], ["id-3"], ["id-2"]]
    for n, ids in enumerate(said):
        beside = "of id-1" if n == 2 else "1.50"
        each = [{"id": one, "score": 0.5} for one in ids]
        value = json.dumps({"at": 1_000 + n, "rows": each, "beside": beside}).replace('"1.50"', "1.50").encode()
        log.appender().append("p", 0, OutRecord(value, None, (), 1_000 + n))
    made, matcher = recorded(log, tmp_path / "r"), Matcher(config, Needles(["id-1"]))
    found, gone = redact(made, matcher, WHO, mentions=False)
    assert (found.own["p"], gone) == (3, 3)
    left = {offset: value for where, offset, _, value in everything(RecordedLog(tmp_path / "r")) if where == "p/0"}
    held = {offset: [row["id"] for row in json.loads(value or b"")["rows"]] for offset, value in left.items()}
    assert held == {0: ["id-0", "id-2"], 3: ["id-3"], 4: ["id-2"]}, "one that names the id elsewhere goes whole"
    assert b'"beside":1.50' in (left[0] or b"").replace(b" ", b""), "what is left keeps its bytes"
    assert list(findings(RecordedLog(tmp_path / "r"))) == []
    assert redact(RecordedLog(tmp_path / "r"), matcher, WHO, mentions=True)[1] == 0


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(IDS) | st.none(), max_size=40),
    st.lists(st.sampled_from(IDS), max_size=40),
    st.sets(st.sampled_from(IDS), min_size=1, max_size=3),
)
def test_those_records_leave_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str | None], labels: list[str], asked: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("r")
    config, needles = a_config(folder), Needles(sorted(asked))
    log = recorded(a_log(ids, labels), folder / "r")
    before, bytes_before = everything(log), files(folder / "r")
    held = [
        each for each in before if any(f'"{i}"'.encode() in (each[3] or b"") or each[2] == i.encode() for i in asked)
        or ("id-1" in asked and (each[3] or b"").startswith(b"{no"))
    ]  # fmt: skip
    counted = count(log, Matcher(config, needles))
    assert sum(counted.own.values()) + sum(counted.unread.values()) == len(held)
    assert files(folder / "r") == bytes_before
    _, gone = redact(log, Matcher(config, needles), WHO, mentions=False)
    after = RecordedLog(folder / "r")
    assert gone == len(held)
    assert everything(after) == [each for each in before if each not in held]
    assert list(findings(after)) == []
    assert list(search_path(folder / "r", needles)) == []
    if gone:
        assert after.manifest.redactions
        assert all(was_redacted(after.manifest.redactions, each) for each in asked)
        assert not any(was_redacted(after.manifest.redactions, each) for each in set(IDS) - asked)
    else:
        assert files(folder / "r") == bytes_before
    once = files(folder / "r")
    assert redact(RecordedLog(folder / "r"), Matcher(config, needles), WHO, mentions=True)[1] == 0
    assert files(folder / "r") == once


def test_what_is_of_another_id_is_counted_and_left_unless_asked(tmp_path: Path) -> None:
    log = a_log(["id-0", "id-1"], [])
    log.appender().append("p", 0, OutRecord(b'{"id": "id-5", "at": 7, "score": 0.1, "parent": "id-0"}'))
    made, needles = recorded(log, tmp_path / "r"), Needles(["id-0"])
    matcher = Matcher(a_config(tmp_path), needles)
    found, gone = redact(made, matcher, WHO, mentions=False)
    assert (found.own["p"], found.mentions["p"], gone) == (1, 1, 1)
    assert [type(f).__name__ for f in search_path(tmp_path / "r", needles)] == ["Found"]
    found, gone = redact(RecordedLog(tmp_path / "r"), matcher, WHO, mentions=True)
    assert (found.own["p"], found.mentions["p"], gone) == (0, 1, 1)
    assert list(search_path(tmp_path / "r", needles)) == []
    (first, second) = RecordedLog(tmp_path / "r").manifest.redactions or ()
    assert first.was != second.was


class Killed(BaseException):
    """The process ended here."""


def _killing(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """End before the nth step that changes a file; tells how many were taken."""
    steps = [0]

    def guarded(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **named: object) -> object:
            steps[0] += 1
            if steps[0] == at:
                raise Killed
            return real(*args, **named)

        return step

    monkeypatch.setattr(os, "fsync", guarded(os.fsync))
    for name in ("rename", "unlink", "stat"):
        monkeypatch.setattr(Path, name, guarded(getattr(Path, name)))
    return lambda: steps[0]


def test_killed_at_any_step_it_is_the_old_or_the_new_one_and_the_next_call_finishes(tmp_path: Path) -> None:
    config, needles = a_config(tmp_path), Needles(["id-0", "id-1"])
    log = recorded(a_log([IDS[n % 6] for n in range(40)], IDS), tmp_path / "old")
    before = everything(log)
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "old", whole)
    redact(RecordedLog(whole), Matcher(config, needles), WHO, mentions=False)
    after, bytes_after = everything(RecordedLog(whole)), files(whole)
    assert len(after) < len(before)
    at, seen = 0, set[bool]()
    while True:
        at += 1
        killed = tmp_path / f"killed-{at}"
        shutil.copytree(tmp_path / "old", killed)
        with pytest.MonkeyPatch.context() as patch:
            taken = _killing(patch, at)
            try:
                redact(RecordedLog(killed), Matcher(config, needles), WHO, mentions=False)
                ended = True
            except Killed:
                ended = False
        if ended:
            assert taken() < at
            break
        found = everything(RecordedLog(killed))
        assert found in (before, after)
        seen.add(found == after)
        odd = [sentence for sentence in findings(RecordedLog(killed)) if "interrupted redaction" not in sentence]
        assert odd == []
        redact(RecordedLog(killed), Matcher(config, needles), WHO, mentions=False)
        assert files(killed) == bytes_after
        assert leftovers(RecordedLog(killed)) == []
    assert seen == {True, False}
    assert at > 20


def test_topics_without_ids_are_left_as_they_are(tmp_path: Path) -> None:
    made = recorded(a_log(["id-0"], []), tmp_path / "r", "p", "l", "other")
    raw = (tmp_path / "r" / "topics" / "other" / "0" / f"{0:020d}.seg").read_bytes()
    redact(made, Matcher(a_config(tmp_path), Needles(["id-0"])), WHO, mentions=True)
    assert (tmp_path / "r" / "topics" / "other" / "0" / f"{0:020d}.seg").read_bytes() == raw


def test_a_golden_recording_that_was_redacted_stays_readable(tmp_path: Path) -> None:
    made = redacted_golden(tmp_path / "golden")
    assert files(tmp_path / "golden").keys() == files(REDACTED).keys()
    kept = RecordedLog(REDACTED)
    assert list(findings(kept)) == []
    assert kept.manifest == made.manifest
    assert kept.manifest.redactions is not UNSET
    (one,) = kept.manifest.redactions
    assert (one.actor, one.reason, one.at_ms, one.records) == (
        REDACTED_WHO.actor,
        REDACTED_WHO.reason,
        REDACTED_WHO.at_ms,
        2,
    )
    assert was_redacted(kept.manifest.redactions, "a")
    assert not was_redacted(kept.manifest.redactions, "b")


def test_a_manifest_without_redactions_is_written_as_before(tmp_path: Path) -> None:
    recorded(a_log(["id-0"], []), tmp_path / "r")
    raw = (tmp_path / "r" / "recording.json").read_bytes()
    assert b"redactions" not in raw
    assert decode_manifest(raw, "here").redactions is UNSET
