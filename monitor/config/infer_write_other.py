"""What a proposed config says of models that are not binary: their settings, why, and an example of a rule."""

from __future__ import annotations

import math
from typing import Any

from monitor.config.infer_lines import comment
from monitor.config.infer_other import Other
from monitor.config.tasks import MOST_CLASSES
from monitor.config.yaml_text import flow


def other_settings(other: Other) -> dict[str, Any]:
    """The keys of a model."""
    if other.task == "multiclass":
        return {"task": other.task, "classes": list(other.classes)}
    return {"task": other.task, "largest": other.largest}


def why_other(other: Other, key: str) -> list[str]:
    """On what a key rests."""
    if key == "classes":
        most = f", the {MOST_CLASSES} most frequent" if len(other.classes) == MOST_CLASSES else ""
        return comment(f"the words that were seen{most}; all others are counted as one class, `other`")
    if key == "largest":
        return comment("a hundred times the largest number seen; larger ones are counted as overflow", mark=True)
    if not other.pairs:
        return comment("by the answers alone: no labels were sampled", mark=True)
    if other.task == "multiclass":
        return comment(f"the answer was the label in {other.quality:.0%} of {other.pairs} sampled pairs")
    return comment(f"answer and label are numbers that move together on {other.pairs} sampled pairs")


def other_rule(other: Other, window: str) -> list[str]:
    """An example of a rule on this window, by what was seen."""
    rule: dict[str, Any] = {"name": "low-accuracy", "metric": "accuracy", "op": "<", "window": window}
    threshold, text = 0.5, "an example; its threshold is not a finding"
    if other.task == "regression":
        rule |= {"name": "large-errors", "metric": "mae", "op": ">"}
        threshold = _two_digits(2.0 * other.quality) if other.quality > 0.0 else 1.0
    if other.pairs and other.task == "regression":
        text = f"an example: the mean absolute error was {_two_digits(other.quality):g} on {other.pairs} sampled pairs"
    elif other.pairs:
        threshold = max(0.05, round(math.floor((other.quality - 0.1) * 20) / 20, 2))
        text = f"an example: accuracy was {other.quality:.2f} on {other.pairs} sampled pairs"
    rule |= {"threshold": threshold, "min_rows": 200, "min_coverage": 0.5, "severity": "ticket"}
    return [*comment(text), f"- {flow(rule)}"]


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")
