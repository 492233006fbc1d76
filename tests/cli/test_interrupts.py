"""Ctrl-C ends every command with 130 and without a traceback, whatever is being imported at that moment."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.ports import TopicSpec

ROOT = Path(__file__).parents[2]
(SCRIPT,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].values()

INTERRUPTED_AT = """
import os, signal, sys

_, wanted, script, *rest = sys.argv

class AtImport:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, AtImport())
module, function = script.split(":")
sys.argv = ["driftline", *rest]
sys.exit(getattr(__import__(module, fromlist=[function]), function)())
"""


@pytest.mark.parametrize(
    ("imported", "command"),
    [
        ("click", ("version",)),
        ("monitor.cli.app", ("version",)),
        ("monitor.cli.exits", ("version",)),
        ("registry.cli.exits", ("registry", "list", "--store", "nowhere")),
        ("monitor.cli.version", ("version",)),
        ("monitor.config.types", ("config", "show", "-c", "monitor/demo/flights.yaml")),
        ("numpy", ("windows", "-c", "monitor/demo/flights.yaml", "--embedded", "nowhere")),
    ],
)
def test_ctrl_c_while_something_is_imported(imported: str, command: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, imported, SCRIPT, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.strip(), ended.stdout) == (130, "", "")


@pytest.mark.parametrize(
    "imported", ["click", "monitor.cli.app", "monitor.config.types", "numpy", "monitor.daemon.worker"]
)
@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--until-end",), 143)])
def test_sigterm_in_the_first_moments_of_run_ends_it_with_its_code(
    imported: str, flags: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    log = EmbeddedLog(tmp_path)
    log.ensure(TopicSpec("flights.predictions", 1))
    log.close()
    command = ("run", "-c", "monitor/demo/flights.yaml", "--no-http", "--embedded", str(tmp_path), *flags)
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT.replace("SIGINT", "SIGTERM"), imported, SCRIPT, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    assert ("SIGTERM came before the end was reached" in ended.stderr) == bool(flags)
    assert "Traceback" not in ended.stderr


def test_other_commands_keep_what_sigterm_means_by_default() -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT.replace("SIGINT", "SIGTERM"), "click", SCRIPT, "version"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -15


def test_ctrl_c_once_a_command_is_done_ends_what_is_left_of_the_process() -> None:
    late = f"import {SCRIPT.partition(':')[0]} as entry, os, signal, sys; sys.argv = ['driftline', 'version']\n"
    late += "try:\n  entry.main()\nfinally:\n  os.kill(os.getpid(), signal.SIGINT); print('still here')"
    ended = subprocess.run([sys.executable, "-c", late], check=False, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "")
    assert "still here" not in ended.stdout


def test_what_runs_before_the_handler_is_next_to_nothing() -> None:
    listed = (
        "import sys; before = set(sys.modules); import _signal\n"
        "def seen(number, action):\n"
        "    print(*sorted(set(sys.modules) - before)); sys.exit()\n"
        f"_signal.signal = seen; import {SCRIPT.partition(':')[0]}"
    )
    ended = subprocess.run([sys.executable, "-c", listed], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(ended.stdout.split()) - {"__future__"} == {"monitor", "monitor.cli", "monitor.cli.entry"}
