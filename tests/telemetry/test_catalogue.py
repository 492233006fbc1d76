from __future__ import annotations

from monitor.alerts.event import Change
from monitor.config.metric_names import DISTANCES
from monitor.drift.statistics import STATISTICS
from monitor.metrics.binary import BINARY
from monitor.telemetry import (
    ALERT_CHANGES,
    BY_NAME,
    FAMILIES,
    LABELS,
    NAMESPACE_LABEL,
    OUTCOMES,
    PERFORMANCE_METRICS,
    Type,
    known,
)
from monitor.telemetry.document import markdown
from monitor.telemetry.families import RESERVED_LABELS
from tests.telemetry.regenerate import PAGE


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: python -m tests.telemetry.regenerate"


def test_no_name_is_listed_twice() -> None:
    assert len(BY_NAME) == len(FAMILIES)


def test_every_label_says_what_bounds_it_and_every_bound_is_used() -> None:
    used = {label for family in FAMILIES for label in family.labels} | {NAMESPACE_LABEL}
    assert used == set(LABELS)


def test_no_label_is_one_that_scrapers_attach() -> None:
    assert not RESERVED_LABELS & set(LABELS)


def test_only_families_under_the_budget_carry_labels_that_the_data_decide() -> None:
    for family in FAMILIES:
        if {"version", "segment"} & set(family.labels):
            assert family.budgeted, f"{family.full_name} grows with versions seen"


def test_names_follow_their_types_and_units() -> None:
    for family in FAMILIES:
        assert family.full_name.endswith("_total") == (family.type is Type.COUNTER), family.full_name
        assert family.full_name.endswith("_info") == (family.type is Type.INFO), family.full_name
        assert family.name.endswith(family.unit), family.full_name
        assert family.help.endswith("."), f"{family.full_name}: help is a sentence"


def test_a_histogram_is_known_by_its_three_suffixes_only() -> None:
    assert known("driftline_commit_duration_seconds_bucket")
    assert not known("driftline_commit_duration_seconds")
    assert known("driftline_alert_active")
    assert not known("driftline_alert_active_count")
    assert not known("driftline_no_such_family")


def test_the_catalogue_uses_the_words_of_the_core() -> None:
    assert tuple(ALERT_CHANGES) == tuple(Change)
    assert set(PERFORMANCE_METRICS) == set(BINARY.metrics)
    assert set(STATISTICS) - {"missing"} == set(DISTANCES)
    assert OUTCOMES["predictions"][0] == "pending"
    assert OUTCOMES["labels"][0] == "waiting"
