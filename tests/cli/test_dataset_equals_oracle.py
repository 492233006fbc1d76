"""Rows of a dataset against the dict of the join: any cuts, any range; and the narrow ranges give them again."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.cli.dataset_join import Joined
from monitor.cli.dataset_make import Spans, _everything, _span, joined_partitions
from monitor.cli.dataset_read import Topics
from monitor.config import loads
from monitor.config.types import Config
from pipelines.dataset.manifest import Offsets, Selection
from tests.cli.lists import ListLog
from tests.examples import examples
from tests.oracle import join as oracle
from tests.oracle.join import Params, Window

BASE_S = 1_700_000_000
LISTED = ("EWR", "JFK")


def config(lateness_s: int, absent: bool) -> Config:
    return loads(f"""
streams:
  predictions:
    topic: p
    fields: {{id: $.id, model: $.model, version: $.version, at: {{from: $.at, unit: s}}, score: $.score,
      prediction: $.prediction, withdrawn: $.withdrawn}}
    features: {{hour: numeric, origin: categorical}}
  labels:
    topic: q
    fields: {{id: $.id, at: {{from: $.at, unit: s}}, label: $.label}}
    {"absent: {value: 0, after: 50s}" if absent else ""}
time: {{horizon: 100s, skew: 10s, disorder: {min(15, lateness_s)}s, lateness: {lateness_s}s, max_jump: 120s, tick: 10s}}
models: [{{name: m, segments: {{origin: [EWR, JFK]}}}}]
windows: [50s]
""")


def _segment(record: Any) -> str:
    origin = record["features"]["origin"]
    return origin if origin in LISTED else "other"


def _content(record: Any) -> Any:
    features = record["features"]
    return (record["score"], record["prediction"], _segment(record), features["hour"], features["origin"])


def params(lateness_s: int, absent: bool) -> Params:
    return Params(
        horizon_ms=100_000,
        lateness_ms=lateness_s * 1000,
        window=Window(50_000),
        skew_ms=10_000,
        disorder_ms=min(15, lateness_s) * 1000,
        max_jump_ms=120_000,
        tick_ms=10_000,
        absent_value=0.0 if absent else None,
        absent_after_ms=50_000,
        content=_content,
    )


moments = st.integers(0, 300).map(lambda s: BASE_S + s)
ids = st.sampled_from("abcdef")
predictions = st.builds(
    lambda at, i, y, v, w, s, h, o: {
        "id": i, "model": "m", "version": v, "at": at, "score": s, "prediction": y, "withdrawn": w,
        "features": {"hour": h, "origin": o},
    },
    moments, ids, st.integers(0, 1), st.sampled_from("12"), st.sampled_from([False] * 9 + [True]),
    st.sampled_from([0.25, 0.5]), st.sampled_from([7.0, 8.5]), st.sampled_from(["EWR", "JFK", "ORD"]),
)  # fmt: skip
labels = st.builds(lambda at, i, y: {"id": i, "at": at, "label": y}, moments, ids, st.sampled_from([0, 1, 1, None]))
bad = st.just(b'{"id": ')
logs = st.tuples(
    st.lists(st.lists(predictions | bad, max_size=20), min_size=2, max_size=2),
    st.lists(st.lists(labels | bad, max_size=20), min_size=2, max_size=2),
)
lateness = st.sampled_from([15, 60, 300])
randoms = st.randoms(use_true_random=False)
bounds = st.none() | st.integers(0, 300).map(lambda s: (BASE_S + s) * 1000)
ranges = st.none() | st.tuples(st.integers(0, 1), st.integers(0, 19), st.integers(1, 20))


def as_oracle(records: list[Any]) -> list[Any]:
    """The records with times in ms. What cannot be read is rejected and moves no clock."""
    return [
        {"id": "", "at": 0, "rejected": True} if isinstance(r, bytes) else {**r, "at": r["at"] * 1000} for r in records
    ]


def rows_of(joined: list[Joined]) -> Counter[Any]:
    """Rows as the oracle can say them; ids as their first hash."""
    found: Counter[Any] = Counter()
    for part in joined:
        t, columns = part.table, part.table.columns
        label_at = t.ints("label_at_ms")
        found.update(
            zip(
                t.texts("version").texts(),
                t.ints("at_ms").values.tolist(),
                t.floats("score").values.tolist(),
                t.ints("prediction").values.tolist(),
                columns["feature.hour"].values.tolist(),  # type: ignore[union-attr]
                t.texts("feature.origin").texts(),
                t.texts("segment.origin").texts(),
                [None if np.isnan(y) else y for y in t.floats("label").values.tolist()],
                [
                    None if null else at
                    for at, null in zip(label_at.values.tolist(), label_at.null.tolist(), strict=True)
                ],
                strict=True,
            )
        )
    return found


def expected(p: list[Any], q: list[Any], of: Params, selection: Selection) -> Counter[Any]:
    """Partition by partition, as the engine joins them; a label after the cut-off moves the clock and counts for nothing."""
    cut_off = selection.label_cutoff_ms
    found: Counter[Any] = Counter()
    for number, (predicted, told) in enumerate(zip(p, q, strict=True)):
        mine, theirs = as_oracle(predicted), as_oracle(told)
        for offset, record in enumerate(mine):
            record["offset"] = offset
        known = [r.record for r in oracle.read(theirs, of)[0] if cut_off is None or r.record["at"] <= cut_off]
        for row in oracle.join(oracle.by_key([mine], of), known, of, None):
            x: Any = row.prediction
            at, value = x["at"], row.value
            label_at = row.label["at"] if row.label is not None and row.label["label"] is not None else None
            if row.label is None and value is not None and cut_off is not None and at + of.absent_after_ms > cut_off:
                value = None
            if selection.from_ms is not None and at < selection.from_ms:
                continue
            if selection.until_ms is not None and at >= selection.until_ms:
                continue
            if selection.offsets and not any(
                o.partition == number and o.start <= x["offset"] < o.end for o in selection.offsets
            ):
                continue
            f = x["features"]
            found[
                x["version"], at, x["score"], x["prediction"], f["hour"], f["origin"], _segment(x), value, label_at
            ] += 1
    return found


def _selection(start: int | None, until: int | None, cut_off: int | None, offsets: Any, p: list[Any]) -> Selection:
    chosen = None
    if offsets is not None:
        partition, first, n = offsets
        size = len(p[partition])
        first = min(first, max(size - 1, 0))
        chosen = (Offsets(partition, first, min(first + n, size)),) if size else None
    return Selection(start, until, chosen, None, cut_off, ended=True)


@settings(max_examples=examples(250), deadline=None)
@given(logs, lateness, st.booleans(), bounds, bounds, bounds, ranges, randoms)
def test_rows_are_those_of_the_dict_and_the_narrow_ranges_give_them_again(
    both: tuple[list[Any], list[Any]],
    late: int,
    absent: bool,
    start: int | None,
    until: int | None,
    cut_off: int | None,
    offsets: tuple[int, int, int] | None,
    rng: random.Random,
) -> None:
    p, q = both
    selection = _selection(start, until, cut_off, offsets, p)
    log: Any = ListLog({"p": p, "q": q}, rng)
    topics = Topics(config(late, absent), log, ids=False)
    joined = list(joined_partitions(topics, _everything(topics, selection), selection, "first"))
    assert rows_of(joined) == expected(p, q, params(late, absent), selection)

    touched = [part for part in joined if part.source is not None]
    for part in touched:
        source = part.source
        assert source is not None
        assert part.records["predictions"] == len(part.table) + part.excluded[0].total()
        assert part.records["predictions"] == source.predictions.end - source.predictions.start
        assert source.labels is not None
        assert part.records["labels"] == source.labels.end - source.labels.start
    narrow: Spans = []
    for s in (part.source for part in touched):
        assert s is not None
        assert s.labels is not None
        spans = _span(s.predictions), _span(s.labels)
        narrow.append((s.partition, *spans))
        for name, kept in zip(("p", "q"), spans, strict=True):  # what lies outside of them may be anything now
            records = log.topics[name][s.partition]
            records[:] = [r if kept.start <= offset < kept.end else b"gone" for offset, r in enumerate(records)]
    again = list(joined_partitions(Topics(config(late, absent), log, ids=False), narrow, selection, "again"))
    assert [a.table.encode().tobytes() for a in again] == [t.table.encode().tobytes() for t in touched]
    assert [(a.source, a.records, a.excluded) for a in again] == [(t.source, t.records, t.excluded) for t in touched]


@settings(max_examples=examples(80), deadline=None)
@given(logs, lateness, randoms, randoms)
def test_cuts_between_batches_cannot_be_seen(
    both: tuple[list[Any], list[Any]], late: int, one: random.Random, other: random.Random
) -> None:
    found = []
    for rng in (one, other):
        log: Any = ListLog({"p": both[0], "q": both[1]}, rng)
        topics = Topics(config(late, False), log, ids=True)
        selection = Selection(ids=True)
        joined = list(joined_partitions(topics, _everything(topics, selection), selection, "reading"))
        found.append([(j.table.encode().tobytes(), j.source, j.records, j.excluded) for j in joined])
    assert found[0] == found[1]


@settings(max_examples=examples(80), deadline=None)
@given(logs, lateness, randoms)
def test_adjacent_ranges_part_the_whole(both: tuple[list[Any], list[Any]], late: int, rng: random.Random) -> None:
    middle = (BASE_S + rng.randint(0, 300)) * 1000
    total: list[Counter[Any]] = []
    for selection in (Selection(until_ms=middle), Selection(from_ms=middle), Selection()):
        log: Any = ListLog({"p": both[0], "q": both[1]}, rng)
        topics = Topics(config(late, False), log, ids=False)
        total.append(rows_of(list(joined_partitions(topics, _everything(topics, selection), selection, "reading"))))
    assert total[0] + total[1] == total[2]


def test_of_records_that_say_the_same_time_the_smaller_content_is_the_row() -> None:
    same = {"id": "a", "model": "m", "version": "1", "at": BASE_S}
    p: list[Any] = [
        [
            {**same, "score": s, "prediction": y, "features": {"hour": h, "origin": "EWR"}}
            for s, y, h in ((0.5, 0, 7.0), (0.25, 1, 7.0), (0.25, 0, 8.5), (0.25, 0, 7.0), (0.5, 1, 7.0))
        ]
    ]
    for records in (p[0], p[0][::-1]):
        log: Any = ListLog({"p": [records], "q": [[]]}, random.Random(1))
        topics = Topics(config(60, False), log, ids=False)
        (joined,) = joined_partitions(topics, _everything(topics, Selection()), Selection(), "reading")
        ((_, _, score, prediction, hour, *_),) = rows_of([joined])
        assert (score, prediction, hour) == (0.25, 0, 7.0)
        assert joined.excluded[0] == {"duplicate": 4}
