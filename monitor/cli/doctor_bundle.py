"""What `driftline doctor` hands on: texts by name in one tar.gz, without secrets."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

REDACTED: Final = "[redacted]"
_SHORTEST: Final = 4
"""Shorter ones are not sought by value: `ab` would be taken out of every word. Where a name says what they are they still go."""
_WORDS = r"passw(?:or)?d|passphrase|secret|token|api[_-]?key|private\.key|credentials|user\.info"
_NAME = rf"""[\w.-]*(?:{_WORDS})[\w.-]*["']?\s*[:=]\s*"""
_BLOCK = re.compile(rf"(?P<name>{_NAME})(?P<value>[|>][+-]?[^\n]*(?:\n[ \t]+[^\n]*)+)", re.IGNORECASE)
"""A value of YAML in lines of its own."""
_NAMED = re.compile(rf"""(?P<name>{_NAME})(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"'][^\n]*)""", re.IGNORECASE)
"""A value without quotes ends with its line: a password may hold any other sign."""
_AUTHORIZATION = re.compile(r"(?P<name>\b(?:Bearer|Basic)\s+)(?P<value>[A-Za-z0-9+/._~=-]{8,})")
_IN_ADDRESS = re.compile(r"(?P<name>\b[a-z][a-z0-9+.-]*://)(?P<value>[^\s/\"']+)(?=@)", re.IGNORECASE)
"""Up to the last `@` before the path: one may stand in the password."""
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


class Redactor:
    """Takes secrets out of text: those that are known by value, wherever they stand and however JSON spells them, and
    whatever looks like one by the name before it, as credentials in an address, an authorization, or a private key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings: set[str] = set()
        for secret in secrets:
            for line in (secret, *secret.splitlines()):  # a key in several lines is also met line by line
                text = line.strip()
                if len(text) >= _SHORTEST:
                    spellings |= {text, _in_json(text)}
        self._known = sorted(spellings, key=lambda each: (-len(each), each))  # the longest first: one may hold another

    def __call__(self, text: str) -> str:
        """The text with each secret replaced by `[redacted]`."""
        for secret in self._known:
            text = text.replace(secret, REDACTED)
        text = _PEM.sub(REDACTED, text)
        for pattern in (_BLOCK, _IN_ADDRESS, _AUTHORIZATION, _NAMED):
            text = pattern.sub(lambda found: found["name"] + _in_quotes(found["value"]), text)
        return text


def _in_json(text: str) -> str:
    import json

    return json.dumps(text)[1:-1]


def _in_quotes(value: str) -> str:
    quote = value[0] if value[0] in "\"'" else ""
    return f"{quote}{REDACTED}{quote}"


def write_bundle(path: Path, texts: Mapping[str, str], redact: Redactor, made_ms: int) -> dict[str, str]:
    """Write the texts, redacted, as `driftline-doctor/NAME` into a new tar.gz that its owner alone may read; returns the
    digest of each. Raises FileExistsError rather than taking the place of a file."""
    digests: dict[str, str] = {}
    with path.open("xb") as file:
        path.chmod(0o600)  # it names hosts, topics and models
        with (
            gzip.GzipFile("", "wb", fileobj=file, mtime=made_ms // 1000) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as tar,
        ):
            for name, text in sorted(texts.items()):
                data = redact(text).encode()
                digests[name] = "sha256:" + hashlib.sha256(data).hexdigest()
                entry = tarfile.TarInfo(f"driftline-doctor/{name}")
                entry.size, entry.mtime, entry.mode = len(data), made_ms // 1000, 0o600
                tar.addfile(entry, io.BytesIO(data))
    return digests
