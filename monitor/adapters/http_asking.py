"""Asking the listener of a daemon, for the commands that look at one.

A redirect is not followed: it would carry the token to wherever it points. An answer that is an error is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from monitor.adapters.http_token import bearer
from monitor.errors import LogUnreachable

TIMEOUT_SECS: Final = 5.0
LARGEST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The status code and the body, of which more than LARGEST_BYTES is cut off."""

    code: int
    body: bytes

    @property
    def text(self) -> str:
        """The body for people."""
        return self.body.decode("utf-8", "replace")


def ask(url: str, path: str, token_file: str | None = None) -> Answer:
    """GET a path of the daemon that listens at `url`, an address of http or https. Raises LogUnreachable, and TokenFileError
    for a file without a token."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    headers = bearer(token_file) if token_file is not None else {}
    try:
        request = Request(url.rstrip("/") + path, headers=headers)  # noqa: S310  # the commands see to it that it is http
        with build_opener(Stay).open(request, timeout=TIMEOUT_SECS) as answer:
            return Answer(answer.status, answer.read(LARGEST_BYTES))
    except HTTPError as error:
        with error:
            return Answer(error.code, error.read(LARGEST_BYTES))
    except (OSError, ValueError, HTTPException) as error:
        why = getattr(error, "reason", error)
        raise LogUnreachable(
            f"no daemon answers at {url}: {getattr(why, 'strerror', None) or repr(why)}. Is `driftline run` up, and is this its "
            "http.host and http.port? With http.port 0 it says its address at the start."
        ) from error
