"""`driftline registry reproduce`: train a version again from its manifest, in an empty directory, and say how near it comes.

The registry knows what was registered and how to compare (`registry.reproduce`), the pipelines how to train: the manifest names
the run, the run's admission the policy (code, parameters, seed), the manifest's dataset the rows.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from registry.cli.common import note, one_version, open_registry, output_option, print_json, print_table, store_option
from registry.cli.exits import FAILED
from registry.reproduce import Level, Obstacle

if TYPE_CHECKING:
    from pipelines.policy import Policy
    from pipelines.ports import Artifact, Dataset
    from pipelines.subprocesses import Subprocesses
    from registry.catalog import Catalog, Version
    from registry.directory import DirectoryStore
    from registry.location import Location
    from registry.manifest import Manifest
    from registry.probe import Agreement
    from registry.reproduce import Loss, Reproduced

_REVISION_CHARS_MIN: Final = 7
"""A recorded revision of so many characters or more may be the beginning of the full one."""


class _Impossible(Exception):
    """It cannot be trained again."""

    def __init__(self, obstacle: Obstacle, detail: str) -> None:
        super().__init__(detail)
        self.obstacle, self.detail = obstacle, detail


@dataclass(frozen=True, slots=True)
class Bench:
    """An empty directory with what training needs: blobs copied, verified, from the store. Nothing of what is made here gets
    into the registry."""

    catalog: Catalog
    version: Version
    project: Path
    directory: Path
    kept: DirectoryStore

    @property
    def manifest(self) -> Manifest:
        """Of the version."""
        return self.catalog.manifest(self.version)

    def reproduced(self, code_revision: str | None) -> Reproduced:
        """Train, and compare from the bytes down to the loss, as far as is needed."""
        from pipelines.subprocesses import Subprocesses
        from registry.reproduce import Again, changes, differing, judged, not_run

        manifest = self.manifest
        now = _revision(self.project, manifest.code_revision) if code_revision is None else code_revision
        try:
            policy, dataset = self._policy(), self._dataset()
            steps = Subprocesses(self.kept, self.directory / "work", self.project)
            artifact = self._trained(steps, policy, dataset)
        except _Impossible as error:
            return not_run(error.obstacle, error.detail, changes(manifest, manifest.environment, now))
        changed = changes(manifest, artifact.environment, now)
        files = {path: file.digest for path, file in artifact.files.items()}
        if not differing(manifest, files):
            return judged(manifest, Again(files, changed=changed))
        agreement, unprobed = self._agreement(artifact)
        loss, unjudged = None, ""
        if agreement is None or agreement == "different":
            loss, unjudged = self._loss(steps, policy, dataset, artifact)
        return judged(manifest, Again(files, agreement, unprobed, loss, unjudged, changed))

    # ---------------------------------------------------------------------------------------------- what is needed

    def _policy(self) -> Policy:
        from pipelines.book import Book
        from pipelines.errors import NotFound

        run = self.manifest.run
        if run is None:
            detail = "it was added from outside, not by a run: how it was trained is not recorded"
            raise _Impossible(Obstacle.NO_RUN, detail)
        try:
            return Book(self.catalog.store).find(run).policy
        except NotFound as error:
            raise _Impossible(Obstacle.RUN_MISSING, f"the run that made it is not in this store: {error}") from error

    def _dataset(self) -> Dataset:
        from pipelines.ports import Dataset
        from pipelines.rows import KIND
        from registry.errors import RegistryError

        digest = self.manifest.dataset
        if digest is None:
            raise _Impossible(Obstacle.DATASET_MISSING, "its manifest names no dataset")
        try:
            found = json.loads(b"".join(self.catalog.store.blob(digest)))
            if not isinstance(found, dict) or found.get("kind") != KIND:
                raise _Impossible(Obstacle.DATASET_MISSING, f"{digest} is no dataset of a run")
            counts = (found["train_rows"], found["test_rows"], found["until_ms"])
            dataset = Dataset(digest, found["train"], found["test"], *counts)
            for part in (dataset.train, dataset.test):
                self._copy(part)
        except (RegistryError, OSError, ValueError, KeyError) as error:
            raise _Impossible(Obstacle.DATASET_MISSING, f"its dataset {digest} cannot be read: {error}") from error
        return dataset

    def _copy(self, digest: str) -> None:
        self.kept.put_blob(self.catalog.store.blob(digest), digest)

    # ------------------------------------------------------------------------------------------------ what is done

    def _trained(self, steps: Subprocesses, policy: Policy, dataset: Dataset) -> Artifact:
        from pipelines.errors import PipelineError

        assert self.manifest.run is not None
        try:
            return steps.train(policy, self.manifest.run, 0, dataset, lambda: None)
        except PipelineError as error:
            raise _Impossible(Obstacle.TRAINING_FAILED, f"training failed: {error}") from error

    def _agreement(self, artifact: Artifact) -> tuple[Agreement | None, str]:
        """How the new model does on the probe set; None, and why, where that cannot be said."""
        from registry.errors import RegistryError
        from registry.onnx_models import load_onnx
        from registry.probe import agreement

        probe = self.catalog.probe(self.manifest)
        if probe is None:
            return None, "there is no probe set"
        files = {}
        for path, file in artifact.files.items():
            files[path] = self.directory / "model" / path
            files[path].parent.mkdir(parents=True, exist_ok=True)
            files[path].write_bytes(b"".join(self.kept.blob(file.digest)))
        try:
            return agreement(probe, load_onnx(self.manifest, files).score(probe.arrays)), ""
        except (RegistryError, KeyError) as error:
            return None, f"the probe set could not be scored: {error}"

    def _loss(
        self, steps: Subprocesses, policy: Policy, dataset: Dataset, artifact: Artifact
    ) -> tuple[Loss | None, str]:
        """What the registered version loses more than the new one on the held-out rows; None, and why, where unknown."""
        import msgspec

        from pipelines.errors import PipelineError
        from pipelines.gate import judge
        from pipelines.ports import ModelFile, Serving
        from registry.reproduce import Loss

        scored = msgspec.structs.replace(policy, data=msgspec.structs.replace(policy.data, score=None))
        files = {file.path: ModelFile(file.digest, file.size_bytes) for file in self.manifest.files}
        for file in files.values():
            self._copy(file.digest)
        try:
            paired = steps.losses(scored, dataset, artifact, Serving(self.version.number, (), files), lambda: None)
        except PipelineError as error:
            return None, f"the held-out rows could not be scored: {error}"
        report = judge(paired, msgspec.structs.replace(policy.gate, segments=()))
        over = report.overall
        if over.difference is None or over.lower is None or over.upper is None:
            return None, report.detail
        return Loss(over.rows, over.difference, over.lower, over.upper), ""


def _revision(project: Path, then: str | None) -> str | None:
    """The revision of the code in a directory, as git has it; None where there is no git. With `-changed` behind it when files
    that git knows are not as committed."""
    try:
        head = _git(project, "rev-parse", "HEAD")
        changed = _git(project, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    if then is not None and len(then) >= _REVISION_CHARS_MIN and head.startswith(then):
        head = then
    return f"{head}-changed" if changed else head


def _git(project: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603  # the words are ours
        ["git", "-C", str(project), *words],  # noqa: S607  # whichever git the user has
        capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout.strip()


@click.command("reproduce")
@click.argument("spec", metavar="NAME@VERSION")
@click.option(
    "--project",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="Where your own training code is, as it was for the run.",
)
@click.option("--code-revision", metavar="REV", help="What is in --project; asked of git unless given.")
@click.option(
    "--at-least",
    type=click.Choice([str(level) for level in Level if level is not Level.NOT_RUN]),
    default="metrics",
    show_default=True,
    help="Exit code 1 when a worse level was reached.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Train in this directory, which must be empty, and leave it.",
)
@store_option
@output_option
def command(
    spec: str, project: Path, code_revision: str | None, at_least: str, keep: Path | None, store: Location, output: str
) -> None:  # fmt: skip
    """Train a version again, from its manifest, in an empty directory, and say how near it comes. Nothing is registered.

    \b
    Levels, from the best: files (bit for bit), probe (same outputs for the probe set, to the bit), tolerance (within the one it
    states), metrics (no difference in loss can be shown on the held-out rows), different, not_run (and why).
    What changed in code and environment is listed beside the level.

    \b
    Examples:
      driftline registry reproduce fraud@3
      driftline registry reproduce fraud@champion --at-least probe --project ./training -o json
    """
    from registry.directory import DirectoryStore

    catalog, aliases = open_registry(store)
    version = one_version(aliases, spec)
    for fault in catalog.verify(version):
        raise fault  # what is damaged cannot be compared with
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"{str(keep)!r} is not empty")
    directory = Path(tempfile.mkdtemp(prefix="driftline-reproduce-")) if keep is None else keep
    directory.mkdir(parents=True, exist_ok=True)
    note(f"training {version} again in {str(directory)!r}")
    try:
        kept = DirectoryStore(directory / "store")
        found = Bench(catalog, version, project.resolve(), directory, kept).reproduced(code_revision)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    if output == "json":
        print_json(_document(version, found))
    else:
        click.echo(f"{version}: {found.level}: {found.detail}")
        if found.changed:
            rows = [(c.name, c.then or "not recorded", c.now or "not known") for c in found.changed]
            print_table(("changed", "then", "now"), rows)
    click.get_current_context().exit(0 if found.level.reaches(Level(at_least)) else FAILED)


def _document(version: Version, found: Reproduced) -> dict[str, Any]:
    loss = found.loss
    return {
        "version": str(version),
        "level": found.level,
        "detail": found.detail,
        "obstacle": found.obstacle,
        "files": found.files,
        "probe": found.agreement,
        "loss": None if loss is None else {
            "rows": loss.rows, "difference": loss.difference, "lower": loss.lower, "upper": loss.upper,
        },
        "changed": [{"name": c.name, "then": c.then, "now": c.now} for c in found.changed],
    }  # fmt: skip
