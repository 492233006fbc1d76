"""A sample of the fuzzing, what it found once, and that it would see an error that nobody named."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest

from monitor.errors import LedgerError
from monitor.ledger import records
from monitor.saved import read_evaluation
from pipelines.errors import FormatError
from pipelines.journal import decode_record
from tests.verify.fuzz import Target, fuzz
from tests.verify.fuzz_targets import targets

INPUTS = 40


def test_only_named_errors_come_out_of_a_sample_of_inputs() -> None:
    for target in targets():
        result = fuzz(target, INPUTS, seed=1)
        assert result.crashes == []
        assert result.inputs >= INPUTS
        assert result.lines >= result.first_lines > 0


def test_an_error_that_nobody_named_is_a_crash_and_an_input_that_reaches_new_lines_is_kept() -> None:
    result = fuzz(Target("t", records.unpack, [records.pack([1, 2])]), 300)
    assert result.crashes
    assert "LedgerError" in result.crashes[0].error
    with pytest.raises(LedgerError):
        records.unpack(result.crashes[0].raw)
    named = fuzz(Target("t", records.unpack, [records.pack([1, 2])], (LedgerError,)), 300)
    assert (named.crashes, named.refused > 0, named.kept > 0) == ([], True, True)


@pytest.mark.parametrize(
    "raw",
    [b"\x81\xa6format\xa11", b"\x81\xa6format\xa1\xff", b"\x91" * 100_000, b"\x81\xa1\xff\x01"],
    ids=["a format that is no number", "text that is no text", "too deep", "a key that is no text"],
)
def test_bytes_that_are_no_ledger_record_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(LedgerError, match="it is not a ledger record"):
        records.decode(raw, "it")


@pytest.mark.parametrize("raw", [b"\x81\xa1\xff\x01", b"\x81\xa1a" * 100_000], ids=["text that is none", "too deep"])
def test_bytes_that_are_no_checkpoint_body_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_evaluation(raw)


def test_half_of_a_surrogate_pair_in_a_journal_is_refused_by_name() -> None:
    raw = b'{"actor":"\\ud800","at_ms":1,"fence":1,"format":1,"kind":"moved","previous":"sha256:"}'
    with pytest.raises(FormatError):
        decode_record(raw, "it")


@pytest.mark.parametrize("target", [t for t in targets() if t.shape != "bytes"], ids=lambda target: target.name)
def test_what_is_nested_deeper_than_any_stack_is_refused_by_name(target: Target) -> None:
    deep = b"\x81\xa1a" if target.shape == "msgpack" else b'{"a":'
    for raw in (deep * 100_000, target.corpus[0][:-1] + deep * 100_000):
        with suppress(*target.allowed):
            target.run(raw)
