"""Schemas from a schema registry: Confluent's own client over its REST API, which others (Apicurio, Karapace) speak too.

A schema never changes under its id, so each is asked for once a process. That an id is not known is an answer, and is kept for
a minute; that nobody answers is none: who reads waits, and asks again.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.config.schema_registry import SchemaRegistry
from monitor.errors import ConfigError, MonitorError, SchemasUnreachable
from monitor.ports import Schema

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from monitor.config.types import Config

_log = logging.getLogger("driftline.schemas")

TIMEOUT_S: Final = 5.0
UNKNOWN_FOR_S: Final = 60.0
_AGAIN_AFTER_S: Final = 1.0
_SAY_EVERY_S: Final = 10.0
_NOT_THERE: Final = (404, 422)
_DEPTH_MAX: Final = 20


class RegistrySchemas:
    """See `monitor.ports.Schemas`."""

    def __init__(self, settings: SchemaRegistry) -> None:
        """Raises ConfigError for a file that cannot be read, MonitorError without the client."""
        self._url = settings.url
        self._client: SchemaRegistryClient = _client(settings)
        self._known: dict[int | str, Schema] = {}
        self._unknown: dict[int | str, float] = {}
        self._failed: tuple[float, SchemasUnreachable] | None = None
        self._said = -_SAY_EVERY_S

    def schema(self, number: int | str) -> Schema | None:
        """See the port. After a failure nobody is asked again for a second."""
        known, now = self._known.get(number), time.monotonic()
        if known is not None:
            return known
        if now - self._unknown.get(number, -UNKNOWN_FOR_S) < UNKNOWN_FOR_S:
            return None
        if self._failed is not None and now - self._failed[0] < _AGAIN_AFTER_S:
            raise self._failed[1]
        try:
            found = self._ask(number)
        except Exception as error:
            raise self._unreachable(number, error) from error
        self._failed = None
        if found is None:
            self._unknown[number] = now
            return None
        self._known[number] = found
        _log.info("schema %s: %s", number, found.kind)
        return found

    def _ask(self, number: int | str) -> Schema | None:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            client = self._client
            found = client.get_schema(number) if isinstance(number, int) else client.get_schema_by_guid(number)
            return Schema(str(found.schema_type or "AVRO"), str(found.schema_str), tuple(self._referenced(found, 0)))
        except SchemaRegistryError as error:
            if error.http_status_code in _NOT_THERE:
                return None
            raise

    def _referenced(self, schema: Any, depth: int) -> list[str]:
        """The texts of schemas that one names, those that others name first."""
        found: list[str] = []
        for reference in schema.references or () if depth < _DEPTH_MAX else ():
            other = self._client.get_version(reference.subject, reference.version).schema
            found += [*self._referenced(other, depth + 1), str(other.schema_str)]
        return list(dict.fromkeys(found))

    def _unreachable(self, number: int | str, error: Exception) -> SchemasUnreachable:
        status = getattr(error, "http_status_code", None)
        why = f"it answers {status}" if status is not None else f"{type(error).__name__}: {error}"[:200]
        failure = SchemasUnreachable(self._url, number, why)
        now = time.monotonic()
        self._failed = now, failure
        if now - self._said >= _SAY_EVERY_S:
            self._said = now
            _log.warning("%s", failure)
        return failure


def with_schemas(config: Config) -> Config:
    """The configuration, whose streams know where their schemas are if they need any. Raises ConfigError or MonitorError."""
    streams = [stream for stream in (config.streams.predictions, config.streams.labels) if stream is not None]
    needing = [stream for stream in streams if stream.format == "avro"]
    if needing and config.schema_registry is not None:
        schemas = RegistrySchemas(config.schema_registry)
        for stream in needing:
            stream.read_with(schemas)
    return config


def _client(settings: SchemaRegistry) -> SchemaRegistryClient:
    try:
        import fastavro  # noqa: F401  asked for here, where the sentence can say what is missing
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise MonitorError(
            f"reading Avro needs a package that is not installed ({error.name}): pip install 'driftline[schema-registry]'"
        ) from error
    given: dict[str, Any] = {"url": settings.url, "timeout": TIMEOUT_S, "max.retries": 0}
    if settings.username is not None and settings.password_file is not None:
        password = _line("password_file", settings.password_file)
        given["basic.auth.user.info"] = f"{settings.username}:{password}"
    if settings.token_file is not None:
        token = _line("token_file", settings.token_file)
        given |= {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.token": token}
        given |= {"bearer.auth.logical.cluster": "", "bearer.auth.identity.pool.id": ""}
    places = {"ssl.ca.location": settings.ca_file, "ssl.certificate.location": settings.certificate_file}
    places["ssl.key.location"] = settings.key_file
    given |= {key: path for key, path in places.items() if path is not None}
    try:
        return SchemaRegistryClient(given)
    except (OSError, ValueError) as error:
        raise ConfigError([f"schema_registry: the client cannot be made: {error}"]) from error


def _line(key: str, path: str) -> str:
    try:
        return Path(path).read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError([f"schema_registry.{key}: {path!r} cannot be read: {why}"]) from error
