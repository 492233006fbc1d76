"""An object store of the tests, which speaks as much of the S3 protocol as the client uses, and fails as it is told.

What it answers follows the API reference of Amazon S3: PutObject (with `If-None-Match: *`, 412 where there is one),
CopyObject, GetObject, HeadObject, DeleteObject(s), ListObjectsV2 in order of keys. Signatures are not checked.
"""

from __future__ import annotations

import threading
import time
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from xml.sax.saxutils import escape

PAGE = 3
"""Keys in one answer of a list: small, so that every test turns pages."""


class Fault(StrEnum):
    """What happens to one request."""

    NONE = "none"
    REFUSED = "refused"  # 503, nothing done
    LOST = "lost"  # the connection ends, nothing done
    UNANSWERED = "unanswered"  # done, and the connection ends
    SLOW = "slow"  # done and answered, late
    STALE = "stale"  # what is read is as it was before the last write; what is written is done


@dataclass
class Object:
    content: bytes
    metadata: dict[str, str]
    modified_ms: int


@dataclass
class Bucket:
    """What the store holds. `conditional`: False for a store of the old kind, where the second writer wins."""

    objects: dict[str, Object] = field(default_factory=dict)
    before: dict[str, Object] = field(default_factory=dict)
    """What it held before the last write."""
    ahead_ms: int = 0
    conditional: bool = True
    fault: Callable[[int], Fault] = lambda _: Fault.NONE
    """What happens to the request of this number, from 1."""
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


Answer = tuple[int, dict[str, str], bytes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of an answer in one packet
    disable_nagle_algorithm = True
    bucket: Bucket

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parsed = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(parsed.path).partition("/")[2].partition("/")[2]
        query = dict(urllib.parse.parse_qsl(parsed.query, keep_blank_values=True))
        bucket = self.bucket
        with bucket.lock:
            bucket.requests.append(f"{self.command} {key}")
            fault = bucket.fault(len(bucket.requests))
            answer: Answer = 503, {}, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"
            if fault not in (Fault.REFUSED, Fault.LOST):
                answer = self._answer(key, query, body, fault is Fault.STALE)
        if fault in (Fault.LOST, Fault.UNANSWERED):
            self.close_connection = True
            return
        if fault is Fault.SLOW:
            time.sleep(0.15)
        status, headers, content = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_request(self, *_: object) -> None:
        """Nothing is printed."""

    def _answer(self, key: str, query: dict[str, str], body: bytes, stale: bool) -> Answer:
        objects = self.bucket.objects
        if self.command in ("PUT", "POST", "DELETE"):
            self.bucket.before = dict(objects)
        elif stale:
            objects = self.bucket.before
        if self.command == "PUT":
            return self._put(key, body)
        if self.command == "POST":  # DeleteObjects
            keys = [node.text or "" for node in ET.fromstring(body).iter() if node.tag.endswith("Key")]
            for each in keys:
                objects.pop(each, None)
            deleted = "".join(f"<Deleted><Key>{escape(each)}</Key></Deleted>" for each in keys)
            return 200, {}, f"<DeleteResult>{deleted}</DeleteResult>".encode()
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, {}, b""
        if "list-type" in query:
            return 200, {}, _list(objects, query)
        if key not in objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
        found = objects[key]
        headers = _headers(found) | {"Content-Length": str(len(found.content))}
        return 200, headers, found.content

    def _put(self, key: str, body: bytes) -> Answer:
        objects = self.bucket.objects
        metadata = {n.lower(): v for n, v in self.headers.items() if n.lower().startswith("x-amz-meta-")}
        if source := self.headers.get("x-amz-copy-source"):
            name = urllib.parse.unquote(source).lstrip("/").partition("/")[2]
            if name not in objects:
                return 404, {}, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
            objects[key] = Object(objects[name].content, objects[name].metadata, self.bucket.now_ms())
            return 200, {}, b'<CopyObjectResult><ETag>"copied"</ETag></CopyObjectResult>'
        if self.bucket.conditional and self.headers.get("If-None-Match") == "*" and key in objects:
            return 412, {}, b"<Error><Code>PreconditionFailed</Code><Message>there is one</Message></Error>"
        if self.headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            raise NotImplementedError("chunked uploads")
        objects[key] = Object(body, metadata, self.bucket.now_ms())
        return 200, {"ETag": _etag(body)}, b""


for _method in ("GET", "PUT", "HEAD", "DELETE", "POST"):
    setattr(_Handler, f"do_{_method}", _Handler._handle)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was cut off hangs up: nothing to print."""


class S3:
    """The server, for as long as it is entered."""

    def __init__(self, port: int = 0) -> None:
        self.bucket, self._port = Bucket(), port

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"bucket": self.bucket})
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process that uses it has in its environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def later(port: int, secs: float) -> Iterator[S3]:
    """A server that listens after that time only: until then its port refuses connections."""
    store = S3(port)
    timer = threading.Timer(secs, store.__enter__)
    timer.start()
    try:
        yield store
    finally:
        timer.join()
        store.__exit__()


def _list(objects: dict[str, Object], query: dict[str, str]) -> bytes:
    after = max(query.get("start-after", ""), query.get("continuation-token", ""))
    keys = sorted(key for key in objects if key.startswith(query.get("prefix", "")) and key > after)
    page, more = keys[:PAGE], len(keys) > PAGE
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{_iso(objects[key].modified_ms)}</LastModified>"
        f"<ETag>{escape(_etag(objects[key].content))}</ETag>"
        f"<Size>{len(objects[key].content)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return (
        f"<ListBucketResult><Name>b</Name><KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
    ).encode()


def _headers(found: Object) -> dict[str, str]:
    dates = {"Last-Modified": formatdate(found.modified_ms / 1_000, usegmt=True)}
    return {"ETag": _etag(found.content), **dates, **found.metadata}


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1_000)) + f".{ms % 1_000:03d}Z"
