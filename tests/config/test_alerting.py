"""Who may be woken, and what advice may be asked for: mistakes are sentences with a way out."""

from __future__ import annotations

import pytest

from monitor.alerts import event, operational
from monitor.config import loads, recorded
from monitor.config.alert_names import BUILT_IN
from tests.config.examples import only_problem

DRIFT_PAGES = """\
namespace: n
streams:
  predictions:
    topic: scores
    fields: {id: $.id, at: $.at, model: {const: m}, version: $.v, score: $.score}
    features: {hour: numeric}
  labels: {topic: truth, fields: {id: $.id, at: $.at, label: $.label}}
models: [{name: m, reference: m.reference.json}]
windows: [1d]
rules: [{name: r, metric: METRIC, op: ">", threshold: 0.5, window: 1d, severity: SEVERITY}]
"""


@pytest.mark.parametrize("metric", ["psi:hour", "ks:$score", "prevalence"])
def test_drift_alone_is_no_page(metric: str) -> None:
    text = DRIFT_PAGES.replace("METRIC", f'"{metric}"')
    said = only_problem(text.replace("SEVERITY", "page"))
    assert f"rules[0].severity: {metric!r} shows drift, and drift alone is no page" in said
    assert said.endswith(
        "write severity: ticket, and for the page a rule on what is lost (accuracy, or before there are labels "
        "unlabelled:accuracy)"
    )
    for severity in ("ticket", "info"):
        loaded = loads(text.replace("SEVERITY", severity), require_references=False)
        assert loaded.rules[0].severity == severity


@pytest.mark.parametrize("metric", ["missing:hour", "fpr", "volume", "log_loss", "coverage"])
def test_loss_and_broken_data_may_page(metric: str) -> None:
    text = DRIFT_PAGES.replace("METRIC", f'"{metric}"').replace("SEVERITY", "page")
    assert loads(text, require_references=False).rules[0].severity == "page"


def test_what_was_in_force_under_an_earlier_version_is_read_back_as_it_was() -> None:
    text = DRIFT_PAGES.replace("METRIC", '"psi:hour"')
    document = loads(text.replace("SEVERITY", "ticket"), require_references=False).document()
    earlier = recorded(document.replace('"severity":"ticket"', '"severity":"page"').encode())
    assert earlier.rules[0].severity == "page"
    assert earlier.document() == document.replace('"severity":"ticket"', '"severity":"page"')


ADVISED = DRIFT_PAGES.replace(
    'rules: [{name: r, metric: METRIC, op: ">", threshold: 0.5, window: 1d, severity: SEVERITY}]', "ADVICE"
)
KSWIN = "advisories: [{name: a, detector: KSWIN, metric: accuracy, window: 1d}]"


def test_advice_is_a_detector_with_what_it_is_fed() -> None:
    text = ADVISED.replace("ADVICE", KSWIN.replace("accuracy,", "accuracy, options: {alpha: 0.01, window_size: 60},"))
    loaded = loads(text, require_references=False)
    (one,) = loaded.advisories
    assert (one.severity, one.min_coverage, one.quiet_ms, one.options) == (
        "info", 0.8, 86_400_000, {"alpha": 0.01, "window_size": 60}
    )  # fmt: skip
    assert recorded(loaded.document().encode()).advisories == loaded.advisories
    without = loads(ADVISED.replace("ADVICE", "rules: []"), require_references=False)
    assert "advisories" not in without.document()
    assert loaded.digest == without.digest, "it judges, and changes no number"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("KSWIN", "Kswin", "advisories[0].detector: 'Kswin' is not a detector of river; allowed: ADWIN, DDM"),
        (
            "1d}",
            "1d, options: {alhpa: 0.1}}",
            "advisories[0].options.alhpa: KSWIN takes no 'alhpa'; allowed: alpha, window_size",
        ),
        ("1d}", "1d, options: {alpha: 3}}", "advisories[0].detector: KSWIN cannot be made with these options: "),
        ("1d}", "1d, severity: page}", "advisories[0].severity: 'page' is not one of ticket, info"),
        ("accuracy", "acuracy", "advisories[0].metric: 'acuracy' is not a metric"),
        ("1d}", "2d}", "advisories[0].window: '2d' is not a configured window; allowed (windows): 1d"),
        ("1d}", "1d, model: n}", "advisories[0].model: 'n' is not a configured model"),
        ("1d}", "1d, segments: each}", "advisories[0].segments: 'each' needs segments"),
    ],
)
def test_advice_that_cannot_be_given_is_refused(old: str, new: str, sentence: str) -> None:
    assert sentence in only_problem(ADVISED.replace("ADVICE", KSWIN.replace(old, new)))


def test_advice_has_a_name_of_its_own_and_a_window_that_does_not_slide() -> None:
    rule = "rules: [{name: a, metric: volume, op: '<', threshold: 5, window: 1d}]\n"
    assert "'a' is the name of another alert already" in only_problem(ADVISED.replace("ADVICE", rule + KSWIN))
    sliding = ADVISED.replace("ADVICE", KSWIN.replace("1d}", "24h/1h}")).replace(
        "windows: [1d]", "windows: [1d, 24h/1h]"
    )
    assert "'24h/1h' slides, so its values overlap" in only_problem(sliding)


def test_the_names_that_the_daemon_gives_are_those_that_no_rule_may_have() -> None:
    assert {*operational.NAMES, *event.BUDGET_RULES} == BUILT_IN


@pytest.mark.parametrize("name", ["budget-performance", "label-feed-slow"])
def test_no_rule_is_called_like_an_alert_of_the_daemon(name: str) -> None:
    text = DRIFT_PAGES.replace("METRIC", "volume").replace("SEVERITY", "ticket").replace("name: r,", f"name: {name},")
    assert f"rules[0].name: {name!r} is the name of an alert that the daemon gives by itself" in only_problem(text)
    assert recorded(text.encode()).rules[0].name == name, "what was in force is read back"


def test_open_ends_of_ranges_are_said_to_be() -> None:
    text = DRIFT_PAGES.replace("METRIC", "volume").replace("SEVERITY", "ticket")
    said = only_problem(f"{text}label_feed: {{slow_below: 0}}\n")
    assert "label_feed.slow_below: 0 is out of range; allowed: more than 0 and less than 1" in said
