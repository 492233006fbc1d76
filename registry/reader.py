"""Serving the version that an alias points at: fetch, verify, check the behaviour, swap, or keep what is served.

A state document, from the `models` topic or from the store itself, is a hint. Before anything is served:

    1. it is newer than what is served, by its sequence
    2. the log of the store says the same, the version is not retired, and where there is a trust policy those who may
       have signed the version and the move
    3. every file is fetched and has its digest, and its format is looked at again
    4. the loader makes a scorer of them, beside the one that is serving
    5. the scorer gives the outputs of the probe set
    6. one assignment: whoever asks for `serving` has the old version or the new one, never none

Whatever fails, the version that is served stays, and `Taken` says why. A reader is used by one thread; `serving`
may be read by any.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.digest import PREFIX, hex_of
from registry.errors import BundleRefused, Conflict, Damaged, NotFound, ProbeMismatch, RegistryError
from registry.formats.bundle import inspect
from registry.local_bundle import LocalBundle
from registry.manifest import Manifest
from registry.probe import Arrays, Probe, differences
from registry.publication import ModelState, current_state, decode_state, model_state
from registry.store import CHUNK_BYTES, Store
from registry.trust import Trust, check


class Scorer(Protocol):
    """A loaded model."""

    def score(self, inputs: Arrays) -> Mapping[str, np.ndarray[Any, Any]]:
        """Named outputs of named inputs."""


Loader = Callable[[Manifest, Mapping[str, Path]], Scorer]
"""Makes a scorer of verified files, by path in the bundle. `registry.onnx_models.load_onnx` is one."""


class Outcome(StrEnum):
    """What became of a state document."""

    SWAPPED = "swapped"
    SAME_VERSION = "same_version"  # frozen, unfrozen, approved, ...: nothing to load
    OLDER = "older"
    NOTHING = "nothing"  # the alias points at nothing yet
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcome, and for people why. `error` is what was raised when it was refused."""

    outcome: Outcome
    detail: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """A version that is served: the state it came with, its manifest, and the scorer."""

    state: ModelState
    manifest: Manifest
    scorer: Scorer

    @property
    def version(self) -> int:
        """Its number, to be written into each prediction: the acknowledgement that it is served."""
        assert self.state.version is not None
        return self.state.version


class _MovedOn(Conflict):
    """The store is ahead of the document."""


class ModelReader:
    """Keeps one alias of one model served. `cache` is a directory for the files; several readers may share it."""

    def __init__(
        self, store: Store, model: str, alias: str, loader: Loader, cache: Path, *, probe_required: bool = False,
        trust: Callable[[], Trust] | None = None,
    ) -> None:  # fmt: skip
        """`trust`: whom to believe, asked for at each look, so that a policy can be changed while it serves. Without one
        whoever may write to the store is believed."""
        self._catalog = Catalog(store)
        self._aliases = Aliases(self._catalog)
        self._store, self._loader, self._cache = store, loader, cache
        self._model, self._alias, self._probe_required = model, alias, probe_required
        self._trust = trust
        self._sequence = 0
        self._serving: Serving | None = None

    @property
    def serving(self) -> Serving | None:
        """What is served now; None before the first success."""
        return self._serving

    @property
    def key(self) -> str:
        """The key of its records: `model/alias`."""
        return f"{self._model}/{self._alias}"

    def poll(self) -> Taken:
        """Look into the store itself: at the start, and whenever the topic cannot be read."""
        try:
            state = current_state(self._aliases, self._catalog, self._model, self._alias)
        except (RegistryError, OSError) as error:
            return Taken(Outcome.REFUSED, str(error), error)
        if state is None:
            return Taken(Outcome.NOTHING, f"nobody has moved {self.key}")
        return self._take(state)

    def offer(self, value: bytes) -> Taken:
        """Take the value of a record of the `models` topic. Records of other aliases are none of ours: do not offer them."""
        try:
            return self._take(decode_state(value))
        except RegistryError as error:
            return Taken(Outcome.REFUSED, str(error), error)

    def _take(self, state: ModelState) -> Taken:
        if (state.model, state.alias) != (self._model, self._alias):
            return Taken(Outcome.REFUSED, f"the state is of {state.key}, this reader serves {self.key}")
        if state.sequence < self._sequence:
            return Taken(Outcome.OLDER, f"sequence {state.sequence} is before {self._sequence}, which was taken")
        if state.version is None:
            return Taken(Outcome.NOTHING, f"{state.key} points at nothing")
        served = self._serving
        try:
            self._agree(state)
            if served is not None and served.state.manifest == state.manifest:
                self._swap(Serving(state, served.manifest, served.scorer))
                return Taken(Outcome.SAME_VERSION, f"{state.key} is version {state.version} still")
            self._swap(self._loaded(state))
        except _MovedOn as error:
            return Taken(Outcome.OLDER, str(error), error)
        except Exception as error:  # noqa: BLE001  # a loader may raise anything, and must not end what is served
            kept = "nothing is served" if served is None else f"version {served.version} is served on"
            return Taken(Outcome.REFUSED, f"{error} ({kept})", error)
        return Taken(Outcome.SWAPPED, f"{state.key} is version {state.version} now")

    def _swap(self, serving: Serving) -> None:
        self._serving = serving
        self._sequence = serving.state.sequence

    def _agree(self, state: ModelState) -> None:
        """The store must say what the document says. Raises Conflict, NotFound, Damaged, Untrusted."""
        moves = self._aliases.state(self._model)
        if moves.length < state.sequence:
            raise NotFound(f"move {state.sequence} of {self._model!r}", "is not in the store", "Is it the right store?")
        at = moves.alias(self._alias)
        assert state.version is not None
        if state.version in moves.retired:
            why = f"was retired: {moves.retired[state.version].reason!r}"
            raise Conflict(f"version {self._model}@{state.version}", "retired", why, "Promote another version.")
        manifest = self._catalog.manifest(self._catalog.version(self._model, state.version))
        if at.changed_sequence == state.sequence and model_state(self._model, self._alias, moves, manifest) == state:
            if self._trust is not None:
                check(self._trust(), self._catalog, self._model, self._alias, moves)
            return
        if at.changed_sequence > state.sequence:
            why = f"has moved on: its sequence is {at.changed_sequence} in the store, {state.sequence} here"
            raise _MovedOn(state.key, "older", why, "The record of that one comes, or poll.")
        raise Damaged(f"the published state of {state.key}", "it is not what the log of the store says")

    def _loaded(self, state: ModelState) -> Serving:
        assert state.version is not None
        version = self._catalog.version(self._model, state.version)
        manifest = self._catalog.manifest(version)
        folder = self._fetched(version.digest, manifest)
        with LocalBundle([folder]) as bundle:
            if findings := (*bundle.findings, *inspect(bundle.files).findings):
                raise BundleRefused(f"version {version}", findings)
        scorer = self._loader(manifest, {file.path: folder / file.path for file in manifest.files})
        check_probe(str(version), self._catalog.probe(manifest), scorer, required=self._probe_required)
        return Serving(state, manifest, scorer)

    def _fetched(self, digest: str, manifest: Manifest) -> Path:
        """The folder with the files of a version, each verified. A folder is there whole or not at all."""
        folder = self._cache / hex_of(digest)
        if folder.is_dir():
            if all(_digest_of_file(folder / file.path) == file.digest for file in manifest.files):
                return folder
            shutil.rmtree(folder)  # somebody changed it: it is a cache
        self._cache.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".fetching-", dir=self._cache))
        try:
            for file in manifest.files:
                path = beside / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as out:
                    for chunk in self._store.blob(file.digest):
                        out.write(chunk)
            try:
                beside.rename(folder)
            except OSError:  # another reader was first
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return folder


def check_probe(version: str, probe: Probe | None, scorer: Scorer, *, required: bool = False) -> None:
    """Raises ProbeMismatch when the scorer does not give the outputs of the probe set, or there is none and has to be."""
    if probe is None:
        if required:
            why = "has no probe set, so its behaviour cannot be checked"
            raise ProbeMismatch(f"version {version}", why, "Register it with one.")
        return
    outputs = scorer.score(probe.arrays)
    if wrong := list(differences(probe, outputs)):
        why = f"does not behave as registered: {'; '.join(wrong)}"
        raise ProbeMismatch(f"version {version}", why, "Is a library of another version, or the processor another one?")


def _digest_of_file(path: Path) -> str:
    hasher = hashlib.sha256()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return ""
    with open(handle, "rb") as file:  # noqa: PTH123  # not through a link
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
    return PREFIX + hasher.hexdigest()
