"""MLflow servers for the tests: a real one, and one in this process that answers as it does.

    python -m tests.registry.mlflow --build    install MLflow into an environment of its own, once per machine

Both are filled by the same requests of MLflow's REST API. The real one is some 800 MB of packages that Driftline does not
need, so nobody installs it in passing: `RealMlflow` raises MlflowUnavailable with that command where it was not done.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.kafka.broker import free_ports
from tests.kafka.jars import cache_root

VERSION = "3.17.2"
START_SECS = 120.0  # 20 s on an idle machine
STOP_SECS = 20.0
API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
Answer = tuple[int, bytes]


class MlflowUnavailable(Exception):
    """No MLflow can be had on this machine; the message says what to do."""


class Filling:
    """Whatever is at an address, filled as MLflow's own client does it."""

    url: str

    def post(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}{API}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def register(self, model: str) -> None:
        self.post("registered-models/create", name=model, description="who is a fraud")

    def add(self, model: str, files: Mapping[str, bytes], *, params: Mapping[str, str] = {}, **metrics: float) -> str:
        """A run with files, and a version of the model from it; its number."""
        run = self.post("runs/create", experiment_id="0", start_time=1)["run"]["info"]
        for key, value in params.items():
            self.post("runs/log-parameter", run_id=run["run_id"], key=key, value=value)
        for key, number in metrics.items():
            self.post("runs/log-metric", run_id=run["run_id"], key=key, value=number, timestamp=1, step=0)
        root = run["artifact_uri"].removeprefix("mlflow-artifacts:/").strip("/")
        for path, content in files.items():
            url = f"{self.url}{ARTIFACTS}/{root}/model/{urllib.parse.quote(path)}"
            put = urllib.request.Request(url, content, {"Content-Type": "application/octet-stream"}, method="PUT")
            with urllib.request.urlopen(put, timeout=30) as response:
                response.read()
        source = f"{run['artifact_uri']}/model"
        made = self.post("model-versions/create", name=model, source=source, run_id=run["run_id"])["model_version"]
        self.post("model-versions/set-tag", name=model, version=made["version"], key="team", value="risk")
        return str(made["version"])

    def point(self, model: str, alias: str, version: str) -> None:
        self.post("registered-models/alias", name=model, alias=alias, version=version)


class FakeMlflow(Filling):
    """In this process. `hook`: asked before each GET, may answer in its place."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.of_versions: dict[str, list[dict[str, Any]]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.hook: Callable[[str], Answer | None] = lambda _: None

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fake.headers.append(dict(self.headers))
                code, said = fake.answer(self.command, self.path, body)
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", said.decode())
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_PUT = _handle  # noqa: N815  # the names of the base class

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, url: str, body: bytes) -> Answer:
        parts = urllib.parse.urlsplit(url)
        path = urllib.parse.unquote(parts.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if path.startswith(f"{ARTIFACTS}/") and method == "PUT":
            self.files[path.removeprefix(f"{ARTIFACTS}/")] = body
            return 200, b"{}"
        if method == "POST":
            return 200, json.dumps(self._post(path.removeprefix(f"{API}/"), json.loads(body))).encode()
        self.asked.append(url)
        if (instead := self.hook(url)) is not None:
            return instead
        if path.startswith(f"{ARTIFACTS}/"):
            content = self.files.get(path.removeprefix(f"{ARTIFACTS}/"))
            return (200, content) if content is not None else _nothing("No such artifact")
        if path == ARTIFACTS:
            return 200, json.dumps(self._listed(query["path"].strip("/"))).encode()
        return self._get(path.removeprefix(f"{API}/"), query)

    def _post(self, path: str, said: dict[str, Any]) -> dict[str, Any]:
        match path:
            case "registered-models/create":
                self.models[said["name"]] = {**said, "creation_timestamp": 1, "last_updated_timestamp": 1}
                self.of_versions[said["name"]] = []
            case "runs/create":
                id_ = f"{len(self.runs) + 1:032x}"
                info = {"run_id": id_, "artifact_uri": f"mlflow-artifacts:/0/{id_}/artifacts"}
                self.runs[id_] = {"info": info, "data": {"tags": [{"key": "mlflow.runName", "value": "r"}]}}
                return {"run": self.runs[id_]}
            case "runs/log-parameter" | "runs/log-metric":
                kind = "params" if path.endswith("parameter") else "metrics"
                kept = {key: value for key, value in said.items() if key != "run_id"}
                self.runs[said["run_id"]]["data"].setdefault(kind, []).append(kept)
            case "model-versions/create":
                known = self.of_versions[said["name"]]
                made = {
                    **said, "version": str(len(known) + 1), "creation_timestamp": 1, "current_stage": "None",
                    "description": "", "status": "READY", "run_link": "",
                }  # fmt: skip
                known.append(made)
                return {"model_version": made}
            case "model-versions/set-tag":
                version = self.of_versions[said["name"]][int(said["version"]) - 1]
                version.setdefault("tags", []).append({"key": said["key"], "value": said["value"]})
            case "registered-models/alias":
                aliases = self.models[said["name"]].setdefault("aliases", [])
                aliases[:] = [each for each in aliases if each["alias"] != said["alias"]]
                aliases.append({"alias": said["alias"], "version": said["version"]})
            case _:
                raise AssertionError(path)
        return {}

    def _get(self, path: str, query: dict[str, str]) -> Answer:
        match path:
            case "registered-models/get":
                found: Any = {"registered_model": self.models.get(query["name"])}
                if query["name"] not in self.models:
                    return _nothing(f"Registered Model with name={query['name']} not found")
            case "model-versions/search":  # two to a page, newest first, as told by a token
                name = query["filter"].removeprefix("name='").removesuffix("'").replace("''", "'")
                newest = self.of_versions.get(name, [])[::-1]
                begin = int(query.get("page_token") or 0)
                found = {"model_versions": newest[begin : begin + 2]}
                if begin + 2 < len(newest):
                    found["next_page_token"] = str(begin + 2)
            case "model-versions/get-download-uri":
                found = {"artifact_uri": self.of_versions[query["name"]][int(query["version"]) - 1]["source"]}
            case "runs/get":
                if query["run_id"] not in self.runs:
                    return _nothing("Run not found")
                found = {"run": self.runs[query["run_id"]]}
            case _:
                raise AssertionError(path)
        return 200, json.dumps(found).encode()

    def _listed(self, folder: str) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for path, content in sorted(self.files.items()):
            if path.startswith(f"{folder}/"):
                name, deeper, _ = path.removeprefix(f"{folder}/").partition("/")
                size = {} if deeper else {"file_size": len(content)}
                found[name] = {"path": name, "is_dir": bool(deeper), **size}
        return {"files": list(found.values())} if found else {}


def _nothing(what: str) -> Answer:
    return 404, json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": what}).encode()


class RealMlflow(Filling):
    """A server of the environment that `--build` made, with its files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.python = _environment() / "bin" / "python"
        if not self.python.exists():
            raise MlflowUnavailable("MLflow is not installed for the tests: python -m tests.registry.mlflow --build")
        self._directory = directory

    def __enter__(self) -> Self:
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
            "--backend-store-uri", "sqlite:///m.db", "--artifacts-destination", "./files",
        ]  # fmt: skip
        self._log = (self._directory / "server.log").open("wb")
        self._process = subprocess.Popen(
            [*map(str, command)], cwd=self._directory, stdout=self._log, stderr=self._log, env=self.environment()
        )
        until = time.monotonic() + START_SECS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return self
            except OSError:
                time.sleep(0.5)
        self.__exit__()
        raise AssertionError((self._directory / "server.log").read_text()[-2000:])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "MLFLOW_TRACKING_URI": getattr(self, "url", ""),
        }


def build() -> Path:
    """Install what is missing, and return its folder. Raises MlflowUnavailable."""
    folder = _environment()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "installed").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="mlflow-cache-") as cache:
            for command in (
                [sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(folder)],
                [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--cache-dir", cache,
                 "--python", str(folder / "bin/python"), f"mlflow=={VERSION}"],
            ):  # fmt: skip
                done = subprocess.run(command, check=False)
                if done.returncode:
                    raise MlflowUnavailable(f"MLflow {VERSION} could not be installed (exit code {done.returncode})")
        (folder / "installed").touch()
    return folder


def _environment() -> Path:
    return cache_root() / f"mlflow-{VERSION}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--build", action="store_true", required=True)
    parser.parse_args()
    print(build())
