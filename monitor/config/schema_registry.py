"""Where schemas are kept: the registry that producers of Avro registered them with."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from monitor.config.base import Name, Section, Word, problem


def _read_urls(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    for url in value.split(","):
        if "@" in url:  # it may stand behind a password, which is not shown
            shown = url.rpartition("@")[2].strip()
            raise problem(
                f"{'...@' + shown!r} holds credentials; leave them out: username and password_file say who asks"
            )
        if not re.fullmatch(r"\s*https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/[^\s?#]*)?\s*", url):
            raise problem(
                f"{url.strip()!r} is not an address; allowed: http://host:port or https://…, several with commas"
            )
    return ",".join(url.strip() for url in value.split(","))


class SchemaRegistry(Section):
    """How to reach the schema registry. Files are absolute or relative to the working directory, and are read at the start."""

    url: Annotated[str, BeforeValidator(_read_urls), StringConstraints(min_length=1)] = Field(
        description="Its address; several are tried in turn.", examples=["https://registry:8081"]
    )
    username: Name | None = Field(None, description="Who asks, with basic authentication.")
    password_file: Word | None = Field(None, description="File with the password.")
    token_file: Word | None = Field(None, description="File with a bearer token, instead of user and password.")
    ca_file: Word | None = Field(None, description="Certificates that its own is checked against.")
    certificate_file: Word | None = Field(None, description="Certificate of this client, where it wants one.")
    key_file: Word | None = Field(None, description="The key of that certificate.")

    @model_validator(mode="after")
    def _one_way_in(self) -> SchemaRegistry:
        if (self.username is None) != (self.password_file is None):
            raise problem("'username' and 'password_file' go together; give both or neither")
        if self.username is not None and self.token_file is not None:
            raise problem("'token_file' and 'username' are two ways in; keep one of them")
        if (self.certificate_file is None) != (self.key_file is None):
            raise problem("'certificate_file' and 'key_file' go together; give both or neither")
        return self
