"""An outside system on a socket of this machine: it takes messages as a test tells it to, and does steps by the command line."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.pipelines.cluster import ROOT_OF_SOURCE

DROPPED = 0
"""Instead of a code: the connection is closed without an answer, after the message was heard."""


@dataclass
class Heard:
    """A message as it came."""

    id: str
    timestamp: int
    signature: str
    body: bytes

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found

    def signed_by(self, secret: str) -> bool:
        """As a receiver would check it that has read the convention, and nothing of ours."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        to_sign = b".".join((self.id.encode(), str(self.timestamp).encode(), self.body))
        mine = base64.b64encode(hmac.new(key, to_sign, hashlib.sha256).digest()).decode()
        return any(
            hmac.compare_digest(each.removeprefix("v1,"), mine)
            for each in self.signature.split(" ")
            if each[:3] == "v1,"
        )


@dataclass
class Receiver:
    """`answers`: the codes to answer with, in turn; then 202. `on_hear`: what happens when one is heard, before the answer."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    said: bytes = b""
    on_hear: Callable[[Heard], object] = lambda _: None

    def of(self, kind: str) -> list[Heard]:
        return [each for each in self.heard if each.type == kind]


@contextmanager
def receiving() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the library calls it
            body = self.rfile.read(int(self.headers["content-length"]))
            heard = Heard(
                self.headers["webhook-id"],
                int(self.headers["webhook-timestamp"]),
                self.headers["webhook-signature"],
                body,
            )
            found.heard.append(heard)
            found.on_hear(heard)
            code = found.answers.pop(0) if found.answers else 202
            if code == DROPPED:
                self.close_connection = True
                return
            self.send_response(code)
            for name, value in {**found.headers, "content-length": str(len(found.said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.said)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/steps"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def cli(*args: object) -> subprocess.CompletedProcess[str]:
    """The command line, as the outside system has it: of this package alone, over the shared store."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines", "retrain", *map(str, args)], cwd=ROOT_OF_SOURCE,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def works(heard: Heard, store: Path, scratch: Path, secret: Path, *more: object) -> subprocess.CompletedProcess[str]:
    """Do what a message asks for: fetch, run, deliver."""
    id_, at = heard.data["id"], scratch / f"{heard.data['id']}-{len(list(scratch.iterdir()))}"
    fetched = cli("fetch", id_, "--directory", at, "--store", store)
    assert fetched.returncode == 0, fetched.stderr
    subprocess.run(heard.data["command"], cwd=at, check=True)
    return cli("deliver", id_, "--directory", at, "--secret-file", secret, "--store", store, *more)
