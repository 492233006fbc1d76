"""Configs and readers of problems for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from monitor.config import loads
from monitor.errors import ConfigError

MINIMAL = """\
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
models:
  - {name: fraud}
"""

FULL = """\
namespace: payments
kafka: {bootstrap_servers: "a:9092,b:9092", properties: {security.protocol: SASL_SSL}}
streams:
  predictions:
    topic: scores
    max_bytes: 64KiB
    fields:
      id: key:$.uid
      model: header:model
      version: {const: v2}
      at: {from: $.ts, unit: s}
      score: $.score
      prediction: $.prediction
      withdrawn: $.cancelled
    features:
      hour: numeric
      origin: {from: "$.meta['from where']", type: categorical}
    values: {late: 1, ontime: 0}
  labels:
    topic: truth
    fields: {id: $.id, at: {from: $.at, unit: iso}, label: $.label}
    values: {chargeback: 1, ok: 0}
    absent: {value: 0, after: 7d}
time: {horizon: 14d, skew: 5s, disorder: 2m, lateness: 1d, max_jump: 1d, tick: 1m, idle_after: 30s}
models:
  - name: fraud
    task: binary
    threshold: 0.25
    positive: 1
    features: [hour, origin]
    segments: {origin: [EWR, LGA]}
    labels: {owner: team-fraud}
unlisted_models: {task: binary, threshold: 0.5}
windows: [1d, 1h, {size: 24h, slide: 1h}, month, day]
rules:
  - {name: low-recall, metric: recall, op: "<", threshold: 0.4, window: 24h/1h, model: fraud, segments: each,
     min_rows: 200, min_coverage: 0.8, for: 2h, severity: page, labels: {runbook: "https://wiki/low"}}
  - {name: quiet, metric: volume, op: "<", threshold: 10, window: 1h}
  - {name: holes, metric: "missing:origin", op: ">", threshold: 0.2, window: 1d, segments: ["origin=EWR", "origin=other"]}
labels: {owner: team-x, runbook: "https://wiki"}
state: {max_rows: 1000000, commit_interval: 250ms, max_batch_rows: 10000}
dead_letters: {enabled: true, payload: false, flood: {ratio: 0.5, min_records: 10}}
http: {host: 0.0.0.0, port: 0}
series_budget: 500
"""


def problems(text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> list[str]:
    """Every problem of a text that must not load. Reference files that it names are not looked for."""
    with pytest.raises(ConfigError) as caught:
        loads(text, overrides, environ, name="c.yaml", require_references=False)
    return caught.value.problems


def only_problem(text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> str:
    """The one problem of a text that must not load."""
    found = problems(text, overrides, environ)
    assert len(found) == 1, "\n".join(found)
    return found[0]


def with_lines(text: str, *lines: str) -> str:
    """A config with more lines at its end."""
    return text + "\n".join(lines) + "\n"
