"""The configuration: what a user can say, checked whole, as frozen values.

`load` reads files, `loads` reads text; both return a `Config` or raise one ConfigError that carries every problem,
each with its place; `recorded` reads back what a namespace keeps. Layers, later ones win: defaults, files in the order
given, environment variables (`DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS`, handed in as a mapping), overrides (`--set a.b=v`).
YAML is read with the types of JSON only, so `no`, `on` and `1:30` are text. Durations are written `15m` and are integers
of ms afterwards: this package is the only place where units are converted.

What it refuses: keys it does not know, librdkafka properties that would break the promises, configs that need a look at
a clock or a broker to be judged (`driftline check --live` does that elsewhere). Reading files happens in `load` only.
"""

from __future__ import annotations

from monitor.config.kafka import Kafka
from monitor.config.load import load, loads, located, recorded, secrets
from monitor.config.panes import pane_ms
from monitor.config.rules import Rule
from monitor.config.sources import FeatureSource, Source, TimeField
from monitor.config.streams import Absent, LabelFields, LabelStream, PredictionFields, PredictionStream, Streams
from monitor.config.times import Time
from monitor.config.types import (
    Config,
    DeadLetters,
    Flood,
    Http,
    Model,
    ModelTemplate,
    ReferenceFile,
    State,
    Topics,
)
from monitor.config.windows import Window

__all__ = [
    "Absent",
    "Config",
    "DeadLetters",
    "FeatureSource",
    "Flood",
    "Http",
    "Kafka",
    "LabelFields",
    "LabelStream",
    "Model",
    "ModelTemplate",
    "PredictionFields",
    "PredictionStream",
    "ReferenceFile",
    "Rule",
    "Source",
    "State",
    "Streams",
    "Time",
    "TimeField",
    "Topics",
    "Window",
    "load",
    "loads",
    "located",
    "pane_ms",
    "recorded",
    "secrets",
]
