"""The house stands as drawn: who may import whom, how long a file may be, what the core may not touch, what a
repository that others clone must not contain.

Each check is a function from text to findings, and is itself shown something bad here, so that none of them can be
green because it looks at nothing.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
PACKAGES = ("monitor", "pipelines", "registry")
SHELL = (
    "monitor/__main__.py",
    "monitor/adapters/",
    "monitor/cli/",
    "monitor/daemon/",
    "monitor/notebook.py",
    "pipelines/__main__.py",
    "pipelines/carrying.py",
    "pipelines/cli/",
    "pipelines/directory.py",
    "pipelines/executors.py",
    "pipelines/filesteps.py",
    "pipelines/hooks.py",
    "pipelines/jobs.py",
    "pipelines/local",
    "pipelines/meanwhile.py",
    "pipelines/past.py",
    "pipelines/post.py",
    "pipelines/runner.py",
    "pipelines/subprocesses.py",
    "pipelines/tables.py",
    "pipelines/trainer.py",
    "registry/__main__.py",
    "registry/cli/",
    "registry/directory.py",
    "registry/files.py",
    "registry/following.py",
    "registry/kafka_topic.py",
    "registry/local_bundle.py",
    "registry/location.py",
    "registry/mlflow_import.py",
    "registry/mlflow_server.py",
    "registry/object_store.py",
    "registry/objects.py",
    "registry/onnx_models.py",
    "registry/reader.py",
    "registry/river_models.py",
    "registry/trust_file.py",
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# Those that may be longer, each with its reason. An entry that is no longer needed fails.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

# What a module of the core may use all the same, and why.
IMPURE_ALLOWED: dict[str, frozenset[str]] = {
    "monitor/config/load.py": frozenset({"os", "pathlib", "open"}),  # reading the configuration is what it is for
}
IMPURE_MODULES = frozenset({
    "asyncio", "atexit", "click", "concurrent", "confluent_kafka", "fcntl", "getpass", "glob", "io", "locale",
    "logging", "multiprocessing", "os", "pathlib", "platform", "prometheus_client", "random", "rich", "secrets",
    "shutil", "signal", "socket", "sqlite3", "ssl", "starlette", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib.request", "uuid", "uvicorn", "warnings", "weakref",
})  # fmt: skip
IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})


def tracked() -> list[str]:
    """Every file of the repository that git knows, or everything below the root where there is no git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    hidden = {".venv", ".git", "build", "__pycache__"}
    return [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and not hidden & set(p.parts)]


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def texts() -> Iterator[tuple[str, str]]:
    """Tracked files that are text, with their contents."""
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            yield name, content.decode()


# -------------------------------------------------------------------------------------------- who may import whom


def test_imports_follow_the_house(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    kept = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS
    assert kept, capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("events", "import monitor.ports", "the house"),
        ("unheard_of", "", "the house"),
        ("events", "import sqlite3", "the core knows"),
        ("unheard_of", "from rich.table import Table", "the core knows"),
        ("events", "import registry", "between the three packages"),
        ("registry/errors", "import registry.store", "the registry: each floor"),
        ("registry/unheard_of", "", "the registry: each floor"),
        ("registry/store", "import pathlib", "the rules of the registry"),
        ("registry/store", "from registry.files import DiskFiles", "the registry: each floor"),
        ("registry/directory", "import monitor", "between the three packages"),
        ("pipelines/dataset/table", "import pipelines.dataset.manifest", "data versions: each floor"),
        ("pipelines/dataset/unheard_of", "", "data versions: each floor"),
        ("pipelines/dataset/table", "import pyarrow", "data versions know"),
        ("pipelines/dataset/table", "from monitor import events", "between the three packages"),
        ("pipelines/dataset/table", "import registry.store", "between the three packages"),
        ("pipelines/unheard_of", "", "the pipelines: each floor"),
        ("pipelines/gate", "import random", "the decisions of the pipelines"),
        ("pipelines/gate", "from pipelines.directory import DirectoryStore", "the pipelines: each floor"),
        ("pipelines/local", "import registry", "between the three packages"),
    ],
)
def test_an_import_against_the_house_is_found(tmp_path: Path, module: str, line: str, contract: str) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for name in ("errors", "events", "ports"):
        (tmp_path / "monitor" / f"{name}.py").touch()
    for name in ("errors", "digest", "names", "store", "files", "directory"):
        (tmp_path / "registry" / f"{name}.py").touch()
    (tmp_path / "pipelines" / "dataset").mkdir()
    for name in ("__init__", "errors", "table", "manifest"):
        (tmp_path / "pipelines" / "dataset" / f"{name}.py").touch()
    for name in ("errors", "ports", "gate", "directory", "local"):
        (tmp_path / "pipelines" / f"{name}.py").touch()
    (tmp_path / "monitor" / "cli").mkdir()
    (tmp_path / "monitor" / "cli" / "__init__.py").write_text("import registry, sqlite3, rich, monitor.events\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert _broken_contracts(tmp_path) == []
    (tmp_path / (module if "/" in module else f"monitor/{module}")).with_suffix(".py").write_text(line)
    assert any(name.startswith(contract) for name in _broken_contracts(tmp_path))


def _broken_contracts(root: Path) -> list[str]:
    program = "from importlinter.cli import lint_imports_command as command; command()"
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    return re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE)


# ------------------------------------------------------------------------------------------------------------ sizes


def function_lines(text: str) -> Iterator[tuple[str, int]]:
    """(name, lines) of every function; decorators and docstring count, they have to be read too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_file_is_longer_than_it_can_be_read() -> None:
    lines = {name: text.count("\n") for name, text in sources(*PACKAGES, "tests")}
    found = {name: count for name, count in lines.items() if count > FILE_LINES_MAX}
    assert found.keys() == LONG_FILES.keys(), found


def test_no_function_is_longer_than_a_page() -> None:
    found = {
        f"{name}:{function}": lines
        for name, text in sources(*PACKAGES)
        for function, lines in function_lines(text)
        if lines > FUNCTION_LINES_MAX
    }
    assert found.keys() == LONG_FUNCTIONS.keys(), found


def test_lines_of_a_function_are_counted_from_def_to_end() -> None:
    text = "class A:\n    def f(self):\n        x = 1\n        return x\n\nasync def g(): ...\n"
    assert list(function_lines(text)) == [("g", 1), ("f", 3)]


# ----------------------------------------------------------------------------------------------------------- purity


def impurities(text: str) -> list[tuple[str, int]]:
    """(what, line) of everything by which the same input could give another output, or the world be touched."""
    found: list[tuple[str, int]] = []
    tree = ast.parse(text)
    # A __hash__ serves dictionaries of this process only, and those keep the order of insertion.
    hashes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__hash__"]
    own = {inner for node in hashes for inner in ast.walk(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="id" | "hash")) if node in own:
                continue
            case ast.ImportFrom(module="io", names=[ast.alias(name="BytesIO")]):
                continue  # bytes in memory, for libraries that read from files only
            case ast.Import():
                found += [(alias.name.split(".")[0], node.lineno) for alias in node.names]
                found += [(alias.name, node.lineno) for alias in node.names]
            case ast.ImportFrom(module=str() as module):
                found += [(module.split(".")[0], node.lineno), (module, node.lineno)]
                found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"):
                found += [("numpy.random", node.lineno)]
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in CLOCK_METHODS:
                found += [(f".{attr}()", node.lineno)]
            case ast.Call(func=ast.Attribute(attr="fromtimestamp"), args=[_], keywords=[]):
                found += [("the local time zone", node.lineno)]
            case ast.Call(func=ast.Name(id=name)):
                found += [(name if name in IMPURE_CALLS else f"{name}()", node.lineno)]
    impure = IMPURE_MODULES | IMPURE_CALLS | {"numpy.random", "the local time zone"}
    impure |= {f".{name}()" for name in CLOCK_METHODS}
    impure |= {"hash()", "id()"}  # hash of text differs from process to process, id from run to run
    return [(what, line) for what, line in found if what in impure]


def test_the_core_touches_nothing() -> None:
    core = [(name, text) for name, text in sources(*PACKAGES) if not name.startswith(SHELL)]
    assert {name.partition("/")[0] for name, _ in core} == set(PACKAGES)
    found = [
        f"{name}:{line}: {what}"
        for name, text in core
        for what, line in impurities(text)
        if what not in IMPURE_ALLOWED.get(name, frozenset())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("import time", "time"),
        ("import os.path", "os"),
        ("from time import monotonic", "time"),
        ("def f():\n    import logging", "logging"),
        ("x = datetime.now()", ".now()"),
        ("x = datetime.datetime.now(tz)", ".now()"),
        ("x = date.today()", ".today()"),
        ("x = np.random.default_rng(1)", "numpy.random"),
        ("from numpy import random", "numpy.random"),
        ("import numpy.random", "numpy.random"),
        ("from urllib.request import urlopen", "urllib.request"),
        ("x = datetime.fromtimestamp(y)", "the local time zone"),
        ("with open(p) as f: ...", "open"),
        ("print(1)", "print"),
        ("x = hash('a')", "hash()"),
        ("x = id(y)", "id()"),
        ("import io", "io"),
        ("from io import BytesIO, open", "io"),
    ],
)
def test_an_impurity_is_found(line: str, what: str) -> None:
    assert what in [found for found, _ in impurities(line)]


@pytest.mark.parametrize(
    "line",
    [
        "import datetime",
        "from urllib.parse import quote",
        "from io import BytesIO",
        "x = datetime.fromtimestamp(y, UTC)",
        "x = datetime.fromtimestamp(y, tz=UTC)",
        "x = np.sort(y)",
        "x = self.open(y)",
        "x = row.id",
        "class A:\n    def __hash__(self): return hash(self.name)",
    ],
)
def test_what_is_pure_is_left_alone(line: str) -> None:
    assert impurities(line) == []


# ------------------------------------------------------------------------------------------------------- repository

# Written in pieces: this file must pass its own check.
INDEX = re.compile("|".join([
    "py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(org|com)", r"repo1?\.maven\.ap" + r"ache\.org",
    "maven" + r"\.org/maven2", "index" + r"[-_]url\s*=?\s*\S*://", "find-" + "links",
]))  # fmt: skip
MACHINE = re.compile(r"(?<![\w.$}{*-])/(?:ro" + r"ot|wo" + r"rk|Us" + r"ers|ho" + r"me/\w+|t" + r"mp/\w+)(?:/|\b)")


def findings(pattern: re.Pattern[str], name: str, text: str) -> list[str]:
    return [f"{name}:{n}: {line.strip()[:120]}" for n, line in enumerate(text.splitlines(), 1) if pattern.search(line)]


@pytest.mark.parametrize("pattern", [INDEX, MACHINE], ids=["package index", "path of a machine"])
def test_no_tracked_file_names_a(pattern: re.Pattern[str]) -> None:
    found = [finding for name, text in texts() for finding in findings(pattern, name, text)]
    assert not found, "\n".join(found)


def test_addresses_and_paths_are_found() -> None:
    assert findings(INDEX, "f", "--index" + "-url https://example.invalid/simple") == [
        "f:1: --index" + "-url https://example.invalid/simple"
    ]
    assert findings(INDEX, "f", "https://files.python" + "hosted.org/x")
    for path in ("/ro" + "ot/x", "cd /wo" + "rk", "'/t" + "mp/x.json'", "/ho" + "me/ada/x"):
        assert findings(MACHINE, "f", path), path
    for fine in ("a/work/b", "monitor/root", "mountPath: /t" + "mp", "${X}/work", "/run/secrets/pw", "net/working"):
        assert not findings(MACHINE, "f", fine), fine


LOCKS = ("requirements.lock", "requirements-dev.lock")


def lock_entries(text: str) -> dict[str, list[str]]:
    """Requirement line without hashes -> its hashes."""
    entries: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        first, *rest = (line.strip(" \\") for line in block.splitlines())
        entries[first] = rest
    return entries


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_exact_and_hashed(lock: str) -> None:
    entries = lock_entries((ROOT / lock).read_text())
    assert len(entries) > 20
    for requirement, hashes in entries.items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+!]+( ; .+)?", requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in hashes), requirement


def test_development_adds_to_what_users_install_and_changes_nothing() -> None:
    users, developers = (lock_entries((ROOT / lock).read_text()) for lock in LOCKS)
    assert users.items() <= developers.items()


def test_every_dependency_is_in_the_lock() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {re.split("==", entry)[0] for entry in lock_entries((ROOT / LOCKS[0]).read_text())}
    asked = {re.split(r"[<>=!~ \[]", requirement)[0].lower() for requirement in project["dependencies"]}
    assert asked <= locked
    assert all(re.search(r">=\d", requirement) for requirement in project["dependencies"]), "a lower bound for each"
