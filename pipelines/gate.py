"""Whether a challenger may take the champion's place, decided on losses of both on the same later rows.

Two questions, both must be answered with yes:

- on the whole: is the average loss of the challenger lower than the champion's, by more than `margin` (`goal: better`), or at
  least not higher by more than `margin` (`goal: not_worse`)?
- in every guarded segment: is it at most `segment_margin` higher?

Answers are read from bounds that hold at every row at once (`pipelines.sequential`): a gate may be asked again as often
as labels arrive, and passes a challenger that is not better with probability at most alpha over all the times together. The
segments need no share of alpha: a false pass must get by all of them (an intersection-union test).

Four outcomes. `inconclusive` is what too few rows give, and no rows at all: empty is never pass. `error` is input that cannot be
judged; nothing is concluded from it. A segment with too few rows is not tested, says so in the report, and holds the gate when
such segments hold more than `untested_ratio_max` of the rows.

Beside the average loss there may be guards (`pipelines.guards`): a fixed anchor set, calibration, decisions that flip, budgets of
size and time. Each must hold as well. What was not tested is listed with the reason: silence is never a yes.

Not done here: correcting for champions that decided which labels exist, and spending alpha over several challengers
(`pipelines.trigger` does: it hands in the alpha).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from pipelines.anchor import Anchor
from pipelines.explanation import Explanation
from pipelines.losses import BINARY, Floats, LossSpec
from pipelines.missing import Missing
from pipelines.sense import Wrong, refuse
from pipelines.sequential import average_bounds, constant_mean_bounds

FORMAT: Final = 2
"""1: without guards, what was not tested and an explanation."""
FORMAT_MISSING: Final = 3
"""Says in how many rows features are missing."""
SOURCE: Final = (
    "Howard, Ramdas, McAuliffe & Sekhon 2021 (empirical Bernstein, gamma-exponential mixture); "
    "Choe & Ramdas 2023 (paired losses)"
)
SEGMENTS_MAX: Final = 200
"""Values of a guarded dimension that are tested; a dimension with more is no segment but an id."""
SEGMENTS_NAMED: Final = 3
"""Segments that the sentence names; the report has all."""


class Outcome(StrEnum):
    """What a gate says."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Reason(StrEnum):
    """Why it says so. Every reason that applies is given."""

    BETTER = "better"  # sure that the challenger is better by more than the margin
    NOT_WORSE = "not_worse"  # sure that it is not worse by more than the margin, which is all that was asked
    NO_ROWS = "no_rows"
    FEW_ROWS = "few_rows"
    UNDECIDED = "undecided"  # the bounds leave both answers open
    WORSE = "worse"  # sure that what was asked does not hold
    SEGMENT_WORSE = "segment_worse"
    SEGMENT_UNDECIDED = "segment_undecided"
    UNTESTED = "untested"  # too many rows are in segments too small to test
    LENGTHS = "lengths"
    NOT_FINITE = "not_finite"
    OUT_OF_BOUNDS = "out_of_bounds"
    NO_SEGMENT = "no_segment"  # a guarded dimension is not in the rows
    MANY_SEGMENTS = "many_segments"
    FUTILE = "futile"  # sure that it is better by less than what is worth a change
    ANCHOR = "anchor"  # a guard: see pipelines.guards
    CALIBRATION = "calibration"
    FLIPS = "flips"
    SIZE = "size"
    SCORING = "scoring"


class Untested(StrEnum):
    """Why something was not tested."""

    FEW_ROWS = "few_rows"
    NOT_ASKED = "not_asked"  # the policy does not say anything of it
    NOT_HERE = "not_here"  # what it needs is not there: scores, a champion, the other half of a pair
    CENSORED = "censored"  # the champion's decisions kept these labels away


CHAMPION: Final = "the champion"
BASE_RATE: Final = "the base rate"
"""Of the training rows: what a challenger is compared with where nothing serves yet."""


class Goal(StrEnum):
    """What a challenger has to be."""

    BETTER = "better"
    NOT_WORSE = "not_worse"


class GateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked. Margins are in the unit of the loss. What is unset is not asked, and old policies keep their digest."""

    loss: LossSpec = LossSpec()
    goal: Goal = Goal.BETTER
    margin: float = 0.0
    alpha: float = 0.05
    rows_min: int = 500
    segments: tuple[str, ...] = ()
    segment_margin: float = 0.02
    segment_rows_min: int = 200
    untested_ratio_max: float = 0.1
    worth: float | UnsetType = UNSET  # improvements that are surely smaller are no reason to go on: futility
    anchor: Anchor | UnsetType = UNSET
    calibration_max: float | UnsetType = UNSET  # root mean square error of the challenger's probabilities
    flips_ratio_max: float | UnsetType = UNSET  # share of the rows that are decided the other way
    size_bytes_max: int | UnsetType = UNSET  # of all files of the model
    scoring_ms: int | UnsetType = UNSET  # for 1,000 rows, loading the model included
    explain_rows: int | UnsetType = UNSET  # held-out rows for the importance of features

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if not 0 < self.alpha < 0.5:
            yield Wrong("alpha", f"alpha ({self.alpha}) must lie between 0 and 0.5")
        if not 0 <= self.margin < self.loss.most:
            why = f"margin ({self.margin}) must be at least 0 and below the largest loss ({self.loss.most})"
            yield Wrong("margin", why, ("margin", "loss"))
        if self.goal is Goal.NOT_WORSE and self.margin == 0:
            why = "goal not_worse needs a margin above 0: no number of rows shows a difference of exactly 0"
            yield Wrong("goal", why, ("goal", "margin"))
        if not 0 < self.segment_margin < self.loss.most:
            why = f"segment_margin ({self.segment_margin}) must be above 0 and below {self.loss.most}"
            yield Wrong("segment_margin", why, ("segment_margin", "loss"))
        for name, rows in (("rows_min", self.rows_min), ("segment_rows_min", self.segment_rows_min)):
            if rows < 1:
                yield Wrong(name, f"{name} ({rows}) must be at least 1")
        yield from self._wrong_limits()

    def _wrong_limits(self) -> Iterator[Wrong]:
        if self.worth is not UNSET and (self.goal is not Goal.BETTER or not self.margin < self.worth <= self.loss.most):
            why = f"worth ({self.worth}) must be above margin ({self.margin}), at most {self.loss.most}; goal: better"
            yield Wrong("worth", why, ("worth", "margin", "goal", "loss"))
        for name, limit in (("calibration_max", self.calibration_max), ("flips_ratio_max", self.flips_ratio_max)):
            if limit is not UNSET and self.loss.name not in BINARY:
                why = f"{name} is for a label of 0 or 1, not for the loss {self.loss.name}"
                yield Wrong(name, why, (name, "loss.name"))
            if limit is not UNSET and not 0 <= limit < 1:
                yield Wrong(name, f"{name} ({limit}) must be at least 0 and below 1")
        for name, most in (("size_bytes_max", self.size_bytes_max), ("scoring", self.scoring_ms)):
            if most is not UNSET and most < 1:
                yield Wrong(name, f"{name} ({most}) must be above 0")
        if self.explain_rows is not UNSET and self.explain_rows < 0:
            yield Wrong("explain_rows", f"explain_rows ({self.explain_rows}) must be at least 0")


@dataclass(frozen=True, slots=True)
class Paired:
    """Losses of champion and challenger on the same rows, in the order in which the labels became known.

    `segments`: for each guarded dimension the value of each row. Equal rows in both, or it is an error. What only guards look
    at is None where nobody knows it: labels, the scores of both, and the challenger's ms for 1,000 rows.
    """

    champion: Floats
    challenger: Floats
    segments: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    labels: Floats | None = None
    champion_scores: Floats | None = None
    challenger_scores: Floats | None = None
    scoring_ms: float | None = None


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Champion's loss minus challenger's, on the average of some rows: above 0 the challenger is better.

    Each end of the interval fails, at any row ever, with probability alpha. None where there are no rows.
    """

    rows: int
    champion: float | None
    challenger: float | None
    difference: float | None
    lower: float | None
    upper: float | None


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One guarded segment. `outcome` is None where it was not tested."""

    name: str
    outcome: Outcome | None
    comparison: Comparison


class Guard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing beside the average loss that must hold: what was found, and how much of it is allowed."""

    name: Reason
    outcome: Outcome
    found: float | None
    most: float
    detail: str


class NotTested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something of which the gate says nothing, and why."""

    what: str
    why: Untested
    detail: str = ""


class GateReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gate was asked, saw and says. `alpha` is what this challenger was given of the spec's."""

    format: int
    outcome: Outcome
    reasons: tuple[Reason, ...]
    alpha: float
    spec: GateSpec
    overall: Comparison
    second_opinion: Comparison | None  # constant_mean_bounds; informs, does not decide
    segments: tuple[Segment, ...]
    detail: str
    source: str = SOURCE
    guards: tuple[Guard, ...] | UnsetType = UNSET
    not_tested: tuple[NotTested, ...] | UnsetType = UNSET
    explanation: Explanation | UnsetType = UNSET
    missing: tuple[Missing, ...] | UnsetType = UNSET  # of every feature; such a report has FORMAT_MISSING


def judge(paired: Paired, spec: GateSpec, alpha: float | None = None, rival: str = CHAMPION) -> GateReport:
    """The gate. `alpha` is the share of `spec.alpha` that this challenger has; all of it when None. `rival`: what stands in the
    champion's place, for the sentence."""
    share = spec.alpha if alpha is None else alpha
    if (fault := _fault(paired, spec)) is not None:
        reason, detail = fault
        return GateReport(FORMAT, Outcome.ERROR, (reason,), share, spec, _EMPTY, None, (), detail)
    rows = paired.champion.size
    if rows == 0:
        detail = "there are no held-out rows; nothing can be said"
        return GateReport(FORMAT, Outcome.INCONCLUSIVE, (Reason.NO_ROWS,), share, spec, _EMPTY, None, (), detail)
    overall = _compare(paired.champion, paired.challenger, spec.loss.most, share)
    second = _second(paired, spec.loss.most, share)
    segments = tuple(_segments(paired, spec, share))
    reasons = (*_overall_reasons(overall, spec), *_segment_reasons(segments, rows, spec))
    outcome = _outcome(reasons)
    detail = _detail(outcome, reasons, overall, segments, spec, rival)
    return GateReport(FORMAT, outcome, reasons, share, spec, overall, second, segments, detail)


_EMPTY: Final = Comparison(0, None, None, None, None, None)
_FAILS: Final = frozenset({Reason.WORSE, Reason.FUTILE, Reason.SEGMENT_WORSE})
_OPEN: Final = frozenset({Reason.FEW_ROWS, Reason.UNDECIDED, Reason.SEGMENT_UNDECIDED, Reason.UNTESTED})


def _fault(paired: Paired, spec: GateSpec) -> tuple[Reason, str] | None:
    rows = paired.champion.size
    if paired.challenger.size != rows or any(len(values) != rows for values in paired.segments.values()):
        return Reason.LENGTHS, f"champion has {rows:,} losses, challenger {paired.challenger.size:,}"
    for name, losses in (("champion", paired.champion), ("challenger", paired.challenger)):
        if (bad := int(np.count_nonzero(~np.isfinite(losses)))) > 0:
            return Reason.NOT_FINITE, f"{bad:,} losses of the {name} are no numbers"
        if (bad := int(np.count_nonzero((losses < 0) | (losses > spec.loss.most)))) > 0:
            return Reason.OUT_OF_BOUNDS, f"{bad:,} losses of the {name} are outside [0, {spec.loss.most}]"
    for dimension in spec.segments if rows else ():
        if dimension not in paired.segments:
            return Reason.NO_SEGMENT, f"the rows have no dimension {dimension!r}, which is guarded"
        if (count := len(set(paired.segments[dimension].tolist()))) > SEGMENTS_MAX:
            return Reason.MANY_SEGMENTS, f"{dimension!r} has {count:,} values, more than {SEGMENTS_MAX}"
    return None


def _compare(champion: Floats, challenger: Floats, most: float, alpha: float) -> Comparison:
    last = np.array([champion.size])
    mean, lower, upper = average_bounds((champion - challenger) / (2 * most) + 0.5, alpha, last)
    return Comparison(
        int(champion.size),
        _digits(float(champion.mean())),
        _digits(float(challenger.mean())),
        *(_digits((float(end[0]) - 0.5) * 2 * most) for end in (mean, lower, upper)),
    )


def _second(paired: Paired, most: float, alpha: float) -> Comparison:
    difference = paired.champion - paired.challenger
    lower, upper = constant_mean_bounds(difference / (2 * most) + 0.5, alpha)
    return Comparison(
        int(difference.size),
        _digits(float(paired.champion.mean())),
        _digits(float(paired.challenger.mean())),
        _digits(float(difference.mean())),
        *(_digits((float(end[-1]) - 0.5) * 2 * most) for end in (lower, upper)),
    )


def _digits(value: float) -> float:
    """12 significant digits: what is compared is what is published."""
    return float(f"{value:.12g}")


def _segments(paired: Paired, spec: GateSpec, alpha: float) -> Iterator[Segment]:
    for dimension in spec.segments:
        values = np.array([str(value) for value in paired.segments[dimension].tolist()])
        for value in sorted(set(values.tolist())):
            inside = values == value
            found = _compare(paired.champion[inside], paired.challenger[inside], spec.loss.most, alpha)
            yield Segment(f"{dimension}={value}", _segment_outcome(found, spec), found)


def _segment_outcome(found: Comparison, spec: GateSpec) -> Outcome | None:
    assert found.lower is not None
    assert found.upper is not None
    if found.upper < -spec.segment_margin:  # sure, whatever the number of rows
        return Outcome.FAIL
    if found.rows < spec.segment_rows_min:
        return None
    return Outcome.PASS if found.lower > -spec.segment_margin else Outcome.INCONCLUSIVE


def _overall_reasons(overall: Comparison, spec: GateSpec) -> Iterator[Reason]:
    assert overall.lower is not None
    assert overall.upper is not None
    asked = spec.margin if spec.goal is Goal.BETTER else -spec.margin
    if overall.upper <= asked:
        yield Reason.WORSE
    elif spec.worth is not UNSET and overall.upper < spec.worth:
        yield Reason.FUTILE
    elif overall.rows < spec.rows_min:
        yield Reason.FEW_ROWS
    elif overall.lower > asked:
        yield Reason.BETTER if spec.goal is Goal.BETTER else Reason.NOT_WORSE
    else:
        yield Reason.UNDECIDED


def _segment_reasons(segments: tuple[Segment, ...], rows: int, spec: GateSpec) -> Iterator[Reason]:
    if any(segment.outcome is Outcome.FAIL for segment in segments):
        yield Reason.SEGMENT_WORSE
    if any(segment.outcome is Outcome.INCONCLUSIVE for segment in segments):
        yield Reason.SEGMENT_UNDECIDED
    for dimension in spec.segments:
        own = (segment for segment in segments if segment.name.startswith(f"{dimension}="))
        if sum(segment.comparison.rows for segment in own if segment.outcome is None) > spec.untested_ratio_max * rows:
            yield Reason.UNTESTED
            return


def _outcome(reasons: tuple[Reason, ...]) -> Outcome:
    if _FAILS & set(reasons):
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if _OPEN & set(reasons) else Outcome.PASS


def _detail(
    outcome: Outcome, reasons: Sequence[Reason], whole: Comparison, parts: Sequence[Segment], spec: GateSpec, rival: str
) -> str:
    """Segments that keep it from passing are named: without them a refusal may read as a clear win."""
    assert whole.difference is not None
    assert not math.isnan(whole.difference)
    says = {
        Outcome.PASS: "the challenger is good enough",
        Outcome.FAIL: "the challenger is not what was asked for",
        Outcome.INCONCLUSIVE: "these rows do not decide it",
        Outcome.ERROR: "nothing can be concluded",
    }[outcome]
    if outcome is Outcome.INCONCLUSIVE and (_OPEN & set(reasons)) == {Reason.UNTESTED}:
        says = "too little of it could be tested"
    small = [segment for segment in parts if segment.outcome is None and Reason.UNTESTED in reasons]
    own = [segment for segment in parts if segment.outcome is outcome and outcome is not Outcome.PASS]
    named = [f"{segment.name} ({_found(segment.comparison)})" for segment in own[:SEGMENTS_NAMED]]
    more = f" and {len(own) - SEGMENTS_NAMED:,} more" if len(own) > SEGMENTS_NAMED else ""
    what = "worse" if outcome is Outcome.FAIL else "undecided"
    where = f"{what} in {', '.join(named)}{more}; " if own else ""
    if small and outcome is Outcome.INCONCLUSIVE:
        few = ", ".join(f"{segment.name} ({segment.comparison.rows:,})" for segment in small[:SEGMENTS_NAMED])
        where += f"untested with fewer than {spec.segment_rows_min:,} rows: {few}, over {spec.untested_ratio_max:.0%} of all; "
    return (
        f"{says}: {where}on {whole.rows:,} rows its {spec.loss.name} is {whole.challenger:.4g}, {rival}'s "
        f"{whole.champion:.4g}; {_found(whole)}"
    )


def _found(compared: Comparison) -> str:
    return f"difference {compared.difference:+.4g}, within {compared.lower:+.4g} and {compared.upper:+.4g}"
