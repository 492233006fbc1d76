"""The names that incidents and gates may use: what there is in the configurations that are backtested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.alerts.event import BUDGET_RULES
from monitor.alerts.traffic import BY_TICKS
from monitor.config import metric_names, tasks
from monitor.config.quality import declared_metrics
from monitor.config.quality_rules import all_rules
from monitor.config.task_checks import any_score
from monitor.config.types import Config


@dataclass(frozen=True, slots=True)
class Known:
    """Names in the order of the configurations. `models` None: any, as models that are not listed are watched too; of those
    any segment that some model has."""

    models: tuple[str, ...] | None
    segments: Mapping[str, tuple[str, ...]]
    rules: tuple[str, ...]

    def segments_of(self, model: str) -> tuple[str, ...]:
        """Those of a model; of all models where it has no name or is not listed."""
        if model in self.segments and model:
            return self.segments[model]
        return tuple(dict.fromkeys(name for names in self.segments.values() for name in names))


def known_in(configs: Sequence[Config]) -> Known:
    """What there is in any of the configurations."""
    segments: dict[str, tuple[str, ...]] = {}
    for config in configs:
        unlisted = [("", config.unlisted_models)] if config.unlisted_models is not None else []
        for name, model in [*((model.name, model) for model in config.models), *unlisted]:
            own = (f"{d}={v}" for d, values in sorted(model.segments.items()) for v in (*values, "other"))
            segments[name] = tuple(dict.fromkeys((*segments.get(name, ()), "all", *own)))
    rules = [rule.name for config in configs for rule in all_rules(config)]
    if any(config.budget is not None for config in configs):
        rules += BUDGET_RULES
    any_model = any(config.unlisted_models is not None for config in configs)
    return Known(None if any_model else tuple(segments), segments, tuple(dict.fromkeys((*rules, *sorted(BY_TICKS)))))


def metrics_in(config: Config) -> tuple[str, ...]:
    """Every metric that final windows of a configuration may have. Estimates are of windows that wait for labels."""
    models = [*config.models, *([config.unlisted_models] if config.unlisted_models is not None else [])]
    names = metric_names.known(
        list(config.streams.predictions.features),
        score=any_score(config),
        more=config.drift.distances,
        declared=declared_metrics(model.quality for model in models),
        performance=tasks.performance(models),
        pairs=config.drift.pair_names,
    )
    names.append(f"missing:{metric_names.SCORE}")
    return tuple(name for name in names if config.streams.labels is not None or not metric_names.needs_labels(name))
