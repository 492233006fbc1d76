"""One HTTP POST, and what came of it. Redirects are not followed: a signed message goes where the policy says, nowhere else."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from pipelines.errors import ConfigError

SAID_BYTES: Final = 500
RETRY_AFTER_SECS_MOST: Final = 3600.0
_TICK_SECS: Final = 0.5


class Lost(Exception):
    """No answer came. What was said may have been heard."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`said`: its beginning. `after_secs`: when to come again, where it says so."""

    code: int
    said: str = ""
    after_secs: float | None = None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: what was answered is the answer."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    timeout_secs: float,
    ca_file: str | None = None,
    alive: Callable[[], None] = lambda: None,
    now_secs: float = 0.0,
) -> Answer:
    """The answer. Raises Lost; and what `alive` raises, which is called while it is waited for. However slowly an answer drips
    in, it is waited for `timeout_secs` and no longer."""
    opener = urllib.request.build_opener(_Stay(), urllib.request.HTTPSHandler(context=_context(ca_file)))
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310  # the policy checks the scheme
    box: list[Answer | str] = []

    def ask() -> None:
        try:
            with opener.open(request, timeout=timeout_secs) as answer:
                box.append(Answer(answer.status))
        except urllib.error.HTTPError as error:
            with error:
                said: bytes = error.fp.read1(SAID_BYTES)  # type: ignore[attr-defined]  # one read: it may drip
                box.append(Answer(error.code, _words(said), _after(error.headers.get("retry-after"), now_secs)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            box.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    waited = 0.0
    while thread.is_alive() and waited < timeout_secs:
        thread.join(_TICK_SECS)
        waited += _TICK_SECS
        alive()
    if not box:
        raise Lost(f"no answer within {timeout_secs:.0f} s")
    if isinstance(box[0], str):
        raise Lost(box[0])
    return box[0]


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(
            f"file {ca_file!r} (executor.webhook.ca_file)", f"cannot be used: {error}", "Name a PEM file."
        ) from None


def _words(said: bytes) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in said.decode(errors="replace")).split())


def _after(said: str | None, now_secs: float) -> float | None:
    if said is None:
        return None
    try:
        secs = float(said) if said.strip().isdecimal() else parsedate_to_datetime(said).timestamp() - now_secs
    except (ValueError, TypeError):
        return None
    return min(RETRY_AFTER_SECS_MOST, max(0.0, secs))
