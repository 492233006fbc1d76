"""What the monitor's configuration declares of a model's features, as the checks that the pipelines hold rows to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.config.types import Config
    from pipelines.quality import Check


@dataclass(frozen=True, slots=True)
class DeclaredChecks:
    """Asked for a model; `config` is the monitor's configuration, read anew at each question."""

    config: Path

    def __call__(self, model: str) -> dict[str, Check]:
        """By feature; empty where nothing is declared. Raises StepFailed, to be tried again, for a configuration that cannot
        be used."""
        from monitor.cli.common import load_config
        from monitor.errors import MonitorError
        from pipelines.errors import StepFailed

        try:
            return checks_of(load_config((self.config,), ()), model)
        except MonitorError as error:
            what = f"configuration {str(self.config)!r}"
            raise StepFailed(what, f"cannot be read: {error}", "It is tried again.", again=True) from error


def checks_of(config: Config, model: str) -> dict[str, Check]:
    """The same of a configuration at hand. Only data crosses: the spelling of both is the same."""
    import msgspec

    from pipelines.quality import Check

    found = config.model(model)
    if found is None or found.quality is None:
        return {}
    types = {name: feature.type for name, feature in config.streams.predictions.features.items()}
    return {
        name: msgspec.convert(
            {**declared.model_dump(mode="json", by_alias=True, exclude_none=True), "type": types[name]}, Check
        )
        for name, declared in found.quality.features.items()
    }
