"""Scores that are found once: a backtest looks at the same rows again and again, each look at some more than the one before.

Only for the default scoring, in which the score of a row follows from its features alone. Code of a user's own may look at the
rows that come with it, and is asked anew at every look, as in production.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import UNSET

from pipelines.filesteps import Executor, FileSteps
from pipelines.losses import Floats
from pipelines.policy import Policy
from pipelines.ports import Alive, ModelFile, Store
from pipelines.tables import Row

MODELS_MOST: Final = 2
"""Whose scores are remembered, the last that were asked: a champion and its challenger. About 150 bytes a row and model."""
_KEY_BYTES: Final = 16


class RememberedSteps(FileSteps):
    """`pipelines.filesteps.FileSteps` that asks a model for the score of a row once. Nothing is remembered under a policy that
    limits how long scoring takes: that has to be measured."""

    def __init__(self, store: Store, directory: Path, executor: Executor) -> None:
        super().__init__(store, directory, executor)
        self._known: dict[tuple[str, ...], dict[bytes, float]] = {}

    def _scores(
        self, policy: Policy, rows: Sequence[Row], files: Mapping[str, ModelFile], alive: Alive
    ) -> tuple[Floats, float | None]:
        if policy.gate.scoring_ms is not UNSET:
            return super()._scores(policy, rows, files, alive)
        known = self._of(tuple(sorted(file.digest for file in files.values())))
        keys = [_key(row, policy) for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
        if new:
            found, _ = super()._scores(policy, list(new.values()), files, alive)
            known.update(zip(new, found.tolist(), strict=True))
        return np.array([known[key] for key in keys], dtype=np.float64), None

    def _of(self, model: tuple[str, ...]) -> dict[bytes, float]:
        """The scores by one model; those of the model that was not asked for longest are forgotten."""
        self._known[model] = self._known.pop(model, {})
        while len(self._known) > MODELS_MOST:
            del self._known[next(iter(self._known))]
        return self._known[model]


def _key(row: Row, policy: Policy) -> bytes:
    """The same for rows that the default scoring cannot tell apart: 1, 1.0 and true are different texts."""
    features = repr([row.get(name) for name in policy.data.features])
    return hashlib.blake2b(features.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
