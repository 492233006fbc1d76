"""Who may read: a bearer token out of a file, which is looked at again with every request.

Only reading is possible, so there is one right and one token. It is compared in constant time, as digests, so that
neither its length nor how far a guess is right shows; it stands in no log, error, metric or answer. A file that becomes
unreadable, empty or too short while the process runs leaves the token as it was (a rotation that writes in place passes
through that) and is warned of once; to shut out a token, write another one. At the start such a file is an error.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from pathlib import Path

from monitor.errors import MonitorError

LEAST = 16
"""Characters of a token: fewer can be tried out."""
MOST_BYTES = 4_096

_Stamp = tuple[int, int, int, int]


class TokenFileError(MonitorError):
    """A token file (`http.token_file`, `--token-file`) cannot be used; `path` says which, `why` what is wrong with it. Never
    what is in it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"the token file {path!r} {why}. Put one line of {LEAST} or more characters without spaces into it, such as "
            "`openssl rand -hex 32` prints, readable for the user of the daemon"
        )
        self.path, self.why = path, why


class TokenFile:
    """The token of a file. Raises TokenFileError when there is none at the start."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp = self._look()
        self._digest = _digest(_read(self._path))

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
            self._digest = _digest(_read(self._path))
        except TokenFileError as error:
            logging.getLogger("driftline.http").warning("%s. Until then the token before it goes on", error)
        self._stamp = stamp

    def _look(self) -> _Stamp:
        """What changes when the file does, a symbolic link (as of a mounted secret) followed; zeros where none is."""
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0, 0)
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def bearer(path: str) -> dict[str, str]:
    """The header that a reader sends who has the token in this file. Raises TokenFileError."""
    return {"Authorization": f"Bearer {_read(Path(path))}"}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TokenFileError(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        token = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        raise TokenFileError(str(path), "is not plain ASCII") from None
    if not token:
        raise TokenFileError(str(path), "is empty")
    if len(raw) > MOST_BYTES or len(token) < LEAST or len(token.split()) > 1:
        raise TokenFileError(str(path), f"is no token: {len(raw)} bytes, {len(token.split())} words")
    return token
