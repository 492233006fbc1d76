"""What a process says of its configuration: in the status, to the probes and to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitor.telemetry.families import RELOADS


@dataclass(frozen=True, slots=True)
class Configuration:
    """How this process came to the configuration it has, and whether the files now say one that is not used, and why.

    `succeeded_ms`: when the files were last read and could be used (wall clock). `generation` is the evaluator's: the number
    of the one whose rules hold, 0 where that is not known; `behind` that it is another than this process has. `models` says
    what models, or which edition, owners are waited for, or what models cannot be counted by this process."""

    succeeded_ms: int
    reloads: Mapping[str, int] = field(default_factory=dict)  # by outcome
    complaints: tuple[str, ...] = ()
    generation: int = 0
    behind: bool = False
    models: str = ""

    @property
    def sentence(self) -> str:
        """What people should know of it; empty when there is nothing."""
        said = []
        if self.behind:
            said.append(f"older than generation {self.generation}, whose rules hold")
        if self.models:
            said.append(self.models)
        if self.complaints:
            said.append(f"what the files say now is not used: {'; '.join(self.complaints)}")
        return "; ".join(said)

    def samples(self) -> Iterator[tuple[str, float, *tuple[str, ...]]]:
        """Family, value and labels of what Prometheus sees of it."""
        for outcome in RELOADS:
            yield "config_reloads_total", self.reloads.get(outcome, 0), outcome
        yield "config_last_reload_successful", int(not self.complaints)
        yield "config_last_reload_success_timestamp_seconds", self.succeeded_ms / 1000
        yield "config_generation", self.generation
