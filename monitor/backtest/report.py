"""The report of a backtest as one document of plain values: every number that its page shows is in it.

A *series* holds the final windows of one (model, version, segment, window, kind) as columns of equal length, in order of
time. A metric without a value has None in its columns, and in `reason` why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from monitor.backtest.totals import Totals
from monitor.config.diff import diff
from monitor.config.metric_names import DISTANCES
from monitor.config.quality_rules import all_rules
from monitor.config.tasks import first_metrics
from monitor.config.types import Config
from monitor.drift.binning import Binning, NumericBinning
from monitor.plan import Plan
from monitor.windows.view import Undefined

FORMAT: Final = 1
"""Version of the document."""
HOUR_MS: Final = 3_600_000
SHOWN_MAX: Final = 6
"""Performance metrics that the page shows, beside those that rules look at."""

_SERIES = ("model", "version", "segment", "window", "kind")
_COLUMNS = ("start_ms", "end_ms", "seen", "labelled", "coverage")
_ESTIMATE = ("value", "lower", "upper", "rows", "reason")

Windows = Iterable[Mapping[str, Any]]


def series_of(windows: Windows, judged: frozenset[str]) -> list[dict[str, Any]]:
    """Final windows, given in order of their start, by series; performance first, `all` before other segments.

    `judged`: metrics that rules look at; they are among those that are `shown`.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for window in windows:
        key = tuple(window[name] for name in _SERIES)
        own = found.get(key)
        if own is None:
            own = found[key] = {**dict(zip(_SERIES, key, strict=True)), **{c: [] for c in _COLUMNS}, "metrics": {}}
        _append(own, window)
    for own in found.values():
        own["shown"] = _shown(own, judged)
    return [found[key] for key in sorted(found, key=lambda k: (k[4] != "performance", k[0], k[3], k[2] != "all", k))]


def _append(own: dict[str, Any], window: Mapping[str, Any]) -> None:
    before = len(own["start_ms"])
    for name in _COLUMNS:
        own[name].append(window[name])
    for name, estimate in window["metrics"].items():
        columns = own["metrics"].setdefault(name, {part: [None] * before for part in _ESTIMATE})
        for part in _ESTIMATE:
            columns[part].append(estimate.get(part))
    for columns in own["metrics"].values():  # one that this window does not have
        for part in _ESTIMATE:
            columns[part] += [None] * (before + 1 - len(columns[part]))


def _shown(own: Mapping[str, Any], judged: frozenset[str]) -> list[str]:
    there = sorted(own["metrics"])
    if own["kind"] == "performance":
        first = list(first_metrics(there)) or there[:SHOWN_MAX]
        return [*first, *(name for name in there if name in judged and name not in first)]
    # Of the feature that a segment is cut by, the distance to the whole reference says nothing.
    dimension, cut, _ = str(own["segment"]).partition("=")
    compared = [name for name in there if set(own["metrics"][name]["reason"]) != {Undefined.NO_REFERENCE.value}]
    distances = [name for name in distances_of(compared) if not cut or name.partition(":")[2] != dimension]
    first = distances or [name for name in compared if name.startswith("missing:")]
    return [*first, *(name for name in there if name in judged and name not in first)]


def distances_of(names: Iterable[str]) -> list[str]:
    """Those that are the distance to draw, of each feature: the first of the catalogue that is there."""
    there = sorted(names)
    for distance in DISTANCES:
        if found := [name for name in there if name.startswith(f"{distance}:")]:
            return found
    return []


def judged_by(config: Config) -> frozenset[str]:
    """The metrics that its rules look at."""
    return frozenset(rule.metric for rule in all_rules(config))


# -- totals ----------------------------------------------------------------------------------------------------------


def delays_of(totals: Totals) -> list[dict[str, Any]]:
    """How long labels took, with the shares of the predictions that had theirs by each end."""
    return [
        {
            **msgspec.to_builtins(delays),
            "ends_hours": [end / HOUR_MS for end in delays.ends_ms],
            "share": _shares(list(accumulate(delays.arrived)), delays.seen),
        }
        for delays in totals.delays
    ]


def distributions_of(totals: Totals, plan: Plan, *, values: bool) -> Iterator[dict[str, Any]]:
    """Of each feature that a reference has, how its values lie in the reference and in this range.

    `values`: bins are named by what they hold; otherwise by their place, and nothing of the data is in the names.
    """
    for own in totals.histograms:
        reference = plan.model(own.model).reference
        assert reference is not None, "only profiled features are counted"
        profile = reference.features[own.feature]
        name = _by_value(profile.binning) if values else _by_place(profile.binning)
        yield {
            "model": own.model,
            "version": own.version,
            "feature": own.feature,
            "bins": [name(code) for code in range(profile.binning.bins)],
            "reference": {
                "rows": sum(profile.counts),
                "counts": list(profile.counts),
                "share": _shares(profile.counts, sum(profile.counts)),
            },
            "current": {
                "rows": sum(own.counts),
                "counts": own.counts,
                "share": _shares(own.counts, sum(own.counts)),
            },
        }


def _shares(counts: Sequence[int], rows: int) -> list[float | None]:
    return [count / rows if rows else None for count in counts]


def _by_value(binning: Binning) -> Callable[[int], str]:
    return binning.label


def _by_place(binning: Binning) -> Callable[[int], str]:
    """`bin 3`, `below`, `above`, `category 2`, `missing`: nothing that was in a record."""
    if not isinstance(binning, NumericBinning):
        kept = len(binning.categories)
        return lambda code: f"category {code + 1}" if code < kept else binning.label(code)
    inside = binning.ordered - 2

    def name(code: int) -> str:
        if code == binning.missing:
            return "missing"
        if binning.minimum is None:
            return "any number"
        return "below" if code == 0 else "above" if code > inside else f"bin {code}"

    return name


# -- the document ----------------------------------------------------------------------------------------------------


def run_of(
    told: Mapping[str, Any], config: Config, plan: Plan, windows: Windows, totals: Totals | None, *, values: bool
) -> dict[str, Any]:
    """One configuration's part: what was `told` of it already, its series, and what its ledger adds up to (`totals` None:
    it was not kept)."""
    series = series_of(windows, judged_by(config))
    spans = [(each["start_ms"][0], max(each["end_ms"])) for each in series]
    references = {model.name: model.reference_digest for model in plan.all_models if model.reference_digest is not None}
    found = {
        **told,
        "namespace": config.namespace,
        "references": references,
        "begin_ms": min((start for start, _ in spans), default=None),
        "end_ms": max((end for _, end in spans), default=None),
        "series": series,
    }
    if totals is None:
        return {**found, "records": None, "outcomes": None, "lost": None, "delays": [], "distributions": []}
    return {
        **found,
        "records": totals.records,
        "outcomes": totals.outcomes,
        "lost": totals.lost,
        "delays": delays_of(totals),
        "distributions": list(distributions_of(totals, plan, values=values)),
    }


def changes_of(config: Config, other: Config) -> list[dict[str, Any]]:
    """What differs between two configurations."""
    return [
        {"path": change.path, "first": change.old, "second": change.new, "effect": str(change.effect)}
        for change in diff(config, other)
    ]
