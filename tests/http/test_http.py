from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from monitor.adapters import http as door
from monitor.adapters.exposition import OPENMETRICS, TEXT, Exposer, Exposition
from monitor.adapters.http import HttpServer, ListenError
from monitor.adapters.http_answers import LIVE_WITHIN_MS, READY_WITHIN_MS, Snapshot
from monitor.errors import MonitorError
from monitor.history import Past
from monitor.readiness import Check, readiness
from monitor.view import decode, encode
from monitor.windows.view import SeriesKey
from tests.telemetry.samples import performance_window, sample_view


@dataclass
class Daemon:
    """What the server asks of the daemon, set by the tests."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    age_ms: int = 0


@pytest.fixture
def daemon() -> Daemon:
    view = sample_view()
    return Daemon(Snapshot(Exposer().render(view), encode(view), readiness(view)))


@pytest.fixture
def server(daemon: Daemon) -> Iterator[HttpServer]:
    server = HttpServer("127.0.0.1", 0, lambda: daemon.snapshot, lambda: daemon.age_ms)
    server.start()
    yield server
    server.stop()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(server: HttpServer, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def test_metrics_are_the_prepared_bytes_in_the_format_the_scraper_prefers(server: HttpServer, daemon: Daemon) -> None:
    text = ask(server, "/metrics")
    assert (text.status, text.headers["content-type"], text.body) == (200, TEXT, daemon.snapshot.exposition.text)
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
    openmetrics = ask(server, "/metrics", {"Accept": prometheus})
    assert openmetrics.headers["content-type"] == OPENMETRICS
    assert openmetrics.body == daemon.snapshot.exposition.openmetrics
    for accept in ("*/*", "application/openmetrics-text;q=0.1, text/plain", "application/openmetrics-text;q=high"):
        assert ask(server, "/metrics", {"Accept": accept}).headers["content-type"] == TEXT


def test_metrics_are_compressed_for_those_who_ask(server: HttpServer, daemon: Daemon) -> None:
    for _ in range(2):
        answer = ask(server, "/metrics", {"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == daemon.snapshot.exposition.text
    text = b"# HELP x X.\n" * 200
    daemon.snapshot = replace(daemon.snapshot, exposition=Exposition(text, b"", 0, 0))
    assert gzip.decompress(ask(server, "/metrics", {"Accept-Encoding": "gzip"}).body) == text


def test_the_status_is_a_view_again(server: HttpServer) -> None:
    answer = ask(server, "/api/v1/status")
    assert answer.headers["content-type"] == "application/json"
    assert decode(answer.body) == sample_view()
    assert json.loads(answer.body)["schema"] == "driftline.status/v1"


@pytest.mark.parametrize("path", ["/livez", "/-/healthy"])
def test_liveness_is_the_age_of_the_heartbeat_and_nothing_else(server: HttpServer, daemon: Daemon, path: str) -> None:
    daemon.snapshot = Snapshot()  # not ready at all
    assert ask(server, path).status == 200
    daemon.age_ms = LIVE_WITHIN_MS
    assert ask(server, path).status == 200
    daemon.age_ms += 1
    stuck = ask(server, path)
    assert stuck.status == 503
    assert b"no loop came round for 60001 ms, 60000 ms are allowed" in stuck.body


@pytest.mark.parametrize("path", ["/readyz", "/-/ready"])
def test_readiness_names_the_check_that_fails(server: HttpServer, daemon: Daemon, path: str) -> None:
    assert ask(server, path).status == 200
    daemon.snapshot = replace(
        daemon.snapshot, checks=(Check("config", True, "in use"), Check("group", False, "no answer"))
    )
    failed = ask(server, path)
    assert (failed.status, failed.body) == (503, b"not ready: group; see ?verbose\n")
    loop = b"[+] loop: came round 0 ms ago, 20000 ms are allowed\n"
    assert ask(server, f"{path}?verbose").body == b"[+] config: in use\n[-] group: no answer\n" + loop


def test_a_loop_that_waits_is_not_ready_long_before_it_is_stuck(server: HttpServer, daemon: Daemon) -> None:
    daemon.age_ms = READY_WITHIN_MS
    assert ask(server, "/readyz").status == 200
    daemon.age_ms += 1
    assert ask(server, "/readyz").body == b"not ready: loop; see ?verbose\n"
    assert ask(server, "/livez").status == 200


def test_before_the_first_snapshot_the_process_lives_and_is_not_ready(server: HttpServer, daemon: Daemon) -> None:
    daemon.snapshot = Snapshot()
    assert ask(server, "/livez").status == 200
    assert ask(server, "/readyz").status == 503
    assert ask(server, "/metrics").status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9187", "127.0.0.1", "[::1]:9187", "127.8.8.8"])
def test_on_loopback_every_name_of_the_loopback_is_answered(server: HttpServer, host: str) -> None:
    assert ask(server, "/metrics", {"Host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1:9187", "", "127.0.0.1.nip.io:1"])
def test_on_loopback_a_name_pointed_at_us_is_refused(server: HttpServer, host: str) -> None:
    for path in ("/metrics", "/api/v1/status", "/livez"):
        answer = ask(server, path, {"Host": host})
        assert answer.status == 421
        assert b"driftline_" not in answer.body


def test_on_all_interfaces_any_host_is_answered(server: HttpServer, daemon: Daemon) -> None:
    assert not server.reached_by_all
    server = HttpServer("0.0.0.0", 0, lambda: daemon.snapshot, lambda: 0)
    server.start()
    try:
        assert server.reached_by_all
        assert ask(server, "/livez", {"Host": "driftline.monitoring.svc:9187"}).status == 200
    finally:
        server.stop()


@pytest.mark.parametrize(("path", "host"), [("/metrics", "localhost"), ("/nowhere", "localhost"), ("/metrics", "evil")])
def test_every_answer_carries_the_security_headers_and_ends_the_connection(
    server: HttpServer, path: str, host: str
) -> None:
    headers = ask(server, path, {"Host": host, "Origin": "http://evil.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["connection"] == "close"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(server: HttpServer, method: str) -> None:
    assert ask(server, "/metrics", method=method).status == 405
    assert ask(server, "/-/reload", method=method).status == 404


def test_head_gives_the_headers_only(server: HttpServer) -> None:
    answer = ask(server, "/metrics", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_a_head_without_end_is_refused(server: HttpServer) -> None:
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (door.HEADER_BYTES + 4_096))
        assert b" 4" in connection.recv(4_096).split(b"\r\n")[0]


def test_slow_clients_do_not_hold_the_slots_of_the_probes(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "CONNECTION_SECONDS", 0.2)
    server = HttpServer("127.0.0.1", 0, lambda: daemon.snapshot, lambda: 0)
    server.start()
    slow = [socket.create_connection((server.host, server.port), timeout=5) for _ in range(door.MAX_CONNECTIONS + 5)]
    try:
        for connection in slow:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        for connection in slow:
            assert _closed(connection)
        assert ask(server, "/livez").status == 200
    finally:
        for connection in slow:
            connection.close()
        server.stop()


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_readers_of_the_past_that_do_not_read_hold_a_bounded_part_of_the_memory(daemon: Daemon) -> None:
    views = [performance_window(SeriesKey("m", f"v{n}", "x" * 4_000)) for n in range(1_500)]
    daemon.snapshot = replace(daemon.snapshot, past=Past(tuple(views)))
    server = HttpServer("127.0.0.1", 0, lambda: daemon.snapshot, lambda: 0)
    server.start()
    slow = [socket.socket() for _ in range(door.PASTS_AT_ONCE)]
    try:
        for connection in slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.settimeout(5)
            connection.connect((server.host, server.port))
            connection.sendall(b"GET /api/v1/history HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        busy = ask(server, "/api/v1/history?metric=none")
        assert (busy.status, busy.headers["retry-after"]) == (503, "1")
        assert ask(server, "/livez").status == 200
        assert ask(server, "/api/v1/status").status == 200
        slow.pop().close()
        deadline = time.monotonic() + 5
        while (answer := ask(server, "/api/v1/history?model=none")).status == 503:
            assert time.monotonic() < deadline
        assert (answer.status, json.loads(answer.body)["windows"]) == (200, [])
    finally:
        for connection in slow:
            connection.close()
        server.stop()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9"])
def test_who_leaves_out_the_last_slash_is_shown_the_way_and_no_other_host(server: HttpServer, host: str) -> None:
    answer = ask(server, "/ui", {"Host": host})
    assert (answer.status, answer.headers["location"]) == (308, "ui/")
    assert ask(server, "/metrics/").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/ui/../http.py",
        "/ui/%2e%2e/http.py",
        "/ui/..%2fhttp.py",
        "/ui//etc/passwd",
        "/ui/page.js%00",
        "/ui/page.js%0a",
        "/ui/__init__.py",
        "/ui/index.html/",
        "//ui/",
        "/api/v1/../../metrics",
        "http://localhost/metrics",
    ],
)
def test_a_path_leads_nowhere_but_to_what_is_listed(server: HttpServer, path: str) -> None:
    answer = ask(server, path)
    assert answer.status == 404
    assert b"driftline_" not in answer.body


def test_a_query_as_long_as_may_be_is_answered_shortly(server: HttpServer) -> None:
    long = "&".join(f"metric=m{n}" for n in range(1_500))
    assert ask(server, f"/api/v1/history?{long}").status == 200
    wrong = ask(server, f"/api/v1/history?{'n' * 10_000}=1")
    assert (wrong.status, len(wrong.body) < 300) == (400, True)
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(
            b"GET /api/v1/history?" + b"a" * (door.HEADER_BYTES * 2) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        assert b" 4" in connection.recv(4_096).split(b"\r\n")[0]


def test_a_taken_port_is_an_error_that_names_the_address_and_the_way_out(server: HttpServer) -> None:
    with pytest.raises(ListenError) as caught:
        HttpServer("127.0.0.1", server.port, Snapshot, lambda: 0).start()
    assert str(caught.value) == (
        f"http: cannot listen on 127.0.0.1:{server.port}: address already in use. Another process listens there, "
        "perhaps another driftline: stop it, or set http.port (0 picks a free one)."
    )
    assert isinstance(caught.value, MonitorError)
    assert caught.value.port == server.port


def test_who_says_the_port_by_an_option_is_told_that_one(server: HttpServer) -> None:
    other = HttpServer("127.0.0.1", server.port, Snapshot, lambda: 0, port_from="--port")
    with pytest.raises(ListenError, match=r"stop it, or set --port \(0 picks a free one\)"):
        other.start()


def test_an_address_of_another_machine_and_a_name_of_none_are_errors() -> None:
    with pytest.raises(ListenError, match=r"http: cannot listen on 203\.0\.113\.9:0: .* No interface of this machine"):
        HttpServer("203.0.113.9", 0, Snapshot, lambda: 0).start()
    with pytest.raises(ListenError, match="the name cannot be resolved"):
        HttpServer("no-such-host.invalid", 0, Snapshot, lambda: 0).start()


def test_stopping_is_quick_even_with_a_reader_that_hangs_and_frees_the_port(daemon: Daemon) -> None:
    server = HttpServer("127.0.0.1", 0, lambda: daemon.snapshot, lambda: 0)
    server.start()
    port = server.port
    with socket.create_connection((server.host, port), timeout=5) as hanging:
        hanging.sendall(b"GET /metrics HTTP/1.1\r\n")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < door.STOP_SECONDS
    server.stop()
    assert "driftline-http" not in {thread.name for thread in threading.enumerate()}
    again = HttpServer("127.0.0.1", port, lambda: daemon.snapshot, lambda: 0)
    again.start()
    again.stop()
