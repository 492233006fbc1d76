"""The JSON Schema of a record on the `windows` topic, generated from the type that reads it."""

from __future__ import annotations

from dataclasses import replace
from inspect import cleandoc
from typing import Any, Final

import msgspec

from monitor.windows.payload import WindowPayload, encode
from monitor.windows.view import Estimate, Kind, Outlook, SeriesKey, Undefined, WindowKey, WindowView

WINDOW_SCHEMA_ID: Final = "urn:driftline:schema:window:v1"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
GROWTH: Final = "Fields may be added within a version: ignore those you do not know."


def window_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the record's value, with examples."""
    schema = msgspec.json.schema(WindowPayload)
    return {
        "$schema": DIALECT,
        "$id": WINDOW_SCHEMA_ID,
        "title": "A window of a Driftline deployment",
        "$comment": GROWTH,
        "examples": [
            msgspec.json.decode(encode(view))
            for view in (*example_windows(), *example_tasks().values(), example_outlook())
        ],
        "$ref": schema["$ref"],
        "$defs": described(schema["$defs"]),
    }


def described(definitions: dict[str, Any]) -> dict[str, Any]:
    """Definitions whose descriptions are the same on every Python: since 3.13 a docstring comes without its indentation."""
    return {
        name: {key: cleandoc(value) if key == "description" else value for key, value in definition.items()}
        for name, definition in definitions.items()
    }


def example_windows() -> tuple[WindowView, WindowView]:
    """A performance window that labels still arrive for, and a final input window."""
    day = WindowKey(SeriesKey("arrival-delay", "2013.1", "all"), "1d", 1_357_344_000_000, 1_357_430_400_000)
    performance = WindowView(
        key=day,
        kind=Kind.PERFORMANCE,
        revision=41,
        final=False,
        tick_ms=1_357_434_000_000,
        seen=716,
        labelled=655,
        metrics={
            "accuracy": Estimate(555 / 655, 0.8177, 0.8728, 655),
            "recall": Estimate(43 / 117, 0.2857, 0.4579, 117),
            "roc_auc": Estimate(0.7312, 0.6829, 0.7795, 655, 0.0004),
            "precision": Estimate(None, None, None, 0, undefined=Undefined.ZERO_DENOMINATOR),
        },
        counts={"tp": 43, "fp": 26, "fn": 74, "tn": 512},
        config_digest="sha256:" + "c0" * 32,
        reference_digest="sha256:" + "5e" * 32,
    )
    inputs = WindowView(
        key=day,
        kind=Kind.INPUT,
        revision=87,
        final=True,
        tick_ms=1_357_560_000_000,
        seen=716,
        labelled=0,
        metrics={"psi:hour": Estimate(0.0312, None, None, 716), "missing:origin": Estimate(0.0, 0.0, 0.0053, 716)},
        counts={"seen": 716},
        config_digest="sha256:" + "c0" * 32,
        reference_digest="sha256:" + "5e" * 32,
    )
    return performance, inputs


def example_outlook() -> WindowView:
    """A performance window of a deployment with `estimates`: half of its labels are there."""
    performance, _ = example_windows()
    return replace(
        performance,
        labelled=358,
        metrics={"accuracy": Estimate(302 / 358, 0.8023, 0.8775, 358)},
        counts={"tp": 20, "fp": 12, "fn": 44, "tn": 282, "called": 69},
        outlook=Outlook(
            expected_coverage=0.5213,
            eventual_coverage=0.9721,
            settled_ms=1_357_480_800_000,
            bounds={"accuracy": (302 / 716, 660 / 716), "precision": (20 / 69, 57 / 69)},
            completed={"accuracy": Estimate(0.8012, 0.7791, 0.8233, 716)},
            unlabelled={
                "accuracy": Estimate(0.8103, 0.7815, 0.8391, 716),
                "residual": Estimate(-0.0102, -0.051, 0.0306, 358),
            },
        ),
    )


def example_tasks() -> dict[str, WindowView]:
    """Performance windows of a multiclass and of a regression model, by task; some of their metrics."""
    several = WindowView(
        key=WindowKey(SeriesKey("router", "7", "all"), "1h", 1_357_344_000_000, 1_357_347_600_000),
        kind=Kind.PERFORMANCE,
        revision=3,
        final=True,
        tick_ms=1_357_434_000_000,
        seen=120,
        labelled=100,
        metrics={
            "accuracy": Estimate(0.9, 0.8256, 0.9448, 100),
            "recall:outage": Estimate(0.75, 0.5313, 0.8881, 20),
            "recall:other": Estimate(None, None, None, 0, undefined=Undefined.ZERO_DENOMINATOR),
        },
        counts={
            "seen": 120,
            "labelled": 100,
            "scored": 0,
            "confusion:outage:outage": 15,
            "confusion:outage:sales": 5,
            "confusion:sales:sales": 75,
            "confusion:sales:outage": 5,
        },
        config_digest="sha256:" + "c0" * 32,
    )
    number = WindowView(
        key=WindowKey(SeriesKey("eta", "7", "all"), "1h", 1_357_344_000_000, 1_357_347_600_000),
        kind=Kind.PERFORMANCE,
        revision=3,
        final=True,
        tick_ms=1_357_434_000_000,
        seen=120,
        labelled=100,
        metrics={
            "bias": Estimate(-0.41, -1.2, 0.38, 99, 2.0**-33),
            "mae": Estimate(3.25, 2.77, 3.73, 99, 2.0**-33),
            "overflow": Estimate(0.01, 0.0018, 0.0545, 100),
        },
        counts={"seen": 120, "labelled": 100, "overflow": 1},
        config_digest="sha256:" + "c0" * 32,
    )
    return {"multiclass": several, "regression": number}
