"""What 10,000 rows of ten features cost Driftline, and Evidently and NannyML beside it, each in a Python of its own.

    python -m tests.bench.peers [--evidently PYTHON] [--nannyml PYTHON] [--rounds 5]

PYTHON is the interpreter of an environment in which the peer is installed; without one the interpreter that runs this is
asked. What is not installed, or does not import, is named in the answer with the reason, and nothing is measured of it.
Everybody has the same rows in memory, in the form that is dearest to it (arrays, or a data frame), and has seen the same
reference of 10,000 rows before; measured is the processor time of one window of 10,000 rows, the median of the rounds:

- driftline: rows into the reference's bins, the cells of the window, PSI, KS and the missing rate of each feature with
  intervals and bounds, and one decision of the budget over all of them;
- evidently: `DataDriftPreset` with its defaults;
- nannyml: `UnivariateDriftCalculator` with Jensen-Shannon and Kolmogorov-Smirnov, one chunk.

One run (two busy cores; Evidently 0.7.23, NannyML 0.13.1, both with pandas 2): 3.8 ms, 1,571 ms (417 times), 23 ms (6 times).

They do not compute the same: each computes what its users get. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS, FEATURES = 10_000, 10
PEERS = ("evidently", "nannyml")


def columns(seed: int) -> dict[str, Any]:
    """Normal features by name."""
    import numpy as np

    random = np.random.default_rng(seed)
    return {f"f{i}": random.normal(size=ROWS) for i in range(FEATURES)}


def timed(once: Callable[[], object], rounds: int) -> float:
    """Milliseconds of processor time, the median; the first call, which loads what is loaded once, is not counted."""
    once()
    found = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        once()
        found.append((time.process_time_ns() - begin) / 1e6)
    return statistics.median(found)


def driftline(rounds: int) -> float:
    """See above."""
    import numpy as np

    from monitor.drift.binning import NumericBinning
    from monitor.drift.edetector import Channel, Detector
    from monitor.drift.functionals import numeric
    from monitor.drift.nulls import null_of
    from monitor.drift.reference import DataFile, build_reference, histogram_name
    from monitor.drift.statistics import STATISTICS

    reference = build_reference("m", columns(1), None, DataFile("bench", "sha256:" + "0" * 64))
    binnings = {name: p.binning for name, p in reference.features.items() if isinstance(p.binning, NumericBinning)}
    asked = {name: numeric(binning, reference.features[name].reference) for name, binning in binnings.items()}
    total = sum(map(len, asked.values()))
    detector = Detector(
        tuple(
            Channel(name, own, null_of(own, reference.features[name].reference, asked=total), 1.0)
            for name, own in asked.items()
        ),
        43_200.0,
    )
    state, layout, current = detector.start(), reference.layout(), columns(2)

    def window() -> None:
        cells = layout.zeros()
        counts = []
        for name, profile in reference.features.items():
            bins = binnings[name]
            own = np.bincount(bins.codes(current[name]), minlength=bins.bins)
            cells.histogram(histogram_name(name))[0] = own
            counts.append(own[np.newaxis])
            for statistic in ("psi", "ks", "missing"):
                STATISTICS[statistic](profile, cells.histogram(histogram_name(name))).all()
        detector.step(state, 0, counts)

    return timed(window, rounds)


def evidently(rounds: int) -> float:
    """See above."""
    import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from evidently import Report  # type: ignore[import-not-found,unused-ignore]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found,unused-ignore]

    reference, current = pd.DataFrame(columns(1)), pd.DataFrame(columns(2))
    return timed(lambda: Report([DataDriftPreset()]).run(current, reference), rounds)


def nannyml(rounds: int) -> float:
    """See above."""
    import nannyml as nml  # type: ignore[import-not-found,unused-ignore]
    import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]

    reference, current = pd.DataFrame(columns(1)), pd.DataFrame(columns(2))
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(reference.columns),
        continuous_methods=["jensen_shannon", "kolmogorov_smirnov"],
        chunk_number=1,
    ).fit(reference)
    return timed(lambda: calculator.calculate(current), rounds)


MEASURES: dict[str, Callable[[int], float]] = {"driftline": driftline, "evidently": evidently, "nannyml": nannyml}


def asked(name: str, python: str, rounds: int) -> dict[str, Any]:
    """What another interpreter says of one contender: `ms` and `version`, or why it is `absent`."""
    command = [python, str(Path(__file__).resolve()), "--alone", name, "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        return {"absent": lines[-1]}
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def main() -> None:
    """The table of all, or with `--alone` one measurement in this interpreter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in PEERS:
        parser.add_argument(f"--{name}", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", choices=MEASURES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        ms = MEASURES[given.alone](given.rounds)
        import importlib.metadata

        version = None if given.alone == "driftline" else importlib.metadata.version(given.alone)
        print(json.dumps({"ms": round(ms, 3), "version": version}))
        return
    own = {"ms": round(driftline(given.rounds), 3)}
    found: dict[str, Any] = {"rows": ROWS, "features": FEATURES, "driftline": own}
    for name in PEERS:
        found[name] = asked(name, getattr(given, name), given.rounds)
        if "ms" in found[name]:
            found[name]["by_driftline"] = round(found[name]["ms"] / own["ms"], 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
