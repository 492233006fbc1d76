"""The report of a gate for people, as Markdown. Everything on the page is in the report; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.gate import CHAMPION, Comparison, GateReport, Goal, Outcome

_WORDS = {None: "not tested", Outcome.PASS: "not worse", Outcome.FAIL: "worse", Outcome.INCONCLUSIVE: "undecided"}


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
    yield _row("all", report.overall, str(report.outcome))
    for segment in report.segments:
        yield _row(segment.name, segment.comparison, _WORDS.get(segment.outcome, "error"))
    yield ""
    yield f"Difference: {rival}'s loss minus the challenger's; above 0 the challenger is better."
    if untested := [plain(segment.name) for segment in report.segments if segment.outcome is None]:
        yield f"Not tested, for want of {spec.segment_rows_min:,} rows: {', '.join(untested)}."
    if (second := report.second_opinion) is not None:
        yield ""
        yield (
            f"Second opinion, valid if the difference is the same throughout (Waudby-Smith & Ramdas 2024): "
            f"within {second.lower:+.4g} and {second.upper:+.4g}. It does not decide."
        )
    yield ""
    yield f"Bounds: {report.source}."


def _row(name: str, found: Comparison, says: str) -> str:
    numbers = (found.champion, found.challenger)
    signed = (found.difference, found.lower, found.upper)
    cells = [*("-" if n is None else f"{n:.4g}" for n in numbers), *("-" if n is None else f"{n:+.4g}" for n in signed)]
    return f"| {plain(name)} | {found.rows:,} | {' | '.join(cells)} | {says} |"


def plain(text: str) -> str:
    """Text from outside as one cell: no control characters, no markup of tables."""
    return "".join(c if c.isprintable() and c not in "|<>`" else " " for c in text)
