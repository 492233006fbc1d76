"""Every sense of every model that a namespace counts, compiled: from the configurations that it keeps.

A model that comes to mean something else goes on to be counted as it was, beside its new meaning, until the windows that had
begun are over. So what is decoded, and what is kept of a prediction, is what all its senses need: features that two of them
read from different places are two columns, and bins that they share are kept once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.config import Config
from monitor.config.types import Model, ReferenceFile
from monitor.drift.binning import Binning
from monitor.drift.checked import Checked
from monitor.drift.document import loads
from monitor.drift.reference import Reference
from monitor.errors import ReferenceProfileError
from monitor.groups import sense_of
from monitor.metrics.foreseen import ForeseenBinary
from monitor.plan import TEMPLATE, ModelPlan, Plan, assemble, compile_model


@dataclass(frozen=True, slots=True)
class Section:
    """What a sense is: the section of its model, the configuration in which it stands, its reference, and the digest of
    that configuration where it is not the namespace's own."""

    sense: str
    model: Model
    source: Config
    reference: ReferenceFile | None
    config_digest: str | None


def union(config: Config, first: Config, sections: Sequence[Section]) -> Config:
    """The configuration that reads what all senses need: each model once, as its first sense has it. `first`: the
    configuration that the namespace was begun with."""
    features, _ = _columns(first, sections)
    models = {section.model.name: section.model for section in reversed(sections)}
    names = dict.fromkeys(section.model.name for section in sections)
    files = {"*": config.references["*"]} if "*" in config.references else {}
    files |= {section.model.name: section.reference for section in sections if section.reference is not None}
    predictions = config.streams.predictions.model_copy(update={"features": features})
    update = {
        "models": tuple(models[name] for name in names),
        "streams": config.streams.model_copy(update={"predictions": predictions}),
        "drift": first.drift,
        "estimates": first.estimates,
    }
    return config.model_copy(update=update).with_references(files)


def compiled(everything: Config, first: Config, sections: Sequence[Section], newest: Mapping[str, str]) -> Plan:
    """The plan of all senses. `everything`: their `union`; `newest`: the sense of each model that came last.

    Raises ReferenceProfileError for a reference that is none, or lacks what its sense watches.
    """
    _, columns = _columns(first, sections)
    by_score = everything.streams.predictions.fields.prediction is None
    kept: dict[str, list[tuple[str, Binning | Checked]]] = {}
    firsts: dict[str, Model] = {}
    senses: dict[str, ModelPlan] = {}
    for section in sections:
        one = firsts.setdefault(section.model.name, section.model)
        own = _compile(everything, section, columns[section.sense])
        senses[section.sense] = replace(
            own,
            sense=section.sense,
            places=_places(own, kept.setdefault(own.name, [])),
            threshold=section.model.threshold if by_score and section.model.threshold != one.threshold else None,
            config_digest=section.config_digest,
        )
    template = everything.unlisted_models
    file = everything.references.get(TEMPLATE)
    rest = None if template is None else compile_model(first, template, "(unlisted)", _loaded(TEMPLATE, file))
    plan = assemble(everything, {name: senses[sense] for name, sense in newest.items()}, rest)
    foreseen = any(isinstance(one.task, ForeseenBinary) for one in (*senses.values(), *((rest,) if rest else ())))
    return replace(plan, senses=senses if len(senses) > len(newest) else {}, estimates=foreseen and plan.has_labels)


def _compile(everything: Config, section: Section, columns: Mapping[str, str]) -> ModelPlan:
    """The plan of one sense, as its own configuration has it; what all models share is that of all of them."""
    streams = everything.streams.model_copy(
        update={
            "predictions": everything.streams.predictions.model_copy(
                update={"features": section.source.streams.predictions.features}
            )
        }
    )
    own = everything.model_copy(
        update={"streams": streams, "drift": section.source.drift, "estimates": section.source.estimates}
    )
    name = section.model.name
    return compile_model(own, section.model, name, _loaded(name, section.reference), columns)


def _columns(first: Config, sections: Sequence[Section]) -> tuple[dict[str, object], dict[str, dict[str, str]]]:
    """The features that are decoded, by column, and by sense which column each of its features is, where it is not its name."""
    features: dict[str, object] = dict(first.streams.predictions.features)
    columns: dict[str, dict[str, str]] = {}
    for section in sections:
        mapped, own = section.source.streams.predictions.features, columns.setdefault(section.sense, {})
        for name in (*section.model.features, *section.model.segments):
            number, column = 0, name
            while features.setdefault(column, mapped[name]) != mapped[name]:
                number += 1
                column = sense_of(name, number)
            if number:
                own[name] = column
    return features, columns


def _places(plan: ModelPlan, kept: list[tuple[str, Binning | Checked]]) -> tuple[int, ...]:
    """Where the bins of its features are kept; what was not kept before is added at the end."""
    for feature in plan.features:
        if (feature.column, feature.binning) not in kept:
            kept.append((feature.column, feature.binning))
    return tuple(kept.index((feature.column, feature.binning)) for feature in plan.features)


def _loaded(name: str, file: ReferenceFile | None) -> Reference | None:
    if file is None:
        return None
    try:
        return loads(file.data)
    except ReferenceProfileError as error:
        raise ReferenceProfileError(f"the reference {file.path!r} of model {name!r}: {error}") from error
