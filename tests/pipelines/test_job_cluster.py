"""What an API server may answer, and what the executor of Jobs makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from lightkube import KubeConfig
from lightkube.config.models import Cluster, User

from pipelines.errors import StepFailed
from pipelines.job_cluster import LightkubeCluster
from pipelines.jobs import Unreachable


def at(port: int) -> LightkubeCluster:
    return LightkubeCluster(
        "here", KubeConfig.from_one(cluster=Cluster(server=f"http://127.0.0.1:{port}"), user=User(token="t"))
    )


@dataclass
class Scripted:
    """An API server that gives one answer."""

    code: int = 200
    said: bytes = b""
    kind: str = "application/json"
    after: str | None = None

    def ask(self, verb: Callable[[LightkubeCluster], object]) -> object:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(outer.code)
                self.send_header("content-type", outer.kind)
                if outer.after is not None:
                    self.send_header("retry-after", outer.after)
                self.send_header("content-length", str(len(outer.said)))
                self.end_headers()
                self.wfile.write(outer.said)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815  # as the library calls them

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever)
        thread.start()
        cluster = at(server.server_port)
        try:
            return verb(cluster)
        finally:
            cluster.close()
            server.shutdown()
            thread.join()
            server.server_close()


def status(code: int, message: str) -> bytes:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return json.dumps(document).encode()


JOB: Any = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "j"},
    "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
}


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (429, status(429, "slow down"), "application/json"),
        (503, status(503, "etcd"), "application/json"),
        (502, b"<html>", "text/html"),
        (502, b"<html>", "application/json"),
        (200, b"<html>", "text/html"),
    ],
    ids=["busy", "no etcd", "proxy", "proxy that lies", "portal"],
)
def test_a_cluster_that_is_busy_or_hidden_is_asked_again(code: int, said: bytes, kind: str) -> None:
    verbs: tuple[Callable[[LightkubeCluster], object], ...] = (
        lambda cluster: cluster.create(JOB),
        lambda cluster: cluster.job("j"),
        lambda cluster: cluster.pods("j"),
    )
    for verb in verbs:
        with pytest.raises(Unreachable):
            Scripted(code, said, kind).ask(verb)


@pytest.mark.parametrize(("after", "secs"), [(None, None), ("7", 7), (" 0 ", 0), ("soon", None), ("-1", None)])
def test_a_cluster_that_says_when_to_ask_again_is_heard(after: str | None, secs: float | None) -> None:
    for code in (429, 503):
        with pytest.raises(Unreachable) as caught:
            Scripted(code, status(code, "slow down"), after=after).ask(lambda cluster: cluster.job("j"))
        assert caught.value.after_secs == secs


def test_a_cluster_that_is_not_there_is_asked_again() -> None:
    cluster = at(1)
    with pytest.raises(Unreachable):
        cluster.job("j")
    cluster.close()


def test_what_is_there_already_or_not_there_is_no_mistake() -> None:
    assert Scripted(409, status(409, "exists")).ask(lambda cluster: cluster.create(JOB)) is False
    assert Scripted(404, status(404, "not found")).ask(lambda cluster: cluster.job("j")) is None
    Scripted(404, status(404, "not found")).ask(lambda cluster: cluster.remove("j"))


@pytest.mark.parametrize(
    ("code", "said", "again"),
    [
        (403, "jobs is forbidden", False),
        (403, "exceeded quota: q", True),
        (422, "is invalid", False),
        (401, "who", False),
    ],
)
def test_a_cluster_that_says_no_is_quoted(code: int, said: str, again: bool) -> None:
    with pytest.raises(StepFailed, match=f"asked to create a Job in 'here'.*says no .{code}.: {said}") as caught:
        Scripted(code, status(code, said)).ask(lambda cluster: cluster.create(JOB))
    assert caught.value.again is again
