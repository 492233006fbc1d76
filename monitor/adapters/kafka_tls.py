"""What is wrong with a broker's certificate. librdkafka only says that it could not be verified; the reason is asked for once."""

from __future__ import annotations

import socket
import ssl

ASK_SECS = 3.0


def certificate_trouble(bootstrap: str, ca_path: str | None) -> str:
    """Why the certificate of the first broker that shows one is not accepted, in OpenSSL's words; "" when none says so.

    `ca_path`: what is trusted (`ssl.ca.location`); None for what the system trusts. Names are checked as librdkafka does.
    """
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except (OSError, ssl.SSLError):
        return ""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition("://")[2].rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), ASK_SECS) as plain:
                context.wrap_socket(plain, server_hostname=host.strip("[]")).close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except (OSError, ValueError):
            continue
    return ""
