"""The object store when its server fails at any step: what was told is there, nothing is there twice or in part."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from registry import objects
from registry.errors import Damaged, FormatError, StoreError
from registry.object_store import ObjectStore
from registry.store import seal
from tests.cli.driving import driftline
from tests.registry import models
from tests.registry.contract.worlds import client
from tests.registry.s3 import S3, Fault, later
from tests.registry.test_directory import Told, check, work

HOUR = 3_600_000


@pytest.fixture
def s3() -> Iterator[S3]:
    with S3() as server:
        yield server


def opened(s3: S3) -> ObjectStore:
    return ObjectStore("s3://bucket/prefix", client(s3))


def run(s3: S3, told: Told, luck: random.Random) -> None:
    """Two writers that take turns as luck has it, until they are done or the store gives an error."""
    alive: list[Iterator[None]] = []
    with suppress(StoreError):
        alive = [work(opened(s3), told) for _ in range(2)]
        while alive:
            one = luck.choice(alive)
            if next(one, StopIteration) is StopIteration:
                alive.remove(one)


def from_(number: int, fault: Fault) -> Callable[[int], Fault]:
    """The store fails from one request on: what a process sees that is cut off, or whose store is killed."""
    return lambda at: fault if at >= number else Fault.NONE


def once(number: int, fault: Fault) -> Callable[[int], Fault]:
    """One request fails; the client asks again, or gives up."""
    return lambda at: fault if at == number else Fault.NONE


def requests_of(seed: int) -> int:
    with S3() as s3:
        run(s3, Told(), random.Random(seed))
        return len(s3.bucket.requests)


FAULTS = [Fault.REFUSED, Fault.LOST, Fault.UNANSWERED]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", [from_, once], ids=["from then on", "once"])
def test_a_store_that_fails_at_any_request_loses_and_doubles_nothing(
    kind: Callable[[int, Fault], Callable[[int], Fault]], fault: Fault
) -> None:
    at_each_request(
        kind, fault, range(5 + 7 * FAULTS.index(fault), requests_of(0), 29)
    )  # a sample; the next test takes all


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*FAULTS, Fault.SLOW])
@pytest.mark.parametrize("kind", [from_, once], ids=["from then on", "once"])
def test_a_store_that_fails_at_each_request_loses_and_doubles_nothing(
    kind: Callable[[int, Fault], Callable[[int], Fault]], fault: Fault
) -> None:
    if (kind, fault) == (from_, Fault.SLOW):
        at_each_request(kind, fault, [1])  # all of them are late
    else:
        at_each_request(kind, fault, range(1, requests_of(0)))


def at_each_request(
    kind: Callable[[int, Fault], Callable[[int], Fault]], fault: Fault, numbers: range | list[int]
) -> None:
    assert len(numbers) > 0
    for number in numbers:
        with S3() as s3:
            told = Told()
            s3.bucket.fault = kind(number, fault)
            run(s3, told, random.Random(0))
            assert len(s3.bucket.requests) >= number, "the request that was to fail was never made"
            s3.bucket.fault = lambda _: Fault.NONE
            check(opened(s3), told)
            run(s3, told, random.Random(0))  # the next processes go on where these stopped
            store = opened(s3)
            check(store, told)
            assert store.last("models/m/versions") >= 6


def test_an_answer_that_was_lost_is_not_taken_for_a_loss(s3: S3) -> None:
    store = opened(s3)
    assert store.create_entry("log", 1, b"first")
    puts = len(s3.bucket.requests) + 3  # the entry before it, whether it is there, then the PUT
    s3.bucket.fault = once(puts, Fault.UNANSWERED)
    assert store.create_entry("log", 2, b"mine")
    assert s3.bucket.requests[puts - 1] == "PUT prefix/logs/log/00000002.entry"
    assert not opened(s3).create_entry("log", 2, b"mine")


def test_a_removal_may_end_at_any_request_and_is_ended_by_the_next() -> None:
    for number in range(1, 4):
        with S3() as s3:
            store = opened(s3)
            gone, kept = (store.put_blob([body]).digest for body in (b"gone", b"kept"))
            store.put_blob([b"gone"])
            s3.bucket.ahead_ms += 2 * HOUR
            s3.bucket.fault = from_(len(s3.bucket.requests) + number, Fault.UNANSWERED)
            with suppress(StoreError):
                store.remove_blob(gone, s3.bucket.now_ms() - HOUR)
            s3.bucket.fault = lambda _: Fault.NONE
            assert opened(s3).remove_blob(gone, s3.bucket.now_ms() - HOUR)
            assert [blob.digest for blob in store.blobs()] == [kept]


def test_a_blob_that_is_renewed_while_it_is_being_removed_stays(s3: S3) -> None:
    store, writer = opened(s3), opened(s3)
    digest = store.put_blob([b"x"]).digest
    s3.bucket.ahead_ms += 2 * HOUR
    before = len(s3.bucket.requests)
    busy = False

    def renewed(number: int) -> Fault:
        nonlocal busy
        if number == before + 2 and not busy:  # the remover has seen the list and deletes
            busy = True
            s3.bucket.lock.release()
            try:
                writer.put_blob([b"x"])
            finally:
                s3.bucket.lock.acquire()
        return Fault.NONE

    s3.bucket.fault = renewed
    assert not store.remove_blob(digest, s3.bucket.now_ms() - HOUR)
    assert busy
    assert b"".join(store.blob(digest)) == b"x"


# ------------------------------------------------------------------------------------------------- what is no store


def test_a_store_that_lets_the_second_writer_win_is_refused_before_anything_is_written(s3: S3) -> None:
    s3.bucket.conditional = False
    writes: list[Callable[[ObjectStore], object]] = [
        lambda store: store.create_entry("log", 1, b"x"),
        lambda store: store.create_document("doc", b"x"),
        lambda store: store.put_blob([b"x"]),
    ]
    for write in writes:
        with pytest.raises(
            StoreError, match=r"lets a second writer replace .* Use a store that has conditional writes"
        ):
            write(opened(s3))
    assert s3.bucket.objects == {}


def test_a_bucket_of_other_things_is_refused(s3: S3) -> None:
    store = opened(s3)
    store.create_document("doc", b"x")
    del s3.bucket.objects["prefix/driftline-store"]
    with pytest.raises(StoreError, match=r"is no registry: it holds 'documents/doc\.document'"):
        opened(s3)


def test_a_store_of_a_newer_format_is_refused_with_advice(s3: S3) -> None:
    store = opened(s3)
    store.create_document("doc", b"x")
    kept = s3.bucket.objects["prefix/driftline-store"]
    newer = kept.content.replace(b"driftline-sealed 1 ", b"driftline-sealed 2 ")
    kept.content = newer
    with pytest.raises((FormatError, Damaged), match="driftline-store"):
        opened(s3)


def test_what_is_too_large_to_be_an_entry_is_not_read(s3: S3) -> None:
    store = opened(s3)
    store.create_document("doc", b"x")
    s3.bucket.objects["prefix/documents/doc.document"].content = seal("doc", b"x" * 5_000_000)
    with pytest.raises(Damaged, match=r"documents/doc.document in 's3://bucket/prefix' .*bytes where at most"):
        store.document("doc")


def test_what_lies_around_is_named(s3: S3) -> None:
    store = opened(s3)
    store.create_document("doc", b"x")
    for stray in ("other", "logs/1.entry", "logs/a/1.entry", "documents/x", "blobs/ab/cd"):
        s3.bucket.objects[f"prefix/{stray}"] = s3.bucket.objects["prefix/documents/doc.document"]
    assert store.strays() == ["blobs/ab/cd", "documents/x", "logs/1.entry", "logs/a/1.entry", "other"]


def test_an_interrupted_probe_is_a_leftover(s3: S3) -> None:
    s3.bucket.fault = from_(4, Fault.LOST)  # the marker, the list, the probe; then nothing more
    store = opened(s3)
    with pytest.raises(StoreError, match="cannot be read or written"):
        store.create_document("doc", b"x")
    s3.bucket.fault = lambda _: Fault.NONE
    left = store.leftovers()
    assert [each.path.partition("/")[0] for each in left] == ["probe"] * len(left)
    s3.bucket.ahead_ms += 2 * HOUR
    store.remove_leftovers(s3.bucket.now_ms() - HOUR)
    assert store.leftovers() == []
    assert opened(s3).create_document("doc", b"x")


def test_the_commands_take_an_address_and_the_environment(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    model = tmp_path / "model.json"
    model.write_bytes(models.json_model(1.0))
    at = ("--store", "s3://bucket/registry")
    missing = driftline("registry", "list", *at)
    assert missing.code == 1
    assert "registry is not in 's3://bucket/registry'. `driftline registry add` makes one" in missing.err
    assert driftline("registry", "add", model, "--name", "fraud", *at).code == 0
    assert driftline("registry", "promote", "fraud@1", "--reason", "first", "--actor", "ada", *at).code == 0
    shown = driftline("registry", "show", "fraud@champion", *at, "-o", "json")
    assert shown.code == 0, shown.err
    assert driftline("registry", "fsck", *at).code == 0
    assert driftline("registry", "gc", "--delete", *at).code == 0
    assert driftline("registry", "verify", "fraud", *at).code == 0
    assert {key.split("/")[0] for key in s3.bucket.objects} == {"registry"}
    assert not any(b"secret" in kept.content for kept in s3.bucket.objects.values())


def test_runs_and_models_lie_in_a_store_together(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    listed = driftline("retrain", "list", "--store", "s3://bucket/registry")
    assert listed.code == 0, listed.err


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> S3:
    """A store whose port refuses connections."""
    with S3() as store:
        environment = store.environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return store


def test_a_store_that_is_not_there_is_asked_again_and_said_in_a_sentence(
    gone: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_RETRY_FOR", timedelta(seconds=0.8))
    said = driftline("registry", "list", "--store", "s3://bucket/registry")
    assert said.code == 69
    assert (
        "driftline-store in 's3://bucket/registry' cannot be read or written: for 1 s the store did not answer"
        in said.err
    )
    assert "Traceback" not in said.err


def test_a_store_that_comes_back_after_more_than_a_second_ends_nothing(gone: S3, tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    model.write_bytes(models.json_model(1.0))
    with later(gone.port, 1.5):
        added = driftline("registry", "add", model, "--name", "fraud", "--store", "s3://bucket/registry")
        assert added.code == 0, added.err


def test_plain_http_that_nobody_allowed_is_said_at_once(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    said = driftline("registry", "list", "--store", "s3://bucket/registry")
    assert said.code == 1
    assert "AWS_ENDPOINT_URL is an http:// address, and nobody allowed that. Set AWS_ALLOW_HTTP=true" in said.err


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///x", "ftp://bucket/x", "s3://key:secret@bucket/x", "file:///x", "az://account", "az://account/"],
)
def test_what_is_no_address_is_refused_without_repeating_secrets(address: str) -> None:
    with pytest.raises(StoreError, match="is no address of an object store") as refused:
        ObjectStore(address)
    assert "secret" not in str(refused.value)
