"""The gate of a run, put together: losses on the held-out rows, guards, the anchor set, what was not tested, the explanation.

The decisions are in `pipelines.gate`, `pipelines.guards` and `pipelines.intake`; here the ports are asked for what they need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from pipelines import codec
from pipelines.errors import StepFailed
from pipelines.gate import (
    CHAMPION,
    FORMAT_MISSING,
    SEGMENTS_MAX,
    GateReport,
    NotTested,
    Outcome,
    Paired,
    Untested,
    judge,
)
from pipelines.gate_page import page
from pipelines.guards import guarded
from pipelines.intake import NO_SOURCE, capped, surprising
from pipelines.policy import Labels, Policy
from pipelines.ports import Alive, Artifact, Dataset, Finding, Ports, Serving

SURPRISE: Final = "label surprise"


def judged(
    ports: Ports,
    policy: Policy,
    dataset: Dataset,
    challenger: Artifact,
    champion: Serving | None,
    alive: Alive,
    alpha: float | None = None,
    rival: str = CHAMPION,
    more: tuple[NotTested, ...] = (),
) -> GateReport:
    """What the gate says of a challenger on the held-out rows of a dataset. `alpha`, `rival`: see `judge`; `more`: what was not
    tested before."""
    paired = ports.evaluator.losses(policy, dataset, challenger, champion, alive)
    anchor = None
    if policy.gate.anchor is not UNSET:
        rows = msgspec.structs.replace(
            ports.anchors.anchor(policy), train=dataset.train, train_rows=dataset.train_rows
        )  # the base rate is that of the training rows
        anchor = ports.evaluator.losses(policy, rows, challenger, champion, alive)
    size_bytes = sum(file.size_bytes for file in challenger.files.values())
    unseen = untested_segments(ports, policy, dataset, paired, alive)
    report = guarded(
        judge(paired, policy.gate, alpha, rival), paired, anchor, size_bytes, (*unseen, *more, *untested_labels(policy))
    )
    if report.outcome is Outcome.ERROR:
        return report
    report = msgspec.structs.replace(report, format=FORMAT_MISSING, missing=ports.data.missing(policy, dataset))
    try:
        explanation = ports.evaluator.explained(policy, dataset, paired, challenger, champion, alive)
    except StepFailed as error:  # it is for people, and decides nothing: the verdict stands without it
        left_out = NotTested("what they look at", Untested.NOT_HERE, str(error))
        assert report.not_tested is not UNSET
        return msgspec.structs.replace(report, not_tested=(*report.not_tested, left_out))
    return msgspec.structs.replace(report, explanation=explanation)


def untested_segments(
    ports: Ports, policy: Policy, dataset: Dataset, paired: Paired, alive: Alive
) -> Iterator[NotTested]:
    """Values of guarded segments that rows to train on have and none of those to judge by."""
    if not policy.gate.segments:
        return
    groups = ports.evaluator.scored(policy, dataset.train, None, alive).groups
    for name in policy.gate.segments:
        judged_by = {str(value) for value in paired.segments.get(name, ())} | {NO_SOURCE}
        values, counts = np.unique(groups.get(name, np.array([], dtype=object)), return_counts=True)
        for value, count in list(zip(values.tolist(), counts.tolist(), strict=True))[:SEGMENTS_MAX]:
            if value not in judged_by:
                detail = f"no row to judge by; {count:,} to train on"
                yield NotTested(f"{name}={value}", Untested.FEW_ROWS, detail)


def untested_labels(policy: Policy) -> Iterator[NotTested]:
    """What nobody asked of labels, and what rows cannot say where the champion decided which labels there are."""
    if policy.intake is UNSET or policy.intake.source is None:
        yield NotTested("label sources", Untested.NOT_ASKED)
    if policy.intake is UNSET or policy.intake.surprise is UNSET:
        yield NotTested(SURPRISE, Untested.NOT_ASKED)
    if policy.labels is Labels.CENSORED:
        detail = "rows whose label the champion's decisions prevented are not among them"
        yield NotTested("rows without a label", Untested.CENSORED, detail)


def taken_in(
    ports: Ports, policy: Policy, dataset: Dataset, champion: Serving | None, alive: Alive
) -> tuple[tuple[Finding, ...], tuple[NotTested, ...]]:
    """What forbids training on these labels, and what of it was not tested. See `pipelines.intake`."""
    intake = policy.intake
    if intake is UNSET:
        return (), ()
    asked, known, skipped = intake.surprise, policy.data.score, []
    if asked is not UNSET and champion is None:
        skipped.append(NotTested(SURPRISE, Untested.NOT_HERE, "nothing served that could be surprised"))
    wanted = champion if asked is not UNSET else None
    parts = [
        ports.evaluator.scored(policy, rows, wanted, alive, known if wanted else None)
        for rows in (dataset.train, dataset.test)
    ]
    groups = {
        name: np.concatenate([part.groups.get(name, _none(part.labels)) for part in parts]) for name in _names(parts)
    }
    found = [Finding("label source", sentence) for sentence in capped(groups, intake)]
    if asked is not UNSET and wanted is not None:
        scores = [part.scores for part in parts if part.scores is not None]
        if len(scores) != len(parts):
            raise StepFailed("the champion", "gave no scores for the rows to train on", "This is a bug: report it.")
        labels = np.concatenate([part.labels for part in parts])
        found += [Finding(SURPRISE, sentence) for sentence in surprising(labels, np.concatenate(scores), groups, asked)]
    return tuple(found), tuple(skipped)


def _names(parts: list[Any]) -> list[str]:
    return sorted(set[str]().union(*(part.groups for part in parts)))


def _none(labels: Any) -> Any:
    return np.full(len(labels), "None", dtype=object)


def importance(report: GateReport) -> dict[str, float]:
    """What the challenger leans on, by feature: by how much its loss rises without it. Nothing where it was not looked for."""
    why = report.explanation
    return {} if why is UNSET else {each.feature: each.challenger for each in why.importance}


def kept(ports: Ports, report: GateReport, title: str, rival: str = CHAMPION) -> dict[str, Any]:
    """The report and its page in the store, as a fact of the journal."""
    return {
        "outcome": str(report.outcome),
        "reasons": [str(reason) for reason in report.reasons],
        "detail": report.detail,
        "report": ports.store.put_blob([codec.encode(report)]).digest,
        "page": ports.store.put_blob([page(report, title, rival).encode()]).digest,
    }
