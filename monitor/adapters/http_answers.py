"""What the HTTP door answers: it chooses between finished bytes, and cuts out the part of the past that is asked for."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Protocol

from monitor.adapters.exposition import OPENMETRICS, TEXT, Exposition
from monitor.history import Choice, Past, select
from monitor.history import encode as encode_past
from monitor.readiness import Check
from monitor.windows.view import Kind

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LIVE_WITHIN_MS = 60_000
"""A heartbeat older than this is a stuck process: ten times the longest step a loop takes without one."""
READY_WITHIN_MS = 20_000
"""With an older one the process waits for something, most likely for the brokers: alive, and not ready."""
SMALL_BYTES = 1_000
"""Answers up to this size are not worth compressing."""
JSON: Final = "application/json"
_PLAIN: Final = "text/plain; charset=utf-8"
QUERY: Final = ("model", "version", "segment", "window", "kind", "metric")
"""What chooses a part of the history; `metric` may be given several times."""
INDEX: Final = (
    "/ui/",
    "/metrics",
    "/livez",
    "/readyz?verbose",
    "/api/v1/status",
    "/api/v1/history",
    "/api/v1/openapi.json",
)
ASSETS: Final = {
    "index.html": "text/html; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "parts.js": "text/javascript; charset=utf-8",
    "draw.js": "text/javascript; charset=utf-8",
    "model.js": "text/javascript; charset=utf-8",
}
"""The files of the page, and their types."""


class Shown(Protocol):
    """What the endpoints hand out at one moment. Each form is made when it is asked for, or was: a probe pays for no scrape."""

    @property
    def exposition(self) -> Exposition:
        """For Prometheus."""

    @property
    def status(self) -> bytes:
        """As JSON."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Of readiness."""

    @property
    def past(self) -> Past:
        """Of which a request may choose a part."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it, finished."""

    exposition: Exposition = field(default_factory=lambda: Exposition(b"", b"# EOF\n", 0, 0))
    status: bytes = b"{}"
    checks: tuple[Check, ...] = (Check("started", False, "the process is starting"),)
    past: Past = field(default_factory=Past)


class Pages:
    """The handlers. They choose between finished bytes."""

    def __init__(self, snapshot: Callable[[], Shown], heartbeat_age_ms: Callable[[], int], live_within_ms: int) -> None:
        self._snapshot, self._age, self._within = snapshot, heartbeat_age_ms, live_within_ms
        self._zipped: tuple[bytes, bytes] = (b"", gzip.compress(b""))

    async def metrics(self, request: Request) -> Response:
        """The exposition."""
        exposition = self._snapshot().exposition
        if _prefers_openmetrics(request.headers.get("accept", "")):
            return self._answer(request, exposition.openmetrics, OPENMETRICS)
        return self._answer(request, exposition.text, TEXT)

    async def status(self, request: Request) -> Response:
        """The view."""
        return self._answer(request, self._snapshot().status, JSON)

    async def live(self, _: Request) -> Response:
        """Whether the heartbeat is young enough."""
        age = self._age()
        if age <= self._within:
            return text("ok\n")
        return text(f"stuck: no loop came round for {age} ms, {self._within} ms are allowed\n", 503)

    async def ready(self, request: Request) -> Response:
        """Whether every check holds, and which do not."""
        age = self._age()
        # While the loop waits for an answer the snapshot stays what it was before: the wait itself must show.
        loop = Check("loop", age <= READY_WITHIN_MS, f"came round {age} ms ago, {READY_WITHIN_MS} ms are allowed")
        checks = (*self._snapshot().checks, loop)
        failed = ", ".join(check.name for check in checks if not check.ok)
        code = 503 if failed else 200
        if "verbose" in request.query_params:
            return text("".join(f"[{'+' if c.ok else '-'}] {c.name}: {c.detail}\n" for c in checks), code)
        return text(f"not ready: {failed}; see ?verbose\n" if failed else "ok\n", code)

    async def index(self, _: Request) -> Response:
        """What there is."""
        return text("Driftline\n\n" + "".join(f"{path}\n" for path in INDEX))

    async def history(self, request: Request) -> Response:
        """The part of the past that the query chooses."""
        given = request.query_params
        if unknown := [name for name in given if name not in QUERY]:
            return text(f"400: {unknown[0][:100]!r} chooses nothing; known are {', '.join(QUERY)}\n", 400)
        if twice := [name for name in QUERY if name != "metric" and len(given.getlist(name)) > 1]:
            return text(f"400: {twice[0]!r} is given twice; only metric may be\n", 400)
        metrics = frozenset(given.getlist("metric"))
        model, version, segment, window, kind = (given.get(name) for name in QUERY[:-1])
        if kind is not None and kind not in [*Kind]:
            return text(f"400: no window is of kind {kind[:100]!r}; there are {', '.join(Kind)}\n", 400)
        choice = Choice(model, version, segment, window, kind, metrics)
        return self._answer(request, encode_past(select(self._snapshot().past, choice)), JSON, shared=False)

    async def openapi(self, request: Request) -> Response:
        """The description of the API."""
        from monitor.adapters.openapi import openapi_json

        return self._answer(request, openapi_json(), JSON, shared=False)

    async def to_page(self, _: Request) -> Response:
        """Where the page is, from wherever this is read: behind a proxy that puts something before the path too."""
        answer = text("see ui/\n", 308)
        answer.headers["location"] = "ui/"
        return answer

    async def asset(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_params.get("name") or "index.html"
        kind = ASSETS.get(name)
        if kind is None:
            return text(f"404: the page has no file {name[:100]!r}\n", 404)
        return self._answer(request, _file(name), kind, shared=False)

    def _answer(self, request: Request, body: bytes, content_type: str, *, shared: bool = True) -> Response:
        """`shared`: the same bytes are handed out again, so their compressed form is worth keeping."""
        from starlette.responses import Response

        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", "") and len(body) > SMALL_BYTES:
            zipped_from, zipped = self._zipped
            if zipped_from is not body:
                zipped = gzip.compress(body, 1, mtime=0)  # zlib lets the other threads run meanwhile
                if shared:
                    self._zipped = (body, zipped)
            body = zipped
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers)


def text(said: str, code: int = 200) -> Response:
    """An answer for people."""
    from starlette.responses import Response

    return Response(said, code, headers={"content-type": _PLAIN})


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


@cache
def _file(name: str) -> bytes:
    return files("monitor.adapters.page").joinpath(name).read_bytes()
