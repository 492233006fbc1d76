"""The HTTP door: one listener in a thread that hands out finished bytes.

    GET /metrics              Prometheus text, or OpenMetrics when the scraper prefers it; gzip when it takes it
    GET /livez, /-/healthy    is the process going round? The age of its heartbeat, nothing else: no broker is asked,
                              so an outage or a rebalance never has the process killed
    GET /readyz, /-/ready     may it count as started? `?verbose` lists the checks; owning no partition is ready
    GET /api/v1/status        the view as JSON, for the page and `driftline top --url`
    GET /api/v1/history       what windows said before, what happened, distributions; the query chooses a part
    GET /api/v1/openapi.json  this, as OpenAPI 3.1
    GET /ui/                  the page: files of the package that ask status and history

The daemon hands in values that do not change, so neither a scrape nor a browser can stall polling. Only reading is
possible; nothing here changes the daemon, so there is nothing that writing would have to be authorised for.

On a loopback address the Host header must name the loopback too: a page in a local browser could otherwise read the
numbers through a name it points at 127.0.0.1 (DNS rebinding). There is no CORS and no TLS. With a token (`http_token`)
everything that holds numbers wants it; open are the probes, without their details, the description and the files of the
page, which hold none. Beyond loopback set one, and put the port behind a network policy or a proxy that ends TLS.

Limits: MAX_CONNECTIONS at a time (503 beyond), HEADER_BYTES of request head, one request per connection, and a
connection that is not done after CONNECTION_SECONDS is closed, so slow clients cannot hold the slots of the probes. A part
of the past is made for who asks, and may be megabytes: PASTS_AT_ONCE are under way at a time (503 beyond).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from monitor.adapters.http_answers import LIVE_WITHIN_MS, Pages, Shown, text
from monitor.adapters.http_token import TokenFile
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from asyncio import Transport

    import uvicorn
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CONNECTIONS = 64
HEADER_BYTES = 16 << 10
CONNECTION_SECONDS = 15.0
STOP_SECONDS = 2.0
PASTS_AT_ONCE = 4
"""Answers of the history, about 15 MB each at the most, that wait for their readers."""
PIECE_BYTES = 64 << 10
"""What is written at once: a reader that does not read holds one piece in the buffer of its connection, not the answer."""
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_SOURCES = (
    "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_PAGE_POLICY = (_POLICY[0], f"default-src 'none'; {_SOURCES}; frame-ancestors 'none'".encode())
PAGE = "/ui/"
PAST = "/api/v1/history"
OPEN = ("/livez", "/-/healthy", "/readyz", "/-/ready", "/", "/api/v1/openapi.json", "/ui")
"""What is answered without the token, and all below PAGE."""


class ListenError(MonitorError):
    """The address cannot be listened on; `host` and `port` say which."""

    def __init__(self, host: str, port: int, why: str, hint: str) -> None:
        super().__init__(f"http: cannot listen on {_netloc(host, port)}: {why}. {hint}")
        self.host, self.port = host, port


class HttpServer:
    """Listens from `start` to `stop`. `snapshot` and `heartbeat_age_ms` are called in the server's thread, once per
    request, and must return soon: the newest snapshot, and how long ago the daemon's loops last came round.

    The heartbeat is not part of the snapshot: a stuck daemon makes no new snapshots, and the last one would look
    healthy for ever. Port 0 picks a free one; `port` and `url` tell which. `token`: what readers must send.
    """

    def __init__(
        self,
        host: str,
        port: int,
        snapshot: Callable[[], Shown],
        heartbeat_age_ms: Callable[[], int],
        *,
        live_within_ms: int = LIVE_WITHIN_MS,
        token: TokenFile | None = None,
        port_from: str = "http.port",
    ) -> None:
        """`port_from`: the setting or option that says the port, for whoever cannot have it."""
        self.host, self.port, self._token, self._port_from = host, port, token, port_from
        self.reached_by_all = False
        """Whether, since it was started, others than this machine may read without a token."""
        self._pages = Pages(snapshot, heartbeat_age_ms, live_within_ms)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, as people write it."""
        return f"http://{_netloc(self.host, self.port)}"

    def start(self) -> None:
        """Bind, and serve from a daemon thread; returns when requests are answered. Raises ListenError."""
        listening = _bind(self.host, self.port, self._port_from)
        try:
            bound = listening.getsockname()
            self.port = int(bound[1])
            loopback = ipaddress.ip_address(bound[0]).is_loopback
            self.reached_by_all = not loopback and self._token is None
            app = _Door(_application(self._pages), loopback=loopback, host=self.host, token=self._token)
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


# --------------------------------------------------------------------------------------------------------- the door


class _Door:
    """Around the application: refuses foreign Host headers on loopback, adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, *, loopback: bool, host: str, token: TokenFile | None) -> None:
        self._app, self._loopback, self._host, self._token = app, loopback, host.lower(), token
        self._pasts = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        policy = _PAGE_POLICY if path.startswith(PAGE) else _POLICY

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), policy, *_HEADERS]}
            body, start = message.get("body", b""), 0
            while len(body) - start > PIECE_BYTES:  # each waits until the reader has the one before
                piece, start = body[start : start + PIECE_BYTES], start + PIECE_BYTES
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({**message, "body": body[start:]} if start else message)

        answer = self._app
        if self._loopback and not self._is_us([value for name, value in scope["headers"] if name == b"host"]):
            answer = text("421: this address answers to localhost only; the Host header names something else\n", 421)
        elif self._token is not None and not self._admitted(scope):
            if path not in OPEN and not path.startswith(PAGE):
                answer = _stranger()
            else:
                scope = {**scope, "query_string": b""}  # the details of a probe are not for everyone
        if answer is not self._app or path != PAST:
            await answer(scope, receive, guarded)
        elif self._pasts >= PASTS_AT_ONCE:
            await _busy()(scope, receive, guarded)
        else:
            self._pasts += 1
            try:
                await answer(scope, receive, guarded)  # returns when the reader has all but the last of it
            finally:
                self._pasts -= 1

    def _admitted(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        assert self._token is not None
        return self._token.admits(given[0].decode("latin-1") if len(given) == 1 else None)

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


def _stranger() -> Response:
    answer = text("401: send the token of http.token_file as `Authorization: Bearer TOKEN`\n", 401)
    answer.headers["www-authenticate"] = 'Bearer realm="driftline"'
    return answer


def _busy() -> Response:
    answer = text(f"503: {PASTS_AT_ONCE} others are being told the past; ask again, or for a part of it\n", 503)
    answer.headers["retry-after"] = "1"
    return answer


def _application(pages: Pages) -> ASGIApp:
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
        PAST: pages.history,
        "/api/v1/openapi.json": pages.openapi,
        PAGE.rstrip("/"): pages.to_page,
        PAGE: pages.asset,
        PAGE + "{name}": pages.asset,
    }
    app = Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in paths.items()])
    app.router.redirect_slashes = False  # it would send readers to an address made of their Host header
    return app


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
    errno.EADDRINUSE: "Another process listens there, perhaps another driftline: stop it, or set {port_from} "
    "(0 picks a free one).",
    errno.EACCES: "Ports below 1024 need privileges: set {port_from} to a higher one.",
    errno.EADDRNOTAVAIL: "No interface of this machine has that address: set http.host to 127.0.0.1, "
    "or 0.0.0.0 for all.",
}


def _bind(host: str, port: int, port_from: str) -> socket.socket:
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
        hint = _HINTS.get(error.errno or 0, "Set http.host and {port_from} to an address of this machine.")
        raise ListenError(
            host, port, (error.strerror or str(error)).lower(), hint.format(port_from=port_from)
        ) from error
    return listening
