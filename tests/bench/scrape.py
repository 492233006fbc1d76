"""What a scrape costs: `python -m tests.bench.scrape [--series N]`.

The budget, at the 10,000 series that `series_budget` allows: 150 ms of processor, rendering and compression together, a
body of 2 MB, 100 kB compressed. Every 15 seconds that is 1 % of a core. The listener's thread renders, once for each
new view and only when somebody asks, and gives way to the worker while it compresses.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from monitor.adapters.exposition import Exposer
from monitor.view import View
from tests.telemetry.samples import sample_view

SERIES = 10_000
CPU_MS_MAX = 150.0
BODY_BYTES_MAX = 2_000_000
ZIPPED_BYTES_MAX = 100_000
REPEATS = 5


@dataclass(frozen=True)
class Cost:
    """Of one scrape. Processor times are the smallest of several: what others do on the machine only adds."""

    series: int
    dropped: int
    render_cpu_ms: float
    gzip_cpu_ms: float
    body_bytes: int
    zipped_bytes: int

    def over(self) -> list[str]:
        """What is above the budget."""
        cpu = self.render_cpu_ms + self.gzip_cpu_ms
        found = [f"{cpu:.0f} ms of processor, {CPU_MS_MAX:.0f} are allowed"] if cpu > CPU_MS_MAX else []
        if self.body_bytes > BODY_BYTES_MAX:
            found.append(f"a body of {self.body_bytes} bytes, {BODY_BYTES_MAX} are allowed")
        if self.zipped_bytes > ZIPPED_BYTES_MAX:
            found.append(f"{self.zipped_bytes} bytes compressed, {ZIPPED_BYTES_MAX} are allowed")
        return found


def full_view(series: int) -> View:
    """A view with more series about models than the budget of `series` lets out."""
    view = sample_view(models=20, versions=5, segments=2 + series // 1_500, partitions=6)
    return replace(view, series_budget=series)


def measure(series: int = SERIES) -> Cost:
    """Render and compress it some times."""
    view, exposer = full_view(series), Exposer()
    exposition, zipped = exposer.render(view), b""
    renders, zips = [], []
    for _ in range(REPEATS):
        began = time.thread_time()
        exposition = exposer.render(view)
        rendered = time.thread_time()
        zipped = gzip.compress(exposition.text, 1, mtime=0)
        renders.append(1_000 * (rendered - began))
        zips.append(1_000 * (time.thread_time() - rendered))
    return Cost(
        exposition.exported_series, exposition.dropped_series, min(renders), min(zips), len(exposition.text), len(zipped)
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Print the cost as JSON; 1 when it is over the budget."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scrape", description="The cost of a scrape.")
    parser.add_argument("--series", type=int, default=SERIES)
    cost = measure(parser.parse_args(argv).series)
    print(json.dumps(asdict(cost), indent=1))
    for sentence in cost.over():
        print(f"over the budget: {sentence}", file=sys.stderr)
    return 1 if cost.over() else 0


if __name__ == "__main__":
    sys.exit(main())
