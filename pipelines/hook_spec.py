"""A step that is handed to an outside system: where it is announced, what is said there, and how it is signed. Pure.

The convention is that of Standard Webhooks: the headers `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature`,
which is HMAC-SHA256 over `ID.TIMESTAMP.BODY` with the secret, in base64 behind `v1,`. Several secrets give several
signatures, with a space between them: so a secret is changed without a moment in which nobody agrees. What comes back is
signed in the same way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from pipelines.codec import canonical_bytes
from pipelines.errors import ConfigError
from pipelines.sense import Wrong, refuse

MINUTE_MS: Final = 60_000
PREFIX: Final = "whsec_"
SECRET_BYTES_MIN: Final = 24
TOLERANCE_SECS: Final = 300
"""How far the time of a message may be from that of whoever receives it."""
LONGEST_MS: Final = 6 * 24 * 60 * MINUTE_MS
"""A hand-off may take: what it reads is kept by the store for a week after it was put there, and no longer."""
REQUESTED, WITHDRAWN = "step.requested", "step.withdrawn"
_PRINTED: Final = re.compile(r"[\x21-\x7e]+")


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the steps of a model are handed on. It decides nothing about a model, so it is no part of its policy."""

    url: str
    secret_file: str  # one secret a line; all of them sign
    ca_file: str | None = None  # certificates to believe instead of those of the system
    answer_ms: int = 15_000  # for an answer to one announcement
    starting_ms: int = 60 * MINUTE_MS  # until the step begins, beside `train.timeout`

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        parts = _parts(self.url)
        if parts is None:
            yield Wrong("url", f"url is {self.url!r}; write https://HOST/PATH")
        elif parts.username is not None or parts.password is not None or parts.fragment:
            yield Wrong("url", "url names a user, a password or a fragment; the secret is in secret_file")
        if not 0 < self.answer_ms <= MINUTE_MS:
            yield Wrong("answer", "answer is how long one announcement may wait: more than 0, at most 1m")

    @property
    def open_to_others(self) -> bool:
        """Whether messages cross a network without encryption: whoever is between reads them, and may answer in their place."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        try:
            near = ip_address(host).is_loopback
        except ValueError:
            near = host == "localhost" or host.endswith(".localhost")
        return parts.scheme == "http" and not near


def _parts(url: str) -> SplitResult | None:
    """None of what is no address."""
    try:
        parts = urlsplit(url)
        there = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        return None
    return parts if there and _PRINTED.fullmatch(url) else None


def secrets_of(text: str, where: str) -> tuple[bytes, ...]:
    """The secrets of a file: a line each, `whsec_` and base64. Raises ConfigError without quoting any."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        remedy = f"Write {PREFIX} and the base64 of at least {SECRET_BYTES_MIN} random bytes."
        try:
            secret = base64.b64decode(said.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"line {number} of {where}", "is no base64", remedy) from None
        if len(secret) < SECRET_BYTES_MIN:
            raise ConfigError(f"line {number} of {where}", f"has {len(secret)} bytes", remedy)
        found.append(secret)
    if not found:
        raise ConfigError(where, "holds no secret", "`driftline retrain secret` prints one.")
    return tuple(found)


def signature(secrets: Sequence[bytes], name: str, timestamp: int, body: bytes) -> str:
    """What goes into `webhook-signature`."""
    signed = f"{name}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets
    )


def genuine(secrets: Sequence[bytes], name: str, timestamp: int, body: bytes, said: str) -> bool:
    """Whether one of the signatures is by one of the secrets. Takes the same time wherever they differ."""
    expected = signature(secrets, name, timestamp, body).split(" ")
    fits = [hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in said.split(" ")]
    return any(fits)


def headers(secrets: Sequence[bytes], name: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message."""
    return {
        "content-type": "application/json", "webhook-id": name, "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secrets, name, timestamp, body), "user-agent": "driftline",
    }  # fmt: skip


def message(kind: str, at: str, data: Mapping[str, Any]) -> bytes:
    """The body of a message: the same bytes for the same thing said again."""
    return canonical_bytes({"type": kind, "timestamp": at, "data": dict(data)})
