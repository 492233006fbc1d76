"""Whether a process counts as ready, by what its view says."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.telemetry import TaskState
from monitor.view import View


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that readiness asks for, with a sentence for people."""

    name: str
    ok: bool
    detail: str


def readiness(view: View) -> tuple[Check, ...]:
    """What must hold before the process counts as ready. Owning no partition is ready when the group gave none; not when
    the log does not answer, who then lost what it had. Lag and a full partition are no reason to be taken out of service
    (nothing sends traffic here): they have alerts. Nor is a configuration that cannot be used: the one before it is."""
    opening = [p.partition for p in view.partitions if p.state in (TaskState.OPENING, TaskState.REBUILDING)]
    opening += [view.rebuild.partition] if view.rebuild else []
    owned = len(view.partitions)
    return (
        Check("config", True, "; ".join(filter(None, (f"in use: {view.config_digest}", view.configuration.sentence)))),
        Check("group", view.health.joined, "joined" if view.health.joined else "the group does not count this process"),
        Check("log", view.health.unanswered is None, view.health.unanswered or "answers"),
        Check(
            "partitions",
            not opening,
            f"{owned} owned, rebuilding {opening}" if opening else f"{owned} owned, all live",
        ),
        Check("client", view.health.fatal is None, view.health.fatal or "no fatal error"),
    )
