from __future__ import annotations

from pathlib import Path

import pytest

from monitor.adapters.kafka_log import KafkaLog
from monitor.adapters.kafka_settings import (
    RESERVED,
    admin_settings,
    appender_settings,
    lease_settings,
    reader_settings,
)
from monitor.config.kafka import OWNED
from monitor.errors import ConfigError

NOWHERE = "127.0.0.1:1"


def test_what_correctness_rests_on_cannot_be_set() -> None:
    with pytest.raises(ConfigError) as refused:
        KafkaLog(NOWHERE, {"acks": "1", "auto.offset.reset": "latest", "linger.ms": "5"})
    assert refused.value.problems == [
        "kafka.properties.acks cannot be set: an append counts when every replica in sync has it",
        "kafka.properties.auto.offset.reset cannot be set: an offset that left the log is an error, never a silent jump",
    ]


def test_whatever_is_reserved_here_is_refused_by_the_configuration_too() -> None:
    assert set(RESERVED) <= set(OWNED)


def test_each_client_gets_the_properties_that_concern_it() -> None:
    given = {"security.protocol": "SSL", "linger.ms": "9", "fetch.wait.max.ms": "7", "session.timeout.ms": "8000"}
    admin, reader = admin_settings("b", given), reader_settings("b", given, "g")
    appender, leases = appender_settings("b", given), lease_settings("b", given, "g")
    assert [s["security.protocol"] for s in (admin, reader, appender, leases)] == ["SSL"] * 4
    assert [s.get("linger.ms") for s in (admin, reader, appender, leases)] == [None, None, "9", None]
    assert [s.get("fetch.wait.max.ms") for s in (admin, reader, appender, leases)] == [None, "7", None, None]
    assert [s.get("session.timeout.ms") for s in (admin, reader, appender, leases)] == [None, None, None, "8000"]


def test_the_newer_group_protocol_leaves_session_and_assignor_to_the_broker() -> None:
    settings = lease_settings("b", {"group.protocol": "consumer", "session.timeout.ms": "8000"}, "g")
    assert settings["group.protocol"] == "consumer"
    assert not {"session.timeout.ms", "partition.assignment.strategy"} & settings.keys()


def test_a_secret_in_a_file_is_read_without_its_line_end_each_time_a_client_is_made(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    for content in ("first\n", "rotated\n"):
        secret.write_text(content)
        settings = admin_settings("b", {"sasl.password_file": str(secret)})
        assert (settings["sasl.password"], "sasl.password_file" in settings) == (content.strip(), False)


def test_a_secret_file_that_is_missing_is_named_without_any_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sasl\.password_file.*nowhere.*cannot be read"):
        admin_settings("b", {"sasl.password_file": str(tmp_path / "nowhere")})


def test_a_property_that_librdkafka_does_not_know_is_a_configuration_error_without_the_other_values() -> None:
    with pytest.raises(ConfigError, match=r'librdkafka refuses.*"no\.such\.thing"') as refused:
        KafkaLog(NOWHERE, {"no.such.thing": "1", "sasl.password": "hunter2"})
    assert "hunter2" not in str(refused.value)
