"""What must hold of a challenger beside its average loss, and the list of what nobody looked at.

    anchor        its mean loss on fixed rows is not higher than the champion's by more than a margin, nor in a guarded segment
    calibration   its probabilities are as frequent as they say
    flips         it does not decide too many rows the other way: whoever acts on decisions is not surprised
    size          its files are within a budget
    scoring       1,000 rows are scored within a budget of time

A guard compares a number with a limit. It is no statistical test: an anchor set does not change and has no luck in it, the
others bound what *is*, on the held-out rows. They can only hold a challenger back, so a false pass is not made likelier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import numpy as np
from msgspec import UNSET

from pipelines.gate import FORMAT, GateReport, GateSpec, Guard, NotTested, Outcome, Paired, Reason, Untested
from pipelines.losses import BINARY, Floats

CALIBRATION_BINS: Final = 10
CALIBRATION_ROWS_MIN: Final = 200
"""Rows below which a calibration error is mostly noise."""
GUARDS: Final = (Reason.ANCHOR, Reason.CALIBRATION, Reason.FLIPS, Reason.SIZE, Reason.SCORING)


def guarded(
    report: GateReport, paired: Paired, anchor: Paired | None, size_bytes: int, more: Iterable[NotTested] = ()
) -> GateReport:
    """The report with its guards and with what was not tested. `anchor`: the same two models on the anchor set, None where
    none is asked for; `more`: what others did not test."""
    guards = tuple(_guards(report.spec, paired, anchor, size_bytes)) if report.outcome is not Outcome.ERROR else ()
    outcomes = {guard.outcome for guard in guards}
    outcome = report.outcome
    if Outcome.ERROR in outcomes:
        outcome = Outcome.ERROR
    elif Outcome.FAIL in outcomes:
        outcome = Outcome.FAIL
    untested = tuple(_not_tested(report, guards, anchor))
    asked = [each for each in untested if each.what in GUARDS and each.why is not Untested.NOT_ASKED]
    first = paired.champion_scores is None  # nobody's decisions flip where nothing serves yet
    lacking = [each for each in asked if not (first and each.what == Reason.FLIPS) and outcome is not Outcome.ERROR]
    if outcome is Outcome.PASS and lacking:
        outcome = Outcome.INCONCLUSIVE  # a limit that nobody could look at is not kept
    broken = [guard for guard in guards if guard.outcome is not Outcome.PASS]
    said = [
        *(guard.detail for guard in broken),
        *(f"{each.what} could not be tested: {each.detail}" for each in lacking),
    ]
    detail = "; ".join([*said, f"{'but for that ' if said else ''}{report.detail}"])
    return msgspec.structs.replace(
        report,
        format=FORMAT,
        outcome=outcome,
        reasons=(*report.reasons, *(guard.name for guard in broken), *([Reason.UNTESTED] if lacking else [])),
        guards=guards,
        not_tested=(*untested, *more),
        detail=detail,
    )


def calibration_error(labels: Floats, scores: Floats) -> float:
    """Root mean square difference between a probability and how often it comes true, over ten groups of equal numbers of
    rows, without what luck alone adds (as in Kumar, Liang & Ma 2019, "Verified uncertainty calibration")."""
    total = 0.0
    for group in np.array_split(np.argsort(scores, kind="stable"), CALIBRATION_BINS):
        if group.size > 1:
            rest = scores[group] - labels[group]
            total += group.size * float(rest.mean() ** 2) - float(rest.var(ddof=1))
    return float(np.sqrt(max(0.0, total / labels.size)))


def flips_ratio(champion: Floats, challenger: Floats, threshold: float) -> float:
    """Share of the rows that the two decide differently."""
    return float(((champion >= threshold) != (challenger >= threshold)).mean())


def _guards(spec: GateSpec, paired: Paired, anchor: Paired | None, size_bytes: int) -> Iterator[Guard]:
    if anchor is not None:
        yield _anchored(anchor, spec)
    labels, old, new = paired.labels, paired.champion_scores, paired.challenger_scores
    enough = labels is not None and labels.size >= CALIBRATION_ROWS_MIN
    if labels is not None and new is not None and enough and spec.calibration_max is not UNSET:
        yield _within(Reason.CALIBRATION, calibration_error(labels, new), spec.calibration_max, "calibration error")
    if old is not None and new is not None and spec.flips_ratio_max is not UNSET and new.size:
        ratio = flips_ratio(old, new, spec.loss.threshold)
        yield _within(Reason.FLIPS, ratio, spec.flips_ratio_max, "share of decisions that flip")
    if spec.size_bytes_max is not UNSET:
        yield _within(Reason.SIZE, float(size_bytes), float(spec.size_bytes_max), "bytes of its files")
    if paired.scoring_ms is not None and spec.scoring_ms is not UNSET:
        yield _within(Reason.SCORING, paired.scoring_ms, float(spec.scoring_ms), "ms to score 1,000 rows")


def _within(name: Reason, found: float, most: float, what: str) -> Guard:
    found = float(f"{found:.9g}")
    outcome = Outcome.PASS if found <= most else Outcome.FAIL
    return Guard(name, outcome, found, most, f"{what}: {found:,.9g}, at most {most:,.9g} allowed")


def _anchored(anchor: Paired, spec: GateSpec) -> Guard:
    asked = spec.anchor
    assert asked is not UNSET
    bad = int(np.count_nonzero(~np.isfinite(anchor.champion) | ~np.isfinite(anchor.challenger)))
    if bad or not anchor.champion.size:
        detail = f"{bad:,} of {anchor.champion.size:,} rows of the anchor set have no label or score"
        return Guard(Reason.ANCHOR, Outcome.ERROR, None, asked.margin, detail)
    if missing := [name for name in spec.segments if name not in anchor.segments]:
        detail = f"the anchor set has no dimension {missing[0]!r}, which is guarded"
        return Guard(Reason.ANCHOR, Outcome.ERROR, None, asked.margin, detail)
    worse = anchor.challenger - anchor.champion
    parts = {"the anchor set": float(worse.mean())}
    for dimension in spec.segments:
        values = anchor.segments[dimension]
        for value in sorted(set(values.tolist())):
            parts[f"{dimension}={value} of the anchor set"] = float(worse[values == value].mean())
    where = max(parts, key=lambda name: parts[name])
    found, mean = float(f"{parts[where]:.6g}"), float(anchor.challenger.mean())
    too_high = asked.loss_max is not None and mean > asked.loss_max
    outcome = Outcome.FAIL if found > asked.margin or too_high else Outcome.PASS
    detail = f"loss on {where} ({worse.size:,} rows) is higher by {found:+.4g}, at most {asked.margin:.4g} allowed"
    if too_high:
        detail += f"; it is {mean:.4g}, at most {asked.loss_max:.4g} allowed"
    return Guard(Reason.ANCHOR, outcome, found, asked.margin, detail)


def _not_tested(report: GateReport, guards: tuple[Guard, ...], anchor: Paired | None) -> Iterator[NotTested]:
    spec = report.spec
    if not spec.segments:
        yield NotTested("segments", Untested.NOT_ASKED)
    for segment in report.segments:
        if segment.outcome is None:
            found = segment.comparison
            assert found.lower is not None
            assert found.upper is not None
            detail = (
                f"{found.rows:,} rows, {spec.segment_rows_min:,} are needed; "
                f"differences up to {(found.upper - found.lower) / 2:.4g} could not show"
            )
            yield NotTested(segment.name, Untested.FEW_ROWS, detail)
    for name in _absent(report, anchor):
        yield NotTested(f"{name} on the anchor set", Untested.FEW_ROWS, "no row of it has this value")
    limits = (spec.anchor, spec.calibration_max, spec.flips_ratio_max, spec.size_bytes_max, spec.scoring_ms)
    tested = {guard.name for guard in guards}
    for name, limit in zip(GUARDS, limits, strict=True):
        if limit is UNSET:
            detail = (
                ""
                if spec.loss.name in BINARY or name not in (Reason.CALIBRATION, Reason.FLIPS)
                else "no label of 0 or 1"
            )
            yield NotTested(str(name), Untested.NOT_ASKED, detail)
        elif name not in tested:
            few = name is Reason.CALIBRATION and report.overall.rows < CALIBRATION_ROWS_MIN
            why = Untested.FEW_ROWS if few else Untested.NOT_HERE
            yield NotTested(str(name), why, _LACKS[name])


def _absent(report: GateReport, anchor: Paired | None) -> Iterator[str]:
    """Guarded segments of the held-out rows that the anchor set has no row of."""
    if anchor is None or not anchor.champion.size:
        return
    for name in report.spec.segments:
        there = {f"{name}={value}" for value in anchor.segments.get(name, ())}
        yield from (s.name for s in report.segments if s.name.startswith(f"{name}=") and s.name not in there)


_LACKS: Final = {
    Reason.ANCHOR: "the rows could not be judged at all",
    Reason.CALIBRATION: f"it needs scores of {CALIBRATION_ROWS_MIN:,} rows",
    Reason.FLIPS: "it needs the scores of both",
    Reason.SIZE: "the rows could not be judged at all",
    Reason.SCORING: "nobody took the time",
}
