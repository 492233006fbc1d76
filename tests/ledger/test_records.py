"""The durable formats of the ledger: what was written stays readable, byte for byte."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.editions import Edition, Named
from monitor.errors import LedgerError
from monitor.ledger.records import (
    EDITION_FORMAT,
    FORMAT,
    NEWEST,
    ROSTER_FORMAT,
    ROWS_FORMAT,
    SENSE_FORMAT,
    Commit,
    decode,
    encode,
    format_of_commit,
)
from tests.ledger.records import GOLDEN, RECORDS

KEPT = dict(line.split(" ", 1) for line in GOLDEN.read_text().splitlines())


def test_every_kind_of_record_is_kept() -> None:
    assert KEPT.keys() == RECORDS.keys()


@pytest.mark.parametrize("name", RECORDS)
def test_what_was_written_in_format_1_is_read(name: str) -> None:
    assert decode(bytes.fromhex(KEPT[name]), "the record") == RECORDS[name]


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_written_now_is_what_was_written_then(name: str) -> None:
    assert encode(RECORDS[name]).hex() == KEPT[name]


def test_the_columns_of_a_delta_come_back() -> None:
    commit = RECORDS["commit"]
    assert isinstance(commit, Commit)
    assert commit.inputs is not None
    np.testing.assert_array_equal(commit.inputs.column("amount"), [3, -1, 70_000, 1, 1 << 40])


@pytest.mark.parametrize("name", RECORDS)
def test_a_newer_format_is_refused_with_advice(name: str) -> None:
    newer = encode(msgspec.structs.replace(RECORDS[name], format=NEWEST + 1))
    with pytest.raises(LedgerError, match=rf"the record has format {NEWEST + 1}.*newer"):
        decode(newer, "the record")


@pytest.mark.parametrize("name", RECORDS)
def test_no_record_that_was_cut_is_read(name: str) -> None:
    whole = encode(RECORDS[name])
    for end in range(len(whole)):
        with pytest.raises(LedgerError):
            decode(whole[:end], "the record")


@pytest.mark.parametrize(
    ("edition", "opens", "rosters", "least"),
    [
        (msgspec.UNSET, False, FORMAT, FORMAT),
        (msgspec.UNSET, False, ROSTER_FORMAT, ROSTER_FORMAT),
        (msgspec.UNSET, True, ROSTER_FORMAT, ROWS_FORMAT),
        (msgspec.UNSET, True, SENSE_FORMAT, SENSE_FORMAT),
        (Edition(2, "0.1.0"), False, FORMAT, EDITION_FORMAT),
        (Edition(2, "0.1.0"), True, ROSTER_FORMAT, EDITION_FORMAT),
        (Edition(2, "0.1.0"), True, SENSE_FORMAT, SENSE_FORMAT),
    ],
)
def test_a_commit_has_the_least_format_that_says_it(edition: Named, opens: bool, rosters: int, least: int) -> None:
    assert format_of_commit(edition, opens=opens, rosters=rosters) == least
