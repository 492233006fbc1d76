"""What is wrong between a client and a broker that speak of TLS, or not. librdkafka says of a certificate only that it could not
be verified, and of a listener with TLS that it hung up; the reason is asked for once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

ASK_SECS = 3.0


def certificate_trouble(bootstrap: str, ca_path: str | None) -> str:
    """Why the certificate of the first broker that shows one is not accepted, in OpenSSL's words; "" when none says so.

    `ca_path`: what is trusted (`ssl.ca.location`); None for what the system trusts. Names are checked as librdkafka does.
    """
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except (OSError, ssl.SSLError):
        return ""
    for host, port in _servers(bootstrap):
        try:
            with socket.create_connection((host, port), ASK_SECS) as plain:
                context.wrap_socket(plain, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except OSError:
            continue
    return ""


def protocol_trouble(bootstrap: str, protocol: str, why: str, *, hung_up: bool) -> str:
    """What to say where a client and a listener disagree about TLS; "" where nothing looks like it.

    `protocol`: of the client (`security.protocol`); `why`: what it said of its connections, `hung_up`: that all were closed.
    A client without TLS is told nothing by a listener that wants it, so the listener is asked.
    """
    said = f"the Kafka brokers of {bootstrap} close the connection during the handshake"
    if "SSL" in protocol and (
        "PLAINTEXT broker listener" in why
        # librdkafka says that only when it sees the end before anything else: else that it is disconnected, and no more.
        or (
            hung_up
            and why.startswith(("Disconnected", "SSL handshake failed"))
            and any(_cuts_tls_short(*server) for server in _servers(bootstrap))
        )
    ):
        plain = protocol.replace("SSL", "PLAINTEXT")
        return (
            f"{said}: this is what a listener without TLS does, and security.protocol is {protocol}. Set it to {plain}, or "
            "name the address of the listener with TLS in kafka.bootstrap_servers."
        )
    if hung_up and not why and "SSL" not in protocol and any(_speaks_tls(*server) for server in _servers(bootstrap)):
        with_tls = protocol.replace("PLAINTEXT", "SSL")
        return (
            f"{said}: they speak TLS there, and security.protocol is {protocol}. Set it to {with_tls} (and ssl.ca.location to "
            "what their certificates are signed by), or name the address of the listener without TLS in "
            "kafka.bootstrap_servers."
        )
    return ""


def _speaks_tls(host: str, port: int) -> bool:
    """Whether somebody answers there as TLS does; whose certificate it is does not matter."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), ASK_SECS) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLError as error:  # an alert (of a client certificate that is asked for, say) is TLS, silence is not
        return "ALERT" in str(error.reason)
    except OSError:
        return False
    return True


def _cuts_tls_short(host: str, port: int) -> bool:
    """Whether somebody takes connections there and closes them when TLS begins; who does not let one in says nothing of TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        plain = socket.create_connection((host, port), ASK_SECS)
    except OSError:
        return False
    with plain:
        try:
            context.wrap_socket(plain, server_hostname=host).close()
        except (ConnectionError, ssl.SSLEOFError):
            return True
        except OSError:
            return False
    return False


def _servers(bootstrap: str) -> Iterator[tuple[str, int]]:
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition("://")[2].rpartition(":")
        if port.isdigit():
            yield host.strip("[]"), int(port)
