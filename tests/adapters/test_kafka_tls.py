from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.adapters.kafka_log import KafkaLog
from monitor.adapters.kafka_tls import certificate_trouble, protocol_trouble
from monitor.cli.exits import UNREACHABLE, code_of
from monitor.errors import LogUnreachable
from tests.kafka.broker import free_ports
from tests.kafka.secured import Certificates


def test_who_does_not_answer_or_cannot_be_asked_has_no_certificate_to_speak_of() -> None:
    (port,) = free_ports(1)
    assert certificate_trouble(f"127.0.0.1:{port}, SASL_SSL://127.0.0.1:{port}", None) == ""
    assert certificate_trouble(f"127.0.0.1:{port}", "/there/is/no/such/file") == ""
    assert certificate_trouble("localhost", None) == ""


@contextmanager
def listener(tls: ssl.SSLContext | None, *, unread: bool = True) -> Iterator[str]:
    """The address of a socket that takes TLS only, or no TLS, and hangs up on anything else, as a broker's listeners do.

    `unread`: whether it leaves bytes unread when it hangs up, so that the other side sees a reset instead of an end.
    """
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = server.accept()
            except OSError:
                return
            try:
                if tls is not None:
                    plain = tls.wrap_socket(plain, server_side=True)
                plain.recv(1 if unread else 65536)
            except OSError:
                pass
            plain.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def refused(address: str, properties: dict[str, str]) -> str:
    log = KafkaLog(address, properties, timeout_ms=4_000)
    try:
        with pytest.raises(LogUnreachable) as caught:
            log.cluster_id()
    finally:
        log.close()
    assert code_of(caught.value) == UNREACHABLE
    return str(caught.value)


@pytest.mark.parametrize(
    ("properties", "other"),
    [
        ({}, "security.protocol is PLAINTEXT. Set it to SSL "),
        (
            {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "u",
                "sasl.password": "canary",
            },
            "security.protocol is SASL_PLAINTEXT. Set it to SASL_SSL ",
        ),
    ],
)
def test_a_client_without_tls_on_a_listener_with_it_is_told_so(
    tmp_path: Path, properties: dict[str, str], other: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Certificates(tmp_path).server_path)
    with listener(context) as address:
        said = refused(address, properties)
    assert f"the Kafka brokers of {address} close the connection during the handshake: they speak TLS there" in said
    assert other in said
    assert "canary" not in said


@pytest.mark.parametrize("unread", [True, False])
def test_a_client_with_tls_on_a_listener_without_it_is_told_so(tmp_path: Path, unread: bool) -> None:
    ca = str(Certificates(tmp_path).ca_path)
    with listener(None, unread=unread) as address:
        said = refused(address, {"security.protocol": "SSL", "ssl.ca.location": ca})
    assert said.startswith(f"the Kafka brokers of {address} close the connection during the handshake")
    assert "security.protocol is SSL. Set it to PLAINTEXT, or" in said


@pytest.mark.parametrize("why", ["Disconnected: connection reset by peer", "PLAINTEXT broker listener?"])
def test_a_reset_of_who_speaks_tls_is_not_said_to_be_a_listener_without_it(tmp_path: Path, why: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Certificates(tmp_path).server_path)
    with listener(context) as address:
        assert protocol_trouble(address, "PLAINTEXT", why, hung_up=True) == ""
        assert (protocol_trouble(address, "SSL", why, hung_up=True) == "") == ("reset" in why)
    (port,) = free_ports(1)
    assert protocol_trouble(f"127.0.0.1:{port}", "SSL", "Disconnected: connection reset by peer", hung_up=True) == ""


def test_who_hangs_up_for_another_reason_is_not_said_to_speak_tls() -> None:
    with listener(None) as address:
        assert protocol_trouble(address, "PLAINTEXT", "", hung_up=True) == ""
        said = refused(address, {})
    assert said.startswith(f"no Kafka broker answers at {address}")
    assert "security.protocol" not in said


def test_nobody_is_asked_where_the_reason_is_known(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Certificates(tmp_path).server_path)
    with listener(context) as address:
        assert protocol_trouble(address, "PLAINTEXT", "Connection refused", hung_up=True) == ""
        assert protocol_trouble(address, "PLAINTEXT", "", hung_up=False) == ""
        assert protocol_trouble(address, "PLAINTEXT", "", hung_up=True) != ""
