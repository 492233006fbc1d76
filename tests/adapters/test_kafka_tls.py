from __future__ import annotations

from monitor.adapters.kafka_tls import certificate_trouble
from tests.kafka.broker import free_ports


def test_who_does_not_answer_or_cannot_be_asked_has_no_certificate_to_speak_of() -> None:
    (port,) = free_ports(1)
    assert certificate_trouble(f"127.0.0.1:{port}, SASL_SSL://127.0.0.1:{port}", None) == ""
    assert certificate_trouble(f"127.0.0.1:{port}", "/there/is/no/such/file") == ""
    assert certificate_trouble("localhost", None) == ""
