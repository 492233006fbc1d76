# ruff: noqa: D101, D102, INP001, T201
"""Print what Alertmanager's webhook sends: `inbox.py PORT`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Inbox(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
            said = alert["labels"] | alert["annotations"]
            print(alert["status"], said.get("severity"), said["summary"], said["runbook_url"], flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


HTTPServer(("127.0.0.1", int(sys.argv[1])), Inbox).serve_forever()
