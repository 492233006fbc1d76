"""The daemon as a contender: its config, its command, and what it published.

Everything is on: all ten features watched against a reference (PSI and KS), one segment dimension, hourly windows, two
rules, dead letters, the ledger, the Prometheus endpoint.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench import generate
from tests.checker.sources import Kafka, flat
from tests.checker.windows import current, final

CONFIG = """\
namespace: {namespace}
kafka: {{bootstrap_servers: "{bootstrap}"}}
streams:
  predictions:
    topic: {predictions}
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}}
    features:
{features}
  labels:
    topic: {labels}
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 2h, lateness: 2h, disorder: 1m, tick: 1m}}
models:
  - name: {model}
    task: binary
    threshold: {threshold}
    positive: 1
    segments: {{channel: [{channels}]}}
{reference}
windows: [1h]
{rules}
http: {{host: 127.0.0.1, port: 0}}
"""

RULES = """\
rules:
  - {name: low-recall, metric: recall, op: "<", threshold: 0.1, window: 1h, min_rows: 200, min_coverage: 0.8,
     severity: ticket}
  - {name: amount-moved, metric: "psi:amount_eur", op: ">", threshold: 5.0, window: 1h, min_rows: 200, severity: info}
"""


def driftline() -> str:
    """The command of the environment that runs the benchmark."""
    return str(Path(sys.executable).parent / "driftline")


def config(
    namespace: str, bootstrap: str, predictions: str, labels: str, reference: Path | None, *, watched: bool = True
) -> str:
    """The configuration as YAML. Without `watched` no feature is compared with a reference (for building one)."""
    types = {**dict.fromkeys(generate.NUMERIC, "numeric"), "channel": "categorical", "country": "categorical"}
    return CONFIG.format(
        namespace=namespace,
        bootstrap=bootstrap,
        predictions=predictions,
        labels=labels,
        features="\n".join(f"      {name}: {kind}" for name, kind in types.items()),
        model=generate.MODEL,
        threshold=generate.THRESHOLD,
        channels=", ".join(generate.CHANNELS),
        rules=RULES if watched else "",
        reference=f"    reference: {reference}" if reference and watched else "",
    )


def build_reference(config_path: Path, predictions: Path, out: Path) -> None:
    """A reference from a file of predictions, by the daemon's own command."""
    command = [driftline(), "reference", "build", "-c", str(config_path), "--file", str(predictions), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def command(config_path: Path) -> list[str]:
    """Read both topics to their end, settle everything, exit."""
    return [driftline(), "run", "--until-end", "-c", str(config_path)]


def published(bootstrap: str, namespace: str) -> dict[str, generate.Counts]:
    """The counts of the final performance windows, in the generator's terms: `segment start` -> counts."""
    found = {}
    for value in final(current(flat(Kafka(bootstrap).read(f"{namespace}.windows")))).values():
        window = json.loads(value)
        if window["kind"] == "performance" and window["window"] == "1h" and window["seen"]:
            counts = {name: window["counts"][name] for name in ("tp", "fp", "fn", "tn")}
            counts = {"seen": window["seen"], "labelled": window["labelled"], **counts}
            found[f"{window['segment']} {window['start_ms']}"] = counts
    return found


def dead_letters(bootstrap: str, topics: list[str]) -> int:
    """How many records were put aside."""
    return sum(len(flat(Kafka(bootstrap).read(f"{topic}.dlq"))) for topic in topics)
