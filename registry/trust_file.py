"""A trust policy in a file, for readers: it is read at each look, so it may be changed while they serve."""

from __future__ import annotations

from pathlib import Path

from registry.errors import SigningError
from registry.trust import Trust, trust_of


class TrustFile:
    """The policy in a file, YAML, read anew each time it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> Trust:
        """Raises SigningError."""
        import yaml

        where = f"trust policy {str(self.path)!r}"
        try:
            document = yaml.safe_load(self.path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            why = f"cannot be read: {' '.join(str(error).split())}"
            raise SigningError(where, why, "docs/registry.md says how one is written.") from None
        return trust_of(document, where)
