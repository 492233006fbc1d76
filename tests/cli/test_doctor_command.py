"""`driftline doctor`: what it finds, what the bundle holds, and what it must never hold."""

from __future__ import annotations

import json
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.adapters.http import HttpServer
from monitor.adapters.http_answers import Snapshot
from monitor.adapters.http_token import TokenFile
from monitor.cli.doctor_look import of_view
from monitor.cli.version import release
from monitor.config import load
from monitor.readiness import Check
from monitor.view import Build, encode
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline
from tests.telemetry.samples import sample_view

CANARY = 'canary-7f3a"quoted\\9'
SOUND = (Check("group", True, "joined"),)


@pytest.fixture
def serving() -> Iterator[tuple[HttpServer, dict[str, Snapshot]]]:
    """A daemon's door, and what it hands out."""
    now = {"snapshot": Snapshot(status=encode(sample_view()), checks=SOUND)}
    server = HttpServer("127.0.0.1", 0, lambda: now["snapshot"], lambda: 0)
    server.start()
    yield server, now
    server.stop()


def opened(path: Path) -> dict[str, str]:
    """The files of a bundle by name."""
    with tarfile.open(path) as tar:
        found = {}
        for entry in tar:
            file = tar.extractfile(entry)
            assert file is not None
            assert entry.mode == 0o600
            found[entry.name.removeprefix("driftline-doctor/")] = file.read().decode()
    return found


def test_a_sound_deployment_has_no_error_and_a_whole_bundle(
    deployment: Deployment, serving: tuple[HttpServer, dict[str, Snapshot]], tmp_path: Path
) -> None:
    server, _ = serving
    bundle = tmp_path / "bundle.tar.gz"
    told = driftline("doctor", *deployment.where, "--url", server.url, "--to", bundle, "-o", "json")
    assert told.code == 0, told.out
    document = json.loads(told.out)
    assert document["ok"]
    assert document["bundle"] == str(bundle)
    files = opened(bundle)
    assert set(files) == {
        "machine.json", "configuration.yaml", "topics.json", "internal-topics.json", "generations.json", "livez.txt",
        "readyz.txt", "metrics.txt", "status.json", "findings.json",
    }  # fmt: skip
    assert set(document["files"]) == set(files)
    assert json.loads(files["machine.json"])["driftline"] == release()
    assert json.loads(files["findings.json"]) == document["findings"]
    assert [each["number"] for each in json.loads(files["generations.json"])] == [1]
    assert json.loads(files["internal-topics.json"])["small.ledger"][0] > 0
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


def test_no_secret_is_in_the_bundle_or_on_the_screen(
    deployment: Deployment, serving: tuple[HttpServer, dict[str, Snapshot]], tmp_path: Path
) -> None:
    server, now = serving
    (tmp_path / "password").write_text(CANARY + "\n")
    config = tmp_path / "secret.yaml"
    config.write_text(
        deployment.config.read_text()
        + f"\nkafka:\n  bootstrap_servers: localhost:1\n  properties: {{sasl.password_file: {tmp_path / 'password'}}}\n"
    )
    log = tmp_path / "driftline.log"
    log.write_text(
        f"failed with {CANARY} in it\n" + json.dumps({"message": CANARY}) + "\n"
        "sasl.password=other-secret-1 other-secret-7\ntoken: 'other-secret-2'\nbasic.auth.user.info=user:other-secret-8\n"
        "password: |\n  other-secret-9\n  other-secret-10\nhttps://other-secret-11@host https://u:p@other-secret-12@host/x\n"
        '{"secret": "a\\"other-secret-13"}\n'
        'Authorization: Bearer other-secret-3333\nhttps://user:other-secret-4@host/x\n{"api_key": "other-secret-5"}\n'
        "-----BEGIN PRIVATE KEY-----\nother-secret-6\n-----END PRIVATE KEY-----\nand this line stays\n"
    )
    now["snapshot"] = replace(now["snapshot"], checks=(Check("client", False, f"broker said {CANARY}"),))
    bundle = tmp_path / "bundle.tar.gz"
    where = ("-c", config, "--embedded", deployment.log)
    told = driftline("doctor", *where, "--url", server.url, "--log", log, "--to", bundle)
    assert told.code == 1
    files = opened(bundle)
    assert "broker said [redacted]" in files["readyz.txt"]
    assert "and this line stays" in files["logs/driftline.log"]
    for text in (*files.values(), told.out, told.err):
        assert CANARY not in text
        assert json.dumps(CANARY)[1:-1] not in text
        assert "other-secret" not in text


def test_mistakes_in_the_configuration_are_findings_and_the_rest_is_looked_at(
    serving: tuple[HttpServer, dict[str, Snapshot]], tmp_path: Path
) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("streams: {predictions: {topic: p, fields: {}}}\nwindows: [1x]\n")
    told = driftline("doctor", "-c", config, "--url", serving[0].url, "-o", "json")
    assert told.code == 1
    findings = json.loads(told.out)["findings"]
    assert len([each for each in findings if each["what"] == "configuration" and each["level"] == "error"]) >= 2
    assert any(each["what"] == "ready" and each["level"] == "ok" for each in findings)


def test_a_mistake_in_the_configuration_does_not_let_its_secrets_out(tmp_path: Path) -> None:
    config, log, bundle = tmp_path / "bad.yaml", tmp_path / "driftline.log", tmp_path / "bundle.tar.gz"
    log.write_text("refused [hunter22hunter]\n")
    config.write_text("windows: [1x]\nkafka: {properties: {sasl.password: hunter22hunter}}\n")
    driftline("doctor", "-c", config, "--no-daemon", "--log", log, "--to", bundle)
    assert opened(bundle)["logs/driftline.log"] == "refused [[redacted]]\n"
    bundle.unlink()
    config.write_text("windows: [1x\nkafka: {properties: {sasl.password: hunter22hunter}}\n")
    told = driftline("doctor", "-c", config, "--no-daemon", "--log", log, "--to", bundle)
    assert "left out" in told.out
    assert not any("hunter22" in text for text in (*opened(bundle).values(), told.out, told.err))


def test_a_daemon_that_is_not_there_is_one_finding(deployment: Deployment) -> None:
    told = driftline("doctor", *deployment.where, "--url", "http://127.0.0.1:9", "-o", "json")
    assert told.code == 1
    errors = [each for each in json.loads(told.out)["findings"] if each["level"] == "error"]
    assert [each["what"] for each in errors] == ["daemon"]
    assert "Is `driftline run` up" in errors[0]["value"]
    assert driftline("doctor", *deployment.where, "--no-daemon").code == 0


def test_the_token_is_sent_kept_out_of_the_bundle_and_its_lack_is_said(deployment: Deployment, tmp_path: Path) -> None:
    secret, bundle, log = tmp_path / "token", tmp_path / "bundle.tar.gz", tmp_path / "driftline.log"
    secret.write_text("token-canary-41d0\n")
    log.write_text("somebody sent token-canary-41d0\n")
    checks = (*SOUND, Check("client", False, "the broker is away"))
    snapshot = Snapshot(status=encode(sample_view()), checks=checks)
    server = HttpServer("127.0.0.1", 0, lambda: snapshot, lambda: 0, token=TokenFile(str(secret)))
    server.start()

    def errors(*more: str | Path) -> dict[str, str]:
        told = driftline("doctor", *deployment.where, "--url", server.url, "-o", "json", *more)
        return {each["what"]: each["value"] for each in json.loads(told.out)["findings"] if each["level"] == "error"}

    try:
        of_config = errors("--set", f"http.token_file={secret}", "--log", log, "--to", bundle)
        assert of_config == {"ready": "client: the broker is away"}
        files = opened(bundle)
        assert json.loads(files["status.json"])["namespace"] == sample_view().namespace
        assert files["logs/driftline.log"] == "somebody sent [redacted]\n"
        assert not any("token-canary-41d0" in text for text in files.values())
        assert errors("--token-file", secret) == of_config
        without = errors()
        assert without["ready"] == "not ready: client; see ?verbose"
        assert without["token"] == f"{server.url} tells its numbers only to who has its token, and none was sent"
        missing = driftline("doctor", *deployment.where, "--url", server.url, "--token-file", tmp_path / "none")
        assert "cannot be read" in missing.out
    finally:
        server.stop()


def test_a_mistake_elsewhere_does_not_let_the_token_out(tmp_path: Path) -> None:
    config, log, bundle = tmp_path / "bad.yaml", tmp_path / "driftline.log", tmp_path / "bundle.tar.gz"
    (tmp_path / "t").write_text("token-canary-41d0\n")
    log.write_text("somebody sent token-canary-41d0\n")
    config.write_text("windows: [1x]\nhttp: {token_file: t}\n")
    driftline("doctor", "-c", config, "--no-daemon", "--log", log, "--to", bundle)
    assert opened(bundle)["logs/driftline.log"] == "somebody sent [redacted]\n"


def test_a_bundle_takes_the_place_of_nothing(deployment: Deployment, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    told = driftline("doctor", *deployment.where, "--no-daemon", "--to", there)
    assert told.code == 2
    assert there.read_text() == "mine"


def test_what_a_status_says_is_found(deployment: Deployment) -> None:
    config = load([deployment.config], [], environ={})
    view = sample_view(partitions=2)
    first, second = view.partitions
    lost = replace(first, conservation=replace(first.conservation, labels_accounted=first.conservation.labels_read - 2))
    found = list(of_view(replace(view, build=Build("0.0.1", "3.11"), partitions=(lost, second)), config))
    by_level = {(str(each.level), each.what) for each in found}
    assert ("error", f"partition {first.partition}") in by_level
    assert ("advice", "release") in by_level
    assert ("warning", "configuration in use") in by_level
