"""Which executor runs the steps of which model: the processes of this machine unless its policy file says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from pipelines.filesteps import Executor, Work
from pipelines.hook_spec import Webhook
from pipelines.hooks import Hooks
from pipelines.job_cluster import LightkubeCluster
from pipelines.job_spec import KubernetesJobs
from pipelines.jobs import Jobs
from pipelines.policy import Policy
from pipelines.ports import Alive, Store
from pipelines.subprocesses import Processes


class Execution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`executor` of a model. Where steps run decides nothing about a model, so this is no part of its policy or its digest."""

    kubernetes: KubernetesJobs | UnsetType = UNSET
    webhook: Webhook | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.kubernetes is not UNSET and self.webhook is not UNSET:
            raise ValueError("a step runs in one place: write kubernetes or webhook, not both")


class Executors:
    """`pipelines.filesteps.Executor` that hands each step to the one of its model. `address`: of the store."""

    def __init__(self, store: Store, address: str, project: Path, chosen: Mapping[str, Execution]) -> None:
        self._store, self._address, self._chosen = store, address, chosen
        self._processes = Processes(project)
        self._made: dict[KubernetesJobs, Jobs] = {}

    def execute(self, work: Work, alive: Alive) -> float | None:
        """See Executor."""
        return self._of(work.policy).execute(work, alive)

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Executor."""
        self._of(policy).clear(policy, alive)

    def jobs(self, model: str) -> Jobs | None:
        """The executor of a model whose steps are Jobs."""
        chosen = self._chosen.get(model, Execution())
        return None if chosen.kubernetes is UNSET else self._jobs(chosen.kubernetes)

    def _of(self, policy: Policy) -> Executor:
        chosen = self._chosen.get(policy.model, Execution())
        if chosen.webhook is not UNSET:
            return Hooks(self._store, chosen.webhook)
        if chosen.kubernetes is UNSET:
            return self._processes
        return self._jobs(chosen.kubernetes)

    def _jobs(self, place: KubernetesJobs) -> Jobs:
        if (made := self._made.get(place)) is None:
            cluster = LightkubeCluster(place.namespace)
            made = self._made[place] = Jobs(cluster, self._store, self._address, place)
        return made
