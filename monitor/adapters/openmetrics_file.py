"""Final windows as OpenMetrics with times, for a Prometheus that was not there: `promtool tsdb create-blocks-from openmetrics`.

Families and labels are those of the exposition, with one more that tells configurations apart when the files of several are
loaded. A sample has the time at which its window ended, when a live worker would have shown the whole window for the first
time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path

from monitor.adapters.exposition import Sample, WindowLabels
from monitor.adapters.exposition_text import OPENMETRICS_HEADERS, escape, number
from monitor.telemetry import FAMILIES
from monitor.windows.view import Kind, SeriesKey, WindowView

CONFIG_LABEL = "driftline_config"
"""The first twelve digits of the digest of the whole configuration."""
_OF_A_LIVE_WORKER, _OF_A_FILE = b"the newest window", b"the window that ended then"

_Series = dict[str, tuple["array[float]", "array[float]"]]
"""Name with labels -> times in seconds, values: 16 bytes a sample, since all of a series must stand together."""


def write(path: Path, namespace: str, config_digest: str, windows: Iterable[WindowView]) -> int:
    """Write the samples of `windows`, which come in order of their end within each series; returns their number.
    `config_digest`: of the whole configuration that they were computed under, `sha256:...`."""
    told = f'{{{CONFIG_LABEL}="{escape(config_digest.removeprefix("sha256:")[:12])}",'
    labels: dict[tuple[SeriesKey, str, Kind], WindowLabels] = {}
    families: dict[str, _Series] = {}
    for view in windows:
        slot = (view.key.series, view.key.window, view.kind)
        if slot not in labels:
            labels[slot] = WindowLabels(namespace, *slot)
        samples: list[Sample] = []
        labels[slot].write(view, samples)
        for family, line in samples:
            name, _, value = line.rpartition(" ")
            times, values = families.setdefault(family, {}).setdefault(name, (array("d"), array("d")))
            times.append(view.key.end_ms / 1_000)
            values.append(float(value))
    unfinished = path.with_name(f"{path.name}.unfinished")
    written = 0
    with unfinished.open("wb") as out:
        for own in FAMILIES:
            if own.name not in families:
                continue
            out.write(OPENMETRICS_HEADERS[own.name].replace(_OF_A_LIVE_WORKER, _OF_A_FILE))
            for plain, (times, values) in sorted(families[own.name].items()):
                name = plain.replace("{", told, 1)
                lines = [f"{name} {number(v)} {number(t)}\n" for t, v in zip(times, values, strict=True)]
                out.write("".join(lines).encode("utf-8", "replace"))
                written += len(lines)
        out.write(b"# EOF\n")
    unfinished.rename(path)
    return written
