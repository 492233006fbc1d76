"""Secrets: read from files, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import Config, load
from monitor.config.diff import diff
from monitor.config.kafka import is_secret
from monitor.config.render import render
from monitor.errors import ConfigError
from tests.config.examples import MINIMAL

SECRET = "hunter2-\u00fc"


def written(folder: Path, properties: str, more: str = "") -> Path:
    path = folder / "c.yaml"
    path.write_text(f"{MINIMAL}kafka:\n  bootstrap_servers: b:9092\n  properties: {properties}\n{more}")
    return path


def properties(config: Config) -> dict[str, str]:
    assert config.kafka is not None
    return config.kafka.properties


def shown_everywhere(config: Config) -> str:
    return "\n".join([render(config), config.document(), repr(config), str(config), repr(config.kafka)])


def test_a_secret_is_read_beside_the_config_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(f"{SECRET}\n")
    config = load([written(tmp_path, "{sasl.password_file: pw}")])
    assert properties(config) == {"sasl.password": SECRET}


@pytest.mark.parametrize(("raw", "secret"), [(b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), (b"a", "a")])
def test_only_one_newline_is_dropped(tmp_path: Path, raw: bytes, secret: str) -> None:
    (tmp_path / "pw").write_bytes(raw)
    assert properties(load([written(tmp_path, "{sasl.password_file: pw}")])) == {"sasl.password": secret}


def test_a_secret_is_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(SECRET)
    config = load(
        [written(tmp_path, "{sasl.password_file: pw, sasl.username_file: pw, ssl.key.password: inline-secret}")]
    )
    text = shown_everywhere(config)
    assert SECRET not in text
    assert "inline-secret" not in text
    assert '"******** (from pw)"' in render(config)
    assert '"sasl.password_file":"pw"' in config.document()


def test_secrets_from_variables_and_overrides_are_shown_nowhere(tmp_path: Path) -> None:
    path = written(tmp_path, '{sasl.password: "${PW}"}')
    assert SECRET not in shown_everywhere(load([path], environ={"PW": SECRET}))
    overridden = load([path], [f"kafka.properties.sasl.password={SECRET}"], environ={"PW": "x"})
    assert properties(overridden) == {"sasl.password": SECRET}
    assert SECRET not in shown_everywhere(overridden)


def test_a_changed_secret_is_a_change_without_its_value(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(SECRET)
    path = written(tmp_path, "{sasl.password_file: pw}")
    old = load([path])
    (tmp_path / "pw").write_text(f"{SECRET}!")
    assert [str(change) for change in diff(old, load([path]))] == [
        "kafka.properties.sasl.password: changed; needs a restart"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        "{group.id_file: pw}",
        "{sasl.password_file: pw, sasl.password: hunter2-x}",
        "{sasl.password_file: [hunter2-x]}",
        "{sasl.password: [hunter2-x]}",
        "{sasl.password: {a: hunter2-x}}",
        "[hunter2-x]",
        "{sasl_password: hunter2-x}",
    ],
)
def test_no_problem_repeats_a_secret(tmp_path: Path, broken: str) -> None:
    (tmp_path / "pw").write_text("hunter2-file")
    with pytest.raises(ConfigError) as caught:
        load([written(tmp_path, broken)])
    assert caught.value.problems
    assert "hunter2" not in str(caught.value)


def test_no_problem_of_an_override_repeats_its_value(tmp_path: Path) -> None:
    overrides = ["kafka.properties.group.id=hunter2", "kafka.properties=hunter2", "hunter2"]
    for override in overrides[:2]:
        with pytest.raises(ConfigError) as caught:
            load([written(tmp_path, "{}")], [override])
        assert "hunter2" not in str(caught.value)


def test_both_forms_of_a_secret_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(SECRET)
    path = written(tmp_path, "{sasl.password_file: pw, sasl.password: x}")
    with pytest.raises(ConfigError) as caught:
        load([path])
    assert caught.value.problems == [
        f"{path}:9:16: kafka.properties has both 'sasl.password' and 'sasl.password_file'; keep one of them"
    ]


def test_a_file_named_by_the_environment_wins_over_a_value_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(SECRET)
    environ = {"DRIFTLINE__KAFKA__PROPERTIES__SASL_PASSWORD_FILE": str(tmp_path / "pw")}
    assert properties(load([written(tmp_path, "{sasl.password: old}")], environ=environ)) == {"sasl.password": SECRET}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 70_000, "is longer than 65536 bytes"),
    ],
)
def test_a_secret_file_that_is_no_use_is_a_problem_at_its_place(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    path = written(tmp_path, "{sasl.password_file: pw}")
    with pytest.raises(ConfigError) as caught:
        load([path])
    assert caught.value.problems == [f"{path}:9:36: the secret file {str(tmp_path / 'pw')!r} {why}"]


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("sasl.password", True),
        ("ssl.key.password", True),
        ("ssl.keystore.password", True),
        ("ssl.key.pem", True),
        ("sasl.oauthbearer.client.secret", True),
        ("ssl.key.location", False),
        ("sasl.username", False),
        ("sasl.oauthbearer.token.endpoint.url", False),
    ],
)
def test_secrets_are_known_by_their_names(key: str, secret: bool) -> None:
    assert is_secret(key) is secret
