"""`driftline registry`, and `python -m registry` where nothing else is installed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from registry import codec
from registry.digest import digest_of
from registry.directory import DirectoryStore
from registry.onnx_models import OnnxScorer
from registry.probe import probe_of
from tests.cli.driving import Outcome, driftline
from tests.registry import models
from tests.registry.test_reader import ROWS

ROOT = Path(__file__).parents[2]


class Shell:
    """A registry in a directory, and commands on it as one of several people."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"

    def __call__(self, *args: object, actor: str = "ada") -> Outcome:
        named = ("--actor", actor) if args[0] in _ACTING else ()
        return driftline("registry", *args, *named, "--store", self.store)

    def fine(self, *args: object, actor: str = "ada") -> Outcome:
        done = self(*args, actor=actor)
        assert done.code == 0, done.err
        return done

    def file(self, name: str, body: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(body)
        return path


_ACTING = {"add", "promote", "rollback", "freeze", "unfreeze", "protect", "retire", "approve"}
WHY = ("--reason", "because")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def fraud(shell: Shell) -> Shell:
    """fraud@1, fraud@2 and fraud@3, registered by ada."""
    for weight in (1, 2, 3):
        shell.fine("add", shell.file("model.json", models.json_model(weight)), "--name", "fraud")
    return shell


def test_a_model_that_exists_already_is_added_listed_shown_and_verified(shell: Shell) -> None:
    onnx = shell.file("model.onnx", models.linear([0.1, 0.2]))
    outputs = OnnxScorer(onnx).score({"features": ROWS})
    probe = shell.file("probe.json", codec.encode(probe_of({"features": ROWS}, outputs)))
    facts = (
        "--probe",
        probe,
        "--code-revision",
        "abc",
        "--param",
        "depth=6",
        "--param",
        "kind=tree",
        "--env",
        "python=3.11",
    )
    added = shell.fine("add", onnx, "--name", "fraud", *facts, "--owner", "team-fraud", "-o", "json").json
    assert (added["version"], added["new"], added["registered_by"]) == (1, True, "ada")
    again = shell.fine("add", onnx, "--name", "fraud", *facts, "--owner", "team-fraud", "-o", "json", actor="bob").json
    assert again == {**added, "new": False}
    shown = shell.fine("show", "fraud@1", "-o", "json").json
    assert (shown["manifest"], shown["aliases"], shown["retired"]) == (added["manifest"], [], False)
    assert shown["content"]["params"] == {"depth": 6, "kind": "tree"}
    assert shown["content"]["environment"] == {"python": "3.11"}
    assert shell.fine("list", "-o", "json").json["models"] == [
        {"model": "fraud", "versions": 1, "aliases": {}, "frozen": []}
    ]
    assert shell.fine("list", "fraud", "-o", "json").json["versions"][0]["version"] == 1
    assert shell.fine("verify", "fraud", "--score", "-o", "json").json["versions"] == [
        {"version": 1, "whole": True, "faults": [], "behaviour": "bits"}
    ]
    assert "# fraud, version 1" in shell.fine("card", "fraud@1").out
    for table in (
        ("list",),
        ("list", "fraud"),
        ("show", "fraud@1"),
        ("verify", "fraud"),
        ("history", "fraud"),
        ("fsck",),
        ("gc",),
    ):
        assert shell.fine(*table).out.strip()


def test_a_probe_set_is_made_of_inputs_and_kept_with_the_model(shell: Shell) -> None:
    onnx = shell.file("model.onnx", models.linear([0.1, 0.2]))
    made = driftline("registry", "probe", onnx, shell.file("inputs.json", b'{"features": [[1, 2], [3.5, -4]]}'))
    assert (made.code, made.err) == (0, "driftline: probe set of features [2, 2]\n")
    shell.fine("add", onnx, "--name", "fraud", "--probe", shell.file("probe.json", made.out.strip().encode()))
    assert "bytes and behaviour, to the bit" in shell.fine("verify", "fraud@1", "--score").out
    other = shell.file("model.onnx", models.linear([0.1, 0.3]))
    shell.fine("add", other, "--name", "fraud", "--probe", shell.directory / "probe.json")
    wrong = shell("verify", "fraud", "--score")
    assert wrong.code == 1
    assert "version fraud@2 does not behave as registered: output 'score': 2 of 2 values differ" in wrong.err
    for body, words in (
        (b'{"x": [[1]]}', "holds x; the model takes features"),
        (b'{"features": [[1], [1, 2]]}', "is no array"),
    ):
        said = driftline("registry", "probe", onnx, shell.file("inputs.json", body))
        assert (said.code, words in said.err) == (1, True), said.err


def test_a_model_that_cannot_be_scored_here_is_no_fault(fraud: Shell) -> None:
    done = fraud.fine("verify", "fraud@1", "--score")
    assert "whole" in done.out
    assert "bytes; it cannot be scored here: it has 0 ONNX files" in done.out
    (line,) = fraud.fine("verify", "fraud@1", "--score", "-o", "json").json["versions"]
    assert line == {"version": 1, "whole": True, "faults": [], "behaviour": None, "not_scored": "has 0 ONNX files"}
    digest = fraud.fine("show", "fraud@1", "-o", "json").json["content"]["files"][0]["digest"]
    next((fraud.store / "blobs").rglob(digest.removeprefix("sha256:"))).unlink()
    assert fraud("verify", "fraud@1", "--score").code == 1


def test_a_dataset_that_is_not_in_the_store_is_said_to_be_elsewhere(shell: Shell) -> None:
    store = DirectoryStore(shell.store)
    blob = store.put_blob([b"rows"]).digest
    version = digest_of(b"a manifest")
    store.create_document(f"datasets/versions/{version.removeprefix('sha256:')}", b"a manifest")
    gone = digest_of(b"nowhere")
    words = f"driftline: dataset {gone} is not in this store"
    for weight, (dataset, missing) in enumerate([(blob, False), (version, False), (gone, True), (gone, True)]):
        model = shell.file("model.json", models.json_model(weight))
        as_json = ("-o", "json") if weight == 3 else ()
        done = shell.fine("add", model, "--name", "fraud", "--dataset", dataset, *as_json)
        assert (words in done.err) is missing, done.err
        assert "is not in this store" not in done.out


def test_a_directory_is_one_model(shell: Shell) -> None:
    (shell.directory / "bundle" / "sub").mkdir(parents=True)
    shell.file("bundle/m.onnx", models.with_outside_data("sub/w.bin"))
    shell.file("bundle/sub/w.bin", b"\0" * 24)
    shell.fine("add", shell.directory / "bundle", "--name", "fraud")
    files = shell.fine("show", "fraud@1", "-o", "json").json["content"]["files"]
    assert [file["path"] for file in files] == ["m.onnx", "sub/w.bin"]


def test_a_pickle_is_refused_with_code_3_and_nothing_is_kept(shell: Shell) -> None:
    done = shell("add", shell.file("model.onnx", pickle.dumps(print)), "--name", "fraud")
    assert (done.code, done.out) == (3, "")
    assert "model.onnx: pickle: a pickle that imports builtins.print\nExport the model as ONNX" in done.err
    assert not shell.store.exists()


def test_the_aliases_go_through_a_life(fraud: Shell) -> None:
    assert fraud.fine("promote", "fraud@1", *WHY).out == "1: promote 1 as champion\n"
    fraud.fine("protect", "fraud", "--approvals", 1, *WHY)
    refused = fraud("promote", "fraud@2", *WHY)
    assert refused.code == 3
    assert "driftline registry approve fraud@2 --alias champion --reason" in refused.err
    assert fraud("approve", "fraud@2", *WHY).code == 3  # she registered it
    fraud.fine("approve", "fraud@2", *WHY, actor="bob")
    moved = fraud.fine("promote", "fraud@2", *WHY, "--replaces", 1, "-o", "json").json
    assert (moved["changed"], moved["move"]["kind"], moved["move"]["replaces"]) == (True, "promote", 1)
    assert fraud.fine("promote", "fraud@2", *WHY, "-o", "json").json == {"changed": False}
    stale = fraud("promote", "fraud@3", *WHY, "--replaces", 1)
    assert (stale.code, "the alias points at version 2" in stale.err) == (3, True)
    fraud.fine("freeze", "fraud", *WHY)
    assert fraud("rollback", "fraud", "--automatic", *WHY).code == 3
    fraud.fine("rollback", "fraud", *WHY)
    fraud.fine("unfreeze", "fraud", *WHY)
    fraud.fine("retire", "fraud@2", *WHY)
    assert fraud("promote", "fraud@2", *WHY).code == 3
    moves = fraud.fine("history", "fraud@champion", "-o", "json").json["moves"]
    kinds = ["promote", "protect", "approve", "promote", "freeze", "rollback", "unfreeze", "retire"]
    assert [move["kind"] for move in moves] == kinds
    assert {move["verdict"] for move in moves} == {"accepted"}
    listed = fraud.fine("list", "fraud", "-o", "json").json["versions"]
    assert [(v["version"], v["aliases"], v["retired"]) for v in listed] == [
        (1, ["champion"], False),
        (2, [], True),
        (3, [], False),
    ]


def test_history_tells_where_aliases_stood(fraud: Shell) -> None:
    fraud.fine("promote", "fraud@1", *WHY)
    assert fraud.fine("history", "fraud", "--at", "2013-01-05", "-o", "json").json["aliases"] == {}
    later = fraud.fine("history", "fraud", "--at", "2100-01-01", "-o", "json").json
    assert later["aliases"] == {"champion": {"version": 1, "frozen": False}}
    assert "champion" in fraud.fine("history", "fraud", "--at", "2100-01-01").out


def test_fsck_names_a_flipped_byte_with_code_1(fraud: Shell) -> None:
    fraud.fine("promote", "fraud@1", *WHY)
    assert fraud.fine("fsck").out == "whole\n"
    witness = fraud.file("champion.json", fraud.fine("state", "fraud@champion").out.encode())
    assert fraud.fine("fsck", "--state", witness, "-o", "json").json == {"whole": True, "findings": []}
    blob = next(path for path in fraud.store.glob("blobs/*/*") if b"weights" in path.read_bytes())
    blob.write_bytes(blob.read_bytes().replace(b"[", b"("))
    found = fraud("fsck", "-o", "json")
    assert (found.code, found.json["whole"]) == (1, False)
    assert any(blob.name in line["what"] for line in found.json["findings"])
    assert fraud("verify", "fraud").code == 1
    assert blob.name in fraud("fsck").out


def test_gc_only_says_what_it_would_do_unless_told(fraud: Shell) -> None:
    from registry.directory import DirectoryStore

    orphan = DirectoryStore(fraud.store).put_blob([b"orphan"]).digest
    os.utime(next(fraud.store.glob(f"blobs/*/{orphan[7:]}")), (1, 1))
    assert fraud.fine("gc", "-o", "json").json["removable"] == [orphan]
    assert "nothing was removed" in fraud.fine("gc").err
    assert fraud.fine("gc", "--delete", "--grace", "36h", "-o", "json").json["removed"] == {"blobs": 1, "spared": 0}
    assert fraud.fine("gc", "-o", "json").json["removable"] == []
    assert fraud.fine("fsck").out == "whole\n"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("show", "fraud"), 2, "say which version"),
        (("show", "fraud@9"), 1, "It has versions 1 to 3"),
        (("show", "fraud@shadow"), 1, "points at nothing"),
        (("show", "frod@1"), 1, "Did you mean 'fraud'?"),
        (("promote", "fraud@champion", *WHY), 2, "names no version by number"),
        (("promote", "fraud@1"), 2, "--reason"),
        (("promote", "fraud@1", "--reason", " "), 2, "Say why"),
        (("promote", "fraud@1", "--alias", "3", *WHY), 2, "beginning with a letter"),
        (("promote", "fraud@1", "--replaces", "x", *WHY), 2, "neither a version's number nor 'nothing'"),
        (("rollback", "fraud", *WHY), 1, "points at nothing"),
        (("state", "fraud@shadow"), 1, "has never been moved"),
        (("gc", "--grace", "soon"), 2, "is no duration"),
        (("history", "fraud", "--at", "yesterday"), 2, "is no time"),
        (("add", "/dev/null", "--name", "../x"), 2, "cannot be used"),
    ],
)
def test_what_cannot_be_done_is_said(fraud: Shell, args: tuple[str, ...], code: int, words: str) -> None:
    done = fraud(*args)
    assert done.code == code
    assert words in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_where_there_is_no_registry_nothing_is_made(shell: Shell) -> None:
    done = shell("list")
    assert (done.code, shell.store.exists()) == (1, False)
    assert "`driftline registry add` makes one" in done.err


def test_where_the_registry_is_may_come_from_the_environment(fraud: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert driftline("registry", "list").code == 2
    monkeypatch.setenv("DRIFTLINE_STORE", str(fraud.store))
    assert driftline("registry", "list", "-o", "json").json["models"][0]["model"] == "fraud"


def test_a_long_copy_says_how_far_it_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry.cli.common import Copying

    monkeypatch.setattr(Copying, "LINE_EVERY_S", 0.0)
    body = json.dumps({"weights": [0.123] * 600_000}).encode()
    added = shell.fine("add", shell.file("model.json", body), "--name", "fraud")
    assert "driftline: copying 1.0 MiB of 4.0 MiB" in added.err


ALONE = """
import sys
for name in ("monitor", "pipelines", "confluent_kafka", "scipy", "pydantic", "onnxruntime"):
    sys.modules[name] = None
from registry.__main__ import main
main()
"""


def test_the_registry_works_where_the_other_packages_cannot_be_imported(shell: Shell) -> None:
    def alone(*args: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", ALONE, *map(str, args), "--store", str(shell.store)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    model = shell.file("model.json", models.json_model(1))
    assert alone("add", model, "--name", "fraud").stdout == "fraud@1\n"
    assert alone("promote", "fraud@1", *WHY).returncode == 0
    assert json.loads(alone("list", "-o", "json").stdout)["models"][0]["aliases"] == {"champion": 1}
    assert alone("show", "fraud@2").returncode == 1
    assert alone("retire", "fraud@1", *WHY).returncode == 3
    assert alone("show", "fraud").returncode == 2
    assert alone("fsck").stdout == "whole\n"
