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
