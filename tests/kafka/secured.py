"""A broker that asks who you are: TLS and SASL/SCRAM on one listener, rights by access control lists.

A second listener, plain and for the harness alone, is that of the administrator. Certificates are made by openssl.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.kafka.broker import KafkaCluster, free_ports
from tests.kafka.jars import BrokerUnavailable

ASK_SECS = 30.0
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Create": AclOperation.CREATE,
}
RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
Acl = tuple[str, str, str, str]
"""(type of resource, name, `literal` or `prefix`, operation), as Strimzi writes them."""


class Certificates:
    """An authority, and a certificate of it for the loopback that is valid, or was until a day ago."""

    def __init__(self, folder: Path, *, expired: bool = False) -> None:
        self.ca_path = folder / "ca.crt"
        self.server_path = folder / "server.pem"
        days = "-1" if expired else "30"
        extensions = folder / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        ca_key, key, request, certificate = (folder / n for n in ("ca.key", "server.key", "server.csr", "server.crt"))
        new: list[str | Path] = ["-newkey", "rsa:2048", "-nodes"]
        _openssl("req", "-x509", *new, "-keyout", ca_key, "-out", self.ca_path, "-days", "30", "-subj", "/CN=tests")
        _openssl("req", *new, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        signer = ("-CA", self.ca_path, "-CAkey", ca_key, "-CAcreateserial")
        _openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions, "-out", certificate)
        self.server_path.write_text(key.read_text() + certificate.read_text())


def _openssl(*arguments: str | Path) -> None:
    try:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        raise BrokerUnavailable("a broker with TLS needs openssl, which is missing (Debian: openssl)") from None


class SecuredKafka:
    """Such a broker. `address` is that of the listener with TLS and SCRAM; `cluster` is the administrator's."""

    def __init__(self, *, expired: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="driftline-secured-")
        self.certificates = Certificates(Path(self._folder.name), expired=expired)
        plain, secured, controller = free_ports(3)
        self.address = f"127.0.0.1:{secured}"
        protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL"
        listener = "listener.name.secured"
        self.cluster = KafkaCluster(
            port=plain,
            properties={
                "listeners": f"PLAINTEXT://127.0.0.1:{plain},SECURED://{self.address},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},SECURED://{self.address}",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listener.security.protocol.map": protocols,
                "inter.broker.listener.name": "PLAINTEXT",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                f"{listener}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                f"{listener}.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                f"{listener}.ssl.keystore.type": "PEM",
                f"{listener}.ssl.keystore.location": str(self.certificates.server_path),
            },
        )

    def __enter__(self) -> Self:
        self.cluster.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cluster.close()
        self._folder.cleanup()

    def add_user(self, name: str, password: str) -> None:
        """Make a user, or give it another password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = UserScramCredentialUpsertion(name, info, password.encode())
        admin = self.cluster.admin()  # held until the answer is in
        for future in admin.alter_user_scram_credentials([wanted]).values():
            future.result(ASK_SECS)

    def allow(self, user: str, acls: Iterable[Acl]) -> None:
        """Give a user rights."""
        admin = self.cluster.admin()
        futures = admin.create_acls([AclBinding(*_where(user, acl)) for acl in acls])
        for future in futures.values():
            future.result(ASK_SECS)

    def forbid(self, user: str, acl: Acl) -> None:
        """Take one right away."""
        admin = self.cluster.admin()
        for future in admin.delete_acls([AclBindingFilter(*_where(user, acl))]).values():
            future.result(ASK_SECS)

    def properties(self, user: str, password_path: Path) -> dict[str, str]:
        """What a client says, as `kafka.properties`."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.certificates.ca_path),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password_file": str(password_path),
        }


def _where(
    user: str, acl: Acl
) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    resource, name, pattern, operation = acl
    return (
        RESOURCES[resource],
        name,
        {"literal": ResourcePatternType.LITERAL, "prefix": ResourcePatternType.PREFIXED}[pattern],
        f"User:{user}",
        "*",
        OPERATIONS[operation],
        AclPermissionType.ALLOW,
    )
