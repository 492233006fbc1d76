"""Alerts against what is known to have happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.backtest.incidents import Incident, IncidentsError, incidents_of, score
from monitor.cli.report.write import TOTALS, totals_in
from tests.backtest.made import HOUR, episode

DAY = 24 * HOUR
INCIDENT = Incident(name="x", from_ms=10 * HOUR, until_ms=20 * HOUR, noticed_ms=15 * HOUR)


def test_the_first_alert_that_fired_while_it_went_on_found_it() -> None:
    alerts = [episode(9 * HOUR), episode(14 * HOUR), episode(12 * HOUR)]
    found = score(alerts, [INCIDENT])
    (one,) = found.found
    assert one.by is alerts[2]
    assert (one.delay_ms, one.lead_ms) == (2 * HOUR, 3 * HOUR)
    assert (found.missed, found.delay_ms) == (0, 2 * HOUR)
    assert found.false_alarms == (alerts[0],)


@pytest.mark.parametrize(
    "limits", [{"model": "other"}, {"segment": "a=b"}, {"rules": ("another",)}, {"until_ms": 11 * HOUR}]
)
def test_what_an_alert_is_not_about_it_cannot_have_found(limits: dict[str, Any]) -> None:
    incident = Incident(**{**{name: getattr(INCIDENT, name) for name in INCIDENT.__struct_fields__}, **limits})
    found = score([episode(12 * HOUR)], [incident])
    assert (found.missed, found.delay_ms, len(found.false_alarms)) == (1, None, 1)


def test_the_limits_of_an_incident_that_hold_do_no_harm() -> None:
    incident = Incident(name="x", from_ms=0, until_ms=DAY, model="m", segment="all", rules=("low",))
    found = score([episode(0), episode(DAY)], [incident])
    assert (found.missed, found.delay_ms, found.false_alarms) == (0, 0, ())
    assert found.found[0].lead_ms is None, "nobody said when it was noticed"


@pytest.mark.parametrize(
    ("reason", "window_end_ms", "missed"),
    [
        ("late_truth", 10 * HOUR, True),
        ("late_truth", 10 * HOUR + 1, False),
        ("late_truth", None, False),
        ("recovered", 10 * HOUR, True),
        (None, 10 * HOUR, True),
        (None, 10 * HOUR + 1, False),
    ],
)
def test_an_alert_about_what_was_predicted_before_found_nothing(
    reason: str | None, window_end_ms: int | None, missed: bool
) -> None:
    alert = episode(12 * HOUR, reason=reason, window_end_ms=window_end_ms)
    found = score([alert], [INCIDENT])
    assert (found.missed == 1, found.false_alarms == (alert,)) == (missed, missed)


def test_what_was_not_read_cannot_have_been_missed() -> None:
    spans = {"before": (0, DAY), "into": (0, DAY + 1), "after": (2 * DAY, 3 * DAY), "seen": (2 * DAY, 3 * DAY)}
    incidents = [Incident(name=name, from_ms=start, until_ms=end) for name, (start, end) in spans.items()]
    incidents[3] = Incident(name="seen", from_ms=2 * DAY, until_ms=3 * DAY, rules=("slow",))
    found = score([episode(2 * DAY + HOUR, rule="slow")], [*incidents[:2], incidents[3]], (DAY, 2 * DAY))
    assert [one.name for one in found.outside] == ["before"]
    assert [(one.incident.name, one.by is None) for one in found.found] == [("into", True), ("seen", False)]
    assert score([], incidents, (DAY, 2 * DAY)).missed == 1
    assert score([], incidents).missed == len(incidents), "nothing is known of what was read"


def test_every_mistake_is_told_at_once() -> None:
    good = {"name": "x", "from": "1970-01-01", "until": "1970-01-02"}
    with pytest.raises(IncidentsError) as told:
        incidents_of([good, good, {"name": "y"}], "f")
    assert str(told.value).splitlines() == [
        "f has 2 mistakes",
        "f: incident 2 has the name of incident 1, 'x'; give each its own",
        "f: incident 3 has no 'from'; it needs name, from and until",
    ]


def test_incidents_are_read_as_people_write_them() -> None:
    (one,) = incidents_of([{"name": "x", "from": "1970-01-02", "until": "1970-01-03T02:00+02:00", "rules": ["a"]}], "f")
    assert one == Incident(name="x", from_ms=DAY, until_ms=2 * DAY, rules=("a",))


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ({"name": "x", "from": "1970-01-01"}, "f: incident 1 has no 'until'"),
        ({"name": "x", "from": "1970-01-02", "until": "1970-01-01"}, "which is not after its beginning"),
        ({"name": "x", "from": "yesterday", "until": "1970-01-01"}, "from is 'yesterday'; write 2013-01-05"),
        (
            {"name": "x", "from": "1970-01-02", "until": "1970-01-03", "noticed": "1970-01-01"},
            "was noticed at 1970-01-01, which is before its beginning 1970-01-02",
        ),
        ({"name": "x", "begin": 1}, "has 'begin'; there are: name, from"),
        ({"name": "x", "from": "1970-01-01", "until": "1970-01-02", "rules": "a"}, "write a list of names"),
        ("x", "write a mapping"),
    ],
)
def test_what_is_wrong_is_said(item: Any, sentence: str) -> None:
    with pytest.raises(IncidentsError, match=sentence.replace("(", r"\(")):
        incidents_of([item], "f")
    with pytest.raises(IncidentsError, match="are a list"):
        incidents_of({"incidents": []}, "f")


def test_totals_that_were_kept_before_they_said_of_which_times_are_read(tmp_path: Path) -> None:
    kept = {"format": 1, "records": {}, "outcomes": {}, "lost": {}, "delays": [], "histograms": []}
    (tmp_path / TOTALS).write_bytes(msgspec.json.encode(kept))
    totals = totals_in(tmp_path)
    assert totals is not None
    assert totals.predicted_ms is None
