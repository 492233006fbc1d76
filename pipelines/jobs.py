"""The executor of a Kubernetes cluster: a step is a Job (`pipelines.job_spec`), its files travel by the store.

The name of a Job follows from what it does, so whoever comes upon it (a worker that was restarted, one that took the run over)
waits for the same Job. Nothing is watched, everything is asked anew every few seconds, which for the one Job that a worker
waits for is two small questions: there is no watch to lose. A cluster that is busy is asked later and later. What it says
decides how long to wait; whether there is a result, the store.

What ended badly before anybody here asked is no answer to who asks now: the same work has the same name, whichever run it is
for, and what it failed by may have been mended. Such a Job is removed, and another one created.

Reaped before marked: a step that is cancelled or stopped, or that is to be tried again, is said to have ended when Job and
pods are gone. A worker that ends, or was fenced, leaves its Job to whoever comes after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pipelines.carrying import has_result, send, take
from pipelines.codec import PREFIX, canonical_bytes, digest_of
from pipelines.errors import CancelAsked, ConfigError, Halted, StepFailed
from pipelines.filesteps import Work
from pipelines.job_spec import (
    GROUP_LABEL,
    LABEL,
    End,
    Ending,
    Errand,
    KubernetesJobs,
    ending,
    group_of,
    job_of,
    limit_secs,
    over,
)
from pipelines.meanwhile import meanwhile
from pipelines.policy import Policy
from pipelines.ports import Alive, Store, through

POLL_SECS: Final = 2.0
POLL_SECS_MOST: Final = 10.0
"""Between two looks at a Job that has been under way for long: a twentieth of that time."""
ALIVE_SECS: Final = 1.0
REAP_SECS: Final = 40.0
"""For a Job and its pods to go; a lease is a minute."""
BACKOFF_SECS_MOST: Final = 60.0
"""Between two questions to a cluster that does not answer: twice as long after each, and no longer than this."""
AFTER_SECS_MOST: Final = 300.0
"""However long a cluster asks to be left alone."""
SLACK_SECS: Final = 300.0
"""Beyond the limit of the Job itself, for a cluster whose controllers are late, or away."""
_NAME_HEX_DIGITS: Final = 10


class Unreachable(Exception):
    """The cluster does not answer, or asks to be left alone: for `after_secs`, where it says so. What was asked may have been
    done."""

    def __init__(self, why: str, after_secs: float | None = None) -> None:
        super().__init__(why)
        self.after_secs = after_secs

    def patience_secs(self, failures: int, first_secs: float) -> float:
        """Until it is asked again, when it did not answer so often in a row."""
        grown = min(BACKOFF_SECS_MOST, first_secs * 2.0 ** (failures - 1))
        return grown if self.after_secs is None else min(AFTER_SECS_MOST, max(grown, self.after_secs))


class Cluster(Protocol):
    """What is asked of a cluster. Each raises Unreachable, and StepFailed where it says no."""

    def create(self, job: Mapping[str, Any]) -> bool:
        """Create a Job; False when there is one of its name."""

    def job(self, name: str) -> dict[str, Any] | None:
        """A Job as it stands."""

    def jobs(self, label: str, value: str) -> Sequence[dict[str, Any]]:
        """The Jobs with a label."""

    def pods(self, name: str) -> Sequence[dict[str, Any]]:
        """The pods of a Job."""

    def remove(self, name: str) -> None:
        """Let a Job go when its pods have gone. Removing one that is not there is no mistake."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A Job as it stands. `made`: when, in the words of the cluster; `leaving`: it is being removed; `result`: in the store."""

    name: str
    made: str
    ending: Ending
    leaving: bool
    result: bool


class Jobs:
    """`pipelines.filesteps.Executor` for one place of one cluster. `address`: of the store, as a pod can reach it."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        address: str,
        place: KubernetesJobs,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        refuse_unseen(place, address)
        self._cluster, self._store, self._address, self._place = cluster, store, address, place
        self._clock, self._sleep = clock, sleep

    def execute(self, work: Work, alive: Alive) -> None:
        """See Executor. What a step took is not known: it waits for a node and an image, and somebody else may have begun it."""
        if work.policy.train.environment and self._place.variables is None:
            why = "names variables of this process, which a Job must not be shown"
            raise ConfigError("train.environment", why, "Keep them in a Secret: executor.kubernetes.variables.")
        errand = self._errand(work, alive)
        if has_result(self._store, errand.name):
            self._take(errand.name, work, alive)  # somebody waited for it, and left
            return
        wanted = job_of(errand, work.policy, self._place, self._address)
        deadline = self._clock() + limit_secs(work.policy, self._place) + SLACK_SECS
        try:
            end = self._followed(wanted, errand.name, deadline, alive)
        except (CancelAsked, Halted):
            self._reap(errand.name, alive)
            raise
        self._conclude(end, errand.name, work, alive)

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Executor."""
        try:
            found = self._cluster.jobs(GROUP_LABEL, group_of(policy.model, self._place, self._address))
        except Unreachable as error:
            raise StepFailed("the cluster", f"does not answer: {error}", "It is asked again.", again=True) from None
        for job in found:
            if job["metadata"].get("deletionTimestamp") is not None or not over(job):
                self._reap(job["metadata"]["name"], alive)

    def seen(self, model: str) -> list[Seen]:
        """The Jobs of a model as they stand, newest first. Raises Unreachable, StepFailed."""
        found = self._cluster.jobs(GROUP_LABEL, group_of(model, self._place, self._address))
        looked = []
        for job in found:
            name = job["metadata"]["name"]
            leaving = job["metadata"].get("deletionTimestamp") is not None
            end = ending(job, self._cluster.pods(name), self._place)
            result = has_result(self._store, name) is True
            looked.append(Seen(name, str(job["metadata"].get("creationTimestamp") or "-"), end, leaving, result))
        return sorted(looked, key=lambda each: (each.made, each.name), reverse=True)

    # ------------------------------------------------------------------------------------------------------- within

    def _take(self, name: str, work: Work, alive: Alive) -> None:
        meanwhile(lambda: take(self._store, name, work.directory), alive)

    def _errand(self, work: Work, alive: Alive) -> Errand:
        """What is to be done, under a name of its own: another image, or other rows, are other work."""
        brought = meanwhile(lambda: send(self._store, work.directory), alive)
        number = 1
        while True:
            errand = Errand("", brought, work.function, work.command)
            asked = job_of(errand, work.policy, self._place, self._address)
            digest = digest_of(canonical_bytes([asked["spec"], number])).removeprefix(PREFIX)[:_NAME_HEX_DIGITS]
            name = f"driftline-{work.name}-{digest}"
            if has_result(self._store, name) is not None:
                return Errand(name, brought, work.function, work.command)
            number += 1  # a result whose files were collected since: the work is done again

    def _followed(self, wanted: Mapping[str, Any], name: str, deadline: float, alive: Alive) -> Ending:
        """Create or attach, and wait until it is over. What was over at the first look without a result is removed first."""
        asked, seen, last, begun, failures = False, False, "", self._clock(), 0
        while True:
            pause_secs = min(POLL_SECS_MOST, max(POLL_SECS, (self._clock() - begun) / 20))
            try:
                job = self._cluster.job(name)
                if job is None:
                    if seen:
                        return Ending(End.LOST, "was removed by somebody before it gave a result")
                    asked = True
                    self._cluster.create(wanted)  # whether it is ours or was there already: the next look finds it
                elif _labels(job).get(LABEL) != name:
                    return Ending(End.FAILED, "is a Job of somebody else's of the same name")
                elif job["metadata"].get("deletionTimestamp") is None:
                    if not (asked or seen) and over(job) and not has_result(self._store, name):
                        self._reap(name, alive)
                        continue
                    seen = True
                    end = ending(job, self._cluster.pods(name), self._place)
                    if end.end is not End.UNDER_WAY:
                        return end
                    last = end.why or last
                    if (job.get("spec") or {}).get("suspend"):  # a queue holds it: its time does not count yet
                        deadline = max(deadline, self._clock() + SLACK_SECS)
                failures = 0
            except Unreachable as error:
                failures += 1
                pause_secs = max(pause_secs, error.patience_secs(failures, POLL_SECS))
            if self._clock() > deadline:
                return Ending(End.TIMED_OUT, f"did not end in time ({last or 'the cluster said nothing of why'})")
            self._pause(alive, pause_secs)

    def _pause(self, alive: Alive, secs: float) -> None:
        until = self._clock() + secs
        while self._clock() < until:
            alive()
            self._sleep(ALIVE_SECS)

    def _conclude(self, end: Ending, name: str, work: Work, alive: Alive) -> None:
        if has_result(self._store, name):  # the step did its work, whatever became of the pod after that
            self._take(name, work, alive)
            return
        what, look = f"Job {name!r}", f"`kubectl logs job/{name} -c step` shows its output while it is kept."
        if end.end is End.TIMED_OUT:
            self._reap(name, alive)
            raise StepFailed(what, end.why, "Raise train.timeout or executor.kubernetes.starting.", timed_out=True)
        if end.end is End.FAILED:
            raise StepFailed(what, end.why, look)
        self._reap(name, alive)  # or the next try would find this one
        why = "completed, and there is no result in the store" if end.end is End.DONE else end.why
        raise StepFailed(what, why, "It is tried again.", again=True)

    def _reap(self, name: str, alive: Alive) -> None:
        """Until Job and pods are gone. Raises StepFailed when they do not go."""
        deadline, kept, failures = self._clock() + REAP_SECS, through(alive), 0
        while (left_secs := deadline - self._clock()) > 0:
            pause_secs = ALIVE_SECS
            try:
                self._cluster.remove(name)
                if self._cluster.job(name) is None and not self._cluster.pods(name):
                    return
                failures = 0
            except Unreachable as error:
                failures += 1
                pause_secs = error.patience_secs(failures, ALIVE_SECS)
            self._pause(kept, min(left_secs, pause_secs))
        why = f"was not gone {REAP_SECS:.0f} s after it was removed"
        raise StepFailed(f"Job {name!r}", why, "Is its node lost, or the cluster? It is tried again.", again=True)


def refuse_unseen(place: KubernetesJobs, address: str) -> None:
    """Raise ConfigError for a store that no pod of the place would see."""
    if place.claim is None and "://" not in address:
        why = f"is a directory of this machine ({address!r}), which a pod does not see"
        raise ConfigError("the store", why, "Name the volume claim it is on (executor.kubernetes.claim).")


def _labels(job: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = job["metadata"].get("labels") or {}
    return found
