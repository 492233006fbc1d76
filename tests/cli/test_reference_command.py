"""`driftline reference`."""

from __future__ import annotations

from pathlib import Path

import pytest

import monitor.demo
from monitor.drift.document import loads
from tests.cli.conftest import FLIGHTS, Deployment
from tests.cli.driving import driftline

DEMO = Path(monitor.demo.__file__).parent


def test_the_shipped_profile_of_the_flights_comes_out_to_the_digest(tmp_path: Path) -> None:
    made = tmp_path / "r.json"
    range_ = ("--from", "2013-01-01", "--to", "2013-01-09")
    built = driftline(
        "reference",
        "build",
        "-c",
        DEMO / "flights.yaml",
        "--file",
        FLIGHTS / "predictions.jsonl.gz",
        *range_,
        "-o",
        made,
    )
    assert built.code == 0, built.err
    assert loads(made.read_bytes()).digest == loads((DEMO / "flights.reference.json").read_bytes()).digest
    assert "cannot resolve KS shifts below" in built.err
    assert built.out == ""


def test_pairs_of_the_configuration_are_in_the_profile(tmp_path: Path) -> None:
    made = tmp_path / "r.json"
    pairs = ("--set", "drift.pairs=[[hour, origin]]")
    where = ("-c", DEMO / "flights.yaml", "--file", FLIGHTS / "predictions.jsonl.gz")
    built = driftline("reference", "build", *where, *pairs, "--from", "2013-01-01", "--to", "2013-01-02", "-o", made)
    assert built.code == 0, built.err
    reference = loads(made.read_bytes())
    assert list(reference.pairs) == [("hour", "origin")]
    assert sum(reference.pairs["hour", "origin"]) == reference.rows
    assert "pairs: hour~origin" in driftline("reference", "show", made).out.splitlines()


def test_topic_and_file_give_the_same_counts(deployment: Deployment, tmp_path: Path) -> None:
    one, two = tmp_path / "topic.json", tmp_path / "file.json"
    span = ("--from", "2013-01-01", "--to", "2013-01-02")
    assert driftline("reference", "build", *deployment.where, *span, "-o", one).code == 0
    file = ("--file", deployment.predictions)
    assert driftline("reference", "build", "-c", deployment.config, *file, *span, "-o", two).code == 0
    ours, theirs = loads(one.read_bytes()), loads(two.read_bytes())
    assert ours.features == theirs.features
    assert ours.rows == theirs.rows > 700


def test_first_takes_exactly_so_many_and_marks_the_profile_provisional(deployment: Deployment, tmp_path: Path) -> None:
    made = tmp_path / "r.json"
    built = driftline("reference", "build", *deployment.where, "--first", 301, "-o", made)
    assert built.code == 0, built.err
    reference = loads(made.read_bytes())
    assert (reference.rows, reference.provisional) == (301, True)
    assert "provisional" in built.err
    again = driftline("reference", "build", *deployment.where, "--first", 301, "-o", made)
    assert again.code == 2
    assert "--force" in again.err


def test_first_says_when_the_topic_holds_fewer(deployment: Deployment, tmp_path: Path) -> None:
    made = tmp_path / "r.json"
    built = driftline("reference", "build", *deployment.where, "--first", 10_000_000, "-o", made)
    assert built.code == 0
    assert "holds only" in built.err
    assert loads(made.read_bytes()).rows == len(deployment.predictions.read_text().splitlines())


@pytest.mark.parametrize("rows", [1, 31])
def test_too_few_rows_are_refused_with_the_number_needed(deployment: Deployment, tmp_path: Path, rows: int) -> None:
    made = tmp_path / "few.json"
    built = driftline("reference", "build", *deployment.where, "--first", rows, "-o", made)
    assert built.code == 1
    assert (
        f"has {rows} row{'s' if rows > 1 else ''}, which is too few to compare anything with: at least 32 are needed"
        in built.err
    )
    assert "to resolve KS shifts of 0.02 it takes 4,612 rows" in built.err
    assert not made.exists()


def test_few_rows_are_told_with_the_number_needed(deployment: Deployment, tmp_path: Path) -> None:
    built = driftline("reference", "build", *deployment.where, "--first", 100, "-o", tmp_path / "few.json")
    assert built.code == 0
    assert "the reference has 100 rows, which is few: to resolve KS shifts of 0.02 it takes 4,612 rows" in built.err


def test_duplicates_count_once_and_withdrawals_not_at_all(deployment: Deployment, tmp_path: Path) -> None:
    lines = deployment.predictions.read_text().splitlines()[:200]
    config = tmp_path / "c.yaml"
    text = deployment.config.read_text().replace(
        "prediction: $.prediction", "prediction: $.prediction, withdrawn: $.gone"
    )
    config.write_text(text)
    gone = lines[7][:-1] + ', "gone": true}'
    (tmp_path / "data.jsonl").write_text("\n".join([*lines, lines[3], gone]) + "\n")
    made = tmp_path / "r.json"
    built = driftline("reference", "build", "-c", config, "--file", tmp_path / "data.jsonl", "-o", made)
    assert built.code == 0, built.err
    assert loads(made.read_bytes()).rows == 199
    assert "1 duplicates" in built.err
    assert "1 withdrawn" in built.err


def test_a_range_without_predictions_says_what_it_read(deployment: Deployment, tmp_path: Path) -> None:
    span = ("--from", "2020-01-01", "--to", "2020-01-02")
    built = driftline("reference", "build", *deployment.where, *span, "-o", tmp_path / "r.json")
    assert built.code == 1
    assert "no prediction of model 'arrival-delay'" in built.err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("choice", [(), ("--from", "2013-01-01"), ("--first", "5", "--to", "2013-01-01")])
def test_the_predictions_must_be_chosen_in_one_way(deployment: Deployment, choice: tuple[str, ...]) -> None:
    assert driftline("reference", "build", *deployment.where, *choice, "-o", "x").code == 2


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            ("--to", "2013-01-10"),
            "--to 2013-01-10T00:00Z is one end of a range of event time; say where it begins as well, for",
        ),
        (("--to", "2013-01-10"), "instance --from 2013-01-03T00:00Z for a week."),
        (("--from", "2013-01-10T06:00"), "say where it ends as well, for instance --to 2013-01-17T06:00Z for a week."),
        (
            ("--from", "2013-01-10"),
            "For the first predictions there are, whenever they were made, use --first N instead.",
        ),
    ],
)
def test_half_a_range_says_what_the_other_half_looks_like(
    deployment: Deployment, choice: tuple[str, ...], sentence: str
) -> None:
    built = driftline("reference", "build", *deployment.where, *choice, "-o", "x")
    assert built.code == 2
    assert sentence in " ".join(built.err.split())


def test_a_range_that_ends_before_it_begins_is_a_usage_error(deployment: Deployment) -> None:
    span = ("--from", "2013-02-12", "--to", "2013-02-10")
    built = driftline("reference", "build", *deployment.where, *span, "-o", "x")
    assert (built.code, "--to is not after --from" in built.err) == (2, True)


def test_a_model_that_is_not_there_is_a_usage_error_with_a_suggestion(deployment: Deployment) -> None:
    built = driftline("reference", "build", *deployment.where, "--model", "arival-delay", "--first", 5, "-o", "x")
    assert built.code == 2
    assert "did you mean 'arrival-delay'?" in built.err


def test_show_prints_the_features_and_json_adds_the_digest() -> None:
    file = DEMO / "flights.reference.json"
    shown = driftline("reference", "show", file)
    assert shown.code == 0
    assert all(name in shown.out for name in ("hour", "distance", "origin", "carrier", "$score", "6,998"))
    document = driftline("reference", "show", file, "--format", "json").json
    assert document["digest"] == loads(file.read_bytes()).digest
    assert document["rows"] == 6998
    assert len(document["limits"]) == 3


def test_what_is_no_profile_is_refused_in_a_sentence(deployment: Deployment) -> None:
    shown = driftline("reference", "show", deployment.config)
    assert shown.code == 1
    assert "d.yaml" in shown.err
    assert "not a reference profile" in shown.err


def test_two_profiles_are_compared_whatever_their_bins(tmp_path: Path) -> None:
    made = tmp_path / "later.json"
    where = ("-c", DEMO / "flights.yaml", "--file", FLIGHTS / "predictions.jsonl.gz")
    assert driftline("reference", "build", *where, "--from", "2013-01-20", "--to", "2013-01-25", "-o", made).code == 0
    shown = driftline("reference", "diff", DEMO / "flights.reference.json", made)
    assert (shown.code, shown.err) == (0, "")
    assert "hour" in shown.out
    assert "apart at least" in shown.out
    told = driftline("reference", "diff", DEMO / "flights.reference.json", made, "-o", "json").json
    assert told["old"]["digest"] != told["new"]["digest"]
    assert all(0.0 <= one["distance"] < 0.2 for one in told["features"])
    same = driftline("reference", "diff", made, made)
    assert same.out.startswith("the same profile: sha256:")


def test_pairs_of_two_profiles_are_compared(tmp_path: Path) -> None:
    pairs = ("--set", "drift.pairs=[[hour, origin], [origin, carrier]]")
    where = ("-c", DEMO / "flights.yaml", "--file", FLIGHTS / "predictions.jsonl.gz")
    early, late = tmp_path / "early.json", tmp_path / "late.json"
    for made, begin, end, more in (
        (early, "01", "10", pairs),
        (late, "20", "29", ("--set", "drift.pairs=[[origin, hour]]")),
    ):
        built = driftline(
            "reference", "build", *where, *more, "--from", f"2013-01-{begin}", "--to", f"2013-01-{end}", "-o", made
        )
        assert built.code == 0, built.err
    shown = driftline("reference", "diff", early, late)
    assert "pair hour~origin: go together otherwise by 0." in shown.out
    assert "pair origin~carrier: only in the old profile" in shown.out
    both, gone = driftline("reference", "diff", early, late, "-o", "json").json["pairs"]
    assert (both["pair"], both["only"], gone["only"], gone["distance"]) == ("hour~origin", None, "old", None)
    assert 0.0 <= both["distance"] < 0.1, "the timetable is the same in both weeks"


def test_a_file_that_is_no_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    shown = driftline("reference", "diff", DEMO / "flights.reference.json", tmp_path / "x.json")
    assert shown.code == 1
    assert "x.json" in shown.err
