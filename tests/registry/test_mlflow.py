"""Versions of MLflow become versions here, once each; what is refused is told; nobody's credentials are seen."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.models_topic import LogTopic
from registry import codec, mlflow_import
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.digest import digest_of
from registry.directory import DirectoryStore
from registry.errors import SourceError
from registry.mlflow import IMPORTS, Imported, bare, proxied
from registry.mlflow_server import TRIES, Credentials, MlflowServer
from registry.publication import decode_state
from tests.cli.conftest import CONFIG
from tests.cli.driving import Outcome, driftline
from tests.registry import models
from tests.registry.mlflow import ARTIFACTS, Answer, FakeMlflow, MlflowUnavailable, RealMlflow

MLMODEL = b"""flavors:
  onnx: {data: model.onnx}
  python_function: {loader_module: mlflow.onnx}
mlflow_version: 3.17.2
saved_input_example_info: {artifact_path: input_example.json}
signature: {inputs: '[{"name": "x"}]', outputs: '[{"name": "y"}]', params: null}
"""
GOLDEN = (
    b'{"aliases":["champion"],"at_ms":2,"by":"ada","created_ms":1,"description":"","files":[{"hex":null,"path":"MLmodel",'
    b'"size_bytes":3}],"findings":[],"flavors":["onnx"],"format":1,"manifest":null,"metrics":{"auc":0.5},"mlflow":"3",'
    b'"model":"fraud","number":null,"params":{"depth":"6"},"run":"r","run_tags":{},"server":"https://there","signature":{},'
    b'"source":"models:/m-1","stage":"None","tags":{"team":"risk"},"version":"1"}'
)


def bundle(weight: float) -> dict[str, bytes]:
    """An ONNX model as MLflow lays it out."""
    return {
        "MLmodel": MLMODEL, "model.onnx": models.linear([weight]), "requirements.txt": b"onnx==1.20.0\nnumpy>=2\n",
        "input_example.json": b'{"x": [1.0]}', "conda.yaml": b"{}",
    }  # fmt: skip


class Desk:
    def __init__(self, server: FakeMlflow | RealMlflow, store: Path) -> None:
        self.server, self.store = server, store

    def __call__(self, *more: object, uri: str | None = None) -> Outcome:
        where = ("--from", uri or self.server.url, "--store", self.store, "--actor", "ada")
        return driftline("registry", "import-mlflow", "fraud", *where, *more)

    @property
    def catalog(self) -> Catalog:
        return Catalog(DirectoryStore(self.store))

    def aliases(self) -> dict[str, int | None]:
        return {name: at.version for name, at in Aliases(self.catalog).state("fraud").aliases.items()}

    def files(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(self.store.rglob("*")) if p.is_file()}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMlflow]:
    for name in ("URI", "TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setattr("registry.mlflow_server.PAUSE_SECS", 0.0)
    with FakeMlflow() as server:
        yield server


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    if request.param == "fake":
        yield Desk(request.getfixturevalue("fake"), tmp_path / "store")
        return
    (tmp_path / "server").mkdir()
    try:
        real = RealMlflow(tmp_path / "server")
    except MlflowUnavailable as error:
        pytest.skip(str(error))
    with real:
        yield Desk(real, tmp_path / "store")


def filled(desk: Desk) -> Desk:
    desk.server.register("fraud")
    desk.server.add("fraud", bundle(1.0), params={"depth": "6"}, auc=0.5)
    desk.server.add("fraud", {"MLmodel": b"flavors: {sklearn: {}}", "model.pkl": pickle.dumps([1])})
    desk.server.add("fraud", {"MLmodel": b"", "model.json": pickle.dumps([1])})
    desk.server.add("fraud", bundle(2.0), params={"depth": "7"}, auc=0.75)
    desk.server.point("fraud", "champion", "4")
    return desk


def test_versions_come_over_once_with_what_is_known_of_them(desk: Desk) -> None:
    filled(desk)
    done = desk("-o", "json")
    assert done.code == 3, done.err
    found = {each["mlflow"]: (each["outcome"], each["version"]) for each in done.json["versions"]}
    assert found == {"1": ("imported", 1), "2": ("refused", None), "3": ("refused", None), "4": ("imported", 2)}
    why = [" ".join(each["findings"]) for each in done.json["versions"]]
    assert why[1].startswith("model.pkl: pickle: files of the suffix .pkl are never taken")
    assert why[2].startswith("model.json: pickle:")
    catalog = desk.catalog
    manifest = catalog.manifest(catalog.version("fraud", 2))
    assert [(file.path, file.digest) for file in manifest.files] == [("model.onnx", digest_of(models.linear([2.0])))]
    assert manifest.params == {"depth": "7"}
    assert manifest.environment["onnx"] == "1.20.0"
    assert manifest.environment["mlflow.server"] == desk.server.url
    assert manifest.environment["mlflow.version"] == "4"
    kept = mlflow_import.imported(catalog, "fraud", 2)
    assert kept is not None
    assert (kept.aliases, kept.tags, kept.metrics) == (("champion",), {"team": "risk"}, {"auc": 0.75})
    assert kept.signature == {"inputs": '[{"name": "x"}]', "outputs": '[{"name": "y"}]'}
    assert kept.flavors == ("onnx", "python_function")
    assert desk.aliases() == {}, "aliases of MLflow move nothing"
    assert driftline("registry", "verify", "fraud@2", "--store", desk.store).code == 0
    fsck = driftline("registry", "fsck", "--store", desk.store, "-o", "json")
    assert (fsck.code, fsck.out.count("unfollowed")) == (0, 0)
    shown = driftline("registry", "show", "fraud@2", "--store", desk.store)
    assert f"version 4 of fraud in MLflow at {desk.server.url}" in shown.out
    assert "auc 0.75" in shown.out
    before = desk.files()
    again = desk("-o", "json")
    assert [each["outcome"] for each in again.json["versions"]] == ["present", "refused", "refused", "present"]
    assert desk.files() == before


def test_an_alias_moves_only_where_it_was_asked_for(desk: Desk) -> None:
    filled(desk)
    moved = desk("--alias", "champion=live", "-o", "json").json["aliases"]
    assert (moved, desk.aliases()) == ([{"alias": "live", "version": 2, "moved": True}], {"live": 2})
    assert desk("--alias", "champion=live", "-o", "json").json["aliases"][0]["moved"] is False
    assert len(Aliases(desk.catalog).history("fraud")) == 1
    assert "points at no version" in desk("--alias", "nobody=live").err
    desk.server.point("fraud", "champion", "2")
    refused = desk("--alias", "champion=live")
    assert refused.code == 1
    assert "was not imported" in refused.err
    assert desk.aliases() == {"live": 2}


def test_an_alias_that_was_asked_for_is_published_where_it_is_said_where(fake: FakeMlflow, tmp_path: Path) -> None:
    desk, (config, log) = filled(Desk(fake, tmp_path / "store")), (tmp_path / "d.yaml", tmp_path / "log")
    config.write_text(CONFIG)
    topic = LogTopic(log, "small.models")
    topic.publish([])
    where = ("-c", config, "--embedded", log)
    assert (desk(*where).code, list(topic.read())) == (3, []), "no alias was asked for"
    done = desk("--alias", "champion=live", *where)
    assert (done.code, "fraud/live is published to small.models" in done.err) == (3, True), done.err
    assert [decode_state(record.value).version for record in topic.read()] == [2]
    lost = desk("--alias", "champion=live", "--bootstrap", "127.0.0.1:1")
    assert (lost.code, "the move is done, and not published: " in lost.err) == (69, True)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_the_client_of_mlflow_logs_is_understood(tmp_path: Path) -> None:
    """LoggedModels of MLflow 3: their files are not those of the run."""
    (tmp_path / "server").mkdir()
    try:
        server = RealMlflow(tmp_path / "server")
    except MlflowUnavailable as error:
        pytest.skip(str(error))
    script = (
        "import mlflow.sklearn, sklearn.linear_model as s\n"
        "m = s.LogisticRegression().fit([[0], [1]], [0, 1])\n"
        "mlflow.start_run()\n"
        "mlflow.sklearn.log_model(m, name='m', registered_model_name='fraud', serialization_format='cloudpickle')\n"
    )
    with server:
        made = subprocess.run([server.python, "-c", script], env=server.environment(), capture_output=True, check=False)
        assert made.returncode == 0, made.stderr[-2000:]
        done = Desk(server, tmp_path / "store")("-o", "json")
    assert [each["outcome"] for each in done.json["versions"]] == ["refused"]
    assert done.json["versions"][0]["findings"][0].startswith("model.pkl: pickle")


# ------------------------------------------------------------------------------------------- on the one in this process


def test_a_process_killed_at_any_write_goes_on_where_it_was(fake: FakeMlflow, tmp_path: Path, monkeypatch: Any) -> None:
    whole = filled(Desk(fake, tmp_path / "whole"))
    whole()
    kept = DirectoryStore.create_document, DirectoryStore.create_entry, DirectoryStore.put_blob
    desk = Desk(fake, tmp_path / "store")
    left = 0

    class Killed(BaseException):
        pass

    def dying(call: Any) -> Any:
        def inner(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*args, **more)

        return inner

    names = ("create_document", "create_entry", "put_blob")
    for at in range(40):
        left = at
        for name, call in zip(names, kept, strict=True):
            monkeypatch.setattr(DirectoryStore, name, dying(call))
        server = MlflowServer(fake.url, Credentials())
        importing = mlflow_import.Importing(server, desk.catalog, "fraud", "ada")
        try:
            list(importing.all(server.model("fraud"), server.versions("fraud"), 5))
        except Killed:
            continue
        finally:
            for name, call in zip(names, kept, strict=True):
                monkeypatch.setattr(DirectoryStore, name, call)
        break
    else:
        pytest.fail("it never came to its end")
    assert at > 3
    assert len(desk.catalog.versions("fraud")) == 2, "a retry is no second version"
    documents = {each for each in desk.files() if IMPORTS in each}
    assert len(documents) == 4
    assert [v.entry.run for v in desk.catalog.versions("fraud")] == [
        v.entry.run for v in whole.catalog.versions("fraud")
    ]


def test_a_refused_version_is_not_fetched_and_not_asked_for_again(fake: FakeMlflow, tmp_path: Path) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    desk()
    assert not any("model.pkl" in each for each in fake.asked), "its name is enough"
    fake.asked.clear()
    desk()
    assert not any(ARTIFACTS in each for each in fake.asked)
    desk("--refused-again")
    assert any(each.endswith("model.json") for each in fake.asked)


def test_credentials_are_sent_and_never_seen(fake: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    (tmp_path / "token").write_text("s3cret-token\n")
    (tmp_path / "password").write_text("s3cret-word\n")
    said = []
    fake.headers.clear()
    said.append(desk("--token-file", tmp_path / "token"))
    assert {each["Authorization"] for each in fake.headers} == {"Bearer s3cret-token"}
    fake.headers.clear()
    said.append(desk("--user", "eve", "--password-file", tmp_path / "password"))
    basic = "Basic " + base64.b64encode(b"eve:s3cret-word").decode()
    assert {each["Authorization"] for each in fake.headers} == {basic}
    fake.hook = lambda _: (401, json.dumps({"message": "who are you"}).encode())
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret-of-env")
    said.append(desk())
    assert "says 401: who are you. Give --token-file" in said[-1].err
    said.append(desk(uri="http://eve:s3cret-url@localhost:1"))
    assert "was given with credentials in it" in said[-1].err
    said.append(desk("--token-file", tmp_path / "token", uri="http://mlflow.example"))
    assert "not encrypted" in said[-1].err
    assert not any("s3cret" in each.out + each.err for each in said)
    assert not any(b"s3cret" in body for body in desk.files().values())


def test_a_redirect_is_not_followed(fake: FakeMlflow, tmp_path: Path) -> None:
    with FakeMlflow() as elsewhere:
        fake.hook = lambda url: (302, f"{elsewhere.url}{url}".encode())
        (tmp_path / "token").write_text("secret")
        done = Desk(fake, tmp_path / "store")("--token-file", tmp_path / "token")
        assert done.code == 1
        assert "Redirects are not followed" in done.err
        assert elsewhere.headers == []


def test_a_server_that_stumbles_is_asked_again_and_one_that_lies_is_not_believed(
    fake: FakeMlflow, tmp_path: Path
) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    seen: dict[str, int] = {}

    def stumbles(url: str) -> Answer | None:
        seen[url] = seen.get(url, 0) + 1
        return (503, b"later") if seen[url] < TRIES else None

    fake.hook = stumbles
    assert desk("-o", "json").json["versions"][0]["outcome"] == "imported"
    lies = Desk(fake, tmp_path / "other")
    fake.hook = lambda url: (200, b"short") if url.endswith("model.onnx") else None
    done = lies()
    assert (done.code, "5 bytes came of" in done.err) == (1, True)
    assert lies.catalog.models() == []
    fake.hook = lambda _: (200, b"<html>")
    assert "answered no JSON" in desk().err


def test_limits_and_paths_that_lead_out_are_refused_before_anything_is_fetched(
    fake: FakeMlflow, tmp_path: Path
) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    few = desk("--bytes-max", 10, "--version", 1, "-o", "json").json["versions"]
    assert few[0]["findings"][0].startswith(".: too large: the files have")
    listed = {
        "files": [{"path": "..", "is_dir": False, "file_size": 1}, {"path": "a.onnx", "is_dir": False, "file_size": 1}]
    }
    fake.hook = lambda url: (200, json.dumps(listed).encode()) if "artifacts?path" in url else None
    odd = desk("--version", 4, "-o", "json").json["versions"]
    assert odd[0]["findings"] == ["..: path: the path climbs out of the bundle with '..'"]


def test_files_that_the_server_does_not_give_out_are_told(fake: FakeMlflow, tmp_path: Path) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    fake.of_versions["fraud"][0]["source"] = "s3://key:word@bucket/a?sig=1"
    found = desk("--version", 1, "-o", "json").json["versions"][0]
    assert found["findings"][0].startswith(
        ".: empty: its files are at s3://bucket/a, which this server does not give out"
    )
    fake.of_versions["fraud"][3]["status"] = "PENDING_REGISTRATION"
    later = desk("--version", 4, "-o", "json")
    assert (later.code, later.json["versions"][0]["outcome"]) == (0, "not_ready")


def test_addresses_lose_their_secrets_and_lead_nowhere_else() -> None:
    assert proxied("http://[x", "host") is None
    with pytest.raises(SourceError, match="is none of a server"):
        MlflowServer("http://[x", Credentials())
    assert bare("https://eve:word@there:1/a?sig=x#y") == "https://there:1/a"
    assert proxied("mlflow-artifacts:/0/r/artifacts", "here:1") == "0/r/artifacts"
    assert proxied("mlflow-artifacts://here:1/0/r", "here:1") == "0/r"
    assert proxied("mlflow-artifacts://there:1/0/r", "here:1") is None
    assert proxied("http://there:1/api/2.0/mlflow-artifacts/artifacts/0", "here:1") is None
    with pytest.raises(SourceError, match="is none of a server"):
        MlflowServer("file:///etc", Credentials())
    assert "word" not in repr(Credentials("word", "eve", "word"))


def test_an_import_that_names_another_version_is_found(fake: FakeMlflow, tmp_path: Path) -> None:
    desk = filled(Desk(fake, tmp_path / "store"))
    desk()
    store = DirectoryStore(desk.store)
    name = next(each for each in store.documents(IMPORTS) if each.endswith("version"))
    body = json.loads(store.document(name) or b"")
    forged = json.dumps({**body, "number": 9}, sort_keys=True).encode()
    assert store.create_document(f"{IMPORTS}/fraud/0000000000000000/version", forged)
    done = driftline("registry", "fsck", "--store", desk.store)
    assert (done.code, "it became fraud@9, which is another or none" in done.out) == (1, True)


def test_the_document_is_written_as_it_always_was() -> None:
    read = codec.decode(Imported, GOLDEN, "golden", 1)
    assert codec.encode(read) == GOLDEN
    assert read.tags == {"team": "risk"}


def test_the_registry_alone_has_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "registry", "import-mlflow", "-h"], capture_output=True, text=True, check=False
    )
    assert "Import the versions of a registered model of MLflow" in shown.stdout
