"""The join of whole logs: read all of a partition, then decide. What each record came to, and which label each row has.

The engine (`join.join`) holds as little as it can and says how windows change; here everything is at hand, and what is wanted
are the rows themselves. The rules are the same, so rows counted by window are the windows of the engine after the end of
input; both are held against one dict (`tests/oracle/join.py`).

Columns throughout. Only keys that came more than once are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Int64s, UInt64s
from monitor.join.timeline import Bounds

Content = Callable[[int], Any]
"""What orders records of a key with one event time: the content of a record by its place. Asked for such records only."""


class Fate(IntEnum):
    """What a prediction record came to."""

    STANDS = 0
    LATE = 1
    DUPLICATE = 2
    WITHDRAWN = 3


class Use(IntEnum):
    """What a label record came to."""

    ORPHANED = 0  # no prediction has its id
    APPLIED = 1
    SUPERSEDED = 2
    OUTSIDE = 3  # its id's predictions are too far from it in time
    WITHDRAWAL = 4
    LATE = 5
    DUPLICATE = 6


@dataclass(frozen=True, slots=True)
class Predictions:
    """Prediction records of one partition in offset order. `key` tells (model, version) apart."""

    ids: UInt64s
    key: Int64s
    at_ms: Int64s
    before_ms: Int64s
    withdrawn: Bools

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True, slots=True)
class Labels:
    """Label records of one partition in offset order; `value` NaN withdraws."""

    ids: UInt64s
    at_ms: Int64s
    before_ms: Int64s
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at_ms)


def late(at_ms: Int64s, before_ms: Int64s, lateness_ms: int) -> Bools:
    """Records below the finality clock before them."""
    out: Bools = at_ms < before_ms - lateness_ms
    return out


def same_keys(records: Predictions) -> Int64s:
    """A number for each (id, model, version), the same for records that share it."""
    return _numbers(records.key, records.ids[:, 1], records.ids[:, 0])


def among(numbers: Int64s, some: Int64s) -> Bools:
    """Which of the numbers are among `some`. Dense ones only: this is a table as long as the largest is large."""
    table = np.zeros(int(max(numbers.max(initial=-1), some.max(initial=-1))) + 1, np.bool_)
    table[some] = True
    return table[numbers]


def fates(records: Predictions, keys: Int64s, lateness_ms: int, content: Content) -> NDArray[np.int8]:
    """The fate of each record. `keys` as `same_keys` numbers them.

    Of a prediction that came several times the smallest (at, content) stands; one that was withdrawn does not. A key
    is remembered by its log's finality clock: a record that comes later than that is another prediction.
    """
    out = np.full(len(records), Fate.STANDS, np.int8)
    too_late = late(records.at_ms, records.before_ms, lateness_ms)
    out[too_late] = Fate.LATE
    usable = np.flatnonzero(~too_late)
    out[usable[records.withdrawn[usable]]] = Fate.WITHDRAWN
    order = usable[np.argsort(keys[usable], kind="stable")]
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    starts, ends = np.append(0, cuts), np.append(cuts, len(order))
    for start, end in zip(*(x[ends - starts > 1].tolist() for x in (starts, ends)), strict=True):
        for one in _predictions(order[start:end].tolist(), records, lateness_ms):
            _settle(one, records, content, out)
    return out


def _predictions(places: list[int], records: Predictions, lateness_ms: int) -> list[list[int]]:
    """The records of a key, parted into the predictions that used it, each in the order of the log."""
    found: list[list[int]] = []
    for place in places:
        oldest = int(records.before_ms[place]) - lateness_ms
        for one in found:
            if _held_ms(one, records) >= oldest:
                one.append(place)
                break
        else:
            found.append([place])
    return found


def _held_ms(places: list[int], records: Predictions) -> int:
    """The time by which a prediction is remembered."""
    times = [int(records.at_ms[place]) for place in places if not records.withdrawn[place]]
    return min(times, default=int(records.at_ms[places[0]]))


def _settle(places: list[int], records: Predictions, content: Content, out: NDArray[np.int8]) -> None:
    stands = [place for place in places if not records.withdrawn[place]]
    withdrawals = [place for place in places if records.withdrawn[place]]
    first_ms = min((int(records.at_ms[place]) for place in stands), default=0)
    rivals = [place for place in stands if records.at_ms[place] == first_ms]
    out[places] = Fate.DUPLICATE
    if rivals:
        best = rivals[0] if len(rivals) == 1 else min(rivals, key=lambda place: (content(place), place))
        out[best] = Fate.WITHDRAWN if withdrawals else Fate.STANDS
    if withdrawals:
        out[withdrawals[0]] = Fate.WITHDRAWN


def match(
    ids: UInt64s, at_ms: Int64s, labels: Labels, usable: Bools, bounds: Bounds
) -> tuple[Int64s, NDArray[np.int8]]:
    """(per prediction the place of the label that wins for it, -1 for none; the use of each label).

    The winner is the valid label with the largest (time, value), a withdrawal being smaller than any value; it may be a
    withdrawal. Labels that are not `usable` are called late; who left them out knows better.
    """
    winner = np.full(len(at_ms), -1, np.int64)
    use = np.full(len(labels), Use.ORPHANED, np.int8)
    use[~usable] = Use.LATE
    places = np.flatnonzero(usable)
    if not len(places) or not len(at_ms):
        if len(places):
            use[_repeats(labels, places)] = Use.DUPLICATE
        return winner, use
    repeated = _repeats(labels, places)
    use[repeated] = Use.DUPLICATE
    places = places[use[places] != Use.DUPLICATE]
    words = np.concatenate([labels.ids[places], ids])
    who = _numbers(words[:, 1], words[:, 0])
    of_label, of_row = who[: len(places)], who[len(places) :]

    null = np.isnan(labels.value[places])
    value = np.where(null, 0.0, labels.value[places])
    order = np.lexsort((value, ~null, labels.at_ms[places], of_label))
    sorted_at, sorted_who = labels.at_ms[places][order], of_label[order]
    last = _last_upto(sorted_who, sorted_at, of_row, at_ms + bounds.horizon_ms)
    found = np.flatnonzero(last >= 0)
    found = found[sorted_at[last[found]] >= at_ms[found] - bounds.skew_ms]
    winner[found] = places[order[last[found]]]

    _uses(use, labels, places, (of_label, of_row, at_ms), winner, bounds)
    return winner, use


def _uses(
    use: NDArray[np.int8],
    labels: Labels,
    places: Int64s,
    who: tuple[Int64s, Int64s, Int64s],
    winner: Int64s,
    bounds: Bounds,
) -> None:
    """What became of the labels at `places`. `who`: the number of the id of each label, of each row, times of rows."""
    of_label, of_row, at_ms = who
    label_at = labels.at_ms[places]
    order = np.lexsort((at_ms, of_row))
    row_who, row_at = of_row[order], at_ms[order]
    last = _last_upto(row_who, row_at, of_label, label_at + bounds.skew_ms)
    valid = last >= 0
    valid[valid] = row_at[last[valid]] >= label_at[valid] - bounds.horizon_ms
    use[places[among(of_label, of_row)]] = Use.OUTSIDE
    use[places[valid]] = Use.SUPERSEDED
    won = np.unique(winner[winner >= 0])
    use[won] = np.where(np.isnan(labels.value[won]), Use.WITHDRAWAL, Use.APPLIED)


def _last_upto(who: Int64s, at_ms: Int64s, asked: Int64s, upto_ms: Int64s) -> Int64s:
    """Per question the place of the last of the sorted (who, at) with the same who and at <= upto; -1 for none."""
    times = np.sort(at_ms)
    times = times[np.append(True, times[1:] != times[:-1])] if len(times) else times
    # Times become ranks: two numbers in one, so that one search finds both.
    step = len(times) + 1
    keys = who * step + np.searchsorted(times, at_ms)
    place = np.searchsorted(keys, asked * step + np.searchsorted(times, upto_ms, side="right")) - 1
    out: Int64s = np.where((place >= 0) & (who[place] == asked), place, -1)
    return out


def _repeats(labels: Labels, places: Int64s) -> Int64s:
    """Those of some labels that say what an earlier one said: the same id, time and value."""
    null = np.isnan(labels.value[places])
    same = _numbers(
        np.where(null, 0.0, labels.value[places]),
        null,
        labels.at_ms[places],
        labels.ids[places, 1],
        labels.ids[places, 0],
    )
    first = np.full(int(same.max(initial=-1)) + 1, -1, np.int64)
    first[same[::-1]] = np.arange(len(places))[::-1]  # of several with one number the earliest is written last
    out: Int64s = places[first[same] != np.arange(len(places))]
    return out


def _numbers(*columns: NDArray[Any]) -> Int64s:
    """Dense numbers of equal rows, ascending by the last column, then the one before, and so on."""
    order = np.lexsort(columns)
    new = np.zeros(len(order), np.bool_)
    for column in columns:
        new[1:] |= column[order][1:] != column[order][:-1]
    out = np.empty(len(order), np.int64)
    out[order] = np.cumsum(new)
    return out
