"""Whether a join that was rebuilt is the one that a commit was made with."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.errors import LedgerError
from monitor.join.outcomes import as_they_wait
from monitor.ledger.records import Commit


def refuse_another_state(partition: int, commit: Commit, rebuilt: Mapping[str, object], waiting: int) -> dict[str, int]:
    """The outcomes of labels to go on with. `rebuilt`: what is recorded beside them, by name; `waiting`: labels that wait.

    Raises LedgerError when the state is not the one the commit was made with.
    """
    recorded = {
        "offsets": (commit.predictions[1], commit.labels[1]),
        "rows held": tuple(commit.held),
        "state digest": commit.state,
        "prediction clock": commit.prediction_clock.state(),
        "label clock": commit.label_clock.state(),
        "pending": commit.prediction_outcomes["pending"],
    }
    for name, value in recorded.items():
        if rebuilt[name] != value:
            raise LedgerError(
                f"partition {partition}: rebuilding the join gave {name} {rebuilt[name]}, commit "
                f"{commit.sequence} recorded {value}",
                "The source topics changed under the ledger (compaction, truncation, re-creation), or the "
                "configuration did.",
            )
    labels = as_they_wait(commit.label_outcomes, waiting)
    if labels["outside"] < 0:
        raise LedgerError(
            f"partition {partition}: rebuilding the join gave {waiting} waiting labels, "
            f"commit {commit.sequence} recorded {commit.label_outcomes['waiting']}",
            "This is a bug in Driftline. Please report it with `driftline ledger audit`.",
        )
    return labels
