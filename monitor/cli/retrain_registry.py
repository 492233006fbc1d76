"""Versions and aliases of the registry as the pipelines ask for them: `pipelines.ports.Models` over `registry`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.ports import AliasMove, Draft, ModelFile, Move, Moving, Registered, Serving

if TYPE_CHECKING:
    from pipelines.policy import Policy
    from registry.aliases import Aliases
    from registry.catalog import Catalog
    from registry.moves import Move as Move_
    from registry.moves import Promote, Rollback

PROBE_ROWS: Final = 32
PROBE_TOLERANCE: Final = 1e-6
"""Absolute and relative, for another processor. Relative alone refuses the last bit of a probability of 0.99: what is left
of 1 is a few float32 steps of 6e-8."""
RACES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class RegistryModels:
    """The registry of a store. A run's version carries its id, and so does each move that it makes: so a second try is known."""

    catalog: Catalog
    aliases: Aliases

    def serving(self, policy: Policy) -> Serving | None:
        """See Models."""
        if policy.model not in self.catalog.models():
            return None
        at = self.aliases.state(policy.model).alias(policy.alias).version
        return None if at is None else self.version(policy, at)

    def version(self, policy: Policy, number: int) -> Serving:
        """See Models."""
        version = self.catalog.version(policy.model, number)
        files = {f.path: ModelFile(f.digest, f.size_bytes) for f in self.catalog.manifest(version).files}
        return Serving.of(policy.model, number, files, version.digest)

    def models(self) -> list[str]:
        """See Models."""
        return self.catalog.models()

    def registered(self, model: str) -> tuple[Registered, ...]:
        """See Models."""
        found = []
        for version in self.catalog.versions(model) if model in self.catalog.models() else ():
            manifest, entry = self.catalog.manifest(version), version.entry
            names = Serving.of(model, version.number, {}, version.digest).names
            found.append(
                Registered(
                    model,
                    version.number,
                    names,
                    manifest.run,
                    manifest.dataset,
                    entry.registered_by,
                    entry.at_ms,
                )
            )
        return tuple(found)

    def moved(self, model: str) -> tuple[AliasMove, ...]:
        """See Models."""
        from registry.fold import Verdict

        moves = (step.move for step in self.aliases.history(model) if step.verdict is Verdict.ACCEPTED)
        return tuple(AliasMove(move.at_ms, move.actor, _said(move), move.reason) for move in moves)

    def register(self, draft: Draft, by: str, at_ms: int) -> int:
        """See Models. Formats are inspected by the registry; a model that it refuses fails the run."""
        from pipelines.errors import StepFailed
        from registry.catalog import Draft as RegistryDraft
        from registry.catalog import MemoryBundle
        from registry.errors import BundleRefused

        store = self.catalog.store
        files = {path: b"".join(store.blob(file.digest)) for path, file in draft.artifact.files.items()}
        made = RegistryDraft(
            draft.model,
            MemoryBundle(files),
            dataset=draft.dataset,
            run=draft.run,
            code_revision=draft.code_revision,
            environment=draft.artifact.environment,
            params=draft.params,
            probe=self._probe(draft, files),
            gate_reports=(b"".join(store.blob(draft.gate_report)),),
        )
        try:
            version, _ = self.catalog.add(made, by, at_ms)
        except BundleRefused as error:
            raise StepFailed(
                "the model", f"is refused by the registry: {error}", "Train one of a format it takes."
            ) from error
        return version.number

    def _probe(self, draft: Draft, files: Mapping[str, bytes]) -> bytes | None:
        """A few held-out rows and what the model makes of them, for models whose inputs are known: those of the default trainer.
        None for all others; whoever loads them can check their bytes, not their behaviour."""
        from pipelines.tables import parse_rows
        from pipelines.trainer import model_inputs
        from registry import codec
        from registry.errors import RegistryError
        from registry.onnx_models import OnnxScorer
        from registry.probe import probe_of

        if set(files) != {"columns.json", "model.onnx"}:
            return None
        store = self.catalog.store
        manifest = json.loads(b"".join(store.blob(draft.dataset)))
        if manifest.get("kind") != "driftline-rows":
            return None
        rows = parse_rows(b"".join(store.blob(manifest["test"])), "the held-out rows")[:PROBE_ROWS]
        inputs = model_inputs(rows, json.loads(files["columns.json"]))
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.onnx"
            path.write_bytes(files["model.onnx"])
            try:
                outputs = OnnxScorer(path).score(inputs)
            except RegistryError:
                return None
        return codec.encode(probe_of(inputs, outputs, PROBE_TOLERANCE, PROBE_TOLERANCE))

    def promote(
        self,
        policy: Policy,
        run: str,
        version: int,
        replaces: int | None,
        approvers: Mapping[str, str],
        by: str,
        at_ms: int,
    ) -> Moving:
        """See Models. Approvals of the run's journal are entered as approvals of the alias, so that its readers see them."""
        from registry.aliases import By
        from registry.errors import MoveRefused
        from registry.fold import Verdict

        if self._promoted(policy, run, version):
            return Moving(Move.ALREADY)
        if (at := self.aliases.state(policy.model).alias(policy.alias).version) != replaces:
            return Moving.conflict(policy.alias, at, replaces)
        for actor, reason in approvers.items():
            try:
                self.aliases.approve(policy.model, policy.alias, version, By(actor, reason, at_ms, cause=run))
            except MoveRefused as error:
                if error.verdict == Verdict.MOVED_MEANWHILE:
                    return Moving(Move.CONFLICT, str(error))
                if error.verdict != Verdict.NO_CHANGE:
                    return Moving(Move.REFUSED, str(error))
        from registry.moves import Promote

        required = 0 if not approvers else policy.approvals
        return self._move(policy, run, version, replaces, by, at_ms, Promote, {"required": required})

    def rollback(self, policy: Policy, run: str, version: int, to: int, by: str, at_ms: int) -> Moving:
        """See Models."""
        from registry.moves import Rollback

        return self._move(policy, run, to, version, by, at_ms, Rollback, {})

    def _promoted(self, policy: Policy, run: str, version: int) -> bool:
        from registry.moves import Promote

        moves = (step.move for step in self.aliases.history(policy.model))
        return any(_by_run(move, Promote, run, policy.alias, version) for move in moves)

    def _move(
        self, policy: Policy, run: str, version: int, replaces: int | None, by: str, at_ms: int,
        kind: type[Promote | Rollback], more: dict[str, Any],
    ) -> Moving:  # fmt: skip
        """Whether the run moved it before is read from the very log that the move is entered behind: a worker that slept
        through its own rollback cannot promote again."""
        from registry import chained, codec
        from registry.aliases import steps
        from registry.fold import MovesState, Verdict, fold
        from registry.moves import FORMAT, moves_log
        from registry.signing import Entry, Kind

        manifest = self.catalog.version(policy.model, version).digest
        for _ in range(RACES_MAX):
            bodies = chained.read_log(self.catalog.store, moves_log(policy.model))
            done, state = list(steps(policy.model, bodies)), MovesState()
            if before := [step.move for step in done if _by_run(step.move, kind, run, policy.alias, version)]:
                number = before[-1].sequence  # the process that made it may have ended before it signed
                self.aliases.signed(Entry(policy.model, Kind.MOVE, number, bodies[number - 1]))
                return Moving(Move.ALREADY)
            state = done[-1].state if done else state
            move = kind(
                format=FORMAT, sequence=state.length + 1, previous=state.chain, actor=by, automatic=True,
                reason=f"run {run}", cause=run, at_ms=max(at_ms, state.at_ms), alias=policy.alias, version=version,
                manifest=manifest, replaces=replaces, **more,
            )  # fmt: skip
            body = codec.encode(move)
            _, verdict = fold(state, move, body)
            if verdict is Verdict.MOVED_MEANWHILE:
                return Moving.conflict(policy.alias, state.alias(policy.alias).version, replaces)
            if verdict is Verdict.FROZEN:
                return Moving(Move.FROZEN, f"{policy.alias} is frozen")
            if verdict is not Verdict.ACCEPTED:
                return Moving(Move.REFUSED, f"the registry says {verdict}")
            if chained.append(self.catalog.store, moves_log(policy.model), bodies, body):
                self.aliases.signed(Entry(policy.model, Kind.MOVE, move.sequence, body))
                return Moving(Move.MOVED)
        return Moving(Move.REFUSED, "too many races for the next move were lost")


def _said(move: Move_) -> str:
    from registry.moves import Approve, Freeze, Promote, Protect, Retire, Rollback, Unfreeze

    match move:
        case Promote() | Rollback():
            back = "back " if isinstance(move, Rollback) else ""
            return f"{move.alias} moved {back}to {move.version}"
        case Approve():
            return f"{move.version} approved for {move.alias}"
        case Protect():
            return f"{move.alias} needs {move.approvals} approvals"
        case Retire():
            return f"{move.version} retired"
        case Freeze():
            return f"{move.alias} frozen"
        case Unfreeze():
            return f"{move.alias} unfrozen"


def _by_run(move: Move_, kind: type[Promote | Rollback], run: str, alias: str, version: int) -> bool:
    return isinstance(move, kind) and (move.cause, move.alias, move.version) == (run, alias, version)
