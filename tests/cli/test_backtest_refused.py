"""`driftline backtest`: what it refuses, and what it does not let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Deployment
from tests.cli.driving import driftline


def test_a_gate_that_nothing_can_be_held_to_is_not_passed(deployment: Deployment, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(CONFIG.replace("label: $.label", "label: $.lable"))
    done = driftline("backtest", "-c", wrong, "--embedded", deployment.log, "-q", "--fail-on", "recall < 0.1")
    assert done.code == 3
    assert "gate: recall < 0.1 cannot be judged, which fails: there is no value in all 2 windows" in done.err
    shown = driftline(
        "backtest", "-c", wrong, "--embedded", deployment.log, "-q", "--fail-on", "recall < 0.1", "-o", "json"
    )
    assert shown.json["gates"]["failed"] == [
        {"gate": "recall < 0.1", "value": None, "where": "all 2 windows", "judged": False}
    ]


def test_a_report_takes_the_place_of_nothing_that_is_read(deployment: Deployment, tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    known.write_text('{"incidents": []}')
    out = tmp_path / "r.html"
    for more in (("--incidents", known, "--report", tmp_path / "known.html"), ("--to", out, "--report", out)):
        done = driftline("backtest", *deployment.where, "-q", *more)
        assert (done.code, done.out) == (2, "")
        assert "which this command is given as well" in done.err
    assert known.read_text() == '{"incidents": []}'
    assert not out.exists()


def test_one_source_is_run_again(deployment: Deployment, tmp_path: Path) -> None:
    done = driftline("backtest", *deployment.where, "--recording", tmp_path, "-q")
    assert (done.code, done.out) == (2, "")
    assert "--recording and --embedded both say what is run again" in done.err


@pytest.mark.parametrize("place", ["file/r.html", "/proc/r.html"])
def test_a_report_that_cannot_be_written_is_refused_before_the_run(
    deployment: Deployment, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("")
    done = driftline("backtest", *deployment.where, "--report", tmp_path / place, "--to", tmp_path / "out", "-q")
    assert (done.code, done.out) == (1, "")
    assert f"{str(tmp_path / place)!r}: no file can be written into" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--sweep", "windows=1h,2h"), "Only rules can be swept"),
        (("--sweep", "rules.too-good.threshold"), "write rules.NAME.FIELD=V1,V2"),
        (
            ("--sweep", "rules.too-good.threshold=0.1,0.2", "--sweep", "rules.too-good.threshold=0.3"),
            "'rules.too-good.threshold=0.3': the values of rules.too-good.threshold are given already; write all of them once",
        ),
        (("--fail-on", "pages"), "write NAME OP NUMBER"),
        (("--fail-on", "missed > 0"), "needs --incidents"),
        (("--fail-on", "acuracy < 0.5"), "did you mean 'accuracy'?"),
        (("--fail-on", "psi:origen > 0.5"), "did you mean 'psi:origin'?"),
        (("--fail-on", "accuracy@1d < 0.5"), "there are no windows '1d'"),
        (("--resume",), "--resume needs --to DIR"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(
    deployment: Deployment, options: tuple[str, ...], sentence: str
) -> None:
    done = driftline("backtest", *deployment.where, *options, "-q")
    assert done.code == 2
    assert sentence in done.err
    assert done.out == ""


def test_every_gate_that_is_wrong_is_named_at_once(deployment: Deployment) -> None:
    gates = ("pages", "missed > 0", "acuracy < 0.5")
    done = driftline("backtest", *deployment.where, "-q", *(word for gate in gates for word in ("--fail-on", gate)))
    assert done.code == 2
    assert all(repr(gate) in done.err for gate in gates)


def test_gates_on_incidents_of_another_time_are_not_passed(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "incidents.yaml"
    path.write_text("- {name: long ago, from: 1999-01-01T00:00Z, until: 1999-01-02T00:00Z}\n")
    done = driftline("backtest", *deployment.where, "-q", "--incidents", path, "--fail-on", "missed > 0")
    assert done.code == 3, done.err
    assert "gate: missed > 0 cannot be judged, which fails" in done.err
