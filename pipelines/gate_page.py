"""The report of a gate for people, as Markdown. Everything on the page is in the report; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from pipelines.explanation import Explanation
from pipelines.gate import CHAMPION, Comparison, GateReport, Goal, Outcome, Reason, Untested

_ALL: Final = {
    Reason.WORSE: "fail", Reason.FUTILE: "fail", Reason.FEW_ROWS: "inconclusive", Reason.UNDECIDED: "inconclusive",
    Reason.BETTER: "pass", Reason.NOT_WORSE: "pass",
}  # fmt: skip
_WORDS = {None: "not tested", Outcome.PASS: "not worse", Outcome.FAIL: "worse", Outcome.INCONCLUSIVE: "undecided"}

_WHY_NOT: Final = {
    Untested.FEW_ROWS: "too few rows",
    Untested.NOT_ASKED: "the policy does not ask for it",
    Untested.NOT_HERE: "what it needs is not there",
    Untested.CENSORED: "the champion decided which labels there are",
}


def page(report: GateReport, title: str, rival: str = CHAMPION) -> str:
    """The page. `title` names the challenger and what it was compared with; `rival` is what the report was made with."""
    return "\n".join(_lines(report, title, rival)) + "\n"


def _lines(report: GateReport, title: str, rival: str) -> Iterator[str]:
    spec = report.spec
    asked = "lower" if spec.goal is Goal.BETTER else "not higher"
    yield f"# Gate: {plain(title)}"
    yield ""
    yield f"**{report.outcome}** ({', '.join(report.reasons)}): {plain(report.detail)}."
    yield ""
    yield f"Asked: is the {spec.loss.name} of the challenger {asked} than {rival}'s by more than {spec.margin:g}?"
    if spec.segments:
        yield f"And at most {spec.segment_margin:g} higher in every segment of {', '.join(map(plain, spec.segments))}?"
    yield f"Each end of an interval fails, at any number of rows, with probability {report.alpha:.4g}."
    yield ""
    yield f"| rows of | rows | {rival.removeprefix('the ')} | challenger | difference | from | to | says |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    yield _row("all", report.overall, _of_all(report))
    for segment in report.segments:
        yield _row(segment.name, segment.comparison, _WORDS.get(segment.outcome, "error"))
    yield ""
    yield f"Difference: {rival}'s loss minus the challenger's; above 0 the challenger is better."
    untested = [plain(segment.name) for segment in report.segments if segment.outcome is None]
    if untested and report.not_tested is UNSET:  # of format 1
        yield f"Not tested, for want of {spec.segment_rows_min:,} rows: {', '.join(untested)}."
    if (second := report.second_opinion) is not None:
        yield ""
        yield (
            f"Second opinion, valid if the difference is the same throughout (Waudby-Smith & Ramdas 2024): "
            f"within {second.lower:+.4g} and {second.upper:+.4g}. It does not decide."
        )
    yield ""
    yield f"Bounds: {report.source}."
    yield from _guards(report)
    yield from _not_tested(report)
    yield from _missing(report)
    if report.explanation is not UNSET:
        yield from _explained(report.explanation, rival)


def _of_all(report: GateReport) -> str:
    """What the rows together say, whatever segments and guards do."""
    return next((word for reason, word in _ALL.items() if reason in report.reasons), str(report.outcome))


def _guards(report: GateReport) -> Iterator[str]:
    if not report.guards:
        return
    yield ""
    yield "## What must hold besides"
    yield ""
    yield "| guard | says | found | at most | |"
    yield "| --- | --- | ---: | ---: | --- |"
    for guard in report.guards:
        found = "-" if guard.found is None else f"{guard.found:,.9g}"
        yield f"| {guard.name} | {guard.outcome} | {found} | {guard.most:,.9g} | {plain(guard.detail)} |"


def _not_tested(report: GateReport) -> Iterator[str]:
    if report.not_tested is UNSET:
        return
    yield ""
    yield "## Not tested"
    yield ""
    for each in report.not_tested:
        yield f"- {plain(each.what)}: {_WHY_NOT[each.why]}{f' ({plain(each.detail)})' if each.detail else ''}"
    if not report.not_tested:
        yield "Nothing: all that can be asked was asked."


def _missing(report: GateReport) -> Iterator[str]:
    if report.missing is UNSET:
        return
    yield ""
    yield "## What is missing"
    yield ""
    lacking = [each for each in report.missing if each.train or each.test]
    if not lacking:
        yield "Nothing: every row has every feature."
        return
    yield "| feature | missing in the rows to train on | in those to judge by |"
    yield "| --- | ---: | ---: |"
    for each in lacking:
        yield f"| {plain(each.feature)} | {each.train_ratio:.1%} | {each.test_ratio:.1%} |"
    if rest := len(report.missing) - len(lacking):
        yield ""
        yield f"Of {rest:,} more no row lacks a value."


def _explained(explanation: Explanation, rival: str) -> Iterator[str]:
    yield ""
    yield "## What they look at"
    yield ""
    if explanation.importance:
        yield (
            f"By how much the loss rises when a feature's values are dealt out anew, on {explanation.rows:,} held-out rows. "
            "It tells what a model leans on, not what causes anything."
        )
        yield ""
        yield f"| feature | {rival.removeprefix('the ')} | challenger |"
        yield "| --- | ---: | ---: |"
        for each in explanation.importance:
            old = "-" if each.champion is None else f"{each.champion:+.4g}"
            yield f"| {plain(each.feature)} | {old} | {each.challenger:+.4g} |"
        if explanation.left_out:
            yield ""
            yield f"{explanation.left_out:,} more features were not looked at."
    else:
        yield "Nobody asked for the importance of features."
    yield ""
    yield "## Where they differ most"
    yield ""
    if not explanation.differing:
        yield "Nowhere, or the scores of one are not known."
        return
    yield f"Lines of the held-out rows, {explanation.held_out}."
    yield ""
    yield f"| line | label | {rival.removeprefix('the ')} | challenger |"
    yield "| ---: | ---: | ---: | ---: |"
    for row in explanation.differing:
        yield f"| {row.line:,} | {row.label:g} | {row.champion:.4g} | {row.challenger:.4g} |"


def _row(name: str, found: Comparison, says: str) -> str:
    numbers = (found.champion, found.challenger)
    signed = (found.difference, found.lower, found.upper)
    cells = [*("-" if n is None else f"{n:.4g}" for n in numbers), *("-" if n is None else f"{n:+.4g}" for n in signed)]
    return f"| {plain(name)} | {found.rows:,} | {' | '.join(cells)} | {says} |"


def plain(text: str) -> str:
    """Text from outside as one cell: no control characters, no markup of tables."""
    return "".join(c if c.isprintable() and c not in "|<>`" else " " for c in text)
