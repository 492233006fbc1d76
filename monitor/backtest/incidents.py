"""Known incidents, and how a replay's alerts do on them: found or missed, how late, and what was for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from monitor.backtest.episodes import Episode
from monitor.backtest.known import Known
from monitor.config.suggest import hint, listing
from monitor.errors import MonitorError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = ("name", "from", "until", "noticed", "model", "segment", "rules")


class IncidentsError(MonitorError):
    """A file of incidents that cannot be used."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is known to have gone wrong. Times are event time, ms; `until_ms` is excluded.

    `noticed_ms`: when people noticed; None when that is not known. `model`, `segment` and `rules` limit which alerts
    can have found it; empty: any.
    """

    name: str
    from_ms: int
    until_ms: int
    noticed_ms: int | None = None
    model: str = ""
    segment: str = ""
    rules: tuple[str, ...] = ()

    def explains(self, alert: Episode) -> bool:
        """Whether an alert fired while this went on, about what it is about. One whose window had ended before it began says
        nothing of it, whenever it fires: what it counts was predicted before."""
        before = alert.window_end_ms is not None and alert.window_end_ms <= self.from_ms
        return (
            not before
            and self.from_ms <= alert.fired_ms <= self.until_ms
            and self.model in ("", alert.model)
            and self.segment in ("", alert.segment)
            and (not self.rules or alert.rule in self.rules)
        )

    def touches(self, from_ms: int, until_ms: int) -> bool:
        """Whether it went on at any time of a span."""
        return self.from_ms < until_ms and from_ms < self.until_ms


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an incident: `by` is the first alert that explains it, None when it was missed.

    `delay_ms` counts from the incident's beginning to the alert; `lead_ms` from the alert to when people noticed
    (negative: they were first), None when that is not known.
    """

    incident: Incident
    by: Episode | None
    delay_ms: int | None
    lead_ms: int | None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """All incidents, and the alerts that none of them explains. `outside`: incidents of times that were not read, which
    nothing can have found."""

    found: tuple[Found, ...]
    false_alarms: tuple[Episode, ...]
    outside: tuple[Incident, ...] = ()

    @property
    def missed(self) -> int:
        """Incidents without an alert."""
        return sum(one.by is None for one in self.found)

    @property
    def delay_ms(self) -> int | None:
        """The largest delay of those that were found; None when none was."""
        return max((one.delay_ms for one in self.found if one.delay_ms is not None), default=None)


def score(alerts: Iterable[Episode], incidents: Sequence[Incident], read_ms: tuple[int, int] | None = None) -> Score:
    """Hold alerts against incidents. An alert may explain several; one that fired before an incident began, or after it
    ended, is not about it. `read_ms`: between which event times there were predictions, the second excluded; an incident
    beyond them that no alert explains was not missed. None: not known."""
    fired = sorted(alerts, key=lambda alert: (alert.fired_ms, alert.series))
    found, outside = [], []
    for incident in incidents:
        by = next((alert for alert in fired if incident.explains(alert)), None)
        if by is None and read_ms is not None and not incident.touches(*read_ms):
            outside.append(incident)
            continue
        delay = by.fired_ms - incident.from_ms if by else None
        lead = incident.noticed_ms - by.fired_ms if by and incident.noticed_ms is not None else None
        found.append(Found(incident=incident, by=by, delay_ms=delay, lead_ms=lead))
    false = tuple(alert for alert in fired if not any(incident.explains(alert) for incident in incidents))
    return Score(found=tuple(found), false_alarms=false, outside=tuple(outside))


def incidents_of(document: Any, where: str, known: Known | None = None) -> list[Incident]:
    """Incidents from the value of a YAML or JSON file: a list of mappings with `name`, `from`, `until` and, if known,
    `noticed`, `model`, `segment`, `rules`; times are ISO 8601, without an offset UTC. `known`: the names there are of
    models, segments and rules. Raises IncidentsError, with what is wrong of every incident."""
    if not isinstance(document, list):
        raise IncidentsError(
            f"{where}: incidents are a list of mappings with name, from and until, not {document!r:.60}"
        )
    found, problems, places = [], list[str](), dict[str, int]()
    for number, item in enumerate(document, 1):
        at = f"{where}: incident {number}"
        try:
            incident = _incident(item, at)
        except IncidentsError as error:
            problems.append(str(error))
            continue
        if (first := places.setdefault(incident.name, number)) != number:
            problems.append(f"{at} has the name of incident {first}, {incident.name!r}; give each its own")
        problems += _strange(incident, at, known) if known is not None else ()
        found.append(incident)
    if len(problems) > 1:
        raise IncidentsError("\n".join([f"{where} has {len(problems)} mistakes", *problems]))
    if problems:
        raise IncidentsError(problems[0])
    return found


def _strange(incident: Incident, where: str, known: Known) -> Iterator[str]:
    """What it names and the configuration does not have."""
    named = [("model", incident.model, known.models), ("segment", incident.segment, known.segments_of(incident.model))]
    for what, name, names in [*named, *(("rule", rule, known.rules) for rule in incident.rules)]:
        if name and names is not None and name not in names:
            yield (
                f"{where} ({incident.name}): there is no {what} {name!r} in the configuration{hint(name, names)}; there are: "
                f"{listing(names)}"
            )


def _incident(item: Any, where: str) -> Incident:
    if not isinstance(item, dict):
        raise IncidentsError(f"{where} is {item!r:.60}; write a mapping with name, from and until")
    if strange := sorted(map(str, set(item) - set(_FIELDS))):
        raise IncidentsError(f"{where} has {strange[0]!r}; there are: {', '.join(_FIELDS)}")
    if absent := [name for name in ("name", "from", "until") if name not in item]:
        raise IncidentsError(f"{where} has no {absent[0]!r}; it needs name, from and until")
    start, end = _ms(item["from"], f"{where}: from"), _ms(item["until"], f"{where}: until")
    if end <= start:
        raise IncidentsError(f"{where} ends at {item['until']}, which is not after its beginning {item['from']}")
    rules = item.get("rules", [])
    if isinstance(rules, str) or not isinstance(rules, list):
        raise IncidentsError(f"{where}: rules is {rules!r:.60}; write a list of names of rules")
    noticed = item.get("noticed")
    noticed_ms = None if noticed is None else _ms(noticed, f"{where}: noticed")
    if noticed_ms is not None and noticed_ms < start:
        raise IncidentsError(f"{where} was noticed at {noticed}, which is before its beginning {item['from']}")
    return Incident(
        name=str(item["name"]),
        from_ms=start,
        until_ms=end,
        noticed_ms=noticed_ms,
        model=str(item.get("model", "")),
        segment=str(item.get("segment", "")),
        rules=tuple(map(str, rules)),
    )


def _ms(value: Any, where: str) -> int:
    """An instant as YAML gives it: a text, or what YAML has already made of one."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise IncidentsError(f"{where} is {value!r}; write 2013-01-05 or 2013-01-05T06:00:00Z") from None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
