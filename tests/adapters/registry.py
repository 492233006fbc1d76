"""A schema registry for tests: the part of Confluent's REST API that reading needs, over HTTP, as the real one answers it.

It is a stand-in. What it says follows Confluent's API reference: schemas by id and by GUID, versions of a subject, error codes
40403 and 40401, 401 without the right user.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro

TYPE = "application/vnd.schemaregistry.v1+json"


class Registry:
    """Schemas by id, from 1 on; every schema is version 1 of the subject `subject-ID`."""

    def __init__(self, user: str | None = None) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self._user, self._server = user, self._listen(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def register(
        self,
        schema: Mapping[str, Any] | list[Any] | str,
        kind: str = "AVRO",
        references: list[dict[str, Any]] | None = None,
    ) -> int:
        """The id of a schema; of one that is there already the one it has."""
        entry: dict[str, Any] = {"schema": json.dumps(schema)}
        if kind != "AVRO":
            entry["schemaType"] = kind
        if references:
            entry["references"] = references
        known = [number for number, held in self.schemas.items() if held == entry]
        number = known[0] if known else len(self.schemas) + 1
        self.schemas[number] = entry
        return number

    def guid(self, number: int) -> uuid.UUID:
        return uuid.UUID(int=number << 64 | number)

    def stop(self) -> None:
        """Nobody answers any more; schemas stay."""
        self._server.shutdown()
        self._server.server_close()

    def start_again(self) -> None:
        self._server = self._listen(self._port)

    def _listen(self, port: int) -> ThreadingHTTPServer:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                code, body = registry._answer(self.path.partition("?")[0], self.headers.get("Authorization"))
                raw = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", TYPE)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def _answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        if self._user is not None:
            right = "Basic " + base64.b64encode(self._user.encode()).decode()
            if authorization != right:
                return 401, {"error_code": 401, "message": "Unauthorized"}
        parts = path.strip("/").split("/")
        if parts[:2] == ["schemas", "ids"]:
            held = self.schemas.get(int(parts[2]))
            return (200, held) if held is not None else (404, {"error_code": 40403, "message": "Schema not found"})
        if parts[:2] == ["schemas", "guids"]:
            found = [held for number, held in self.schemas.items() if str(self.guid(number)) == parts[2]]
            return (200, found[0]) if found else (404, {"error_code": 40403, "message": "Schema not found"})
        if parts[0] == "subjects" and parts[2] == "versions":
            number = int(parts[1].removeprefix("subject-"))
            held = self.schemas.get(number)
            if held is None:
                return 404, {"error_code": 40401, "message": "Subject not found"}
            return 200, {"subject": parts[1], "version": 1, "id": number, **held}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}


@contextmanager
def running(user: str | None = None) -> Iterator[Registry]:
    registry = Registry(user)
    try:
        yield registry
    finally:
        registry.stop()


def framed(number: int, payload: bytes) -> bytes:
    """A value as Confluent's serializers frame it."""
    return b"\x00" + number.to_bytes(4, "big") + payload


def avro(schema: Mapping[str, Any], row: Mapping[str, Any]) -> bytes:
    """A record in Avro, without its schema."""
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(dict(schema)), dict(row))
    return file.getvalue()
