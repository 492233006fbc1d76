"""Tables of procedures that the daemon does not decide by, reproduced; and what it does decide by, measured by them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monitor.drift.edetector import e_bh
from pipelines.sequential import mixture_bound
from tests.drift.streams import cusum_run_lengths
from tests.oracle import charts, online_fdr
from tests.oracle.mixtures import BetaBinomial, bernoulli, stitched
from tests.oracle.online_fdr import Decided

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
FDR = json.loads((REFERENCE / "online_fdr_15.json").read_text())
CONFSEQ = json.loads((REFERENCE / "confseq.json").read_text())
CHARTS = list(csv.DictReader((REFERENCE / "spc_arl.csv").read_text().splitlines()))

PROCEDURES: dict[str, Callable[[list[float]], Decided]] = {
    "LORD++ alpha.05 w0=.025": lambda p: online_fdr.lord(p, 0.05, 0.025),
    "SAFFRON alpha.05 w0=.025 lambda.5": lambda p: online_fdr.saffron(p, 0.05, 0.025, 0.5),
    "LOND alpha.05": lambda p: online_fdr.lond(p, 0.05),
    "LOND alpha.05 dependent": lambda p: online_fdr.lond(p, 0.05, dependent=True),
    "ADDIS alpha.05 w0=.025 lambda.25 tau.5": lambda p: online_fdr.addis(p, 0.05, 0.025, 0.25, 0.5),
}


@pytest.mark.parametrize("name", FDR["pvals_15_results"])
def test_online_procedures_have_the_levels_of_the_table(name: str) -> None:
    table = FDR["pvals_15_results"][name]
    rejected, levels = PROCEDURES[name](FDR["pvals_15"])
    assert rejected == table["rejected_1based"]
    assert levels == pytest.approx(table["levels"], abs=1e-12)


def test_what_is_listed_by_evidence_every_online_procedure_rejects() -> None:
    """1 / (2 root p) is an e-value. e-BH holds under any dependence, and so lists less than those that count on independence."""
    logs = np.array([-math.log(2) - 0.5 * math.log(p) for p in FDR["pvals_15"]])
    listed = set((np.flatnonzero(e_bh(logs, 0.05)) + 1).tolist())
    assert listed == {1, 10}
    for table in FDR["pvals_15_results"].values():
        assert listed <= set(table["rejected_1based"])


def test_mixtures_and_stitched_bounds_are_those_of_the_table() -> None:
    table = CONFSEQ["beta_binomial_mixture_bound_g.1_h.9_vopt100"]
    mixture = BetaBinomial(100.0, 0.05, 0.1, 0.9, one_sided=True)
    assert [mixture.bound(v) for v in table["v"]] == pytest.approx(table["bound"], rel=1e-9)
    table = CONFSEQ["poly_stitching_bound_vmin10"]
    assert [stitched(v, 0.05, 10.0) for v in table["v"]] == pytest.approx(table["bound"], rel=1e-12)
    for row in CONFSEQ["bernoulli_beta_binomial_ci"]:
        assert bernoulli(row["k"], row["n"], row["t_opt"], 0.05) == pytest.approx(row["ci"], abs=1e-11)


def test_the_bound_of_a_gate_is_between_that_of_two_outcomes_and_a_tenth_more() -> None:
    """A gate knows the range of its losses only, not that there are two: so its bound is wider than the beta-binomial one, and
    from a variance of 100 on narrower than the stitched one."""
    tables = [CONFSEQ[name] for name in ("beta_binomial_mixture_bound_g.1_h.9_vopt100", "poly_stitching_bound_vmin10")]
    spread = np.array(tables[0]["v"])
    ours = mixture_bound(spread, 0.05, tuned=100.0, scale=0.9)
    two, stitches = (np.array(table["bound"]) for table in tables)
    assert (ours >= two * (1 - 1e-9)).all()
    assert (ours[2:] <= 1.1 * two[2:]).all()
    assert (ours[2:] < stitches[2:]).all()


@pytest.mark.parametrize("row", CHARTS, ids=lambda row: "-".join(row[name] for name in ("chart", "k", "h", "shift")))
def test_charts_have_the_run_lengths_of_the_table(row: dict[str, str]) -> None:
    h, shift = float(row["h"]), float(row["shift"])
    if row["chart"].startswith("CUSUM"):
        assert charts.cusum(float(row["k"]), h, shift) == pytest.approx(float(row["arl_one_sided"]), rel=1e-8)
        found = charts.two_sided_cusum(float(row["k"]), h, shift)
    elif row["chart"].startswith("EWMA"):
        found = charts.ewma(float(row["k"]), h, shift)
    else:
        found = charts.shewhart(h, shift)
    assert found == pytest.approx(float(row["arl_two_sided"]), rel=1e-8)


@pytest.mark.parametrize(
    "row", [row for row in CHARTS if row["chart"].startswith("CUSUM")], ids=lambda row: row["shift"]
)
def test_simulated_run_lengths_are_within_their_error_of_the_table(row: dict[str, str]) -> None:
    """What detectors are simulated with is what has these run lengths."""
    random = np.random.default_rng([26, CHARTS.index(row)])
    found = cusum_run_lengths(random, float(row["k"]), float(row["h"]), float(row["shift"]), 600)
    assert abs(found.mean() - float(row["arl_one_sided"])) <= 3 * found.std(ddof=1) / 600**0.5
