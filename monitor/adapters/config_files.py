"""The files of a configuration, to be read again while a worker runs.

What is compared is their content as it is reached by their paths: a ConfigMap that Kubernetes mounts is changed by a
symbolic link beside the files, an editor may write a new file in the place of the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from monitor.adapters.schema_registry import with_schemas
from monitor.config import Config, load


class ConfigFiles:
    """Layered files with the overrides and the environment that the process was started with."""

    def __init__(self, paths: Sequence[Path], overrides: Sequence[str], environ: Mapping[str, str]) -> None:
        self._paths, self._overrides, self._environ = tuple(paths), tuple(overrides), dict(environ)

    def fingerprint(self) -> bytes:
        """Changes when the content of a file does, or when it can no longer be read."""
        digest = hashlib.blake2b(digest_size=16)
        for path in self._paths:
            try:
                content = path.read_bytes()
            except OSError as error:
                content = b"cannot be read: %d" % (error.errno or 0)
            digest.update(b"%d " % len(content))
            digest.update(content)
        return digest.digest()

    def read(self) -> Config:
        """The configuration as it is now. Raises ConfigError."""
        return with_schemas(load(list(self._paths), list(self._overrides), environ=self._environ))
