"""`driftline retrain jobs`: the Kubernetes Jobs of the models of a policy file, as the cluster has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.cli.common import note, opened, output_option, print_json, print_table, store_option
from pipelines.cli.policies import load
from pipelines.errors import Unanswered
from pipelines.executors import Executors
from pipelines.job_spec import End
from pipelines.jobs import Seen, Unreachable
from pipelines.local import Location


@click.command("jobs")
@click.option(
    "-c", "--config", "file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Policies, YAML.",
)  # fmt: skip
@store_option
@output_option
@click.pass_context
def jobs(ctx: click.Context, file: Path, store: Location, output: str) -> None:
    """List the Kubernetes Jobs of models whose steps are Jobs: how each stands, why, and whether its result is in the store.
    Exit code 69 when the cluster does not answer, 2 when nothing says which cluster.

    \b
    Examples:
      driftline retrain jobs -c retrain.yaml --store s3://models/driftline
      driftline retrain jobs -c retrain.yaml --store /store -o json | jq -r 'select(.state == "under_way").job'
    """
    policies, files = load(file)
    executors = Executors(opened(ctx, store).store, str(store), Path.cwd(), files.executors)
    found: list[dict[str, Any]] = []
    for policy in policies:
        if (there := executors.jobs(policy.model)) is None:
            continue
        try:
            found += [described(policy.model, each) for each in there.seen(policy.model)]
        except Unreachable as error:
            raise Unanswered(
                "the cluster", f"does not answer: {error}", "Look where KUBECONFIG points, or try again."
            ) from None
    if output == "json":
        for each in found:
            print_json(each)
        return
    if not files.executors:
        note(
            f"no model of {str(file)!r} has `executor: {{kubernetes: ...}}`: steps run where `driftline retrain run` runs"
        )
        return
    columns = ("job", "model", "made", "state", "result", "detail")
    print_table(columns, [tuple(str(each[key] or "-") for key in columns) for each in found])


def described(model: str, job: Seen) -> dict[str, Any]:
    """A Job in words."""
    state = "leaving" if job.leaving else str(job.ending.end)
    if job.ending.end in (End.AGAIN, End.LOST) and not job.leaving:
        state = str(End.FAILED)
    result = "in the store" if job.result else None
    return {
        "job": job.name, "model": model, "made": job.made, "state": state, "result": result, "detail": job.ending.why,
    }  # fmt: skip


COMMANDS = (jobs,)
