"""A real Kubernetes API server on loopback, with its etcd: no nodes, no controllers, so nothing is ever run by it.

It validates, admits, authorises, stores and tells of changes as a cluster does: enough for manifests (server-side dry runs,
Pod Security) and for whoever creates, follows and removes Jobs, whose pods and statuses the test writes itself.

    python -m tests.deploy.apiserver --build    build both from Go modules (go/go.mod), once per machine
    python -m tests.deploy.apiserver            run one until Ctrl-C; prints how to reach it

Building takes some 25 minutes of two cores, so nobody builds in passing: `ApiServer` raises ApiServerUnavailable with that
command where it was not done, and the fixture `apiserver` skips its tests with the same words.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.kafka.broker import free_ports
from tests.kafka.jars import cache_root

GO = Path(__file__).parent / "go"
PROGRAMS = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}
START_SECS = 120.0  # 5 s on an idle machine
STOP_SECS = 20.0
ASK_SECS = 30.0


class ApiServerUnavailable(Exception):
    """No API server can be had on this machine; the message says what to do."""


@dataclass(frozen=True)
class Answer:
    """What the server said. `warnings` are those of its `Warning` headers."""

    code: int
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()


def programs() -> Path:
    """The folder with both programs. Raises ApiServerUnavailable when they were not built."""
    folder = _folder()
    if not folder.is_dir():
        raise ApiServerUnavailable(
            "no Kubernetes API server was built on this machine: python -m tests.deploy.apiserver --build (Go 1.26, about "
            "25 minutes of two cores)"
        )
    return folder


def build() -> Path:
    """Build what is missing, and return its folder. Raises ApiServerUnavailable."""
    folder, go = _folder(), shutil.which("go")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        if go is None:
            raise ApiServerUnavailable("a Kubernetes API server is built by Go 1.26 or newer, and `go` is missing")
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as scratch:
            for name, package in PROGRAMS.items():
                print(f"driftline: building {name}", file=sys.stderr)
                command = [
                    go,
                    "build",
                    "-mod=readonly",
                    "-trimpath",
                    "-ldflags=-s -w",
                    "-o",
                    f"{scratch}/out/{name}",
                    package,
                ]
                done = subprocess.run(command, cwd=GO, env={**os.environ, "CGO_ENABLED": "0"}, check=False)
                if done.returncode:
                    raise ApiServerUnavailable(f"go could not build {package} (exit code {done.returncode})")
            (Path(scratch) / "out").rename(folder)
    return folder


def _folder() -> Path:
    text = b"".join((GO / name).read_bytes() for name in ("go.mod", "go.sum"))
    return cache_root() / f"apiserver-{hashlib.sha256(text).hexdigest()[:12]}"


class ApiServer:
    """An API server that this process owns, as a context manager. Its client is an administrator; `user` asks as another."""

    def __init__(self) -> None:
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="driftline-apiserver-"))
        self._token = secrets.token_hex(16)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}
        self.url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return self._token

    @property
    def ca_path(self) -> Path:
        """The certificate to trust."""
        return self._folder / "certs" / "apiserver.crt"

    def close(self) -> None:
        """Stop both and remove what they left. Safe to call twice."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(STOP_SECS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------- asking

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        user: str = "",
        content_type: str = "application/json",
    ) -> Answer:
        """One request, whatever comes of it. `user` asks in the name of somebody else."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type, "Accept": "application/json"}
        if user:
            headers["Impersonate-User"] = user
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        context = ssl.create_default_context(cafile=str(self.ca_path))
        try:
            with urllib.request.urlopen(request, timeout=ASK_SECS, context=context) as response:
                return _answer(response.status, response.read(), response.headers.get_all("Warning"))
        except urllib.error.HTTPError as e:
            return _answer(e.code, e.read(), e.headers.get_all("Warning"))

    def apply(self, thing: Mapping[str, Any], *, dry_run: bool = False, user: str = "") -> Answer:
        """Server-side apply with strict validation, as `kubectl apply --server-side --validate=strict`."""
        query = "?fieldManager=driftline-tests&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        path = self.path_of(thing) + query
        return self.ask("PATCH", path, thing, user=user, content_type="application/apply-patch+yaml")

    def path_of(self, thing: Mapping[str, Any]) -> str:
        """Where an object lives; `default` is its namespace unless it says so."""
        version, kind = str(thing["apiVersion"]), str(thing["kind"])
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._plurals:
            for resource in self.ask("GET", root).body.get("resources", []):
                if "/" not in resource["name"]:
                    self._plurals[version, resource["kind"]] = resource["name"], resource["namespaced"]
        if (version, kind) not in self._plurals:
            raise LookupError(f"the API server knows no kind {kind} in {version}")
        plural, namespaced = self._plurals[version, kind]
        namespace = f"/namespaces/{thing['metadata'].get('namespace', 'default')}" if namespaced else ""
        return f"{root}{namespace}/{plural}/{thing['metadata']['name']}"

    def install(self, crd: Mapping[str, Any]) -> None:
        """Define a kind, and return when it can be used."""
        done = self.apply(crd)
        assert done.code in (200, 201), done.body.get("message")
        self._until(lambda: self._established(self.path_of(crd)), f"{crd['metadata']['name']} was not established")

    def _established(self, path: str) -> bool:
        conditions = self.ask("GET", path).body.get("status", {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    # ------------------------------------------------------------------------------------------------- inside

    def _start(self) -> None:
        client, peer, port = free_ports(3)
        self.url = f"https://127.0.0.1:{port}"
        key = self._folder / "accounts.key"
        subprocess.run(
            ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True, timeout=ASK_SECS
        )
        tokens = self._folder / "tokens.csv"
        tokens.write_text(f'{self._token},admin,admin,"system:masters"\n')
        at, among = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self._spawn(
            "etcd", f"--data-dir={self._folder / 'etcd'}", f"--listen-client-urls={at}", f"--advertise-client-urls={at}",
            f"--listen-peer-urls={among}", f"--initial-advertise-peer-urls={among}", f"--initial-cluster=default={among}",
            "--unsafe-no-fsync",
        )  # fmt: skip
        self._spawn(
            "kube-apiserver", f"--etcd-servers={at}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={self._folder / 'certs'}", "--authorization-mode=RBAC", f"--token-auth-file={tokens}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.0.0.0/24",
        )  # fmt: skip
        self._until(self._ready, "the API server did not become ready")

    def _spawn(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(self._programs / name), *arguments],
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)

    def _ready(self) -> bool:
        if any(process.poll() is not None for process in self._processes):
            raise ApiServerUnavailable(f"the API server ended by itself:\n{self._logs()}")
        try:
            return self.ca_path.exists() and self.ask("GET", "/readyz").code == 200
        except (OSError, ssl.SSLError):
            return False

    def _until(self, done: Any, otherwise: str) -> None:
        deadline = time.monotonic() + START_SECS
        while not done():
            if time.monotonic() > deadline:
                raise ApiServerUnavailable(f"{otherwise} within {START_SECS:.0f} s:\n{self._logs()}")
            time.sleep(0.1)

    def _logs(self) -> str:
        return "\n".join(p.read_text(errors="replace")[-2000:] for p in sorted(self._folder.glob("*.log")))


def _answer(code: int, raw: bytes, warnings: Sequence[str] | None) -> Answer:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {"message": raw.decode(errors="replace")}
    return Answer(code, body if isinstance(body, dict) else {"message": str(body)}, tuple(warnings or ()))


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """One API server a session; its tests use namespaces of their own. Skipped where none was built."""
    try:
        with ApiServer() as server:
            yield server
    except ApiServerUnavailable as e:
        pytest.skip(str(e))


def main(argv: Sequence[str] | None = None) -> int:
    """Build, or run in the foreground until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.deploy.apiserver", description="A Kubernetes API server to try out."
    )
    parser.add_argument("--build", action="store_true", help="build it, and do not run it")
    arguments = parser.parse_args(argv)
    try:
        if arguments.build:
            print(build())
            return 0
        with ApiServer() as server:
            config = Path(tempfile.mkdtemp(prefix="driftline-kubeconfig-")) / "config"
            config.write_text(yaml.safe_dump(kubeconfig(server)))
            print(f"KUBECONFIG={config}\nCtrl-C stops it.", flush=True)
            while True:
                time.sleep(1)
    except ApiServerUnavailable as e:
        print(f"driftline: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def kubeconfig(server: ApiServer) -> dict[str, Any]:
    """What kubectl and client libraries need to be the administrator."""
    cluster = {"server": server.url, "certificate-authority": str(server.ca_path)}
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": server.token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
