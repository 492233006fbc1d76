"""What the README and the pages of docs/ say can be followed, typed and pasted."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from monitor.cli import exits
from monitor.cli.app import cli
from monitor.config import loads
from tests.deploy import schemas
from tests.kafka.jars import KAFKA_VERSION

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`(driftline [^`\n]+)`")
_RUFF = re.compile(r"\A# ruff: .*\n")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, `""` for plain ones."""
    return [body for kind, body in FENCED.findall(page.read_text()) if kind == language]


def links(page: Path) -> list[Path]:
    """Where the page's relative links lead, without anchors."""
    found = _LINK.findall(FENCED.sub("", page.read_text()))
    return [(page.parent / link.partition("#")[0]).resolve() for link in found if not re.match(r"\w+:|#", link)]


def commands(page: Path) -> Iterator[str]:
    """What the page tells people to type: lines of fenced blocks, and code within sentences."""
    text = page.read_text()
    for _, body in FENCED.findall(text):
        yield from (line for line in body.splitlines() if line.startswith("driftline "))
    yield from (span for span in _SPAN.findall(FENCED.sub("", text)) if "COMMAND" not in span)


def mistake(line: str) -> str | None:
    """What is wrong with a command line: no such command, or no such option of it."""
    command: click.Command = cli
    known = {"-h", "--help"}
    for word in shlex.split(line, comments=True)[1:]:
        if word in {">", "|"}:
            break
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(click.Context(command), word)
            if found is None and command.invoke_without_command:
                continue  # the value of an option
            if found is None:
                return f"{line}: there is no command {word}"
            command = found
            known |= {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        elif word.startswith("-") and word.partition("=")[0] not in known:
            return f"{line}: {command.name} has no option {word}"
    alone = not isinstance(command, click.Group) or command.invoke_without_command
    return None if alone else f"{line}: names a group, not a command"


LINKS = [pytest.param(target, id=f"{page.name}: {target.name}") for page in PAGES for target in links(page)]
COMMANDS = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)]


@pytest.mark.parametrize("target", LINKS)
def test_every_relative_link_leads_to_a_file_of_the_project(target: Path) -> None:
    assert target.is_relative_to(ROOT)
    assert target.exists()


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [README]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            ahead += links(page)
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    assert mistake(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "driftline forecast -c driftline.yaml",
        "driftline ledger repair",
        "driftline ledger",
        "driftline windows --windw 1d",
        "driftline run -c driftline.yaml --until-end=1 --unknown=2",
    ],
)
def test_what_does_not_exist_is_noticed(line: str) -> None:
    assert mistake(line) is not None


def test_the_exit_codes_are_those_of_the_program() -> None:
    text = README.read_text()
    sentence = re.search(r"^Exit codes: (.+?)\.$", text, re.MULTILINE)
    assert sentence is not None
    said = {int(code): words for code, words in (part.split(" ", 1) for part in sentence[1].split(", "))}
    codes = {value: name for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert said.pop(0) == "fine"
    assert list(said) == sorted(codes)
    assert [said[c] for c, name in codes.items() if any(word not in said[c] for word in name.lower().split("_"))] == []
    assert sentence[0] in (cli.help or "")


def test_the_configuration_of_the_readme_loads() -> None:
    (example,) = [body for body in blocks(README, "yaml") if body.startswith("# driftline.yaml\n")]
    config = loads(example)
    assert [model.name for model in config.models] == ["fraud"]
    assert [rule.name for rule in config.rules] == ["recall-low"]


def test_the_subscriber_of_the_readme_is_the_example() -> None:
    (shown,) = [body for body in blocks(README, "python") if "import Consumer" in body]
    assert _RUFF.sub("", shown) == _RUFF.sub("", (ROOT / "docs" / "examples" / "subscriber.py").read_text())


def test_what_it_runs_with_names_the_versions_that_the_tests_run() -> None:
    table = (ROOT / "docs/operating.md").read_text().partition("## What it runs with")[2].partition("\n## ")[0]
    operator, kubernetes = (module.partition("@v")[2] for module in (schemas.OPERATOR[0], schemas.KUBERNETES[0]))
    assert f"a real {KAFKA_VERSION} " in table
    assert f"the schemas of {kubernetes};" in table
    assert f"the operator's v{operator};" in table
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    pythons = [each.rpartition(" ")[2] for each in classifiers if re.fullmatch(r".*:: 3\.\d+", each)]
    assert f"| Python | {', '.join(pythons)} |" in table
    assert f"k8s.io/kubernetes v{kubernetes}" in (ROOT / "tests/deploy/go/go.mod").read_text()
