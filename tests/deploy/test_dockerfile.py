from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINES = [
    (word, rest)
    for word, _, rest in (
        line.partition(" ")
        for line in re.sub(r"\\\n", " ", (ROOT / "deploy" / "Dockerfile").read_text()).splitlines()
        if line and not line.startswith("#")
    )
]


def all_of(instruction: str) -> list[str]:
    return [rest for word, rest in LINES if word == instruction]


def test_both_stages_stand_on_the_base_that_the_builder_chooses() -> None:
    assert LINES[0] == ("ARG", "BASE=python:3.13-slim")
    assert [re.sub(r" AS \w+", "", rest) for rest in all_of("FROM")] == ["${BASE}", "${BASE}"]


def test_dependencies_are_installed_by_hash() -> None:
    (first, second) = (run for run in all_of("RUN") if "pip install" in run)
    assert "--require-hashes" in first
    assert "--no-deps" in second, "what is not in the lock must not come in with the project"


def test_the_final_stage_is_not_root_installs_nothing_and_gets_its_signals() -> None:
    final = LINES[max(i for i, (word, _) in enumerate(LINES) if word == "FROM") :]
    assert "RUN" not in {word for word, _ in final}
    (user,) = (rest for word, rest in final if word == "USER")
    deployment = yaml.safe_load((ROOT / "deploy/kubernetes/base/deployment.yaml").read_text())
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    (entry,) = (rest for word, rest in final if word == "ENTRYPOINT")
    assert json.loads(entry) == ["driftline"], "a shell in between would swallow SIGTERM"


@pytest.mark.parametrize("name", sorted({n for c in all_of("COPY") if "--from" not in c for n in c.split()[:-1]}))
def test_what_is_copied_exists_and_is_let_through(name: str) -> None:
    assert (ROOT / name).exists()
    assert f"!{name}" in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()


def mistakes(lines: list[tuple[str, str]]) -> list[str]:
    """What a linter would say: what is fetched past the lock, is not repeatable, or stays in the image as a secret."""
    found = []
    for word, rest in lines:
        if word == "ADD":
            found.append("ADD fetches and unpacks: COPY says what comes in")
        if word == "RUN" and re.search(r"\b(curl|wget|apt-get|git)\b", rest):
            found.append(f"fetched past the lock: {rest}")
        if word == "RUN" and "pip install" in rest and "--no-cache-dir" not in rest:
            found.append(f"leaves a cache in its layer: {rest}")
        if word in ("ARG", "ENV") and re.search(r"(?i)token|password|secret", rest):
            found.append(f"a secret would stay in the image: {rest}")
        if word == "FROM" and rest.endswith(":latest"):
            found.append(f"not a certain image: {rest}")
        if word in ("CMD", "ENTRYPOINT") and not rest.startswith("["):
            found.append(f"a shell in between: {rest}")
        if word == "COPY" and rest.split()[0] == ".":
            found.append("copies everything, whatever lies there")
    return found


def test_a_linter_has_nothing_to_say() -> None:
    assert mistakes(LINES) == []


@pytest.mark.parametrize(
    "line",
    [
        ("ADD", "x.tar.gz /x"),
        ("RUN", "curl -O x"),
        ("RUN", "pip install x"),
        ("ARG", "TOKEN"),
        ("FROM", "python:latest"),
        ("CMD", "driftline run"),
        ("COPY", ". /src"),
    ],
)
def test_the_linter_finds(line: tuple[str, str]) -> None:
    assert len(mistakes([line])) == 1
