"""Who may read: a bearer token out of a file, which is looked at again with every request.

Only reading is possible, so there is one right and one token. It is compared in constant time, as digests, so that
neither its length nor how far a guess is right shows; it stands in no log, error, metric or answer. A file that becomes
unreadable, empty or too short while the process runs leaves the token as it was (a rotation that writes in place passes
through that), is warned of once and read again with every request until it can be used; to shut out a token, write another
one. At the start such a file is an error.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from pathlib import Path

from monitor.errors import ConfigError

LEAST = 16
"""Characters of a token: fewer can be tried out."""
MOST_BYTES = 4_096

_Stamp = tuple[int, ...]


class TokenFileError(ConfigError):
    """A token file (`http.token_file`, `--token-file`) cannot be used; `path` says which, `why` what is wrong with it. Never
    what is in it."""

    def __init__(self, path: str, why: str) -> None:
        remedy = (
            f"Put one line of {LEAST} or more characters without spaces into it, such as `openssl rand -hex 32` prints"
        )
        super().__init__([f"the token file {path!r} {why}. {remedy}, readable for the user of the daemon"])
        self.path, self.why = path, why


class TokenFile:
    """The token of a file. Raises TokenFileError when there is none at the start."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = self._warned = self._look()
        self._digest = _digest(token_of(self._path))

    def admits(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries the token."""
        self._refresh()
        scheme, _, given = (authorization or "").partition(" ")
        right = hmac.compare_digest(_digest(given.strip()), self._digest)
        return right and scheme.lower() == "bearer"

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._digest, self._stamp = _digest(token_of(self._path)), stamp
        except TokenFileError as error:
            if stamp != self._warned:
                logging.getLogger("driftline.http").warning("%s. Until then the token before it goes on", error)
            self._warned = stamp

    def _look(self) -> _Stamp:
        """What changes when the file, or who may read it, does, a symbolic link (as of a mounted secret) followed; nothing
        where there is none."""
        try:
            found = Path(self._path).stat()
        except OSError:
            return ()
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def bearer(path: str) -> dict[str, str]:
    """The header that a reader sends who has the token in this file. Raises TokenFileError."""
    return {"Authorization": f"Bearer {token_of(path)}"}


def token_of(path: str) -> str:
    """The token in a file. Raises TokenFileError where there is none."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TokenFileError(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        token = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        raise TokenFileError(path, "is not plain ASCII") from None
    if not token:
        raise TokenFileError(path, "is empty")
    if len(raw) > MOST_BYTES or len(token) < LEAST or len(token.split()) > 1:
        raise TokenFileError(path, f"is no token: {len(raw)} bytes, {len(token.split())} words")
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
