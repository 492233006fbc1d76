"""Jars come by hash: what was changed, cut short or is missing is never used."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka import fixtures, jars
from tests.kafka.jars import BrokerUnavailable, broker_jars, differences, listed

FOLDER = f"kafka-{jars.KAFKA_VERSION}"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, bytes]]:
    """What `Maven` will deliver, one item per fetch; the committed list holds one jar, b"good"."""
    planned: list[dict[str, bytes]] = []

    def fetch(folder: Path) -> None:
        folder.mkdir()
        for name, content in planned.pop(0).items():
            (folder / name).write_bytes(content)

    listing = tmp_path / "jars.sha256"
    listing.write_text(f"{hashlib.sha256(b'good').hexdigest()}  a.jar\n")
    monkeypatch.setattr(jars, "LIST", listing)
    monkeypatch.setattr(jars, "_fetch", fetch)
    return planned


def test_the_committed_list_names_the_broker_of_the_version() -> None:
    names = listed()
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in names
    assert all(len(digest) == 64 for digest in names.values())


def test_what_is_there_and_right_is_not_fetched_again(deliveries: list[dict[str, bytes]], tmp_path: Path) -> None:
    deliveries.append({"a.jar": b"good"})
    assert broker_jars(tmp_path / "cache") == broker_jars(tmp_path / "cache") == tmp_path / "cache" / FOLDER
    assert deliveries == []


@pytest.mark.parametrize("damage", [b"", b"goo", b"evil"])
def test_a_damaged_cache_is_fetched_again(deliveries: list[dict[str, bytes]], tmp_path: Path, damage: bytes) -> None:
    deliveries += [{"a.jar": b"good"}, {"a.jar": b"good"}]
    jar = broker_jars(tmp_path) / "a.jar"
    jar.write_bytes(damage)
    assert (broker_jars(tmp_path) / "a.jar").read_bytes() == b"good"
    assert deliveries == []


@pytest.mark.parametrize(
    ("delivered", "sentence"),
    [
        ({"a.jar": b"evil"}, "a.jar has another SHA-256"),
        ({}, "a.jar is missing"),
        ({"a.jar": b"good", "b.jar": b"extra"}, "b.jar is not listed"),
    ],
)
def test_other_files_than_listed_are_refused_and_not_kept(
    deliveries: list[dict[str, bytes]], tmp_path: Path, delivered: dict[str, bytes], sentence: str
) -> None:
    deliveries.append(delivered)
    with pytest.raises(BrokerUnavailable, match=sentence):
        broker_jars(tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_equal_sets_have_no_differences() -> None:
    assert differences({"a": "1"}, {"a": "1"}) == []
    assert differences({"a": "1"}, {"a": "2"}) == ["a has another SHA-256"]


def test_without_java_and_maven_the_message_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BrokerUnavailable, match=r"java is missing \(Debian: default-jre-headless\).*mvn is missing"):
        broker_jars(tmp_path)


def test_in_ci_a_missing_broker_is_a_failure_and_elsewhere_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Java"):
        fixtures.unavailable("no Java")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no Java"):
        fixtures.unavailable("no Java")


@pytest.mark.slow
def test_two_runs_may_start_cold_at_once(tmp_path: Path) -> None:
    script = "import pathlib, sys, tests.kafka.jars as jars; jars.broker_jars(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path)]
    runs = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    notes = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], notes
    assert sum("fetching Apache Kafka" in note for note in notes) == 1
    assert jars.digests(tmp_path / FOLDER) == listed()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("fetch-")] == []
