"""`driftline top`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from monitor.view import decode, encode
from tests.cli.driving import driftline
from tests.telemetry.samples import sample_view


class _Daemon(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/v1/status" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Daemon) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_json_is_the_status_as_served(url: str) -> None:
    _Daemon.body = encode(sample_view())
    shown = driftline("top", "--url", url, "-o", "json")
    assert shown.code == 0
    assert decode(shown.out.encode()) == decode(_Daemon.body)


def test_once_prints_models_partitions_and_alerts(url: str) -> None:
    _Daemon.body = encode(sample_view())
    shown = driftline("top", "--url", url, "--once")
    assert shown.code == 0
    assert "arrival-delay" in shown.out
    assert "Partitions" in shown.out


def test_what_is_no_status_is_said_in_a_sentence(url: str) -> None:
    _Daemon.body = b"<html>hello</html>"
    shown = driftline("top", "--url", url, "--once")
    assert (shown.code, shown.out) == (1, "")
    assert "not a status of Driftline" in shown.err


def test_a_daemon_that_is_not_there_is_said_in_a_sentence() -> None:
    shown = driftline("top", "--url", "http://127.0.0.1:1", "--once")
    assert shown.code == 69
    assert "no daemon answers at http://127.0.0.1:1: Connection refused. Is" in shown.err


def test_an_address_must_be_http() -> None:
    assert driftline("top", "--url", "file:///etc/passwd").code == 2
