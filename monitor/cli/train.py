"""The command `driftline train`: the training step of the pipelines, also on rows from the topics of a deployment."""

from __future__ import annotations

from monitor.cli.retrain import wire
from pipelines.cli.train import over

command = over(wire)
