"""`driftline train --local`: the training step of a policy on a laptop, by the same code as in a run."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from pipelines.cli.common import need_versions, note, output_option, print_json, versions_option
from pipelines.cli.policies import Files, load
from pipelines.codec import encode
from pipelines.errors import ConfigError, StepFailed
from pipelines.exits import REFUSED
from pipelines.gate import BASE_RATE, Outcome
from pipelines.gate_page import page
from pipelines.judging import judged
from pipelines.local import Location, Places, SystemClock, Wired, wire


@click.command("train", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--local", is_flag=True, required=True, expose_value=False, help="On this machine; the only way there is so far."
)
@click.option("--model", metavar="NAME", help="Which policy of the file; needed when it has several.")
@click.option(
    "--rows",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Rows instead of the policy's: JSON lines or Parquet.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="model",
    show_default=True,
    help="Where the model goes; must be empty.",
)
@click.option(
    "--embedded",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where `rows` names a configuration of the monitor: read the embedded log in DIR, not Kafka.",
)
@versions_option
@output_option
@click.pass_context
def command(
    ctx: click.Context, file: Path, model: str | None, rows: Path | None, out: Path, embedded: Path | None,
    store: Location | None, output: str,
) -> None:  # fmt: skip
    """Train a model as a run would, and judge it against the base rate of its training rows. Nothing is registered.

    Writes the files of the model, `gate.json` and `gate.md` to --out. Exit code 3 when the gate does not pass. What a step that
    fails leaves is kept, and where is said. Not asked is the registry: whether it takes the format of these files is known when
    a run registers them, or by `driftline registry add`.

    \b
    Examples:
      driftline train --local -c retrain.yaml
      driftline train --local -c retrain.yaml --model flights --rows january.jsonl --out ./model
      driftline train --local -c retrain.yaml --rows january.parquet -o json
      driftline train --local -c retrain.yaml --store ./registry
    """
    policies, files = load(file)
    chosen = [policy for policy in policies if model in (None, policy.model)]
    if len(chosen) != 1:
        known = ", ".join(policy.model for policy in policies)
        raise ConfigError("the policy", f"is not clear: the file has {known}", "Name one with --model.")
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"directory {str(out)!r}", "is not empty", "Name another with --out.")
    policy = chosen[0]
    with _scratch() as scratch:
        if rows is not None:
            files = replace(files, rows={policy.model: rows}, datasets={})
        need_versions(policy.model, files.datasets.get(policy.model), store)
        wiring: Callable[[Places], Wired] = ctx.obj or wire
        ports = wiring(_places(scratch, files, embedded, store))

        def alive() -> None:
            """Nobody can take this over."""

        dataset = ports.data.collect(policy, SystemClock().now_ms(), alive)
        if not dataset.train_rows or not dataset.test_rows:
            raise StepFailed("the rows", "are too few to train on and to judge by", "Name a file with more of them.")
        findings = ports.data.validate(policy, dataset)
        for finding in findings:
            note(f"{finding.check}: {finding.detail}; a run would be rejected for this")
        artifact = ports.trainer.train(policy, "local", 1, dataset, alive)
        report = judged(ports, policy, dataset, artifact, None, alive, rival=BASE_RATE)
        for path, kept in artifact.files.items():
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"".join(ports.store.blob(kept.digest)))
    (out / "gate.json").write_bytes(encode(report))
    (out / "gate.md").write_text(page(report, f"{policy.model} against {BASE_RATE}", BASE_RATE))
    if output == "json":
        built = {"rows": msgspec.to_builtins(dataset), "files": sorted(artifact.files), "said": artifact.said}
        print_json({**built, "outcome": report.outcome, "reasons": report.reasons, "out": str(out)})
    else:
        click.echo(f"{report.outcome}: {report.detail}")
        note(f"{len(artifact.files)} files of the model, gate.json and gate.md are in {str(out)!r}")
    if report.outcome is not Outcome.PASS or findings:
        ctx.exit(REFUSED)


def _places(scratch: Path, files: Files, embedded: Path | None, versions: Location | None) -> Places:
    return Places(
        scratch / "store", None, files.rows, Path.cwd(), scratch / "work", embedded, files.anchors,
        datasets=files.datasets, versions=versions,
    )  # fmt: skip


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory that goes when all went well, or before a step began; what a failed step left in it is kept."""
    directory = Path(tempfile.mkdtemp(prefix="driftline-train-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory / "store", ignore_errors=True)
        if not any((directory / "work").glob("*")):
            shutil.rmtree(directory)


def over(wiring: Callable[[Places], Wired]) -> click.Command:
    """The same command over another wiring."""
    made = copy.copy(command)
    made.context_settings = {**command.context_settings, "obj": wiring}
    return made
