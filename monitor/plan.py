"""The plan: what the configuration and the reference profiles mean for each model, compiled once.

Everything the engine needs to know about a model is here as values: its task, its segments, its watched features and
where their bins lie in the vector of counts. A model that is not listed gets the template's plan under its own name. One that has
meant something else before, or is going to, has a plan for each of its senses (`ledger.roster`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from monitor.config.metric_names import STANDARD
from monitor.config.panes import pane_ms
from monitor.config.quality import FeatureQuality
from monitor.config.tasks import absent_value, coded_classes, scored_classes
from monitor.config.types import Config, ModelTemplate
from monitor.drift.binning import Binning, CategoricalBinning, NumericBinning
from monitor.drift.checked import Checked, CheckedCategorical, CheckedNumeric, of_base
from monitor.drift.document import loads
from monitor.drift.pairs import CELLS, GROUPS, groups_of, pair_name
from monitor.drift.reference import SCORE, Reference, histogram_name
from monitor.editions import NEWEST
from monitor.errors import ReferenceProfileError
from monitor.events import Int64s
from monitor.join.inputs import JoinParams
from monitor.join.timeline import Bounds
from monitor.metrics.delays import delay_ends
from monitor.metrics.task import Task
from monitor.metrics.tasks import task_of
from monitor.sketches.cells import CellLayout, CellSlice

SETTLE_STEPS = 64
"""Rows are looked at once per 1/64 of the horizon: 1.6 % more memory than settling at once, and no scan per commit."""

TEMPLATE = "*"
"""Stands for the template where references are named by model."""


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """A watched input: its binning, and the first cell of its histogram in the input vector. Bins of a feature whose
    quality is declared tell violations too."""

    name: str
    binning: Binning | Checked
    start: int
    read_as: str | None = None

    @property
    def column(self) -> str:
        """The column of decoded predictions that it is read from: another than its name where that meant another place."""
        return self.read_as or self.name

    @property
    def base(self) -> Binning:
        """The bins that distances are taken on."""
        return self.binning.base if isinstance(self.binning, (CheckedNumeric, CheckedCategorical)) else self.binning

    @property
    def numeric(self) -> NumericBinning:
        """The binning of a feature that is known to be numeric, as scores are."""
        assert isinstance(self.binning, NumericBinning)
        return self.binning


@dataclass(frozen=True, slots=True)
class PairPlan:
    """A watched pair: its name `A~B`, the places of its features among the model's, the first of its 64 cells in the input
    vector, what each bin of either adds to that, and the reference's counts."""

    name: str
    places: tuple[int, int]
    start: int
    offsets: tuple[Int64s, Int64s]
    reference: Int64s


@dataclass(frozen=True, slots=True)
class Dimension:
    """A segment dimension: the categorical feature it reads and the values that are segments; others are `other`."""

    name: str
    values: tuple[str, ...]
    read_as: str | None = None

    @property
    def column(self) -> str:
        """As `FeaturePlan.column`."""
        return self.read_as or self.name


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model, compiled. `input_cells` is `seen` and a histogram per feature; without a reference only `seen`."""

    name: str
    task: Task
    positive: float
    features: tuple[FeaturePlan, ...]
    score: FeaturePlan | None
    dimensions: tuple[Dimension, ...]
    input_cells: CellLayout
    reference: Reference | None
    reference_digest: str | None
    labels: Mapping[str, str]
    distances: tuple[str, ...] = STANDARD
    """Distances to the reference that its input windows carry."""
    pairs: tuple[PairPlan, ...] = ()
    """Pairs of its features that are watched; none without a reference."""
    sense: str = ""
    """What its predictions are counted as."""
    places: tuple[int, ...] = ()
    """Where the bins of its features lie among those that are kept of a prediction."""
    threshold: float | None = None
    """At which score a prediction is positive; None where it is as it was decoded."""
    config_digest: str | None = None
    """Of the configuration that this sense came with; None of those that the namespace's own stands for."""

    @property
    def bins(self) -> int:
        """Bins that are kept of a prediction, up to the last of its own."""
        return max(self.places, default=-1) + 1

    def cells_of(self, *, inputs: bool) -> CellLayout:
        """The vector of its input windows, or of its performance windows."""
        return self.input_cells if inputs else self.task.cells

    def of_edition(self, number: int) -> ModelPlan:
        """The plan as an edition has it."""
        return replace(self, task=self.task.of_edition(number))


@dataclass(frozen=True, slots=True)
class Plan:
    """Every model and the times they share."""

    models: Mapping[str, ModelPlan]
    template: ModelPlan | None
    join: JoinParams
    pane_ms: int
    max_jump_ms: int
    has_labels: bool
    config_digest: str
    scored: tuple[str, ...] = ()
    """Classes that predictions carry probabilities of; each takes 8 bytes a prediction."""
    estimates: bool = False
    """Whether windows say what is to be expected while labels are missing."""
    finals_only: bool = False
    """Whether of windows only the final value is told, as in a backtest; rules read every revision all the same."""
    senses: Mapping[str, ModelPlan] = field(default_factory=dict)
    """Every sense of every model there ever was; empty where each has but one. `models` has those that came last."""
    edition: int = NEWEST
    """That of its tasks: of a plan as it was compiled the newest that this code knows."""

    def of_edition(self, number: int) -> Plan:
        """The plan as an edition up to its own has it."""
        if number == self.edition:
            return self
        assert number < self.edition, f"a plan of edition {self.edition} does not know edition {number}"
        models = {name: model.of_edition(number) for name, model in self.models.items()}
        senses = {name: model.of_edition(number) for name, model in self.senses.items()}
        template = None if self.template is None else self.template.of_edition(number)
        return replace(self, models=models, senses=senses, template=template, edition=number)

    @property
    def width(self) -> int:
        """Most bins that are kept of a prediction of any model."""
        return max((model.bins for model in self.all_models), default=0)

    @property
    def all_models(self) -> tuple[ModelPlan, ...]:
        """The listed models, in all their senses, and the template."""
        return (*(self.senses or self.models).values(), *((self.template,) if self.template else ()))

    def of_window(self, model: str, config_digest: str) -> ModelPlan:
        """The plan by which a window of a model was counted that says this digest of a configuration."""
        found = (one for one in self.senses.values() if one.name == model and one.config_digest is not None)
        known = self.models.get(model) if not self.senses else self.senses.get(model)
        return next((one for one in found if one.config_digest == config_digest), known) or self.model(model)

    def config_of(self, model: ModelPlan) -> str:
        """The digest of the configuration that gives a sense its meaning."""
        return model.config_digest or self.config_digest

    def counted_as(self, sense: str) -> ModelPlan:
        """The plan of a sense; that of a model that has but one. Raises KeyError where there is none."""
        known = self.senses.get(sense)
        return self.model(sense) if known is None else known

    def model(self, name: str) -> ModelPlan:
        """The plan of a model; an unlisted one follows the template. Raises KeyError where there is none."""
        known = self.models.get(name)
        if known is not None:
            return known
        if self.template is None:
            raise KeyError(name)
        return replace(self.template, name=name, sense=name)


def plan_of(config: Config) -> Plan:
    """The plan of a configuration as it was loaded, with the reference files it names.

    Raises ReferenceProfileError for a file that is no reference, or that lacks a watched feature.
    """
    references: dict[str, Reference] = {}
    for name, file in config.references.items():
        try:
            references[name] = loads(file.data)
        except ReferenceProfileError as error:
            raise ReferenceProfileError(f"the reference {file.path!r} of model {name!r}: {error}") from error
    return compile_plan(config, references)


def compile_plan(config: Config, references: Mapping[str, Reference]) -> Plan:
    """Compile a configuration and the references of its models (by model name, the template's under `TEMPLATE`).

    Raises ReferenceProfileError when a reference lacks a feature that its model watches.
    """
    models = {m.name: compile_model(config, m, m.name, references.get(m.name)) for m in config.models}
    template = config.unlisted_models
    compiled = compile_model(config, template, "(unlisted)", references.get(TEMPLATE)) if template else None
    return assemble(config, models, compiled)


def assemble(config: Config, models: Mapping[str, ModelPlan], template: ModelPlan | None) -> Plan:
    """The plan with these models, and with the times of a configuration."""
    time, labels = config.time, config.streams.labels
    horizon = time.horizon_ms if labels else 0
    step = max(1, -(-horizon // SETTLE_STEPS // time.tick_ms)) * time.tick_ms
    absent = labels.absent if labels else None
    join = JoinParams(
        bounds=Bounds(horizon, time.skew_ms if labels else 0),
        disorder_ms=time.disorder_ms,
        lateness_ms=time.lateness_ms,
        tick_ms=time.tick_ms,
        settle_ms=step,
        max_rows=config.state.max_rows,
        absent=(absent_value(config, absent.value), absent.after_ms) if absent else None,
    )
    return Plan(
        models=models,
        template=template,
        join=join,
        pane_ms=pane_ms(config),
        max_jump_ms=time.max_jump_ms,
        has_labels=labels is not None,
        config_digest=config.digest,
        scored=scored_classes(config),
        estimates=config.estimates and labels is not None,
    )


def compile_model(
    config: Config,
    model: ModelTemplate,
    name: str,
    reference: Reference | None,
    columns: Mapping[str, str] | None = None,
) -> ModelPlan:
    """The plan of one model. `columns`: where features are read from, by name, where that is not their name.

    Raises ReferenceProfileError as `compile_plan` does.
    """
    read_as = columns or {}
    watched = model.features
    types = {feature: source.type for feature, source in config.streams.predictions.features.items()}
    declared = model.quality.features if model.quality is not None else {}
    ends = delay_ends(config.time.horizon_ms, config.time.tick_ms) if config.estimates else None
    slices = [CellSlice("seen")]
    features: list[FeaturePlan] = []
    for feature in watched:
        binning = _checked(_binning(name, feature, types[feature], reference), declared.get(feature))
        plan = FeaturePlan(feature, binning, _next(slices), read_as.get(feature))
        slices.append(CellSlice(histogram_name(feature), plan.binning.bins))
        features.append(plan)
    score: FeaturePlan | None = None
    # Of regression models `$score` is the number that they predict.
    scored = config.streams.predictions.fields.score is not None or model.task == "regression"
    if reference is not None and SCORE in reference.features and scored:
        score = FeaturePlan(SCORE, reference.features[SCORE].binning, _next(slices))
        slices.append(CellSlice(histogram_name(SCORE), score.binning.bins))
    pairs = _pairs(config, name, features, reference, slices)
    return ModelPlan(
        name=name,
        task=task_of(
            model.task,
            model.classes,
            model.largest,
            coded=coded_classes(config),
            scored=scored_classes(config),
            delay_ends=ends,
            one_vs_rest=model.one_vs_rest,
            costs=model.costs.model_dump() if model.costs is not None else None,
        ),
        positive=float(model.positive),
        features=tuple(features),
        score=score,
        dimensions=tuple(Dimension(d, values, read_as.get(d)) for d, values in config.segments_of(model)),
        input_cells=CellLayout(tuple(slices)),
        reference=reference,
        reference_digest=reference.digest if reference is not None else None,
        labels={**config.labels, **model.labels},
        distances=config.drift.carried,
        pairs=pairs,
        sense=name,
        places=tuple(range(len(features))),
    )


def _pairs(
    config: Config, model: str, features: list[FeaturePlan], reference: Reference | None, slices: list[CellSlice]
) -> tuple[PairPlan, ...]:
    """The pairs whose features the model watches, with their slices added."""
    names = [feature.name for feature in features]
    found = []
    for pair in config.drift.pairs if reference is not None else ():
        if not set(pair) <= set(names):
            continue
        assert reference is not None
        if pair not in reference.pairs:
            raise ReferenceProfileError(
                f"the reference of model {model!r} does not say how {pair[0]!r} and {pair[1]!r} go together. Build it again "
                "with `driftline reference build`, or take the pair out of drift.pairs."
            )
        places = names.index(pair[0]), names.index(pair[1])
        first, second = (_groups(features[place], reference) for place in places)
        plan = PairPlan(
            pair_name(pair), places, _next(slices), (first * GROUPS, second), np.array(reference.pairs[pair], np.int64)
        )
        slices.append(CellSlice(f"pair:{plan.name}", CELLS))
        found.append(plan)
    return tuple(found)


def _groups(feature: FeaturePlan, reference: Reference) -> Int64s:
    """The group of each bin that predictions are coded in."""
    own = groups_of(feature.base, reference.features[feature.name].reference).astype(np.int64)
    if not isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)):
        return own
    bins = of_base(feature.binning, np.eye(feature.binning.bins, dtype=np.int64)).argmax(axis=1)
    found: Int64s = own[np.asarray(bins, np.int64)]
    return found


def _next(slices: list[CellSlice]) -> int:
    return sum(part.size for part in slices)


def _checked(binning: Binning, declared: FeatureQuality | None) -> Binning | Checked:
    if declared is None:
        return binning
    if isinstance(binning, NumericBinning):
        return CheckedNumeric(binning, declared.min, declared.max)
    return CheckedCategorical(binning, None if declared.values is None else frozenset(declared.values))


def _binning(model: str, feature: str, kind: str, reference: Reference | None) -> Binning:
    """The reference's bins; without a reference only values, missing and invalid ones are told apart."""
    if reference is None:
        return NumericBinning(None, (), ()) if kind == "numeric" else CategoricalBinning((), (), rare_complete=False)
    profile = reference.features.get(feature)
    if profile is None or profile.type != kind:
        what = (
            "has no feature" if profile is None else f"holds as {profile.type}, and the stream as {kind}, the feature"
        )
        raise ReferenceProfileError(
            f"the reference of model {model!r} {what} {feature!r}; it has {', '.join(reference.features)}. "
            "Build it again with `driftline reference build`, or stop watching the feature."
        )
    return profile.binning
