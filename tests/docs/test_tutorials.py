"""Each tutorial is typed as it is printed, in an environment that has one of the three packages and neither of the others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.test_docs import FENCED, ROOT

PAGES = ROOT / "docs" / "tutorials"
PACKAGES = ("monitor", "pipelines", "registry")


class Environment:
    """A fresh virtual environment: the libraries of this one, one package of Driftline, and an empty directory to work in."""

    def __init__(self, package: str, directory: Path) -> None:
        self.package, self.work = package, directory / "work"
        self.work.mkdir()
        home = directory / "environment"
        venv.create(home, with_pip=False)
        site = next((home / "lib").glob("python*/site-packages"))
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
        # A line of a .pth file puts a folder on the path without following the .pth files in it: not the editable install.
        (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
        self._environment = {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.work)}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What a command prints, in the directory."""
        return subprocess.run(
            command, cwd=self.work, env=self._environment, capture_output=True, text=True, check=False, timeout=240
        )

    def follow(self, page: Path) -> str:
        """Write the files of a page, run its commands in order, and give what they printed."""
        blocks = FENCED.findall(page.read_text())
        for kind, body in blocks:
            if kind in {"python", "yaml"}:
                name = re.match(r"# (\S+)\n", body)
                assert name is not None, f"{page.name}: a block without a name: {body[:60]}"
                (self.work / name[1]).write_text(body)
        done = self.run("bash", "-eu", "-c", "".join(body for kind, body in blocks if kind == "sh"))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Environment:
    return Environment(request.param, tmp_path)


def alone(package: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return pytest.mark.parametrize("environment", [package], indirect=True)


def test_every_tutorial_has_a_test() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {"monitoring", "retraining", "registry"}


@pytest.mark.parametrize("environment", PACKAGES, indirect=True)
def test_in_such_an_environment_only_one_package_can_be_imported(environment: Environment) -> None:
    for package in PACKAGES:
        done = environment.run("python", "-c", f"import {package}; print({package}.__file__)")
        assert (done.returncode == 0) is (package == environment.package), done.stderr
        assert package != environment.package or str(environment.work.parent) in done.stdout
    helped = environment.run("python", "-m", environment.package, "--help")
    assert (helped.returncode, f"Usage: python -m {environment.package}" in helped.stdout) == (0, True), helped.stderr


@alone("monitor")
def test_the_monitor_completes_its_tutorial(environment: Environment) -> None:
    said = environment.follow(PAGES / "monitoring.md")
    assert re.search(r"resolved +page +precision-low .* 2026-01-09 20:00", said)
    assert re.search(r"resolved +ticket +amount-drifts .* 2026-01-09 00:00", said)
    assert said.count("holds") == 2
    events = [json.loads(line) for line in (environment.work / "alerts.jsonl").read_text().splitlines()]
    assert Counter((event["data"]["rule"], event["type"].split(".")[-2]) for event in events) == {
        (rule, kind): 1 for rule in ("precision-low", "amount-drifts") for kind in ("firing", "resolved")
    } | {("precision-low", "amended"): 2}
    absent = environment.run("python", "-m", "monitor", "registry", "list")
    assert (absent.returncode, "needs registry beside the monitor" in absent.stderr) == (2, True)
    assert "retrain" not in environment.run("python", "-m", "monitor", "--help").stdout
    assert environment.run("python", "-m", "monitor", "run", "-c", "none.yaml").returncode == 2
    played = environment.run("python", "-c", "from monitor.cli.demo_loop import missing; print(missing())")
    assert played.stdout == "Install the whole of Driftline.\n", played.stderr


@alone("pipelines")
def test_the_pipelines_complete_their_tutorial(environment: Environment) -> None:
    said = environment.follow(PAGES / "retraining.md")
    assert "# Gate: flights against the base rate" in said
    assert "probation -> settled (nothing_replaced)" in said
    assert "flights@1" in said
    assert "promoting -> probation (promoted): version 2 is champion" in said
    assert "begins nothing (other_version)" in said


@alone("registry")
def test_the_registry_completes_its_tutorial(environment: Environment) -> None:
    said = environment.follow(PAGES / "registry.md")
    assert "exit code 3: not approved" in said
    assert "exit code 3: no model" in said
    assert (environment.work / "served.txt").read_text().splitlines() == [
        "fraud/champion is version 2 now",
        "version 2 says 0.75",
        "fraud/champion is version 1 now",
        "version 1 says 1.0",
    ]
    assert (environment.work / "MODEL_CARD.md").read_text().startswith("# fraud, version 1\n")
    assert said.count("whole") >= 3
