"""The HTTP door: one listener in a thread that hands out finished bytes.

    GET /metrics              Prometheus text, or OpenMetrics when the scraper prefers it; gzip when it takes it
    GET /livez, /-/healthy    is the process going round? The age of its heartbeat, nothing else: no broker is asked,
                              so an outage or a rebalance never has the process killed
    GET /readyz, /-/ready     may it count as started? `?verbose` lists the checks; owning no partition is ready
    GET /api/v1/status        the view as JSON, for `driftline top --url`

Handlers compute nothing: the daemon hands in immutable bytes, so neither a scrape nor a browser can stall polling.
Only reading is possible; nothing here changes the daemon.

On a loopback address the Host header must name the loopback too: a page in a local browser could otherwise read the
numbers through a name it points at 127.0.0.1 (DNS rebinding). There is no CORS, no TLS and no authentication: beyond
loopback, put it behind a network policy or a proxy.

Limits: MAX_CONNECTIONS at a time (503 beyond), HEADER_BYTES of request head, one request per connection, and a
connection that is not done after CONNECTION_SECONDS is closed, so slow clients cannot hold the slots of the probes.
"""

from __future__ import annotations

import errno
import gzip
import ipaddress
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.adapters.exposition import OPENMETRICS, TEXT, Exposition
from monitor.errors import MonitorError
from monitor.readiness import Check

if TYPE_CHECKING:
    from asyncio import Transport

    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CONNECTIONS = 64
HEADER_BYTES = 16 << 10
CONNECTION_SECONDS = 15.0
LIVE_WITHIN_MS = 60_000
"""A heartbeat older than this is a stuck process: ten times the longest step a loop takes without one."""
READY_WITHIN_MS = 20_000
"""With an older one the process waits for something, most likely for the brokers: alive, and not ready."""
STOP_SECONDS = 2.0
SMALL_BYTES = 1_000
"""Answers up to this size are not worth compressing."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
)
_PLAIN = "text/plain; charset=utf-8"


class ListenError(MonitorError):
    """The address cannot be listened on; `host` and `port` say which."""

    def __init__(self, host: str, port: int, why: str, hint: str) -> None:
        super().__init__(f"http: cannot listen on {_netloc(host, port)}: {why}. {hint}")
        self.host, self.port = host, port


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the endpoints hand out at one moment: the exposition, the status as JSON, the checks of readiness."""

    exposition: Exposition = field(default_factory=lambda: Exposition(b"", b"# EOF\n", 0, 0))
    status: bytes = b"{}"
    checks: tuple[Check, ...] = (Check("started", False, "the process is starting"),)

    @property
    def ready(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


class HttpServer:
    """Listens from `start` to `stop`. `snapshot` and `heartbeat_age_ms` are called in the server's thread, once per
    request, and must return soon: the newest snapshot, and how long ago the daemon's loops last came round.

    The heartbeat is not part of the snapshot: a stuck daemon makes no new snapshots, and the last one would look
    healthy for ever. Port 0 picks a free one; `port` and `url` tell which.
    """

    def __init__(
        self,
        host: str,
        port: int,
        snapshot: Callable[[], Snapshot],
        heartbeat_age_ms: Callable[[], int],
        *,
        live_within_ms: int = LIVE_WITHIN_MS,
    ) -> None:
        self.host, self.port = host, port
        self._pages = _Pages(snapshot, heartbeat_age_ms, live_within_ms)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, as people write it."""
        return f"http://{_netloc(self.host, self.port)}"

    def start(self) -> None:
        """Bind, and serve from a daemon thread; returns when requests are answered. Raises ListenError."""
        listening = _bind(self.host, self.port)
        try:
            bound = listening.getsockname()
            self.port = int(bound[1])
            app = _Door(_application(self._pages), loopback=ipaddress.ip_address(bound[0]).is_loopback, host=self.host)
            started = threading.Event()
            self._server = _server(app, started)
        except BaseException:
            listening.close()
            raise
        server = self._server
        self._thread = threading.Thread(
            target=lambda: server.run(sockets=[listening]), name="driftline-http", daemon=True
        )
        self._thread.start()
        if not started.wait(10.0):
            raise ListenError(self.host, self.port, "the server did not start within 10 s", "Look for its log lines.")

    def stop(self) -> None:
        """Close the listener and what is open, within STOP_SECONDS. Stopping twice is fine."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True  # no reader is worth waiting for: every answer is already bytes
        self._thread.join(STOP_SECONDS)
        self._server = self._thread = None


# ---------------------------------------------------------------------------------------------------------- answers


class _Pages:
    """The handlers. They choose between finished bytes."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], heartbeat_age_ms: Callable[[], int], live_within_ms: int
    ) -> None:
        self._snapshot, self._age, self._within = snapshot, heartbeat_age_ms, live_within_ms
        self._zipped: tuple[bytes, bytes] = (b"", gzip.compress(b""))

    async def metrics(self, request: Request) -> Response:
        exposition = self._snapshot().exposition
        if _prefers_openmetrics(request.headers.get("accept", "")):
            return self._answer(request, exposition.openmetrics, OPENMETRICS)
        return self._answer(request, exposition.text, TEXT)

    async def status(self, request: Request) -> Response:
        return self._answer(request, self._snapshot().status, "application/json")

    async def live(self, _: Request) -> Response:
        age = self._age()
        if age <= self._within:
            return _text("ok\n")
        return _text(f"stuck: no loop came round for {age} ms, {self._within} ms are allowed\n", 503)

    async def ready(self, request: Request) -> Response:
        age = self._age()
        # While the loop waits for an answer the snapshot stays what it was before: the wait itself must show.
        loop = Check("loop", age <= READY_WITHIN_MS, f"came round {age} ms ago, {READY_WITHIN_MS} ms are allowed")
        checks = (*self._snapshot().checks, loop)
        failed = ", ".join(check.name for check in checks if not check.ok)
        code = 503 if failed else 200
        if "verbose" in request.query_params:
            return _text("".join(f"[{'+' if c.ok else '-'}] {c.name}: {c.detail}\n" for c in checks), code)
        return _text(f"not ready: {failed}; see ?verbose\n" if failed else "ok\n", code)

    async def index(self, _: Request) -> Response:
        return _text("Driftline\n\n/metrics\n/livez\n/readyz?verbose\n/api/v1/status\n")

    def _answer(self, request: Request, body: bytes, content_type: str) -> Response:
        from starlette.responses import Response

        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", "") and len(body) > SMALL_BYTES:
            zipped_from, zipped = self._zipped
            if zipped_from is not body:
                zipped = gzip.compress(body, 1, mtime=0)  # zlib lets the other threads run meanwhile
                self._zipped = (body, zipped)
            body = zipped
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers)


def _text(text: str, code: int = 200) -> Response:
    from starlette.responses import Response

    return Response(text, code, headers={"content-type": _PLAIN})


def _prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header rates OpenMetrics at least as high as the text format. Not naming it means no."""
    ratings = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for offer in accept.split(","):
        name, *parameters = (part.strip().lower() for part in offer.split(";"))
        if name in ratings:
            rating = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
            ratings[name] = max(ratings[name], _quality(rating))
    return 0.0 < ratings["application/openmetrics-text"] >= ratings["text/plain"]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


# --------------------------------------------------------------------------------------------------------- the door


class _Door:
    """Around the application: refuses foreign Host headers on loopback, adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, *, loopback: bool, host: str) -> None:
        self._app, self._loopback, self._host = app, loopback, host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        answer = self._app
        if self._loopback and not self._is_us([value for name, value in scope["headers"] if name == b"host"]):
            answer = _text("421: this address answers to localhost only; the Host header names something else\n", 421)
        await answer(scope, receive, guarded)

    def _is_us(self, hosts: list[bytes]) -> bool:
        if len(hosts) != 1:
            return False
        name = hosts[0].decode("latin-1").lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name in ("localhost", self._host):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _application(pages: _Pages) -> ASGIApp:
    from starlette.applications import Starlette
    from starlette.routing import Route

    paths = {
        "/": pages.index,
        "/metrics": pages.metrics,
        "/livez": pages.live,
        "/-/healthy": pages.live,
        "/readyz": pages.ready,
        "/-/ready": pages.ready,
        "/api/v1/status": pages.status,
    }
    return Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in paths.items()])


def _server(app: Any, started: threading.Event) -> uvicorn.Server:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Connection(H11Protocol):
        """A connection with an end: uvicorn itself waits for ever for the rest of a request's head."""

        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as in uvicorn
            super().connection_made(transport)
            self.loop.call_later(CONNECTION_SECONDS, transport.abort)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_graceful_shutdown=1,
        )
    )


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_HINTS = {
    errno.EADDRINUSE: "Another process listens there, perhaps another driftline: stop it, or set http.port "
    "(0 picks a free one).",
    errno.EACCES: "Ports below 1024 need privileges: set http.port to a higher one.",
    errno.EADDRNOTAVAIL: "No interface of this machine has that address: set http.host to 127.0.0.1, "
    "or 0.0.0.0 for all.",
}


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenError(
            host, port, f"the name cannot be resolved ({error})", "Set http.host to an address."
        ) from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(MAX_CONNECTIONS)
    except OSError as error:
        listening.close()
        hint = _HINTS.get(error.errno or 0, "Set http.host and http.port to an address of this machine.")
        raise ListenError(host, port, (error.strerror or str(error)).lower(), hint) from error
    return listening
