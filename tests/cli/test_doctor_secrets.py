"""What `driftline doctor` hands on holds no secret, however it is written and whatever stands around it."""

from __future__ import annotations

import html
import json
import tarfile
import time
import urllib.parse
from pathlib import Path

import pytest

from monitor.cli.doctor_bundle import REDACTED, Redactor, write_bundle
from tests.cli.driving import driftline

CANARY = "canary-7f3a\"q'<&> ü/%41\\9+@"
KNOWN = Redactor([CANARY])
NOTHING = Redactor([])


@pytest.mark.parametrize(
    "spelled",
    [
        CANARY,
        json.dumps(CANARY)[1:-1],
        json.dumps(CANARY, ensure_ascii=False)[1:-1],
        json.dumps(CANARY)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(CANARY))[3:-3],
        repr(CANARY)[1:-1],
        urllib.parse.quote(CANARY),
        urllib.parse.quote(CANARY, safe=""),
        urllib.parse.quote_plus(CANARY),
        urllib.parse.quote(CANARY, safe="@/+&").lower(),
        urllib.parse.quote(urllib.parse.quote(CANARY, safe="")),
        html.escape(CANARY),
        html.escape(html.escape(CANARY)),
        CANARY.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&#x3E;")
        .replace("'", "&apos;")
        .replace('"', "&#34;"),
    ],
)
def test_a_known_secret_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    assert KNOWN(f"refused {spelled}, try again") == f"refused {REDACTED}, try again"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no host: 'eve:canary@broker:9092'", "no host: '[redacted]@broker:9092'"),
        ("bootstrap_servers: eve:canary@broker:9092", "bootstrap_servers: [redacted]@broker:9092"),
        ("bootstrap_servers=a:9092,eve:can/a@ry@broker:9092,b:1", "bootstrap_servers=[redacted]@broker:9092,b:1"),
        ('{"at": "eve:canary@[::1]:9092"}', '{"at": "[redacted]@[::1]:9092"}'),
        ("< Set-Cookie: session=canary; Path=/; HttpOnly", "< Set-Cookie: [redacted]"),
        ("set-cookie=canary", "set-cookie=[redacted]"),
        ("[('Set-Cookie', 'session=canary'), ('X', 'y')]", "[('Set-Cookie', '[redacted]'), ('X', 'y')]"),
        ("Cookie: a=canary", "Cookie: [redacted]"),
        ("Authorization: ApiKey canary", "Authorization: [redacted]"),
        ("Proxy-Authorization: Digest canary", "Proxy-Authorization: [redacted]"),
        ("https://x/?a=1&X-Amz-Signature=canary", "https://x/?a=1&X-Amz-Signature=[redacted]"),
        ("https://x/?sv=1&sig=canary%3D&se=2", "https://x/?sv=1&sig=[redacted]&se=2"),
        ("sasl.pasword: canary", "sasl.pasword: [redacted]"),
        ("token: 'x' \ntoken: canary", "token: '[redacted]' \ntoken: [redacted]"),
    ],
)  # fmt: skip
def test_what_says_that_it_is_a_secret_is_taken_out(text: str, told: str) -> None:
    assert NOTHING(text) == told
    assert NOTHING(told) == told, "done twice it is the same"


@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "CANARYCANARY1234", "ASIA" + "CANARYCANARY1234", "ghp_" + "canary" * 6, "gho_" + "canary" * 6,
        "github_pat_" + "canary_" * 5, "glpat-" + "canary-x" * 3, "xoxb-" + "1234-canary", "npm_" + "canary" * 6,
        "sk_live_" + "canary" * 4, "sk-" + "canary-" * 5, "AIza" + "canary" * 6, "hf_" + "canary" * 5,
        "hvs." + "canary" * 6, "eyJcanarycanary.eyJcanarycanary.canary", "hooks.slack.com/services/T0/B0/canary",
    ],
)  # fmt: skip
def test_tokens_of_known_makers_are_taken_out_by_their_looks(token: str) -> None:
    for around in ("{}", "said {}.", '"{}"', "x={}&y=1", "({})", "at:{}"):
        text = NOTHING(around.format(token))
        assert "canary" not in text.lower(), text
        assert REDACTED in text


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27T10:00:00.123Z INFO group joined, partition 3: offsets 12:40", "fraud@champion of ada@example.com",
        "git@example.com:x/y.git", "http://localhost:8080/readyz?verbose", "AKIA is no key, nor is ghp_short, sk-1 or eyJ.a.b",
        "sha256:0123456789abcdef fraud@3", 'driftline_records_consumed_total{topic="a:b"} 5', "a passed: 5, by passing: 3",
    ],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert NOTHING(text) == text


def test_json_stays_json(tmp_path: Path) -> None:
    document = {
        "value": 'password: "canary" and more', "twice": "token: [redacted]", "sasl.password": "canary", "pin secret": 4711,
        "secrets": ["canary", {"a": "canary"}], "count": 5, "token_set": True, CANARY: [None, 0.5, "eve:canary@host"],
    }  # fmt: skip
    path = tmp_path / "x.tar.gz"
    write_bundle(path, {"a.json": json.dumps(document), "b.json": '{"token": "canary"'}, KNOWN, 0)
    with tarfile.open(path) as tar:
        texts = [file.read().decode() for name in tar.getnames() if (file := tar.extractfile(name)) is not None]
    assert json.loads(texts[0]) == {
        "value": 'password: "[redacted]" and more', "twice": "token: [redacted]", "sasl.password": REDACTED,
        "pin secret": REDACTED, "secrets": [REDACTED, {"a": REDACTED}], "count": 5, "token_set": True,
        REDACTED: [None, 0.5, "[redacted]@host"],
    }  # fmt: skip
    assert texts[1] == '{"token": "[redacted]"'


@pytest.mark.parametrize(
    "line", ["a", "a.-", "\\", "x:", "eyJ-", "sk-", "%25", "token", "password:", "a://", "@", "&#0"]
)
def test_a_line_of_a_million_letters_does_not_take_for_ever(line: str) -> None:
    def secs(chars: int) -> float:
        text = line * (chars // len(line))
        begun = time.process_time()
        KNOWN(text)
        return time.process_time() - begun

    assert secs(200_000) < 40 * max(secs(20_000), 0.005), "twice the length must not be four times the time"


def test_an_address_of_brokers_with_a_password_is_not_in_the_bundle(tmp_path: Path) -> None:
    config, log, bundle = tmp_path / "bad.yaml", tmp_path / "driftline.log", tmp_path / "bundle.tar.gz"
    config.write_text(
        "kafka: {bootstrap_servers: 'eve:s3cr3t@broker:9092'}\nwindows: [1x]\nstreams: {predictions: {topic: p}}\n"
    )
    log.write_text(
        "%3|1.2|FAIL|rdkafka#1| [thrd:eve:s3cr3t@broker:9092/bootstrap]: cannot resolve 'eve:s3cr3t@broker'\n"
    )
    for more in (
        (),
        ("--set", "kafka.bootstrap_servers=eve:s3cr3t@", "--set", "kafka.properties={sasl.pasword: s3cr3t}"),
    ):
        told = driftline("doctor", "-c", config, *more, "--no-daemon", "--log", log, "--to", bundle)
        assert told.code == 1
        with tarfile.open(bundle) as tar:
            texts = [file.read().decode() for name in tar.getnames() if (file := tar.extractfile(name)) is not None]
        assert not any("s3cr3t" in text for text in (*texts, told.out, told.err))
        assert any("cannot resolve" in text for text in texts)
        bundle.unlink()
