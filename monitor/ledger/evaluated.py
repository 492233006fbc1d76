"""Evaluations of every kind: made into those that say more, and what each says, whichever kind it is of."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from monitor.editions import Edition, Named
from monitor.ledger.records import (
    EDITION_FORMAT,
    FORMAT,
    PANE_FORMAT,
    SWITCH_FORMAT,
    EvalCommit,
    EvalEdition,
    EvalModels,
    EvalPane,
    EvalSwitch,
    Generation,
    format_of_roster,
)
from monitor.ledger.roster import Roster

_T = TypeVar("_T")


def switch_of(
    evaluation: EvalCommit,
    generation: Generation,
    windows_from_ms: int | None = None,
    roster: Roster | msgspec.UnsetType = msgspec.UNSET,
) -> EvalSwitch:
    """The evaluation, as one that names a generation, since when its windows hold where they are others, and its models where
    they are."""
    fields = msgspec.structs.asdict(evaluation) | {"generation": generation, "roster": roster}
    least = FORMAT if isinstance(roster, msgspec.UnsetType) else format_of_roster(roster)
    if windows_from_ms is None:
        return EvalSwitch(**(fields | {"format": max(least, SWITCH_FORMAT)}))
    return EvalPane(**(fields | {"format": max(least, PANE_FORMAT), "windows_from_ms": windows_from_ms}))


def models_of(evaluation: EvalCommit, roster: Roster) -> EvalModels:
    """The evaluation, as one from which on windows of models, or of their senses, begin."""
    return EvalModels(**(msgspec.structs.asdict(evaluation) | {"format": format_of_roster(roster), "roster": roster}))


def by_edition(evaluation: EvalCommit, edition: Edition, from_ms: int | None) -> EvalEdition:
    """The evaluation, of whatever kind, as one that was decided by an edition after the first; `from_ms`: where that begins if
    it does now."""
    began = msgspec.UNSET if from_ms is None else from_ms
    fields = {"format": max(EDITION_FORMAT, evaluation.format), "edition": edition, "edition_from_ms": began}
    return EvalEdition(**(msgspec.structs.asdict(evaluation) | fields))


def edition_named(evaluation: EvalCommit) -> Named:
    """What an evaluation says of the edition that it was decided by."""
    return evaluation.edition if isinstance(evaluation, EvalEdition) else msgspec.UNSET


def generation_of(evaluation: EvalCommit) -> Generation | None:
    """Which generation holds from an evaluation on; None where it is that from before."""
    return _said(evaluation.generation) if isinstance(evaluation, EvalSwitch | EvalEdition) else None


def roster_of(evaluation: EvalCommit) -> Roster | None:
    """The models from an evaluation on; None where they are those from before."""
    return _said(evaluation.roster) if isinstance(evaluation, EvalSwitch | EvalModels | EvalEdition) else None


def windows_from_ms(evaluation: EvalCommit) -> int | None:
    """Since when the windows of an evaluation's configuration hold; None where they are those from before."""
    return _said(evaluation.windows_from_ms) if isinstance(evaluation, EvalPane | EvalEdition) else None


def _said(value: _T | msgspec.UnsetType) -> _T | None:
    return None if isinstance(value, msgspec.UnsetType) else value
