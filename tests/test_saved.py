"""Nothing of the evaluator is forgotten: every attribute is saved, or is named here as following from something else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from monitor.alerts.advice import AdviceWatch, Fed, Seen
from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch, Open
from monitor.alerts.grouping import Group, GroupBook, Joined
from monitor.alerts.label_hold import Flow, LabelHold
from monitor.alerts.operational import OperationalWatch
from monitor.alerts.saved import SavedFeed, SavedModel, SavedWatch
from monitor.alerts.saved_advice import SavedFed, SavedSeen
from monitor.alerts.saved_budget import (
    SavedBudget,
    SavedCause,
    SavedCohorts,
    SavedEvidence,
    SavedNull,
    SavedOpen,
    SavedReference,
    SavedSeries,
)
from monitor.alerts.saved_grouping import SavedGroup, SavedGroups, SavedMember
from monitor.alerts.saved_hold import SavedFlow, SavedHold
from monitor.alerts.standstill import Standstills
from monitor.alerts.state import AlertState
from monitor.alerts.traffic import TrafficWatch, _Traffic
from monitor.alerts.watching import Alarm, Cohorts, Learned, Series
from monitor.config.budget import Budget
from monitor.config.label_feed import LabelFeed
from monitor.drift.edetector import Cause, State
from monitor.drift.nulls import Null
from monitor.evaluator import Evaluator
from monitor.frontier import PartitionClock
from monitor.ledger.checkpoints import Fold
from monitor.ledger.fold import FoldState
from monitor.plan import plan_of
from monitor.saved import SavedClock, SavedEvaluator
from monitor.windows.engine import TickEngine
from monitor.windows.losses import Losses
from monitor.windows.outlook import LabelBook
from monitor.windows.saved import SavedBook, SavedEngine, SavedShelf, SavedStore, SavedView
from monitor.windows.schedule import Schedule
from monitor.windows.shelf import Shelf
from monitor.windows.store import WindowStore
from monitor.windows.view import Kind, WindowView
from tests.simulation.world import config

CONFIG = config("saved")
PLAN = plan_of(CONFIG)


def watch() -> OperationalWatch:
    return OperationalWatch("saved", {}, ("predictions", "labels"), 2)


def evaluator() -> Evaluator:
    return Evaluator(PLAN, CONFIG.windows, RuleBook.of(CONFIG), watch(), 2)


EVALUATOR = evaluator()
BOOK = LabelBook(PLAN)
# What is in memory -> where it is saved, its fields, and what of it is the configuration or follows from the rest.
KNOWN: dict[str, tuple[Any, Any, set[str]]] = {
    "evaluator": (EVALUATOR, SavedEvaluator, {"_plan", "_book", "adopted", "editions"}),  # beside the roster, and beside it all
    "engine": (
        EVALUATOR.engines[Kind.INPUT],
        SavedEngine,
        # of the windows there are: when they are over and final, and so which ticks have something to do
        # of the rules: `hands_out_cells`; `_in_hand` and `_now` are there only while ticks are handed out
        {"_plan", "_windows", "_ticking", "_losses", "_editions", "kind", "_in_hand", "_now", "_due", "_over", "_agenda",
         "_planned", "_in_wait", "_measuring", "arrival_cells", "hands_out_cells"},
    ),
    "store": (
        EVALUATOR.engines[Kind.INPUT]._store("m")[1],
        SavedStore,
        {"layout", "_windows", "_ticking", "_free", "_keys", "ends_ms", "_spans", "_members"},
    ),
    "watch": (watch(), SavedWatch, {"_namespace", "labels", "_topics", "_untold"}),  # told before anything is saved
    "feed": (watch()._feed, SavedFeed, {"partitions", "_needed"}),
    "book": (
        BOOK,
        SavedBook,
        {"_plan", "_tick_ms", "_horizon_ms", "_settling_ms", "shape", "span_ms", "bucket_ms", "_is_lost", "grid", "_epoch_ms"},
    ),
    "budget": (
        BudgetWatch("saved", PLAN, None, lambda _: {}),
        SavedBudget,
        # looks: of one tick, for who looks on; editions: the evaluator's
        {"_namespace", "_plan", "budget", "_labels_of", "looks", "editions"},
    ),
    "watched": (
        Series(PLAN.model("m"), Kind.INPUT, Budget(), horizon_ms=1, pane_ms=1),
        SavedSeries,
        # of the reference: what is asked about which channels
        {"_budget", "_asked", "_weights", "_detector", "_channels", "look", "_step"},
    ),
    "hold": (
        LabelHold("saved", PLAN, LabelFeed(), lambda _: {}),
        SavedHold,
        {"_namespace", "_plan", "_config", "labels_of", "_ends", "_span_ms", "_late_ms", "_look_ms", "_most_ms"},
    ),
    "advice": (AdviceWatch("saved"), None, {"_namespace", "_asked", "_labels_of", "_maintained", "begun"}),
    "groups": (GroupBook(0, None, Kind.INPUT), SavedGroups, {"grouping", "_slowest", "_reach_ms", "firing"}),  # in each group
    "traffic": (
        TrafficWatch("saved", Schedule(CONFIG.windows), Losses(), 1),
        None,
        {"_namespace", "_tick_ms", "_windows", "_losses", "_limits", "_labels", "_listed", "maintained"},
    ),
}  # fmt: skip
RENAMED: dict[str, dict[str, str | None]] = {
    "evaluator": {"watch": "_watch", "traffic": "_traffic", "chains": "_chains", "budget": "_budget",
                  "advice": "_advice", "groups": "_groups", "models": "roster"},
    "book": {name: f"_{name}" for name in ("cohorts", "older", "newer", "density", "epoch", "blocks")},
    "budget": {"series": "_series", "open": "_open"},
    "watched": {"model": "sense", "version": None, "beat": "_beat", "counts": "_counts", "learned": "_learned",
                "cohorts": "_cohorts", "reference": "_reference", "state": "_state", "blind": "_blind", "begins": "_begins"},
    "hold": {"standing": "standstills", "over": None},
    "engine": {"final_before_ms": "_final_before_ms", "waiting": "_waiting", "stores": "_stores", "shelves": "_shelves",
               "versions": "_versions", "finals": "_finals", "names": None},
    "store": {"windows": "_rows", "cells": "_cells"},
    "watch": {"began": "_began", "told_ms": "_told_ms", "labels": "_feed", "predictions": "_predictions"},
    "feed": {name: f"_{name}" for name in ("reached", "last", "waited_for", "told_ms", "fired_ms", "stalled", "untold")},
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_every_attribute_is_saved_or_follows_from_the_rest(name: str) -> None:
    value, saved, follows = KNOWN[name]
    fields = saved.__struct_fields__ if saved else {"advice": ("_fed",), "traffic": ("_models",)}[name]
    renamed = RENAMED.get(name, {})
    kept = {renamed.get(field, field) for field in fields} - {None}
    assert set(vars(value)) == kept | follows


@pytest.mark.parametrize(
    ("value", "saved", "follows"),
    [
        (PartitionClock, SavedClock, {"gone_by"}),
        (FoldState, Fold, set()),
        (_Traffic, SavedModel, set()),
        (Shelf, SavedShelf, set()),
        # what is to be expected is said anew with every revision, and no rule reads it
        (WindowView, SavedView, {"key", "kind", "config_digest", "reference_digest", "outlook", "partial"}),
        (AlertState, AlertState, set()),
        (Open, SavedOpen, {"alarm"}),
        (Alarm, SavedOpen, {"areas", "begins"}),  # beside each cause
        (Cause, SavedCause, set()),
        (Cohorts, SavedCohorts, {"horizon_ms", "pane_ms"}),
        (Learned, SavedReference, set()),
        (Null, SavedNull, set()),
        (State, SavedEvidence, set()),
        (Standstills, SavedHold, set()),
        (Flow, SavedFlow, set()),
        (Fed, SavedFed, {"advisor"}),  # its values
        (Seen, SavedSeen, set()),
        (Group, SavedGroup, set()),
        (Joined, SavedMember, {"member"}),
    ],
)
def test_every_field_of_a_value_is_saved(value: type, saved: type, follows: set[str]) -> None:
    of = getattr(saved, "__struct_fields__", None) or [field.name for field in dataclasses.fields(saved)]
    assert {field.name for field in dataclasses.fields(value)} - follows <= set(of)


def test_the_attributes_are_those_of_the_running_daemon() -> None:
    assert type(EVALUATOR.engines[Kind.INPUT]) is TickEngine
    assert type(EVALUATOR.engines[Kind.INPUT]._store("m")[1]) is WindowStore
