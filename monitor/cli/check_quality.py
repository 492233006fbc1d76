"""What `driftline check` says about declared data quality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.config.problems import Path as Place
    from monitor.config.quality import Quality
    from monitor.config.types import Config
    from monitor.drift.checked import Violation
    from monitor.plan import ModelPlan, Plan


def broken_by_reference(config: Config, plan: Plan) -> list[tuple[Place, str]]:
    """Each limit that the model's own reference does not keep, with its place: it would page from the first window on."""
    models: list[tuple[Place, Quality | None, ModelPlan]] = [
        (("models", i), m.quality, plan.models[m.name]) for i, m in enumerate(config.models)
    ]
    if config.unlisted_models is not None and plan.template is not None:
        models.append((("unlisted_models",), config.unlisted_models.quality, plan.template))
    return [
        sentence for at, quality, model in models if quality is not None for sentence in _broken(at, quality, model)
    ]


def _broken(at: Place, quality: Quality, model: ModelPlan) -> Iterator[tuple[Place, str]]:
    from monitor.config.quality import limits_of
    from monitor.drift.checked import CheckedCategorical, CheckedNumeric, in_reference

    reference = model.reference
    for feature in model.features if reference is not None else ():
        if reference is None or not isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)):
            continue
        shares = _shares(in_reference(feature.binning, reference.features[feature.name].reference), reference.rows)
        for check, most in sorted(limits_of(quality.features[feature.name]).items()):
            if shares.get(check, 0.0) > most:
                yield (
                    (*at, "quality", "features", feature.name),
                    (
                        f"at least {shares[check]:.2%} of the reference's own {reference.rows:,} rows are "
                        f"{check.replace('_', ' ')}, and at most {most:.2%} are allowed; widen what is "
                        "declared, raise the limit, or build the reference of better rows"
                    ),
                )


def _shares(found: dict[Violation, int], rows: int) -> dict[str, float]:
    from monitor.drift.checked import OUT_OF_RANGE

    shares = {str(kind): count / rows for kind, count in found.items()}
    return {**shares, "out_of_range": sum(found.get(kind, 0) for kind in OUT_OF_RANGE) / rows}


def traffic(config: Config) -> list[dict[str, Any]]:
    """What must come of each model that has such a limit, as it goes into JSON."""
    from monitor.config.quality_rules import traffic_limits

    found = []
    for name in [*(model.name for model in config.models), *(["(unlisted)"] if config.unlisted_models else [])]:
        if (limits := traffic_limits(config, name)) is not None:
            silence_s = None if limits.silence_ms is None else limits.silence_ms / 1000
            found.append(
                {
                    "model": name,
                    "window": limits.window,
                    "at_least": limits.volume,
                    "silence_s": silence_s,
                    "severity": limits.severity,
                }
            )
    return found


def traffic_text(limit: dict[str, Any]) -> str:
    """The same as a line for people."""
    from monitor.config.durations import format_duration

    parts = []
    if limit["at_least"] is not None:
        parts.append(f"at least {limit['at_least']:,} predictions in each {limit['window']}")
    if limit["silence_s"] is not None:
        parts.append(f"never none for more than {format_duration(int(limit['silence_s'] * 1000))}")
    return f"{limit['model']}: {', '.join(parts)} ({limit['severity']})"
