"""What `driftline doctor` hands on: texts by name in one tar.gz, without secrets."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import string
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

REDACTED: Final = "[redacted]"
_SHORTEST: Final = 4
"""Shorter ones are not sought by value: `ab` would be taken out of every word. Where a name says what they are they still go."""
_WORDS = (
    r"pas{1,2}w(?:or)?d|pwd|passphrase|secret|token|api[_-]?key|private\.key|credentials?|user\.info|authori[sz]ation|cookie"
    r"|x-amz-signature"
)
_NAMING: Final = re.compile(_WORDS, re.IGNORECASE)
_NAME = rf"""(?:{_WORDS})[\w.-]{{0,40}}(?:["']?\s*[:=]\s*|["']\s*,\s*)"""
_BLOCK = re.compile(rf"(?P<name>{_NAME})(?P<value>[|>][+-]?[^\n]*(?:\n[ \t]+[^\n]*)+)", re.IGNORECASE)
"""A value of YAML in lines of its own."""
_NAMED = re.compile(
    rf"""(?P<name>{_NAME})(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(?!\[redacted\])[^\s"'][^\n]*)""", re.IGNORECASE
)
"""A value without quotes ends with its line: a password may hold any other sign."""
_AUTHORIZATION = re.compile(r"(?P<name>\b(?:Bearer|Basic)\s+)(?P<value>[A-Za-z0-9+/._~=-]{8,})")
_IN_ADDRESS = re.compile(r"(?P<name>\b[a-z][a-z0-9+.-]{0,20}://)(?P<value>[^\s/\"']+)(?=@)", re.IGNORECASE)
"""Up to the last `@` before the path: one may stand in the password."""
_BEFORE_HOST = re.compile(r"(?P<name>)(?P<value>[^\s\"'`@:=,\[\](){}<>]{1,64}:[^\s\"'`]{1,256})(?=@)")
"""`user:password@host` without a scheme, as somebody writes it for a broker."""
_SIGNED = re.compile(r"(?P<name>[?&]sig=)(?P<value>[^\s&\"']+)", re.IGNORECASE)
_SHAPES: Final = re.compile(
    r"\b(?:(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b"  # Amazon
    r"|gh[opsru]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,300}"
    r"|xox[a-z](?:\.[a-z]+)?-[\w-]{8,300}|xapp-[\w-]{8,300}|hooks\.slack\.com/(?:services|workflows)/[\w/-]{1,200}"
    r"|(?:sk|rk|pk)_(?:live|test)_\w{10,}|sk-[\w-]{20,300}|AIza[\w-]{30,300}|ya29\.[\w-]{10,300}|hf_[A-Za-z0-9]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{16,300}|dapi[0-9a-f]{32}|SG\.[\w-]{16,300}\.[\w-]{16,300}|hv[bsr]\.[\w-]{20,300}"
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"  # a JSON Web Token
)
"""Tokens that say what they are by how they begin."""
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# Nothing here is unbounded that can begin anywhere in what it repeats: a log may hold one line of a million letters.
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-._~")
"""What nothing writes in another way."""
_SPELLED_CHARS_MAX: Final = 512
"""Longer secrets are keys and certificates in lines, each of which is sought."""


class Redactor:
    """Takes secrets out of text: those that are known by value, wherever they stand and however JSON, URLs or HTML spell
    them, and whatever looks like one by the name before it, as credentials in an address or before a host, as an
    authorization, by how tokens of known makers begin, or as a private key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known: set[str] = set()
        for secret in secrets:
            for line in (secret, *secret.splitlines()):  # a key in several lines is also met line by line
                if len(text := line.strip()) >= _SHORTEST:
                    known.add(text)
        # The longest first: one may hold another.
        self._known = [re.compile(_spelled(each)) for each in sorted(known, key=lambda each: (-len(each), each))]

    def __call__(self, text: str) -> str:
        """The text with each secret replaced by `[redacted]`."""
        for known in self._known:
            text = known.sub(REDACTED, text)
        text = _SHAPES.sub(REDACTED, _PEM.sub(REDACTED, text))
        for pattern in (_BLOCK, _IN_ADDRESS, _BEFORE_HOST, _AUTHORIZATION, _SIGNED, _NAMED):
            text = pattern.sub(lambda found: found["name"] + _in_quotes(found["value"]), text)
        return text

    def of_file(self, name: str, text: str) -> str:
        """The text of a file. JSON stays JSON: its values are looked at one by one."""
        if name.endswith(".json"):
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                return self(text)
            return json.dumps(self._within(document, named=False), indent=2) + "\n"
        return self(text)

    def _within(self, document: Any, *, named: bool) -> Any:
        if isinstance(document, dict):
            return {
                self(key): self._within(value, named=named or _NAMING.search(key) is not None)
                for key, value in document.items()
            }
        if isinstance(document, list):
            return [self._within(each, named=named) for each in document]
        if isinstance(document, str | int | float) and not isinstance(document, bool) and named:
            return REDACTED
        return self(document) if isinstance(document, str) else document


def _spelled(text: str) -> str:
    """A pattern for a secret as it is and as JSON, literals, URLs and HTML write it, once or twice over."""
    if len(text) > _SPELLED_CHARS_MAX:
        return re.escape(text)
    return "".join(each if each in _PLAIN - {"."} else _ways(each) for each in text)


def _ways(char: str) -> str:
    encoded = "".join(f"%(?:25){{0,3}}{_of_either_case(f'{byte:02x}')}" for byte in char.encode("utf-8", "replace"))
    units = char.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\{{1,8}}u{_of_either_case(units[at : at + 4])}" for at in range(0, len(units), 4))
    ways = [rf"\\{{0,8}}{re.escape(char)}", encoded, escaped, rf"&(?:amp;)?#0{{0,6}}{ord(char)};"]
    ways.append(rf"&(?:amp;)?#[xX]0{{0,6}}{_of_either_case(f'{ord(char):x}')};")
    ways += [rf"&(?:amp;)?{name};" for name in _ENTITIES.get(char, ())]
    if char == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


_ENTITIES: Final = {"&": ("amp",), "<": ("lt",), ">": ("gt",), '"': ("quot",), "'": ("apos",)}


def _of_either_case(digits: str) -> str:
    return "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in digits)


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
                data = redact.of_file(name, text).encode()
                digests[name] = "sha256:" + hashlib.sha256(data).hexdigest()
                entry = tarfile.TarInfo(f"driftline-doctor/{name}")
                entry.size, entry.mtime, entry.mode = len(data), made_ms // 1000, 0o600
                tar.addfile(entry, io.BytesIO(data))
    return digests
