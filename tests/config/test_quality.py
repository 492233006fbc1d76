"""What may be declared of the data, and the rules that it stands for."""

from __future__ import annotations

import pytest

from monitor.config import Config, loads
from monitor.config.diff import Effect, diff
from monitor.config.quality_rules import TrafficLimits, all_rules, quality_rules, shortest_silence_ms, traffic_limits
from tests.config.examples import FULL, MINIMAL, only_problem, problems

TEXT = """\
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {distance: numeric, carrier: categorical, fare: numeric}
windows: [1d, 1h]
models:
  - name: flights
    features: [distance, carrier]
    quality: {QUALITY}
"""


def config(quality: str, **changes: str) -> Config:
    text = TEXT.replace("{QUALITY}", quality)
    for old, new in changes.items():
        text = text.replace(old, new)
    return loads(text)


@pytest.mark.parametrize(
    ("quality", "sentence"),
    [
        (
            "{features: {distance: {min: 5, max: 3}}}",
            "quality.features.distance.min: min (5) is above max (3), so no number would be right",
        ),
        (
            "{features: {distnce: {min: 5}}}",
            (
                "quality.features.distnce: 'distnce' is not a feature that this model watches; allowed: distance, carrier; "
                "did you mean 'distance'?"
            ),
        ),
        ("{features: {fare: {min: 5}}}", "'fare' is not a feature that this model watches"),
        (
            "{features: {distance: {values: [near, far]}}}",
            (
                "quality.features.distance.values: the feature is numeric, and 'values' is for categorical ones; "
                "allowed: min and max"
            ),
        ),
        (
            "{features: {carrier: {max: 5}}}",
            "the feature is categorical, and 'max' is for numeric ones; allowed: values",
        ),
        ("{features: {carrier: {values: []}}}", "no value is listed, so none would be right"),
        ("{features: {carrier: {values: [AA, DL, AA]}}}", "values[2]: the value 'AA' is listed twice"),
        (
            "{features: {distance: {out_of_range: {at_most: 0.1}}}}",
            "'out_of_range' needs min or max, and it is not declared",
        ),
        ("{features: {carrier: {unexpected: {at_most: 0.1}}}}", "'unexpected' needs values, and it is not declared"),
        ("{window: 2h}", "quality.window: '2h' is not one of the windows; allowed: 1d, 1h"),
        ("{freshness: {at_most: 10s}}", "10s is shorter than time.tick (1m); silence is counted in ticks"),
        ("{volume: {at_least: 0}}", "0 is out of range; allowed: 1 or more"),
        ("{features: {distance: {missing: {at_most: 2}}}}", "2 is out of range; allowed: 0 to 1"),
        ("{features: {distance: {missing: 0.2}}}", "0.2 is not a mapping; allowed: a mapping with at_most"),
    ],
)
def test_a_mistake_is_a_sentence_at_its_place(quality: str, sentence: str) -> None:
    assert sentence in only_problem(TEXT.replace("{QUALITY}", quality))


def test_a_rule_may_name_a_violation_only_where_it_is_declared() -> None:
    rule = "rules:\n  - {name: far, metric: 'out_of_range:distance', op: '>', threshold: 0.2, window: 1h}\n"
    found = problems(TEXT.replace("{QUALITY}", "{features: {distance: {missing: {at_most: 0.1}}}}") + rule)
    assert len(found) == 1
    assert "no model of this rule declares what 'out_of_range:distance' counts" in found[0]
    made = loads(TEXT.replace("{QUALITY}", "{features: {distance: {max: 9}}}") + rule)
    assert [r.name for r in all_rules(made)] == ["far", "quality:out_of_range:distance", "quality:wrong_type:distance"]


def test_what_is_declared_is_judged_by_rules_with_defaults_in_the_shortest_window() -> None:
    made = config("{features: {distance: {min: 0, missing: {at_most: 0.02}}, carrier: {values: [AA, 9E]}}}")
    rules = quality_rules(made)
    assert [(rule.name, rule.threshold) for rule in rules] == [
        ("quality:unexpected:carrier", 0.01),
        ("quality:wrong_type:carrier", 0.01),
        ("quality:missing:distance", 0.02),
        ("quality:out_of_range:distance", 0.01),
        ("quality:wrong_type:distance", 0.01),
    ]
    assert {(r.window, r.severity, r.op, r.min_rows, r.min_coverage, r.model, r.segments) for r in rules} == {
        ("1h", "page", ">", 100, 0.0, "flights", "all")
    }


def test_for_window_rows_and_severity_are_those_of_all_its_rules() -> None:
    made = config("{features: {distance: {min: 0}}, for: 1h30m, window: 1d, min_rows: 7, severity: info}")
    assert {(r.for_ms, r.window, r.min_rows, r.severity) for r in quality_rules(made)} == {(5_400_000, "1d", 7, "info")}


def test_a_limit_of_one_is_no_rule() -> None:
    made = config("{features: {distance: {min: 0, wrong_type: {at_most: 1}}}}")
    assert [rule.name for rule in quality_rules(made)] == ["quality:out_of_range:distance"]


def test_rules_of_the_template_are_not_about_listed_models() -> None:
    text = TEXT.replace("{QUALITY}", "{features: {distance: {min: 0}}}")
    made = loads(text + "unlisted_models: {quality: {features: {distance: {min: 5}}}}\n")
    of_template = [rule for rule in quality_rules(made) if rule.model is None]
    assert of_template
    assert all(getattr(rule, "except_models", None) == {"flights"} for rule in of_template)


@pytest.mark.parametrize(
    ("quality", "limits"),
    [
        ("{features: {distance: {min: 0}}}", None),
        ("{volume: {at_least: 5}}", TrafficLimits("1h", 5, 3_600_000, "page")),
        ("{volume: {at_least: 5}, window: 1d}", TrafficLimits("1d", 5, 86_400_000, "page")),
        ("{freshness: {at_most: 15m}, severity: ticket}", TrafficLimits("1h", None, 900_000, "ticket")),
    ],
)
def test_who_wants_volume_is_told_of_silence_too(quality: str, limits: TrafficLimits | None) -> None:
    made = config(quality)
    assert traffic_limits(made, "flights") == limits
    assert shortest_silence_ms(made) == (limits and limits.silence_ms)
    assert traffic_limits(made, "unknown") is None


def test_limits_may_change_at_any_time_and_what_is_right_may_not() -> None:
    before = config("{features: {distance: {min: 0, max: 9, missing: {at_most: 0.1}}}, volume: {at_least: 5}}")
    for other in (
        "{features: {distance: {min: 0, max: 9, out_of_range: {at_most: 0.5}}}, for: 1h, severity: info}",
        "{features: {distance: {min: 0, max: 9}}, freshness: {at_most: 2h}, window: 1d, min_rows: 7}",
    ):
        assert config(other).digest == before.digest
        assert {change.effect for change in diff(before, config(other))} == {Effect.TICK}
    assert config("{features: {distance: {min: 0, max: 8}}}").digest != before.digest
    assert config("{features: {distance: {min: 0, max: 9}, carrier: {values: [AA]}}}").digest != before.digest


def test_a_config_without_declarations_has_the_digest_it_always_had() -> None:
    assert config("{volume: {at_least: 5}}").digest == loads(TEXT.replace("    quality: {QUALITY}\n", "")).digest
    assert loads(MINIMAL).digest == "sha256:285a505e3049610fe4c31dfaa192164c88394cf43df16ca01f4c4481c13bc680"
    assert loads(FULL).digest == "sha256:a6aa587b39852c95b8ef0425aaaafe1e251e35a84da5edd5e0df9ceca44bc9e7"


def test_the_document_reads_back() -> None:
    made = config("{features: {distance: {min: 0}, carrier: {values: [AA, 9E]}}, volume: {at_least: 5}}")
    assert loads(made.document()).document() == made.document()


def test_a_feature_that_is_declared_anew_takes_effect_at_a_pane_and_is_one_difference() -> None:
    before = config("{features: {distance: {min: 0}}}")
    found = diff(before, config("{features: {distance: {min: 0}, carrier: {missing: {at_most: 0.1}}}}"))
    assert [str(change) for change in found] == [
        'models.flights.quality.features.carrier: added ({missing.at_most: "0.1"}); takes effect at a pane'
    ]
    without = loads(TEXT.replace("    quality: {QUALITY}\n", "").replace("name: flights", "name: other"))
    assert {change.path for change in diff(before, without)} == {"models.flights", "models.other"}


def test_a_model_that_is_not_listed_has_the_limits_of_the_template() -> None:
    text = TEXT.replace("{QUALITY}", "{features: {distance: {min: 0}}}")
    made = loads(text + "unlisted_models: {quality: {volume: {at_least: 5}, freshness: {at_most: 2h}, for: 1h}}\n")
    assert traffic_limits(made, "stranger") == TrafficLimits("1h", 5, 7_200_000, "page")
    assert traffic_limits(made, "flights") is None
    stranger = made.model("stranger")
    assert stranger is not None
    assert stranger.quality == (made.unlisted_models and made.unlisted_models.quality)


def test_a_metric_that_is_misspelled_is_looked_for_among_the_declared_ones_too() -> None:
    rule = "rules:\n  - {name: far, metric: 'out_of_rang:distance', op: '>', threshold: 0.2, window: 1h}\n"
    text = TEXT.replace("{QUALITY}", "{features: {distance: {max: 9}}}") + rule
    assert "did you mean 'out_of_range:distance'?" in only_problem(text)
