"""An anchor set in a policy: which file, and what every challenger is held to on it. Reading and judging are elsewhere
(`pipelines.local_data`, `pipelines.guards`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from pipelines.sense import Wrong, refuse


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that never change and that people have looked at, which every challenger must pass. `digest`: `sha256:` of their file,
    so that nobody changes them without changing the policy."""

    digest: str
    margin: float = 0.0  # by how much the mean loss on them may be higher, on the whole and in each guarded segment
    loss_max: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if re.fullmatch(r"sha256:[0-9a-f]{64}", self.digest) is None:
            yield Wrong("digest", f"digest ({self.digest[:80]!r}) must be `sha256:` and what `sha256sum FILE` prints")
        if self.margin < 0:
            yield Wrong("margin", f"margin ({self.margin}) must be at least 0")
