"""One process that registers and promotes until it is killed. Says what was acknowledged, a line each, on standard output.

Run by tests/registry/test_kills.py: `python -m tests.registry.worker STORE NAME FIRST`. Runs are numbered; another process may
be at the same run, as when an alert is delivered twice or a zombie comes back.
"""

from __future__ import annotations

import os
import sys
import time

from registry.aliases import Aliases, By
from registry.catalog import Catalog, Draft, MemoryBundle
from registry.directory import DirectoryStore
from registry.errors import MoveRefused
from tests.registry import models


def main() -> None:
    directory, name, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = DirectoryStore(directory)
    catalog = Catalog(store)
    aliases = Aliases(catalog)
    for run in range(first, sys.maxsize):
        # Trained again it comes out differently: a run that is tried twice must still be one version.
        weights = [float(run), float(os.getpid()), time.time()]
        bundle = MemoryBundle({"model.json": models.json_model(*weights) + b" " * 50_000})
        version, _ = catalog.add(Draft("fraud", bundle, run=f"run-{run}"), name, time.time_ns() // 1_000_000)
        say(f"version {run} {version.number} {version.digest}")
        by = By(name, f"run {run}", time.time_ns() // 1_000_000, automatic=True, cause=f"run-{run}")
        state = aliases.state("fraud").alias("champion")
        if state.version is not None and state.version >= version.number:
            continue  # a later one serves
        try:
            step = aliases.promote("fraud", "champion", version.number, by, replaces=state.version)
            say(f"promoted {step.move.sequence} {version.number}")
        except MoveRefused:
            pass  # somebody else was first; the next run compares anew


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
