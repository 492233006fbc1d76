"""What `driftline check` says about references: every one that does not fit what its model watches, and those of few rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.config.problems import Path as Place
    from monitor.config.types import Config, ModelTemplate
    from monitor.plan import Plan

FINEST = 0.02
"""The KS shift that rows are asked for where no budget says another one."""


def misfits(config: Config) -> Iterator[tuple[Place, str]]:
    """Every reference that is none, or lacks what its model watches, each with its place. `plan.plan_of` stops at the first."""
    templates: list[tuple[Place, str, ModelTemplate]] = [
        (("models", index), model.name, model) for index, model in enumerate(config.models)
    ]
    if config.unlisted_models is not None:
        templates.append((("unlisted_models",), "*", config.unlisted_models))
    for at, name, model in templates:
        if name in config.references:
            yield from _misfits(config, at, name, model)


def _misfits(config: Config, at: Place, name: str, model: ModelTemplate) -> Iterator[tuple[Place, str]]:
    from monitor.config.suggest import hint, listing
    from monitor.drift.document import loads
    from monitor.drift.pairs import pair_name
    from monitor.errors import ReferenceProfileError

    file, where = config.references[name], (*at, "reference")
    try:
        reference = loads(file.data)
    except ReferenceProfileError as error:
        yield where, f"the file {file.path!r} is no reference: {error}"
        return
    rebuilt = "build it again with `driftline reference build`"
    again = f"{rebuilt}, or stop watching the feature"
    for feature in model.features:
        profile, wanted = reference.features.get(feature), config.streams.predictions.features[feature].type
        if profile is None:
            has = list(reference.features)
            yield where, f"it has no feature {feature!r}; it has {listing(has)}{hint(feature, has)}; {again}"
        elif profile.type != wanted:
            yield where, f"it holds {feature!r} as {profile.type}, and the stream as {wanted}; {again}"
    for pair in config.drift.pairs:
        if set(pair) <= set(model.features) and pair not in reference.pairs:
            yield (
                where,
                f"it does not say how {pair_name(pair)} go together (drift.pairs); {rebuilt}, or take the pair out",
            )


def few_rows(config: Config, plan: Plan) -> Iterator[str]:
    """A sentence for each reference that is too small for the shifts that are asked for."""
    from monitor.drift.reference import too_few

    finest = config.budget.materiality.features if config.budget is not None else 0.0
    for name, compiled in plan.models.items():
        if compiled.reference is not None and (sentence := too_few(compiled.reference.rows, finest or FINEST)):
            yield f"the reference of model {name!r} {sentence}"
