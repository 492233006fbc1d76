"""Which executor runs the steps of which model: the processes of this machine unless its policy file says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from pipelines.filesteps import Executor, Work
from pipelines.job_cluster import LightkubeCluster
from pipelines.job_spec import KubernetesJobs
from pipelines.jobs import Jobs
from pipelines.ports import Alive, Store
from pipelines.subprocesses import Processes


class Execution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`executor` of a model. Where steps run decides nothing about a model, so this is no part of its policy or its digest."""

    kubernetes: KubernetesJobs | UnsetType = UNSET


class Executors:
    """`pipelines.filesteps.Executor` that hands each step to the one of its model. `address`: of the store."""

    def __init__(self, store: Store, address: str, project: Path, chosen: Mapping[str, Execution]) -> None:
        self._store, self._address, self._chosen = store, address, chosen
        self._processes = Processes(project)
        self._made: dict[KubernetesJobs, Executor] = {}

    def execute(self, work: Work, alive: Alive) -> None:
        """See Executor."""
        chosen = self._chosen.get(work.policy.model, Execution())
        if chosen.kubernetes is UNSET:
            self._processes.execute(work, alive)
            return
        if (made := self._made.get(chosen.kubernetes)) is None:
            cluster = LightkubeCluster(chosen.kubernetes.namespace)
            made = self._made[chosen.kubernetes] = Jobs(cluster, self._store, self._address, chosen.kubernetes)
        made.execute(work, alive)
