"""An archive written bit by bit, while retention takes what it no longer needs, has the rows of the whole topics."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.cli.archive_write import Asked, Written, write
from monitor.cli.dataset_make import make
from monitor.config import loads
from monitor.ingest.ids import hash_text
from pipelines.dataset import archive as a
from pipelines.dataset import manifest as m
from pipelines.dataset.errors import ArchiveEnded, BadDataset, UnknownDataset, UnreadableDataset
from pipelines.dataset.shelf import Shelf
from pipelines.dataset.unpacking import dataset
from registry.errors import StoreError
from tests.cli.lists import ListLog
from tests.pipelines.dataset.test_erasing import StopsToo
from tests.registry.memory import MemoryStore

BASE_S = 1_700_000_010
PANE_MS = 30_000
WHO = ("ada", "request 7", 1_800_000_000_000)
CONFIG = loads("""
namespace: one
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: {from: $.at, unit: s}, score: $.score,
      withdrawn: $.withdrawn}
    features: {origin: categorical}
  labels:
    topic: q
    fields: {id: $.id, at: {from: $.at, unit: s}, label: $.label}
time: {horizon: 40s, lateness: 20s, disorder: 5s, tick: 5s, max_jump: 1h}
models: [{name: m, segments: {origin: [a, b]}}]
windows: [30s]
""")
ALL = m.Selection(from_ms=0, until_ms=1 << 50, ended=True)


def prediction(i: int, at: int, **changes: Any) -> dict[str, Any]:
    return {"id": i, "at": BASE_S + at, "score": i % 10 / 10, "features": {"origin": "abc"[i % 3]}, **changes}


def label(i: int, at: int, value: int | None = 1) -> dict[str, Any]:
    return {"id": i, "at": BASE_S + at, "label": value}


def log(*partitions: tuple[list[Any], list[Any]]) -> Any:
    return ListLog({"p": [p for p, _ in partitions], "q": [q for _, q in partitions]}, random.Random(3))


def step(topics: Any, store: Any, *, ended: bool = False, ids: bool = False) -> list[Written]:
    asked = Asked(PANE_MS, ids, ended, "ada", 5)
    return list(write(CONFIG, topics, a.Archive(store, "one"), store, asked))


def from_archive(store: Any) -> m.Manifest:
    archive = a.Archive(store, "one")
    return dataset(archive, archive.state(), Shelf(store), m.Selection(from_ms=0, until_ms=1 << 50))


def whys(done: list[Written]) -> list[str]:
    return [str(segment.why) for each in done for segment in each.segments]


def steady(n: int = 60) -> tuple[list[Any], list[Any]]:
    """A prediction every two seconds, whose label comes ten seconds later."""
    return [prediction(i, 2 * i) for i in range(n)], [label(i, 2 * i + 10) for i in range(n)]


streams = st.lists(
    st.tuples(
        st.integers(0, 12),  # seconds since the one before
        st.integers(-19, 0),  # out of order by so much, at most the lateness
        st.integers(0, 25),  # id: some come again
        st.sampled_from(["prediction", "prediction", "label", "label", "label", "withdrawal", "no label"]),
        st.integers(0, 1),
    ),
    min_size=5,
    max_size=80,
)


def _records(drawn: list[tuple[int, int, int, str, int]]) -> tuple[list[Any], list[Any]]:
    now, predictions, labels = 0, [], []
    for wait, off, one, kind, value in drawn:
        now += wait
        if kind == "prediction":
            predictions.append(prediction(one, now + off))
        elif kind == "withdrawal":
            predictions.append(prediction(one, now + off, withdrawn=True, score=None))
        else:
            labels.append(label(one, now + off, value if kind == "label" else None))
    return predictions, labels


@settings(max_examples=60, deadline=None)
@given(streams, streams, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=5))
def test_bit_by_bit_under_retention_it_has_the_rows_of_the_whole_topics(
    first: list[Any], second: list[Any], cuts: list[tuple[float, float, bool]]
) -> None:
    whole = log(_records(first), _records(second))
    store, growing = MemoryStore(), copy.deepcopy(whole)
    shares = sorted((p for p, _, _ in cuts)), sorted((q for _, q, _ in cuts))
    for p, q, (_, _, retained) in zip(*shares, cuts, strict=True):
        growing.topics = {
            name: [part[: int(len(part) * share)] for part in whole.topics[name]]
            for name, share in (("p", p), ("q", q))
        }
        step(growing, store)
        if retained:  # all that the archive does not begin at again
            for partition, reached in a.Archive(store, "one").state().reached.items():
                assert reached.predictions is not None
                assert reached.labels is not None
                growing.begins["p", partition] = reached.predictions.offset
                growing.begins["q", partition] = reached.labels.offset
    growing.topics = whole.topics
    done = step(growing, store, ended=True)
    assert all(each.lost == (0, 0) for each in done)
    state = a.Archive(store, "one").state()
    assert all(segment.final and not segment.partial for _, _, segment in state.current.values())
    try:
        truth = make(CONFIG, whole, Shelf(MemoryStore()), ALL)
    except BadDataset:
        with pytest.raises(BadDataset, match="would have no row"):
            from_archive(store)
        return
    made = from_archive(store)
    assert (made.rows_digest, made.rows, made.unlabelled_rows) == (truth.rows_digest, truth.rows, truth.unlabelled_rows)
    assert list(a.Archive(store, "one").check(state, (StoreError,))) == []
    assert step(growing, store, ended=True) == []


def test_a_pane_is_written_when_it_closes_and_again_when_its_labels_change_and_then_never_more() -> None:
    predictions, labels = steady()
    topics, store = log((predictions[:30], labels[:15])), MemoryStore()
    # The newest prediction is at 58 s: below 58 - 20 s nothing comes any more, and one pane ends at 30 s.
    done = step(topics, store)
    assert whys(done) == ["closed"]
    (segment,) = done[0].segments
    assert (segment.rows, segment.unlabelled_rows, segment.final) == (15, 0, False)
    assert step(topics, store) == []
    topics.topics["q"][0].append(label(3, 39, 0))
    assert whys(step(topics, store)) == ["revised"]
    # Labels up to 119 s: below 119 - 20 - 40 s they are settled, so the first pane is final, and the second of 60 s closed.
    topics.topics = {"p": [predictions], "q": [[*labels[:15], label(3, 39, 0), *labels[15:55]]]}
    assert whys(step(topics, store)) == ["final", "closed", "closed"]
    topics.topics["q"][0].append(label(4, 40, 0))  # too late to be anything
    assert step(topics, store) == []
    state = a.Archive(store, "one").state()
    assert [s.final for _, _, s in (state.current[key] for key in sorted(state.current))] == [True, False, False]


@pytest.mark.parametrize("stream", ["p", "q"])
@pytest.mark.parametrize("partition", [0, 1], ids=["with rows", "without rows"])
def test_what_comes_after_the_end_is_refused_and_named_and_nothing_is_lost(stream: str, partition: int) -> None:
    topics, store = log(steady(), ([], [])), MemoryStore()
    step(topics, store)
    step(topics, store, ended=True)
    assert step(topics, store) == step(topics, store, ended=True) == []
    held, entries = a.Archive(store, "one").state(), dict(store.entries)
    topics.topics[stream][partition].append(prediction(99, 130) if stream == "p" else label(3, 130, 0))
    came = "1 predictions and 0 labels" if stream == "p" else "0 predictions and 1 labels"
    for ended in (False, True):
        with pytest.raises(
            ArchiveEnded, match=f"partition {partition} of the archive 'one' was closed .* and {came} came"
        ):
            step(topics, store, ended=ended)
    assert (a.Archive(store, "one").state(), store.entries) == (held, entries)


@pytest.mark.parametrize("again_at", [31, 200], ids=["across a border", "across a gap"])
def test_a_duplicate_is_one_though_the_first_is_of_a_pane_that_is_final(again_at: int) -> None:
    first, again = prediction(1, 28), prediction(1, again_at)
    later = [prediction(i, again_at + i) for i in range(2, 22)]
    labels = [label(i, again_at + 65 + i) for i in range(2, 22)]
    topics, store = log(([first, again, *later], labels)), MemoryStore()
    step(topics, store)
    topics.topics["q"][0].append(label(99, again_at + 90))
    topics.topics["p"][0].append(prediction(30, again_at + 200))
    reached = a.Archive(store, "one").state().reached[0]
    assert reached.predictions is not None
    topics.begins = {("p", 0): reached.predictions.offset}
    step(topics, store, ended=True)
    assert from_archive(store).rows_digest == make(CONFIG, topics_of(topics), Shelf(MemoryStore()), ALL).rows_digest


def test_nothing_of_an_id_is_in_the_log_of_an_archive_or_in_a_manifest() -> None:
    """What lies far ahead of the clock is known by its id: reading begins before such a record, not behind it."""
    far = [prediction(70, 9_000), prediction(71, 20_000)]
    predictions, labels = steady()
    topics, store = (
        log(([*predictions[:58], *far, *predictions[58:]], [*labels[:58], label(70, 9_000), *labels[58:]])),
        MemoryStore(),
    )
    step(topics, store)
    shelf = Shelf(store)
    shelf.add(make(CONFIG, topics, shelf, m.Selection(from_ms=(BASE_S + 117) * 1_000, until_ms=1 << 50)))
    raw = b"".join([*store.entries.values(), *store.named.values()])
    words = [f"{hash_text(str(i))[0]:016x}".encode() for i in range(80)]
    assert [word for word in words if word in raw] == []
    topics.topics["p"][0].append(prediction(72, 9_100))
    step(topics, store, ended=True)
    assert from_archive(store).rows_digest == make(CONFIG, topics_of(topics), Shelf(MemoryStore()), ALL).rows_digest


def topics_of(topics: Any) -> Any:
    """The same topics before retention."""
    return log((topics.topics["p"][0], topics.topics["q"][0]))


def test_what_retention_took_too_early_is_told_and_its_panes_are_partial() -> None:
    predictions, labels = steady()
    topics, store = log((predictions[:20], labels[:20])), MemoryStore()
    step(topics, store)
    topics.topics = {"p": [predictions], "q": [labels]}
    topics.begins = {("p", 0): 25, ("q", 0): 25}
    (done,) = step(topics, store)
    assert done.lost == (25, 25)
    assert {(segment.why, segment.partial) for segment in done.segments} == {("closed", True)}
    state = a.Archive(store, "one").state()
    assert state.lost == {0: (25, 25)}
    assert step(topics, store) == []


def test_what_was_archived_whole_is_not_revised_from_what_is_left_of_it() -> None:
    predictions, labels = steady()
    topics, store = log((predictions[:30], labels[:15])), MemoryStore()
    (segment,) = step(topics, store)[0].segments
    topics.begins = {("p", 0): 10, ("q", 0): 0}
    topics.topics["q"][0].append(label(12, 39, 0))
    (done,) = step(topics, store)
    assert (done.segments, done.lost) == ((), (10, 0))
    (_, _, now) = a.Archive(store, "one").state().current[0, segment.from_ms]
    assert now == segment


def test_an_archive_is_of_one_cluster_one_pair_of_topics_and_one_set_of_rules() -> None:
    topics, store = log(steady()), MemoryStore()
    step(topics, store)
    with pytest.raises(BadDataset, match="archive 'one' is of other pane_ms than what is asked for"):
        list(write(CONFIG, topics, a.Archive(store, "one"), store, Asked(60_000, False, False, "ada", 5)))
    topics.made = 2
    with pytest.raises(BadDataset, match="is of other labels, predictions than"):
        step(topics, store)
    with pytest.raises(UnknownDataset, match=r"archive 'two' is not in this store\. There are: one"):
        a.Archive(store, "two").state()


class Raced(MemoryStore):
    """Another writer takes the place of the nth entry: it runs whole just before."""

    def __init__(self, topics: Any, at: int) -> None:
        super().__init__()
        self.topics, self.at, self.inside = topics, at, False

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        if number == self.at and not self.inside:
            self.inside = True
            step(self.topics, self)
        return super().create_entry(log, number, body)


@pytest.mark.parametrize("at", [2, 3, 4])
def test_of_two_writers_each_pane_has_one(at: int) -> None:
    parts = [steady(), steady(40), steady(50)]
    alone = MemoryStore()
    step(log(*parts), alone)
    store = Raced(log(*parts), at)
    step(log(*parts), store)
    assert store.inside
    states = [a.Archive(each, "one").state() for each in (alone, store)]
    assert states[0].current == states[1].current
    assert states[0].last == states[1].last == 4


def test_killed_before_any_write_the_next_one_finishes_with_the_same_panes() -> None:
    alone = MemoryStore()
    step(log(steady(), steady(40)), alone)
    writes = 0
    while True:
        store = StopsToo(writes)
        try:
            step(log(steady(), steady(40)), store)
            break
        except KeyboardInterrupt:
            store.writes = 1_000
        step(log(steady(), steady(40)), store)
        assert a.Archive(store, "one").state().current == a.Archive(alone, "one").state().current
        writes += 1
    assert writes > 5


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{}", "is no entry of an archive"),
        (b'{"format": 2}', "has format 2, this version of Driftline reads up to 1"),
        (b'{"format": 1, "kind": "other"}', "is no entry of an archive"),
        (b"\xff", "is no entry of an archive"),
    ],
)
def test_what_is_no_entry_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(UnreadableDataset, match=why):
        a.decode(raw, "here")
