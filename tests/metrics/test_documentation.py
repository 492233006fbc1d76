"""docs/metrics.md describes everything that exists, and nothing that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.config.metric_names import DECLARED
from monitor.drift.checked import Violation
from monitor.drift.distances import PSI_FLOOR
from monitor.drift.statistics import PUBLISHED, STATISTICS
from monitor.metrics.binary import BINARY, SCORE_BINS
from monitor.metrics.confidence import TOP
from monitor.metrics.losses import SMALLEST_PROBABILITY
from monitor.metrics.multiclass import ORDER, PER_CLASS, Multiclass
from monitor.metrics.one_vs_rest import BINS, EQUAL, MEAN
from monitor.metrics.one_vs_rest import PER_CLASS as AREA
from monitor.metrics.regression import VALUE_BITS, Regression
from monitor.windows.view import Undefined

CLASSES = ("a", "b", "c", "d", "e", "f")
DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "metrics.md").read_text()


def described(heading: str) -> list[str]:
    """The names in the first column of the table under a heading."""
    section = DOCUMENT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)


def test_every_metric_of_the_task_is_described_in_its_order() -> None:
    assert described("Task `binary`") == list(BINARY.metrics)


def test_every_metric_of_the_other_tasks_is_described_in_its_order() -> None:
    of_class = [f"{name}:CLASS" for name in PER_CLASS]
    of_all = [*ORDER, *(f"top{k}_accuracy" for k in TOP), "brier", "ece"]
    assert described("Task `multiclass`") == [*of_all, *of_class]
    named = [*of_all, MEAN, *(f"{name}:{own}" for own in (*CLASSES, "other") for name in PER_CLASS)]
    areas = [f"{AREA}:{own}" for own in CLASSES]
    assert list(Multiclass(CLASSES, scored=CLASSES, one_vs_rest=True).metrics) == [*named, *areas]
    assert f"`{MEAN}`" in DOCUMENT
    assert f"`{AREA}:CLASS`" in DOCUMENT
    assert f"are read off {BINS} bins: {EQUAL} of equal width" in DOCUMENT
    assert described("Task `regression`") == list(Regression().metrics)
    assert f"at most 2^{VALUE_BITS} units" in DOCUMENT
    assert f"{Regression().resolution:.1e} for the default".replace("e-0", "e-") in DOCUMENT


def test_every_drift_statistic_is_described_in_its_order() -> None:
    order = ["psi", "psi_corrected", "ks", "missing", "js", "hellinger", "tvd", "linf", "chi_square", "wasserstein"]
    assert described("Drift of inputs and scores") == order
    assert set(order) == set(STATISTICS)


def test_every_share_of_violations_and_every_count_is_described() -> None:
    assert described("Data quality") == ["missing", *DECLARED]
    section = DOCUMENT.split("## Data quality\n", 1)[1]
    assert [kind for kind in Violation if f"`{kind}:NAME`" not in section] == []


@pytest.mark.parametrize("reason", list(Undefined))
def test_every_reason_is_explained(reason: Undefined) -> None:
    assert f"`{reason.value}` (" in DOCUMENT or f"`{reason.value}`," in DOCUMENT


def test_the_constants_in_the_text_are_those_of_the_code() -> None:
    assert f"clipped at {SMALLEST_PROBABILITY:g} (" in DOCUMENT
    assert f"counted in {SCORE_BINS:,} equal bins" in DOCUMENT
    assert f"shares below {PSI_FLOOR:g} taken as {PSI_FLOOR:g}".replace("0.0001", "1e-4") in DOCUMENT
    published = ", ".join(f"`{name}`" for name in PUBLISHED[:-1]) + f" and `{PUBLISHED[-1]}`"
    assert f"Windows carry {published};" in DOCUMENT
