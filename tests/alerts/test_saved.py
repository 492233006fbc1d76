"""The operational watch goes on from what was saved of it as if nothing had happened."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.cloudevents import encode
from monitor.alerts.operational import OperationalWatch
from monitor.alerts.saved import restore_watch, save_watch
from monitor.ledger.checkpoints import encode_body
from monitor.ledger.records import Commit, Flood
from tests.alerts.test_operational import PARTITIONS, commit, watch
from tests.examples import examples

flags = st.fixed_dictionaries(
    {},
    optional={
        "idle": st.just(True), "stalled": st.just(True), "full": st.just(True), "quiet": st.just(True),
        "silent": st.just(True), "flooding": st.just(True),
        "floods": st.sampled_from([(Flood(0, 700, 31, 5),), (Flood(1, 9, 9, 7),)]),
    },
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, 9), flags),
        st.frozensets(st.integers(0, PARTITIONS - 1)),
        st.just("look"),
    ),
    max_size=40,
)


@settings(max_examples=examples(300))
@given(steps, st.integers(0, 40))
def test_a_watch_that_was_saved_tells_what_the_other_one_tells(
    story: list[tuple[int, int, dict[str, object]] | frozenset[int] | str], cut: int
) -> None:
    one, other = watch(), watch()
    at = [10] * PARTITIONS
    for place, step in enumerate(story):
        if place == cut:
            assert [encode(e) for e in one.drain()] == [encode(e) for e in other.drain()]
            saved = save_watch(one)
            other = watch()
            restore_watch(other, saved)
            assert encode_body(save_watch(other)) == encode_body(saved)
        if isinstance(step, tuple):
            at[step[0]] += step[1]
            told: Commit = commit(place, at[step[0]], **step[2])  # type: ignore[arg-type]
            each(one, other, lambda w, p=step[0], c=told: w.feed(p, c))
        elif isinstance(step, frozenset):
            each(one, other, lambda w, u=step, ms=place: w.owners(u, ms))
        else:
            assert [encode(e) for e in one.drain()] == [encode(e) for e in other.drain()]
    assert [encode(e) for e in one.drain()] == [encode(e) for e in other.drain()]
    assert encode_body(save_watch(one)) == encode_body(save_watch(other))


def each(one: OperationalWatch, other: OperationalWatch, do) -> None:  # type: ignore[no-untyped-def]
    do(one)
    do(other)
