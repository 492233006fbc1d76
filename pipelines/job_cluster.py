"""A cluster as `pipelines.jobs` asks it, by way of lightkube: that of the pod's own account, or of the kubeconfig."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pipelines.errors import ConfigError, NotInstalled, StepFailed
from pipelines.jobs import Unreachable

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.resources.batch_v1 import Job

ASK_SECS: Final = 20.0
JOB_LABEL: Final = "batch.kubernetes.io/job-name"
_T = TypeVar("_T")
_MISSING, _CONFLICT, _TOO_MANY, _FORBIDDEN, _SERVER = 404, 409, 429, 403, 500


class LightkubeCluster:
    """`pipelines.jobs.Cluster`. `config`: None is what the surroundings say."""

    def __init__(self, namespace: str | None, config: Any = None) -> None:
        """Raises NotInstalled, ConfigError."""
        try:
            import httpx2
            from lightkube import Client
            from lightkube.core.exceptions import ConfigError as NoConfig
            from lightkube.resources.batch_v1 import Job as KubernetesJob
            from lightkube.resources.core_v1 import Pod
        except ImportError:
            raise NotInstalled("running steps as Kubernetes Jobs", "lightkube", "kubernetes") from None
        try:
            self._client: Client = Client(config, namespace=namespace, timeout=httpx2.Timeout(ASK_SECS))
        except NoConfig as error:
            why = f"cannot be found: {error}"
            raise ConfigError(
                "the cluster", why, "Set KUBECONFIG, or run in a pod whose account has a token."
            ) from None
        self._job, self._pod = KubernetesJob, Pod

    def create(self, job: Mapping[str, Any]) -> bool:
        """See Cluster."""
        made = cast("Job", self._job.from_dict(dict(job)))
        return self._ask(lambda: self._client.create(made) is not None, _CONFLICT, "create") is not None

    def job(self, name: str) -> dict[str, Any] | None:
        """See Cluster."""
        return self._ask(lambda: _plain(self._client.get(self._job, name)), _MISSING, "get")

    def jobs(self, label: str, value: str) -> Sequence[dict[str, Any]]:
        """See Cluster."""
        return self._ask(
            lambda: [_plain(job) for job in self._client.list(self._job, labels={label: value})], None, "list"
        ) or ()  # fmt: skip

    def pods(self, name: str) -> Sequence[dict[str, Any]]:
        """See Cluster."""
        return self._ask(
            lambda: [_plain(pod) for pod in self._client.list(self._pod, labels={JOB_LABEL: name})], None, "list pods of"
        ) or ()  # fmt: skip

    def remove(self, name: str) -> None:
        """See Cluster."""
        from lightkube.types import CascadeType

        self._ask(lambda: self._client.delete(self._job, name, cascade=CascadeType.FOREGROUND), _MISSING, "delete")

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def _ask(self, question: Callable[[], _T], expected: int | None, verb: str) -> _T | None:
        """The answer; None where the code is the expected one. Raises Unreachable, StepFailed."""
        import httpx2
        from lightkube.core.exceptions import ApiError

        try:
            return question()
        except ApiError as error:
            code, said = int(error.status.code or 0), str(error)
            if code == expected:
                return None
            if code == _TOO_MANY or code >= _SERVER or code == 0:
                after = error.response.headers.get("retry-after", "").strip()
                raise Unreachable(said, float(after) if after.isdecimal() else None) from error
            what = f"the cluster (asked to {verb} a Job in {self._client.namespace!r})"
            busy = code in (_FORBIDDEN, _CONFLICT) and ("exceeded quota" in said or code == _CONFLICT)
            remedy = "It is tried again." if busy else "docs/retraining.md has the rights that it needs."
            raise StepFailed(what, f"says no ({code}): {said}", remedy, again=busy) from error
        except (
            httpx2.HTTPError,
            KeyError,
            ValueError,
        ) as error:  # no connection, or a proxy's page, even without a type
            raise Unreachable(repr(error)) from error


def _plain(thing: Any) -> dict[str, Any]:
    found: dict[str, Any] = thing.to_dict()
    return found
