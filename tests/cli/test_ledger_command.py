"""`driftline ledger`."""

from __future__ import annotations

from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


def test_the_audit_holds_and_counts_every_record(deployment: Deployment) -> None:
    audited = driftline("ledger", "audit", *deployment.where, "-o", "json")
    assert audited.code == 0
    assert audited.json["holds"]
    sent = len(deployment.predictions.read_text().splitlines()) + 3  # three bad ones
    assert sum(line["predictions_read"] for line in audited.json["partitions"]) == sent
    assert "holds" in driftline("ledger", "audit", *deployment.where).out


def test_cat_prints_one_partition(deployment: Deployment) -> None:
    lines = driftline("ledger", "cat", *deployment.where, "--partition", 1).lines
    assert {line["partition"] for line in lines} == {1}
    assert {line["verdict"] for line in lines} == {"accepted"}
    assert [line["kind"] for line in lines[:2]] == ["genesis", "fence"]


def test_a_partition_that_does_not_exist_is_a_usage_error(deployment: Deployment) -> None:
    shown = driftline("ledger", "cat", *deployment.where, "--partition", 2)
    assert (shown.code, shown.out) == (2, "")
    assert "there is no partition 2; topic 'small.ledger' has 0 to 1" in shown.err
    shown = driftline("ledger", "gap", *deployment.where, "--partition", 7)
    assert (shown.code, shown.out) == (2, "")
    assert "--partition 7: there are 2, from 0 to 1." in shown.err


def test_a_directory_without_a_log_is_not_made_into_one(deployment: Deployment) -> None:
    nowhere = deployment.log.parent / "nowhere"
    for command in ("audit", "cat"):
        shown = driftline("ledger", command, "-c", deployment.config, "--embedded", nowhere)
        assert shown.code == 1
        assert "there is no embedded log" in shown.err
    assert not nowhere.exists()
