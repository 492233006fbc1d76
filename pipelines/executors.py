"""Which executor runs the steps of which model: the processes of this machine unless its policy file says otherwise.

What one executor began is ended by that executor before another one begins anything (`pipelines.places`): its Jobs are removed,
its hand-offs withdrawn. It is not waited for: whoever changes the place of a step may do so because nothing comes of it there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import UNSET

from pipelines.errors import ConfigError, NotInstalled, StepFailed
from pipelines.filesteps import Executor, Work
from pipelines.hooks import Hooks
from pipelines.job_cluster import LightkubeCluster
from pipelines.job_spec import KubernetesJobs
from pipelines.jobs import SLACK_SECS, Cluster, Jobs, refuse_unseen
from pipelines.places import Begins, Begun, Entered, Execution, Left
from pipelines.policy import Policy
from pipelines.ports import Alive, Store
from pipelines.subprocesses import Processes

HERE: Final = Execution()
"""The processes of this machine."""


class Executors:
    """`pipelines.filesteps.Executor` that hands each step to the one of its model. `address`: of the store."""

    def __init__(
        self,
        store: Store,
        address: str,
        project: Path,
        chosen: Mapping[str, Execution],
        cluster: Callable[[str | None], Cluster] = LightkubeCluster,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`cluster`: by its namespace; `steady`: a clock that nobody sets. Raises ConfigError for a place that can never do."""
        for place in chosen.values():
            if place.kubernetes is not UNSET:
                refuse_unseen(place.kubernetes, address)
        self._store, self._address, self._chosen = store, address, chosen
        self._cluster, self._clock, self._steady, self._sleep = cluster, clock, steady, sleep
        self._begins = Begins(store)
        self._processes = Processes(project)
        self._made: dict[KubernetesJobs, Jobs] = {}

    def execute(self, work: Work, alive: Alive) -> float | None:
        """See Executor."""
        chosen = self._chosen.get(work.policy.model, HERE)
        executor = self._at(
            chosen
        )  # first: where a place cannot be had nothing is begun, and nobody has to wait for its end
        self._enter(work.policy, chosen, alive)
        return executor.execute(work, alive)

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Executor. Where the steps were begun, which need not be where they would be begun now."""
        chosen = self._chosen.get(policy.model, HERE)
        begun = self._left(policy, chosen, self._begins.read(policy.model))
        if begun.left_ms is None:
            self._at(chosen).clear(policy, alive)
        else:
            self._end(policy, begun, alive)

    def jobs(self, model: str) -> Jobs | None:
        """The executor of a model whose steps are Jobs."""
        chosen = self._chosen.get(model, HERE)
        return None if chosen.kubernetes is UNSET else self._jobs(chosen.kubernetes)

    # ------------------------------------------------------------------------------------------------------- within

    def _enter(self, policy: Policy, chosen: Execution, alive: Alive) -> None:
        """Until the place where steps were begun last is the one that is chosen."""
        begun = self._begins.read(policy.model)
        if begun.place is None and chosen == HERE:
            return
        while begun.place is None or begun.left_ms is not None or not chosen.reaches(begun.place):
            begun = self._left(policy, chosen, begun)
            if begun.left_ms is not None and begun.place is not None and not chosen.reaches(begun.place):
                self._end(policy, begun, alive)
            begun = self._begins.enter(policy.model, begun, Entered(at_ms=self._now_ms(), executor=chosen))
            alive()  # whoever was overtaken meanwhile begins nothing

    def _left(self, policy: Policy, chosen: Execution, begun: Begun) -> Begun:
        """What is known when a place that is not to be used any more is left."""
        while begun.place is not None and begun.left_ms is None and not chosen.reaches(begun.place):
            begun = self._begins.enter(policy.model, begun, Left(at_ms=self._now_ms()))
        return begun

    def _end(self, policy: Policy, begun: Begun, alive: Alive) -> None:
        """End what is at work where nothing is begun any more. Raises StepFailed where that cannot be had, as long as something
        may be at work there: a step has its time, and nobody is waited for beyond it."""
        assert begun.place is not None
        assert begun.left_ms is not None
        try:
            executor = self._at(begun.place)
            if isinstance(executor, Hooks):
                executor.clear(policy, alive, "executor is another one now")
            else:
                executor.clear(policy, alive)
        except (ConfigError, NotInstalled, StepFailed) as error:
            until_ms = begun.left_ms + policy.train.timeout_ms + begun.place.starting_ms + int(SLACK_SECS * 1000)
            if self._now_ms() >= until_ms:
                return
            why = f"is not known to have ended, and executor is another one now ({error})"
            remedy = f"It ends by itself in {-(-(until_ms - self._now_ms()) // 60_000)} min at the latest."
            raise StepFailed(f"what was begun by {begun.place}", why, remedy, again=True) from error

    def _at(self, place: Execution) -> Executor:
        if place.webhook is not UNSET:
            return Hooks(self._store, place.webhook, self._clock, self._sleep)
        return self._processes if place.kubernetes is UNSET else self._jobs(place.kubernetes)

    def _jobs(self, place: KubernetesJobs) -> Jobs:
        if (made := self._made.get(place)) is None:
            cluster = self._cluster(place.namespace)
            made = self._made[place] = Jobs(cluster, self._store, self._address, place, self._steady, self._sleep)
        return made

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
