"""The durable format of a generation: what was written stays readable, byte for byte."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from monitor.config import Config
from monitor.config.types import ReferenceFile
from monitor.daemon import references
from monitor.daemon.generations import Known, successor
from monitor.editions import Edition
from monitor.errors import LedgerError, NewerVersion
from monitor.ledger import announcements, roster
from monitor.ledger.announcements import Announcement
from monitor.ledger.generations import FORMAT, GenerationRecord, decode, encode
from monitor.ledger.records import Generation
from tests.ledger.records import ROSTER
from tests.simulation.world import config

GOLDEN = Path(__file__).parents[1] / "golden" / "configs-v1.txt"
RECORD = GenerationRecord.of(Generation(3, 1_700_000_000_125, "signal"), "sha256:" + "ef" * 32, "sha256:" + "ab" * 32)


WITH_WINDOWS = msgspec.structs.replace(RECORD, number=4, windows_from_ms=1_704_067_200_000)
WITH_MODELS = GenerationRecord.of(Generation(5, 1_700_000_000_127, "file"), RECORD.document, RECORD.meaning, None, 7)


def with_a_reference(of: Config) -> Config:
    """The configuration with a reference of its model, as it was loaded."""
    (model,) = of.models
    listed = of.model_copy(update={"models": (model.model_copy(update={"reference": "m.json"}),)})
    return listed.with_references({"m": ReferenceFile.of("m.json", b'{"a": "reference"}')})


ANNOUNCED = Announcement(1, Edition(2, "0.2.0"), 1_700_000_000_127)
BEGUN = ROSTER.begun(1_704_153_600_000, 1_704_240_000_000)


def test_what_is_written_now_is_what_was_written_then() -> None:
    lines = GOLDEN.read_text().splitlines()
    for record, key, value in zip((RECORD, WITH_WINDOWS), lines[:4:2], lines[1:4:2], strict=True):
        assert (record.key.decode(), encode(record).decode()) == (key, value)
        assert decode(value.encode(), "the record") == record
    for models, key, value in zip((ROSTER, BEGUN), lines[4:8:2], lines[5:8:2], strict=True):
        assert (roster.key_of(models).decode(), roster.encode(models).decode()) == (key, value)
        assert roster.decode(value.encode(), "the record") == models
    key, value = lines[18:20]
    assert (WITH_MODELS.key.decode(), encode(WITH_MODELS).decode()) == (key, value)
    assert decode(value.encode(), "the record") == WITH_MODELS
    names, data = lines[8:10], lines[10:12]
    assert (ANNOUNCED.key.decode(), announcements.encode(ANNOUNCED).decode()) == (lines[16], lines[17])
    assert announcements.newest({lines[16].encode(): lines[17].encode()}, "the topic") == 2
    held = with_a_reference(config("kept"))
    there = {names[0].encode(): names[1].encode(), data[0].encode(): data[1].encode()}
    assert references.to_keep(held, "sha256:" + "ef" * 32).keys() == there.keys()
    found = references.of(there, "sha256:" + "ef" * 32, held, config("kept"))
    assert found["m"].data == b'{"a": "reference"}'


def test_a_reference_that_is_too_large_for_a_record_is_kept_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_BYTES", 45)
    lines, held = GOLDEN.read_text().splitlines(), with_a_reference(config("kept"))
    there = {key.encode(): value.encode() for key, value in zip(lines[12:16:2], lines[13:16:2], strict=True)}
    made = references.records_of(held.references.values())
    assert made.keys() == there.keys()
    assert max(map(len, made.values())) == 45
    names = {lines[8].encode(): lines[9].encode()}
    for records in (made, there):
        found = references.of({**names, **records}, "sha256:" + "ef" * 32, held, config("kept"))
        assert found["m"].data == b'{"a": "reference"}'
        without = dict(list(records.items())[1:])
        assert references.of({**names, **without}, "sha256:" + "ef" * 32, held, config("kept")) == {}


def test_a_newer_roster_is_refused_with_advice() -> None:
    newer = roster.encode(ROSTER).replace(b'"format":1', b'"format":2', 1)
    with pytest.raises(LedgerError, match=r"the record has format 2, .* up to 1. Run the version"):
        roster.decode(newer, "the record")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b'{"format": "1"}', b'{"format": 1}', b"\xff", b"[" * 9_999])
def test_what_is_no_roster_is_refused(raw: bytes) -> None:
    with pytest.raises(LedgerError, match="the record is not a roster"):
        roster.decode(raw, "the record")


def test_a_newer_format_is_refused_with_advice() -> None:
    newer = encode(msgspec.structs.replace(RECORD, format=FORMAT + 1))
    with pytest.raises(LedgerError, match=rf"the record has format {FORMAT + 1}, .* up to {FORMAT}. Run the version"):
        decode(newer, "the record")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b'{"format": "1"}', b'{"format": 1}', b"\xff", b"[" * 9_999])
def test_what_is_no_generation_is_refused(raw: bytes) -> None:
    with pytest.raises(LedgerError, match="the record is not a generation"):
        decode(raw, "the record")


@pytest.mark.parametrize(
    ("holds", "since_ms", "same", "begun", "number"),
    [
        (None, 5, True, False, 1),  # the first start
        (None, 5, True, True, None),  # an earlier version, the same rules
        (None, 5, False, True, 2),  # an earlier version, others
        (3, 5, True, True, None),  # the rules that hold
        (3, 11, True, True, None),
        (3, 11, False, True, 4),  # learnt later
        (3, 10, False, True, None),  # not later
        (3, 5, False, True, None),
    ],
)
def test_who_learnt_of_his_configuration_later_goes_by_it(
    holds: int | None, since_ms: int, same: bool, begun: bool, number: int | None
) -> None:
    recorded = Generation(holds, 10, "start") if holds is not None else None
    new = successor(Known(config("one"), since_ms, "file"), recorded, same=same, begun=begun)
    assert (new.number if new is not None else None) == number
    assert new is None or (new.since_ms, new.reason) == (since_ms, "file")


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"format":1}', b'{"format":"1","edition":[2,"0.2.0"],"since_ms":1}'])
def test_what_is_no_announcement_is_told(raw: bytes) -> None:
    with pytest.raises(LedgerError, match=r"topic key b'edition/1' is not an announcement"):
        announcements.newest({b"edition/1": raw}, "topic")


def test_an_announcement_of_a_newer_format_is_refused_with_advice() -> None:
    newer = announcements.encode(msgspec.structs.replace(ANNOUNCED, format=2))
    with pytest.raises(NewerVersion, match=r"has format 2, this version of Driftline reads up to 1\..*newer"):
        announcements.decode(newer, "the record")
