"""A broker that is not there: one sentence, exit code 69, soon; what librdkafka says about it is for who debugs it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.timing import quickest

CONFIG = """
namespace: nowhere
kafka: {bootstrap_servers: "127.0.0.1:1"}
streams:
  predictions:
    topic: scores
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: $.at, score: $.score}
  labels: {topic: truth, fields: {id: $.id, at: $.at, label: $.label}}
models: [{name: m}]
http: {port: 0}
"""
SENTENCE = "driftline: no Kafka broker answers at 127.0.0.1:1 (Connection refused). Is one running there"
COMMANDS = (
    "run -c {config}",
    "check -c {config} --live",
    "windows -c {config}",
    "alerts list -c {config}",
    "alerts tail -c {config}",
    "dlq list -c {config}",
    "ledger audit -c {config}",
    "ledger cat -c {config}",
    "reference build -c {config} --first 5 -o -",
    "init --bootstrap 127.0.0.1:1 --from-topic scores",
    "produce scores {config} --bootstrap 127.0.0.1:1",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unreachable") / "d.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:2]))
def test_a_broker_that_is_not_there_is_one_sentence_within_seconds(command: str, config: Path) -> None:
    program = Path(sys.executable).with_name("driftline")

    def ends() -> float:
        began = time.monotonic()
        done = subprocess.run(
            [program, *command.format(config=config).split()], capture_output=True, text=True, check=False
        )
        ended = time.monotonic()
        assert (done.returncode, done.stdout) == (69, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(SENTENCE)
        return ended - began

    assert quickest(ends, 8) < 8  # 2 s of patience; the rest is for a busy machine


def test_who_debugs_it_gets_what_the_client_says(config: Path) -> None:
    program = Path(sys.executable).with_name("driftline")
    done = subprocess.run([program, "run", "-c", config, "-v"], capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert "DEBUG driftline.kafka" in done.stderr
