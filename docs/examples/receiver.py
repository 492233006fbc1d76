# ruff: noqa: ANN001, ANN002, ANN201, D101, D102, D103, INP001, S603, S607, TID251
"""A system that takes steps from Driftline: `receiver.py STORE SECRET_FILE PORT`."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

STORE, SECRET_FILE, PORT = sys.argv[1:]
begun, lock = set(), Lock()


def genuine(headers, body):
    """Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes."""
    name, at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(at)) > 300:
        return False
    secret = base64.b64decode(Path(SECRET_FILE).read_text().split()[0].removeprefix("whsec_"))
    mine = hmac.new(secret, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(mine).decode()
    return any(hmac.compare_digest(wanted, said) for said in headers["webhook-signature"].split(" "))


def driftline(*args):
    subprocess.run(["driftline", "retrain", *args, "--store", STORE], check=True)


def work(step):
    """Fetch, run, deliver. Replace the middle by your own system; what it needs is in `step`."""
    with tempfile.TemporaryDirectory() as at:
        driftline("fetch", step["id"], "--directory", at)
        command = step["command"] or [sys.executable, "-m", "pipelines.runner", step["function"]]
        done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False)
        failed = [] if done.returncode == 0 else ["--failed", (done.stderr or f"code {done.returncode}")[-500:]]
        driftline("deliver", step["id"], "--directory", at, "--secret-file", SECRET_FILE, *failed)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not genuine(self.headers, body):
            self.send_error(401, "the signature is wrong, or old")
            return
        message = json.loads(body)
        with lock:  # the same message may come again: its id is the same then
            new = message["type"] == "step.requested" and message["data"]["id"] not in begun
            begun.add(message["data"]["id"])
        if new:
            Thread(target=work, args=(message["data"],)).start()
        self.send_response(202)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(PORT)), Receiver).serve_forever()
