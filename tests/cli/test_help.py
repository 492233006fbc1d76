"""Every command explains itself, and is cheap to ask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from monitor.cli.app import cli
from tests.cli.driving import driftline


def _commands(group: click.Group, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield (*at, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*at, name))


COMMANDS = list(_commands(cli))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_goes_to_standard_output_and_has_an_example(command: tuple[str, ...]) -> None:
    shown = driftline(*command, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert f"driftline {' '.join(command)}" in shown.out.partition("Usage:")[2]
    if command != ("version",):
        assert "Example" in shown.out


def test_a_mistyped_command_is_a_usage_error_with_a_suggestion() -> None:
    shown = driftline("windws")
    assert (shown.code, shown.out) == (2, "")
    assert "did you mean 'windows'?" in shown.err


def test_the_option_and_the_command_tell_the_same_version() -> None:
    assert driftline("version").out.startswith(driftline("--version").out.strip())


def test_help_loads_no_heavy_library() -> None:
    script = (
        "import sys; from monitor.cli.app import cli; cli.main(['--help'], standalone_mode=False); "
        "print(sorted({'scipy', 'numpy', 'rich', 'confluent_kafka', 'starlette', 'river', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    shown = driftline("completion", shell)
    assert (shown.code, shown.err) == (0, "")
    assert f"{shell}_complete" in shown.out
    assert "_DRIFTLINE_COMPLETE" in shown.out


def test_completion_completes_commands_and_options() -> None:
    def offered(words: str, place: int) -> str:
        environment = {
            **os.environ,
            "_DRIFTLINE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
        }
        program = Path(sys.executable).with_name("driftline")
        return subprocess.run([program], env=environment, capture_output=True, text=True, check=True).stdout

    assert offered("driftline win", 1) == "plain,windows\n"
    assert offered("driftline windows --fi", 2) == "plain,--final\n"
