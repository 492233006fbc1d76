"""How often fixed thresholds call drift what is none, and miss what is, by the number of rows of a window.

    python -m tests.bench.thresholds [--windows 2000] [--seed 1]

Reference and windows are independent standard normal values, so every alarm of the first table is false; the second has windows
that are shifted by a quarter of a standard deviation. The reference has 10,000 rows. The rules:

- `psi`: population stability index over ten bins between the reference's deciles, above 0.1;
- `wasserstein`: the first Wasserstein distance divided by the reference's standard deviation, 0.1 or more (what Evidently 0.7
  takes for numbers when its reference has more than 1,000 rows);
- `chunks`: Kolmogorov-Smirnov's distance to the whole reference outside mean ± 3 standard deviations (divisor n) of the same
  distance of the reference's own chunks, which are as long as a window (the rule of NannyML 0.13; ten chunks at 1,000 rows, two
  at 5,000).

Prints a table, or with `--json` one line of JSON. Not done: categories, other distances, dependent rows.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray
from scipy import stats

REFERENCE_ROWS = 10_000
SIZES = (100, 200, 500, 1_000, 2_000, 5_000)
SHIFT = 0.25
PER_REFERENCE = 10


def psi(reference: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    """The index over the reference's deciles; an empty bin counts as 1e-4 of the rows."""
    edges = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
    shares = [np.bincount(np.searchsorted(edges, x), minlength=10) / len(x) for x in (reference, window)]
    p, q = (np.maximum(share, 1e-4) for share in shares)
    return float(((q - p) * np.log(q / p)).sum())


def distance(window: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov's distance of two samples without ties. SciPy's test works out a p-value as well, for seconds."""
    reference, window = np.sort(reference), np.sort(window)
    every = np.concatenate((window, reference))
    below = [np.searchsorted(x, every, side="right") / len(x) for x in (window, reference)]
    return float(np.abs(below[0] - below[1]).max())


def shares(rows: int, shift: float, windows: int, random: np.random.Generator) -> dict[str, float]:
    """The share of `windows` windows of so many `rows`, shifted by `shift`, that each rule calls drift. Ten windows each have
    a reference of their own, for the limits of `chunks` are as random as the few chunks that they are from."""
    called = dict.fromkeys(("psi", "wasserstein", "chunks"), 0)
    for first in range(0, windows, PER_REFERENCE):
        reference = random.standard_normal(REFERENCE_ROWS)
        distances = [distance(chunk, reference) for chunk in reference.reshape(-1, rows)]
        middle, width = float(np.mean(distances)), 3 * float(np.std(distances))
        for _ in range(first, min(first + PER_REFERENCE, windows)):
            window = random.standard_normal(rows) + shift
            called["psi"] += psi(reference, window) > 0.1
            called["wasserstein"] += bool(stats.wasserstein_distance(window, reference) / reference.std() >= 0.1)
            called["chunks"] += abs(distance(window, reference) - middle) > width
    return {rule: count / windows for rule, count in called.items()}


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--windows", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    found = {
        name: {rows: shares(rows, shift, given.windows, random) for rows in SIZES}
        for name, shift in (("none", 0.0), ("a quarter of a standard deviation", SHIFT))
    }
    if given.json:
        print(json.dumps(found))
        return
    for name, by_rows in found.items():
        print(f"share of windows that are called drift; shift: {name}")
        for rule in ("psi", "wasserstein", "chunks"):
            print(f"  {rule:12}" + "".join(f"{by_rows[rows][rule]:9.3f}" for rows in SIZES))
        print(f"  {'rows':12}" + "".join(f"{rows:9,}" for rows in SIZES))


if __name__ == "__main__":
    main()
