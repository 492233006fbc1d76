"""Layers: defaults, files in order, environment, overrides; variables in values."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import load, loads
from tests.config.examples import FULL, MINIMAL, only_problem, with_lines


def test_a_later_file_wins_key_by_key_and_replaces_lists(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(with_lines(MINIMAL, "windows: [1d, 1h]", "http: {host: 0.0.0.0, port: 1}"))
    (tmp_path / "b.yaml").write_text("windows: [2d]\nhttp: {port: 2}\n")
    config = load([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert [window.name for window in config.windows] == ["2d"]
    assert (config.http.host, config.http.port) == ("0.0.0.0", 2)


def test_the_order_is_defaults_files_environment_overrides() -> None:
    text = with_lines(MINIMAL, "http: {port: 1}")
    environ = {"DRIFTLINE__HTTP__PORT": "2", "HOME": "/x"}
    assert loads(MINIMAL).http.port == 9187
    assert loads(text).http.port == 1
    assert loads(text, environ=environ).http.port == 2
    assert loads(text, ["http.port=3"], environ).http.port == 3


def test_an_environment_variable_makes_sections_that_no_file_has() -> None:
    kafka = loads(MINIMAL, environ={"DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS": "b:1"}).kafka
    assert kafka is not None
    assert kafka.bootstrap_servers == "b:1"


def test_librdkafka_names_in_variables_get_their_dots_back() -> None:
    environ = {
        "DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS": "b:1",
        "DRIFTLINE__KAFKA__PROPERTIES__SASL_USERNAME": "me",
        "DRIFTLINE__KAFKA__PROPERTIES__SOCKET_TIMEOUT_MS": "9000",
    }
    kafka = loads(MINIMAL, environ=environ).kafka
    assert kafka is not None
    assert kafka.properties == {"sasl.username": "me", "socket.timeout.ms": "9000"}


def test_an_override_reaches_into_lists_by_position_or_name() -> None:
    assert loads(FULL, ["models.0.threshold=0.3"]).models[0].threshold == 0.3
    assert loads(FULL, ["models.fraud.threshold=0.3"]).models[0].threshold == 0.3
    assert loads(FULL, ["rules.quiet.for=1h"]).rules[1].for_ms == 3_600_000


def test_an_override_takes_lists_and_mappings_in_brackets() -> None:
    config = loads(FULL, ["windows=[1d, 1h, {size: 24h, slide: 1h}]", "time={horizon: 20d}"])
    assert [window.name for window in config.windows] == ["1d", "1h", "24h/1h"]
    assert (config.time.horizon_ms, config.time.skew_ms) == (20 * 86_400_000, 5_000)


def test_an_override_of_a_property_is_one_key() -> None:
    kafka = loads(FULL, ["kafka.properties.sasl.username=a=b"]).kafka
    assert kafka is not None
    assert kafka.properties["sasl.username"] == "a=b"


def test_a_wrong_override_is_named_by_its_path() -> None:
    assert only_problem(FULL, ["time.tick=5 minutes"]) == (
        "--set time.tick: time.tick: '5 minutes' is not a duration; "
        "allowed: a duration such as 500ms, 15m, 36h, 7d or 1h30m; did you mean '5m'?"
    )
    assert only_problem(FULL, ["models.froud.threshold=1"]) == (
        "--set models.froud.threshold: the list has no item 'froud'; allowed: names fraud, or 0 to 0"
    )
    assert only_problem(FULL, ["tick"]) == "--set: 'tick' is not an override; write a.b=value"


def test_a_wrong_variable_is_named() -> None:
    assert only_problem(MINIMAL, environ={"DRIFTLINE__HTTP__PORT": "x"}) == (
        "environment variable DRIFTLINE__HTTP__PORT: http.port: 'x' is not a whole number; allowed: 0 to 65535"
    )
    assert only_problem(MINIMAL, environ={"DRIFTLINE__HTTP____PORT": "1"}).endswith(
        "the name has an empty part; write DRIFTLINE__SECTION__KEY"
    )


def test_a_variable_fills_a_value_and_is_typed_unless_quoted() -> None:
    environ = {"PORT": "80", "NAME": "x"}
    config = loads(with_lines(MINIMAL, "http:", "  port: ${PORT}", "namespace: a-${NAME}-b"), environ=environ)
    assert (config.http.port, config.namespace) == (80, "a-x-b")
    assert "is not a whole number" in only_problem(with_lines(MINIMAL, "http: {port: '${PORT}'}"), environ=environ)


@pytest.mark.parametrize(
    ("written", "environ", "namespace"),
    [
        ("${NS:-fallback}", {}, "fallback"),
        ("${NS:-fallback}", {"NS": ""}, "fallback"),
        ("${NS:-fallback}", {"NS": "set"}, "set"),
        ("a${NS:-}b", {}, "ab"),
    ],
)
def test_a_default_stands_in_for_an_unset_variable(written: str, environ: dict[str, str], namespace: str) -> None:
    assert loads(with_lines(MINIMAL, f"namespace: {written}"), environ=environ).namespace == namespace


def test_a_variable_that_is_not_set_is_the_only_thing_said_about_its_value() -> None:
    assert only_problem(with_lines(MINIMAL, "http:", "  port: ${PORT}")) == (
        "c.yaml:8:9: the environment variable 'PORT' is not set; set it, or give a default as in ${PORT:-value}"
    )


def test_a_bare_variable_between_brackets_is_explained() -> None:
    assert only_problem(with_lines(MINIMAL, "http: {port: ${PORT}}")).endswith(
        "between brackets ${...} must be quoted, or stand on a line of its own: key: ${...}"
    )


def test_a_variable_cannot_add_keys_or_name_them() -> None:
    environ = {"X": "a\nstreams: {}", "K": "namespace"}
    assert "namespace: 'a\\nstreams: {}' cannot be used here" in only_problem(
        with_lines(MINIMAL, "namespace: ${X}"), environ=environ
    )
    assert "${K}: is not a key of the top level" in only_problem(with_lines(MINIMAL, "${K}: x"), environ=environ)


def test_two_dollars_keep_the_braces() -> None:
    labels = loads(with_lines(MINIMAL, "labels: {runbook: 'see $${HOME}'}"), environ={"HOME": "/x"}).labels
    assert labels["runbook"] == "see ${HOME}"


def test_a_value_from_the_environment_is_not_looked_into_again() -> None:
    config = loads(MINIMAL, environ={"DRIFTLINE__LABELS__OWNER": "${HOME}", "HOME": "/x"})
    assert config.labels["owner"] == "${HOME}"


def test_what_is_no_variable_is_refused() -> None:
    assert only_problem(with_lines(MINIMAL, "namespace: ${1a}")) == (
        "c.yaml:7:12: '${1a}' is not a variable; write ${NAME} or ${NAME:-default}"
    )
