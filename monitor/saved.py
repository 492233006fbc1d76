"""The evaluator, saved and restored between two ticks: the body of a checkpoint of `evals`.

What is saved is a function of the accepted records alone, so whoever evaluated them, in whatever steps, saves the same
bytes; who goes on from it decides what he would have decided without. What is added to the evaluator is added here: a test
fails for an attribute that is neither saved nor said to follow from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from monitor.alerts import cloudevents
from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.saved import SavedModel, SavedWatch, restore_traffic, restore_watch, save_traffic, save_watch
from monitor.alerts.saved_advice import SavedFed, restore_advice, save_advice
from monitor.alerts.saved_budget import SavedBudget, has_begins, restore_budget, save_budget
from monitor.alerts.saved_grouping import SavedGroups, restore_groups, save_groups
from monitor.alerts.saved_hold import SavedHold, restore_hold, save_hold
from monitor.alerts.state import AlertState
from monitor.config.windows import Window
from monitor.evaluator import Evaluator
from monitor.frontier import PartitionClock
from monitor.ledger.checkpoints import (
    ADVISED_FORMAT,
    BEGUN_FORMAT,
    CROSSED_FORMAT,
    EDITION_FORMAT,
    FORMAT,
    GROUPED_FORMAT,
    HELD_FORMAT,
    LEARNED_FORMAT,
    LISTED_FORMAT,
    SCHEDULE_FORMAT,
    SENSES_FORMAT,
    Fold,
)
from monitor.ledger.records import Generation
from monitor.ledger.roster import Adopted, Roster
from monitor.windows import losses, schedule
from monitor.windows import saved as windows
from monitor.windows.editions import SavedEditions
from monitor.windows.losses import SavedLosses
from monitor.windows.saved import SavedEngine
from monitor.windows.schedule import SavedTerm
from monitor.windows.view import Kind


class SavedClock(msgspec.Struct, frozen=True, array_like=True):
    """`PartitionClock`."""

    prediction_ms: int
    label_ms: int
    idle: bool
    quiet: bool
    stalled: bool
    ended: bool


class SavedModels(msgspec.Struct, frozen=True, array_like=True):
    """The roster, and by partition the newest one that its owner counts by."""

    roster: Roster
    adopted: tuple[Adopted, ...]


class SavedEvaluator(msgspec.Struct, frozen=True):
    """`Evaluator` between two ticks."""

    clocks: tuple[SavedClock, ...]
    alerts: dict[str, Any]
    published: int
    chains: dict[str, bytes]
    engines: dict[str, SavedEngine]
    watch: SavedWatch
    traffic: tuple[SavedModel, ...]
    standing: tuple[bytes, ...]  # the last event of every alert that fires, as it was published
    budget: SavedBudget | msgspec.UnsetType = msgspec.UNSET  # left out where there is none
    labels: SavedHold | msgspec.UnsetType = msgspec.UNSET  # left out where label feeds are not watched
    schedule: tuple[SavedTerm, ...] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # left out while it is that of the rules in force
    losses: SavedLosses | msgspec.UnsetType = msgspec.UNSET  # left out where nothing was lost
    advice: tuple[SavedFed, ...] | msgspec.UnsetType = msgspec.UNSET  # left out where no detector was fed
    groups: SavedGroups | msgspec.UnsetType = msgspec.UNSET  # left out where alerts have none
    models: SavedModels | msgspec.UnsetType = msgspec.UNSET  # left out while they never changed


SavedGoneBy = tuple[tuple[int, int], ...] | msgspec.UnsetType
"""See `PartitionClock.gone_by`."""


class SavedEvaluation(msgspec.Struct, frozen=True):
    """The body: the evaluator, the ledger partitions it had read, and the rules in force (digest of a configuration)."""

    ledger: tuple[Fold, ...]
    rejected: int
    rules: str
    evaluator: SavedEvaluator
    generation: Generation | msgspec.UnsetType = msgspec.UNSET
    """Which configuration `rules` is; absent while none was recorded."""
    editions: SavedEditions | msgspec.UnsetType = msgspec.UNSET
    """Of the evaluator; absent while all is of the first. Here, because one more field would change every saved evaluator."""
    gone_by: SavedGoneBy = msgspec.UNSET
    """Of its clocks, by partition; absent where there is none. Here for the same reason."""


_bodies: msgspec.msgpack.Decoder[SavedEvaluation] = msgspec.msgpack.Decoder(SavedEvaluation)


def read_evaluation(body: bytes) -> SavedEvaluation:
    """The body of a checkpoint of `evals`. Raises msgspec.DecodeError for bytes that are none."""
    try:
        return _bodies.decode(body)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def format_of(body: SavedEvaluation) -> int:
    """The oldest format of checkpoints that knows everything in it."""
    saved = body.evaluator
    if not isinstance(saved.models, msgspec.UnsetType) and saved.models.roster.several:
        return SENSES_FORMAT
    if body.editions is not msgspec.UNSET:
        return EDITION_FORMAT
    if saved.models is not msgspec.UNSET:
        return LISTED_FORMAT
    if any(own.crossed is not msgspec.UNSET for own in saved.engines.values()):
        return CROSSED_FORMAT
    if not isinstance(saved.budget, msgspec.UnsetType) and has_begins(saved.budget):
        return BEGUN_FORMAT
    if saved.groups is not msgspec.UNSET:
        return GROUPED_FORMAT
    if saved.advice is not msgspec.UNSET:
        return ADVISED_FORMAT
    if saved.schedule is not msgspec.UNSET or saved.losses is not msgspec.UNSET:
        return SCHEDULE_FORMAT
    if saved.labels is not msgspec.UNSET:
        return HELD_FORMAT
    learned = (saved.budget, *(own.book for own in saved.engines.values()))
    return LEARNED_FORMAT if any(part is not msgspec.UNSET for part in learned) else FORMAT


def roster_in(saved: SavedEvaluator) -> Roster | None:
    """The models that it counts windows of; None while they never changed."""
    return None if isinstance(saved.models, msgspec.UnsetType) else saved.models.roster


def save(evaluator: Evaluator) -> SavedEvaluator:
    """The evaluator as it is between two ticks."""
    fields = SavedClock.__struct_fields__
    return SavedEvaluator(
        clocks=tuple(SavedClock(*(getattr(clock, name) for name in fields)) for clock in evaluator.clocks),
        alerts=evaluator.alerts.to_document(),
        published=evaluator.published,
        chains={str(kind): chain for kind, chain in evaluator._chains.items()},
        engines={str(kind): windows.save(engine) for kind, engine in evaluator.engines.items()},
        watch=save_watch(evaluator._watch),
        traffic=save_traffic(evaluator._traffic),
        standing=tuple(cloudevents.encode(event) for _, event in sorted(evaluator.standing.items())),
        budget=save_budget(evaluator._budget),
        labels=save_hold(evaluator.labels),
        schedule=schedule.save(evaluator.schedule) if evaluator.schedule.has_changed else msgspec.UNSET,
        losses=losses.save(evaluator.losses) or msgspec.UNSET,
        advice=save_advice(evaluator._advice) or msgspec.UNSET,
        groups=save_groups(evaluator._groups),
        models=msgspec.UNSET if evaluator.roster is None else SavedModels(evaluator.roster, tuple(evaluator.adopted)),
    )


def gone_by(evaluator: Evaluator) -> SavedGoneBy:
    """Of the clocks that `save` saves."""
    found = tuple(clock.gone_by for clock in evaluator.clocks)
    return found if any(map(any, found)) else msgspec.UNSET


def restore(
    evaluator: Evaluator,
    saved: SavedEvaluator,
    book: RuleBook,
    budget: BudgetWatch,
    kinds: Sequence[Window],
    editions: SavedEditions | msgspec.UnsetType = msgspec.UNSET,
    gone: SavedGoneBy = msgspec.UNSET,
) -> None:
    """Make a new evaluator what another was, under the rules, the budget, as yet empty, and the windows of the
    configuration that was in force. `editions`, `gone` (its `gone_by`): as the body says.

    Raises ValueError when it was not one of this plan and these partitions.
    """
    if len(saved.clocks) != len(evaluator.clocks):
        raise ValueError(f"it is of {len(saved.clocks)} partitions, there are {len(evaluator.clocks)}")
    if saved.engines.keys() != {str(kind) for kind in evaluator.engines}:
        raise ValueError(f"it has windows of kind {', '.join(saved.engines)}")
    evaluator.go_by(book, budget, kinds)
    evaluator.editions.restore(() if isinstance(editions, msgspec.UnsetType) else editions)
    evaluator._follow_editions()
    if not isinstance(saved.schedule, msgspec.UnsetType):
        schedule.restore(evaluator.schedule, saved.schedule)
    if not isinstance(saved.models, msgspec.UnsetType):
        evaluator.list_models(saved.models.roster)
        evaluator.adopted = list(saved.models.adopted)
    if not isinstance(saved.losses, msgspec.UnsetType):
        losses.restore(evaluator.losses, saved.losses)
    evaluator.clocks = [PartitionClock(**_fields(clock)) for clock in saved.clocks]
    if not isinstance(gone, msgspec.UnsetType):
        for clock, ticks in zip(evaluator.clocks, gone, strict=True):
            clock.gone_by = ticks
    evaluator.alerts = AlertState.from_document(saved.alerts)
    evaluator.published = saved.published
    evaluator._chains = {kind: saved.chains[str(kind)] for kind in Kind}
    for kind, engine in evaluator.engines.items():
        windows.restore(engine, saved.engines[str(kind)])
    restore_watch(evaluator._watch, saved.watch)
    restore_traffic(evaluator._traffic, saved.traffic)
    restore_budget(evaluator._budget, saved.budget)
    restore_hold(evaluator.labels, saved.labels)
    restore_advice(evaluator._advice, () if isinstance(saved.advice, msgspec.UnsetType) else saved.advice)
    restore_groups(evaluator._groups, saved.groups)
    events = [cloudevents.parse(raw) for raw in saved.standing]
    evaluator.standing = {event.data.fingerprint: event for event in events}


def _fields(clock: SavedClock) -> dict[str, Any]:
    return {name: getattr(clock, name) for name in clock.__struct_fields__}
