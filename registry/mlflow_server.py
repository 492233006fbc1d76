"""An MLflow server, asked over HTTP: what versions of a model there are, and their files.

Only GET, nothing there is changed. Redirects are not followed: they would show the credentials to whoever is named in one.
Answers and files have limits. What fails is asked again a few times, then said without the credentials.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from registry.errors import SourceError
from registry.formats.finding import FILES_MAX, printable
from registry.mlflow import (
    NO_ADDRESS,
    Listing,
    ModelVersion,
    RegisteredModel,
    RunAnswer,
    RunData,
    answer,
    bare,
    proxied,
)

TIMEOUT_SECS: Final = 20.0
TRIES: Final = 3
PAUSE_SECS: Final = 1.0
"""Before the second try; twice as long before the third."""
ANSWER_BYTES_MAX: Final = 16 << 20
VERSIONS_MAX: Final = 10_000
PAGE_ROWS: Final = 200
PAGES_MAX: Final = 1_000
"""Of one search: a server may give less than is asked for."""
FOLDERS_MAX: Final = 1_000
T = TypeVar("T")

_CHUNK_BYTES: Final = 1 << 20
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token, or a user with a password, or neither. Not shown by `repr`."""

    token: str | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def header(self) -> str | None:
        """The value of `Authorization`."""
        if self.token:
            return f"Bearer {self.token}"
        if self.user:
            return "Basic " + base64.b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
        return None

    def secrets(self) -> tuple[str, ...]:
        """What may be in no message, also where the server says it."""
        encoded = (self.header() or "").removeprefix("Basic ").removeprefix("Bearer ")
        return tuple(each for each in (self.token, self.password, encoded) if each)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a version there, by its path below the version's own folder."""

    path: str
    size_bytes: int


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """No redirect is followed: `None` makes an error of it."""


class MlflowServer:
    """One server. `uri` is its address without credentials; raises SourceError for one that cannot be asked safely."""

    def __init__(
        self,
        uri: str,
        credentials: Credentials,
        *,
        allow_http: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.where = bare(uri).rstrip("/")
        parts = urllib.parse.urlsplit(uri if self.where != NO_ADDRESS else "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(
                f"address {self.where!r}", "is none of a server", "Write https://HOST, or http://HOST:PORT."
            )
        if "@" in parts.netloc:
            remedy = "Use --token-file, or --user with --password-file: arguments are seen by everybody on the machine."
            raise SourceError(f"address {self.where!r}", "was given with credentials in it", remedy)
        self._authorization = credentials.header()
        self._secrets = credentials.secrets()
        if self._authorization and parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_http:
            remedy = "Use https, or --allow-http where the network between is yours."
            raise SourceError(f"address {self.where!r}", "would be sent credentials that are not encrypted", remedy)
        if self._authorization and not (self._authorization.isascii() and self._authorization.isprintable()):
            why = "holds characters that no header can have"
            raise SourceError(f"the token for {self.where!r}", why, "Is it the whole token, and nothing else?")
        self._host, self._sleep = parts.netloc, sleep
        self._opener = urllib.request.build_opener(_Stay())

    # ------------------------------------------------------------------------------------------------------- asking

    def model(self, name: str) -> RegisteredModel:
        """A registered model. Raises SourceError."""
        found = self._json("mlflow/registered-models/get", name=name).get("registered_model")
        return answer(RegisteredModel, found, self.where)

    def versions(self, name: str) -> list[ModelVersion]:
        """All its versions, in order of number."""
        quoted = name.replace("'", "''")
        found: list[ModelVersion] = []
        token = ""
        for _ in range(PAGES_MAX):
            more = {"page_token": token} if token else {}
            page = self._json(
                "mlflow/model-versions/search", filter=f"name='{quoted}'", max_results=str(PAGE_ROWS), **more
            )
            found += answer(tuple[ModelVersion, ...], page.get("model_versions") or [], self.where)
            if len(found) > VERSIONS_MAX:
                raise SourceError(
                    f"model {name!r} of {self.where}", f"has more than {VERSIONS_MAX:,} versions", "Name some."
                )
            before, token = token, str(page.get("next_page_token") or "")
            if not token or token == before:
                break
        else:
            why = f"comes in more than {PAGES_MAX:,} pages"
            raise SourceError(f"model {name!r} of {self.where}", why, "Is this an MLflow tracking server?")
        odd = [each.version for each in found if not re.fullmatch(r"[0-9]{1,18}", each.version)]
        if odd:
            raise SourceError(
                f"model {name!r} of {self.where}", f"has a version {odd[0][:40]!r}", "Versions are numbers."
            )
        return sorted(
            {each.version: each for each in found if each.name == name}.values(), key=lambda v: int(v.version)
        )

    def run(self, run_id: str) -> RunData:
        """A run; nothing where it is gone."""
        try:
            return answer(RunAnswer, self._json("mlflow/runs/get", run_id=run_id), self.where).run.data
        except SourceError as error:
            if error.code == http.client.NOT_FOUND:
                return RunData()
            raise

    def address(self, version: ModelVersion) -> str:
        """Where its files are."""
        found = self._json("mlflow/model-versions/get-download-uri", name=version.name, version=version.version)
        return str(found.get("artifact_uri") or version.source)

    def files(self, address: str) -> list[RemoteFile] | None:
        """The files at an address; None where they are not given out by this server."""
        root = proxied(address, self._host)
        return None if root is None else sorted(self._below(root), key=lambda file: file.path)

    def fetch(self, address: str, file: RemoteFile, target: Path, bytes_max: int) -> str:
        """Write a file to `target`, whole; the digits of its SHA-256. Raises SourceError for one of another size than was
        said, or of more than `bytes_max`."""
        path = f"{proxied(address, self._host)}/{file.path}".strip("/")
        what = f"file {printable(file.path)!r} of {self.where}"

        def take(response: http.client.HTTPResponse) -> str:
            hasher, size = hashlib.sha256(), 0
            with target.open("wb") as out:
                while chunk := response.read(_CHUNK_BYTES):
                    size += len(chunk)
                    if size > bytes_max:
                        raise SourceError(what, f"has more than {bytes_max:,} bytes", "--bytes-max allows more.")
                    if size > file.size_bytes:
                        why = f"has more than the {file.size_bytes:,} bytes that were said"
                        raise SourceError(what, why, "Was it written just now? Try again.")
                    hasher.update(chunk)
                    out.write(chunk)
            if size != file.size_bytes:
                raise OSError(f"{size:,} bytes came of {file.size_bytes:,}")
            return hasher.hexdigest()

        return self._ask(f"mlflow-artifacts/artifacts/{urllib.parse.quote(path)}", {}, take, what)

    # ------------------------------------------------------------------------------------------------------- within

    def _below(self, root: str) -> Iterator[RemoteFile]:
        ahead, folders, files = [""], 0, 0
        while ahead:
            folder = ahead.pop()
            folders += 1
            where = f"{root}/{folder}".strip("/")
            try:
                listed = answer(Listing, self._json("mlflow-artifacts/artifacts", path=where), self.where).files
            except SourceError as error:
                if error.code != http.client.NOT_FOUND:
                    raise
                listed = ()
            for each in listed:
                path = f"{folder}/{each.path.rpartition('/')[2]}".strip("/")
                if each.is_dir:
                    ahead.append(path)
                else:
                    files += 1
                    yield RemoteFile(path, each.file_size)
            if folders > FOLDERS_MAX or files > FILES_MAX or not all(each.rpartition("/")[2] for each in ahead):
                why = f"are more than {FILES_MAX:,} files or {FOLDERS_MAX:,} folders, or have no names"
                raise SourceError(f"what is at {printable(root)!r} of {self.where}", why, "No model has so many.")

    def _json(self, endpoint: str, **query: str) -> dict[str, Any]:
        def take(response: http.client.HTTPResponse) -> Any:
            body = response.read(ANSWER_BYTES_MAX + 1)
            if len(body) > ANSWER_BYTES_MAX:
                raise SourceError(what, f"is more than {ANSWER_BYTES_MAX:,} bytes", "Ask for fewer versions.")
            found = json.loads(body)
            if b"\\ud" in body.lower():  # half a character, perhaps, which nothing can be written with
                found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
            return found

        what = f"the answer of {self.where} to {endpoint}"
        found = self._ask(endpoint, query, take, f"{self.where} ({endpoint})")
        if not isinstance(found, dict):
            raise SourceError(what, "is no JSON object", "Is this the address of an MLflow tracking server?")
        return found

    def _ask(self, path: str, query: dict[str, str], take: Callable[[http.client.HTTPResponse], T], what: str) -> T:
        what = self._told(what)
        url = f"{self.where}/api/2.0/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(url, headers={"Accept": "*/*"})  # noqa: S310  # http and https only, see __init__
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        code, why = None, ""
        for number in range(1, TRIES + 1):
            try:
                with self._opener.open(request, timeout=TIMEOUT_SECS) as response:
                    return take(response)
            except urllib.error.HTTPError as error:
                code, why = error.code, self._told(_said(error))
                if error.code not in _AGAIN:
                    raise SourceError(what, why, _remedy(error.code), code) from None
            except (ValueError, RecursionError):
                raise SourceError(what, "answered no JSON", "Is this an MLflow tracking server?") from None
            except (OSError, http.client.HTTPException) as error:
                why = self._told(f"does not answer: {getattr(error, 'reason', None) or error}")
            if number < TRIES:
                self._sleep(PAUSE_SECS * number)
        raise SourceError(what, f"{why} ({TRIES} times)", "Try again later: what was imported stays.", code)

    def _told(self, text: str) -> str:
        """What the server says, printable and without the credentials that it was shown."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return printable(text)


def _said(error: urllib.error.HTTPError) -> str:
    with error:
        body = error.read(4096)
    try:
        said = str(json.loads(body).get("message") or "")
    except (ValueError, AttributeError):
        said = ""
    return f"says {error.code}" + (f": {printable(said).rstrip('.')}" if said else "")


def _remedy(code: int) -> str:
    if code in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return "Give --token-file, or --user with --password-file, of somebody who may read it."
    if code == http.client.NOT_FOUND:
        return "Look at the name, and at the address of the server."
    if 300 <= code < 400:
        return "Redirects are not followed: give the address that it leads to."
    return "Look at the log of the server."
