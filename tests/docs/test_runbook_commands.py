"""Commands of runbooks can be typed as they stand there: somebody does at night."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from monitor.cli.app import cli as driftline

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


def typed() -> Iterator[tuple[str, str]]:
    for path in sorted(RUNBOOKS.glob("*.md")):
        for code in re.findall(r"`(driftline [^`]+)`", path.read_text()):
            yield path.stem, code


@pytest.mark.parametrize(("runbook", "code"), list(typed()))
def test_a_command_is_there_and_has_what_it_cannot_do_without(runbook: str, code: str) -> None:
    words = code.split()[1:]
    command: click.Command = driftline
    with click.Context(driftline) as context:
        while isinstance(command, click.Group):
            name, words = words[0], words[1:]
            found = command.get_command(context, name)
            assert found is not None, f"{runbook}: {code}"
            command = found
        needed = [each for each in command.params if each.required and isinstance(each, click.Option)]
    for option in needed:
        assert set(option.opts) & set(words), f"{runbook}: {code} lacks {option.opts}"
    arguments = [each for each in command.params if each.required and isinstance(each, click.Argument)]
    given = [word for word in words if not word.startswith("-") and not word.endswith(".yaml")]
    assert len(given) >= len(arguments), f"{runbook}: {code}"


def test_there_are_some() -> None:
    assert len(list(typed())) > 10
