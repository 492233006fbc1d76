"""The join as a dict: what the windows must say, however the engine reads, cuts, restarts or spills.

Input is partition logs: for each stream a list with one list per partition, records in offset order. Partition p of
both streams holds the same ids, but nothing here needs that: only the clocks are per partition. Everything is slow
and whole: read all, then decide. The decisions, in the order in which they are taken:

Clocks
 1. A rejected record (`rejected` set, or `at` beyond `broker` + skew) moves no clock and has no effect.
 2. The running maximum of a partition log is taken record by record in offset order.
 3. A record more than `max_jump_ms` above the maximum counts, but is held (its first time, per id) and moves nothing.
    Once `jump_ids` distinct ids are held the maximum becomes the smallest of their times and then goes on through
    the others in order as long as each is within a jump; those still out of reach stay held. Before the maximum
    exists every record is held, so the first `jump_ids` - 1 ids of a log meet no clock at all. Without `max_jump_ms`
    nothing is ever held and the first record sets the maximum.
 4. Tick clock = maximum - disorder, finality clock = maximum - lateness. A record is late iff its `at` is strictly
    below the finality clock before it; late records have no effect, but being below the maximum they could not move
    it either.

Winners (over records that are neither rejected nor late; order in the logs never matters)
 5. A prediction's key is (id, model, version). Its prediction is the smallest (at, content) of the records that are
    not withdrawals. `content` is the canonical JSON of everything but `at`, unless Params.content says otherwise.
 6. A key with any withdrawal record is withdrawn, whichever of the two has the larger time and whichever was read
    first: it is in no window. A withdrawal is final, a repeated prediction does not undo it.
 7. A key is remembered by its own log's finality clock: a record belongs to what is held of its key (the winner's
    time so far; of a withdrawal without a prediction its own) iff that is not below the finality clock before the
    record; the oldest such one if there are several. Otherwise it begins another prediction under the same key. A
    record that came twice with one time is therefore always known as a repetition.
 8. A label is valid for a prediction iff -skew <= label.at - prediction.at <= horizon, both ends included. Among the
    valid ones the largest (at, value) wins; a withdrawal (label None) is smaller than every value at the same time.
 9. If a withdrawal wins, the prediction has no label: an older label does not come back.
10. One label reaches every (model, version) of its id; each prediction chooses its own winner among the labels valid
    for it.
11. `absent`: a prediction for which no valid label came, not even a withdrawal, has the value `absent_value` once the
    finality clock of its label log is strictly beyond at + absent_after_ms; at the end of input always. A label that
    comes later replaces it.

Windows
12. Half open [start, end), by the event time of the winning prediction. A prediction of a window counts in `all` and
    once per dimension as `dimension=value`, with the value `other` where it is not listed, absent or null.
13. At tick k (ticks are [k*tick_ms, (k+1)*tick_ms)) only records with known_at < (k+1)*tick_ms exist, known_at being
    max(at, tick clock before the record in its own log); a pair is there as soon as both are. Everything above is
    then applied to those records alone. An absent label is known at at + absent_after_ms + lateness + settle_ms, a
    function of the prediction alone: by then the finality clock has passed, whenever outcomes are settled.

Outcomes at the end of input (the terms of the conservation identities; `pending`, `waiting` and `shed` are 0 there)
14. Of the records of a key: the winner is `withdrawn`, `matched` (it has a label record) or `expired`; the first
    withdrawal is `withdrawn`; all others are `duplicate`. A prediction settled by `absent` is `expired`.
15. Of the label records of an id: those equal in (at, value) to another are `duplicate` but for one. The others are
    `applied` (a value that wins for at least one prediction), `withdrawal` (a withdrawal that does), `superseded`
    (valid for at least one), `outside` (there is a prediction of this id, but no valid pair) or `orphaned` (there is
    none). Withdrawn predictions are asked like any other, so the answer does not depend on who was read first.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Literal, NotRequired, TypedDict, TypeVar

from tests.oracle.clocks import RunningMaximum

Calendar = Literal["day", "month"]


class Prediction(TypedDict):
    """One decoded prediction record: `prediction` is the predicted class, `segments` the raw value of a dimension."""

    id: str
    model: str
    version: str
    at: int
    score: NotRequired[float | None]
    prediction: NotRequired[float]
    withdrawn: NotRequired[bool]
    segments: NotRequired[Mapping[str, str | None]]
    broker: NotRequired[int]
    rejected: NotRequired[bool]


class Label(TypedDict):
    """One decoded label record; `label` None withdraws."""

    id: str
    at: int
    label: float | None
    broker: NotRequired[int]
    rejected: NotRequired[bool]


R = TypeVar("R", Prediction, Label)

Key = tuple[str, str, str, int, int]
"""(id, model, version), and which log and which of the predictions under this key in it (decision 7)"""
WindowOf = tuple[str, str, str, int]
"""(model, version, segment, start of the window in ms)"""
Counts = dict[str, int]
"""seen, labelled, tp, fp, fn, tn"""


def canonical_content(record: Prediction) -> str:
    """Everything a prediction says but when, and but what the log added, as JSON with sorted keys."""
    return json.dumps({k: v for k, v in record.items() if k not in ("at", "broker")}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Window:
    """Which windows a time falls into: sliding by `slide_ms` (None: tumbling), or a calendar day or month in UTC."""

    size_ms: int = 0
    slide_ms: int | None = None
    calendar: Calendar | None = None

    def starts(self, at_ms: int) -> list[int]:
        """Starts of all windows that hold `at_ms`, ascending."""
        if self.calendar is not None:
            return [calendar_start(at_ms, self.calendar)]
        slide = self.slide_ms or self.size_ms
        last = at_ms // slide * slide
        return sorted(range(last, at_ms - self.size_ms, -slide))


@dataclass(frozen=True, slots=True)
class Params:
    """The durations and choices of the join; all in ms. `segments` lists the values of each dimension."""

    horizon_ms: int
    lateness_ms: int
    window: Window
    skew_ms: int = 0
    disorder_ms: int = 0
    max_jump_ms: int | None = None
    jump_ids: int = 3
    tick_ms: int = 60_000
    positive: float = 1.0
    absent_value: float | None = None
    absent_after_ms: int = 0
    settle_ms: int = 0
    segments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    content: Callable[[Prediction], str | bytes | int] = canonical_content


@dataclass(frozen=True, slots=True)
class Read(Generic[R]):
    """A record that counts, the running maximum of its log before it, and the event time from which it is known."""

    record: R
    before_ms: int | None
    known_at_ms: int


@dataclass(frozen=True, slots=True)
class Row:
    """A prediction that is in its windows, and the value of its label (None: unlabelled). A `value` without a `label`
    was settled as absent; a `label` without a value is a withdrawal."""

    prediction: Prediction
    value: float | None
    label: Label | None


def final_windows(
    prediction_logs: Sequence[Sequence[Prediction]], label_logs: Sequence[Sequence[Label]], params: Params
) -> dict[WindowOf, Counts]:
    """The counts of every window after the end of input. Windows without a prediction are not in it."""
    return count(final_rows(prediction_logs, label_logs, params), params)


def windows_at_tick(
    prediction_logs: Sequence[Sequence[Prediction]], label_logs: Sequence[Sequence[Label]], params: Params, tick: int
) -> dict[WindowOf, Counts]:
    """The counts of every window as of the end of tick number `tick`, from what is known by then only (decision 13)."""
    end_ms = (tick + 1) * params.tick_ms
    predictions = {
        key: [r for r in records if r.known_at_ms < end_ms] for key, records in by_key(prediction_logs, params).items()
    }
    labels = [r.record for log in label_logs for r in read(log, params)[0] if r.known_at_ms < end_ms]
    return count(join(predictions, labels, params, end_ms), params)


def final_rows(
    prediction_logs: Sequence[Sequence[Prediction]], label_logs: Sequence[Sequence[Label]], params: Params
) -> list[Row]:
    """Every prediction that is in a window, with its final label."""
    labels = [r.record for log in label_logs for r in read(log, params)[0]]
    return join(by_key(prediction_logs, params), labels, params, None)


def outcomes(
    prediction_logs: Sequence[Sequence[Prediction]], label_logs: Sequence[Sequence[Label]], params: Params
) -> tuple[Counter[str], Counter[str]]:
    """How many records of each stream met which outcome by the end of input (decisions 14 and 15)."""
    of_predictions, of_labels = Counter[str](), Counter[str]()
    labels: list[Label] = []
    for prediction_log in prediction_logs:
        of_predictions += read(prediction_log, params)[1]
    for label_log in label_logs:
        counting, dropped = read(label_log, params)
        labels += [r.record for r in counting]
        of_labels += dropped
    keys = by_key(prediction_logs, params)
    return of_predictions + _prediction_outcomes(keys, labels, params), of_labels + _label_outcomes(
        keys, labels, params
    )


# -- clocks ---------------------------------------------------------------------------------------------------------


def read(log: Sequence[R], params: Params) -> tuple[list[Read[R]], Counter[str]]:
    """The records of one partition log that count, and how many were `rejected` or `late`."""
    maximum = RunningMaximum(params.max_jump_ms, params.jump_ids)
    counting: list[Read[R]] = []
    dropped: Counter[str] = Counter()
    for record in log:
        at, before = record["at"], maximum.value
        if record.get("rejected") or at > record.get("broker", at) + params.skew_ms:
            dropped["rejected"] += 1
            continue
        maximum.move(at, record["id"])
        if before is not None and at < before - params.lateness_ms:
            dropped["late"] += 1
        else:
            clock = -(1 << 62) if before is None else before - params.disorder_ms
            counting.append(Read(record, before, clock if record.get("withdrawn") else max(at, clock)))
    return counting, dropped


# -- winners --------------------------------------------------------------------------------------------------------


def by_key(prediction_logs: Sequence[Sequence[Prediction]], params: Params) -> dict[Key, list[Read[Prediction]]]:
    """The records of each prediction that count, in the order of their log (decision 7)."""
    keys: dict[Key, list[Read[Prediction]]] = {}
    for number, log in enumerate(prediction_logs):
        under: dict[tuple[str, str, str], list[list[Read[Prediction]]]] = defaultdict(list)
        for record in read(log, params)[0]:
            p = record.record
            held = under[p["id"], p["model"], p["version"]]
            oldest = None if record.before_ms is None else record.before_ms - params.lateness_ms
            for known in held:
                if oldest is None or _held_ms(known) >= oldest:
                    known.append(record)
                    break
            else:
                held.append([record])
        keys |= {(*key, number, nth): records for key, held in under.items() for nth, records in enumerate(held)}
    return keys


def _held_ms(records: Sequence[Read[Prediction]]) -> int:
    """The time by which a prediction is remembered."""
    return min((r.record["at"] for r in records if not r.record.get("withdrawn")), default=records[0].record["at"])


def join(
    predictions: Mapping[Key, Sequence[Read[Prediction]]],
    labels: Iterable[Label],
    params: Params,
    known_before_ms: int | None,
) -> list[Row]:
    """Each prediction that stands, with its label. `known_before_ms` None is the end of input; else it only decides
    which absent labels are certain, for the records are filtered by the caller."""
    by_id = group_labels(labels)
    rows = []
    for (id_, *_), records in predictions.items():
        prediction, withdrawals = winning_prediction(records, params)
        if prediction is None or withdrawals:
            continue
        label = winning_label(prediction, by_id.get(id_, ()), params)
        value = absent_value(prediction, params, known_before_ms) if label is None else label["label"]
        rows.append(Row(prediction, value, label))
    return rows


def winning_prediction(records: Sequence[Read[Prediction]], params: Params) -> tuple[Prediction | None, int]:
    """The one of a key's records that counts (None when only withdrawals came), and how many withdrawals there are."""
    stands = [r.record for r in records if not r.record.get("withdrawn")]
    best = min(stands, key=lambda p: (p["at"], params.content(p)), default=None)
    return best, len(records) - len(stands)


def group_labels(labels: Iterable[Label]) -> dict[str, list[Label]]:
    by_id: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_id[label["id"]].append(label)
    return by_id


def valid(prediction: Prediction, label: Label, params: Params) -> bool:
    """Decision 8: a property of the pair alone."""
    return -params.skew_ms <= label["at"] - prediction["at"] <= params.horizon_ms


def rank(label: Label) -> tuple[int, bool, float]:
    """Order among the labels of one id: later beats earlier, then a value beats a withdrawal, then the larger value."""
    value = label["label"]
    return label["at"], value is not None, 0.0 if value is None else float(value)


def winning_label(prediction: Prediction, labels: Iterable[Label], params: Params) -> Label | None:
    """The winner among the labels valid for this prediction; it may be a withdrawal."""
    return max((x for x in labels if valid(prediction, x, params)), key=rank, default=None)


def absent_value(prediction: Prediction, params: Params, known_before_ms: int | None) -> float | None:
    """The value of a label that never came, once that is certain (decisions 11 and 13)."""
    certain_ms = prediction["at"] + params.absent_after_ms + params.lateness_ms + params.settle_ms
    return params.absent_value if known_before_ms is None or certain_ms < known_before_ms else None


# -- windows --------------------------------------------------------------------------------------------------------


def calendar_start(at_ms: int, calendar: Calendar) -> int:
    """First ms of the UTC day or month of `at_ms`."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    first = moment.replace(hour=0, minute=0, second=0, day=1 if calendar == "month" else moment.day)
    return int(first.timestamp()) * 1000


def segments_of(prediction: Prediction, params: Params) -> list[str]:
    """`all`, and one `dimension=value` per dimension (decision 12)."""
    given = prediction.get("segments", {})
    values = {d: given.get(d) for d in params.segments}
    return ["all", *(f"{d}={v if v in params.segments[d] else 'other'}" for d, v in values.items())]


def windows_of(prediction: Prediction, params: Params) -> list[WindowOf]:
    """Every (model, version, segment, start) that a prediction counts in."""
    return [
        (prediction["model"], prediction["version"], segment, start)
        for segment in segments_of(prediction, params)
        for start in params.window.starts(prediction["at"])
    ]


def count(rows: Iterable[Row], params: Params) -> dict[WindowOf, Counts]:
    """Seen, labelled and the four cells of the confusion matrix, per window."""
    windows: dict[WindowOf, Counts] = {}
    for row in rows:
        for window in windows_of(row.prediction, params):
            counts = windows.setdefault(window, dict.fromkeys(("seen", "labelled", "tp", "fp", "fn", "tn"), 0))
            counts["seen"] += 1
            if row.value is not None:
                counts["labelled"] += 1
                counts[cell(row.prediction["prediction"], row.value, params.positive)] += 1
    return windows


def cell(predicted: float, label: float, positive: float) -> str:
    """Which cell of the confusion matrix a pair is in."""
    right = "t" if (predicted == positive) == (label == positive) else "f"
    return right + ("p" if predicted == positive else "n")


# -- outcomes -------------------------------------------------------------------------------------------------------


def _prediction_outcomes(
    keys: Mapping[Key, Sequence[Read[Prediction]]], labels: list[Label], params: Params
) -> Counter[str]:
    by_id = group_labels(labels)
    total: Counter[str] = Counter()
    for (id_, *_), records in keys.items():
        prediction, withdrawals = winning_prediction(records, params)
        settled = ["withdrawn"] if withdrawals else []
        if prediction is not None:
            label = winning_label(prediction, by_id.get(id_, ()), params)
            matched = label is not None and label["label"] is not None
            settled.append("withdrawn" if withdrawals else "matched" if matched else "expired")
        total.update(settled)
        total["duplicate"] += len(records) - len(settled)
    return total


def _label_outcomes(
    keys: Mapping[Key, Sequence[Read[Prediction]]], labels: list[Label], params: Params
) -> Counter[str]:
    winners: dict[str, list[Prediction]] = defaultdict(list)
    for (id_, *_), records in keys.items():
        prediction, _ = winning_prediction(records, params)
        if prediction is not None:
            winners[id_].append(prediction)
    total: Counter[str] = Counter()
    for id_, given in group_labels(labels).items():
        distinct = list({rank(x): x for x in given}.values())
        total["duplicate"] += len(given) - len(distinct)
        total.update(_label_outcome(label, distinct, winners.get(id_, []), params) for label in distinct)
    return total


def _label_outcome(label: Label, rivals: list[Label], predictions: list[Prediction], params: Params) -> str:
    if not predictions:
        return "orphaned"
    if any(winning_label(p, rivals, params) is label for p in predictions):
        return "withdrawal" if label["label"] is None else "applied"
    return "superseded" if any(valid(p, label, params) for p in predictions) else "outside"
