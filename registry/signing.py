"""Signatures of entries: what is signed, and how. Pure; needs `cryptography` (the extra `signing`).

Signed is an in-toto statement about one entry of a log: its digest, and which model, log and number it is, so that a signature
says nothing about another model or another place. An entry holds the digest of the one before it, and that of a manifest,
which names every file: whoever signs a move has signed all the history before it, and whoever signs a version every byte of it.

The envelope is DSSE: `PAE(type, body)` is what Ed25519 signs, so nothing is signed that could be taken for something else. A
statement follows from the entry alone; a reader makes it anew and compares, and believes nothing that an envelope says of itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from registry import codec
from registry.digest import canonical_bytes, digest_of, hex_of
from registry.errors import FormatError, NotInstalled, SigningError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:driftline:registry-entry:v1"
PUBLIC: Final = "ed25519:"
ENVELOPE_BYTES_MAX: Final = 16 << 10
_KEY_BYTES: Final = 32


class Kind(StrEnum):
    """The logs whose entries are signed."""

    VERSION = "versions"
    MOVE = "moves"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log of a model. `body`: its bytes."""

    model: str
    kind: Kind
    number: int
    body: bytes

    @property
    def where(self) -> str:
        """For people, and in the statement: `models/fraud/moves/3`."""
        return f"models/{self.model}/{self.kind}/{self.number}"


def statement(entry: Entry) -> bytes:
    """What is signed about an entry."""
    return canonical_bytes({
        "_type": STATEMENT,
        "subject": [{"name": entry.where, "digest": {"sha256": hex_of(digest_of(entry.body))}}],
        "predicateType": PREDICATE,
        "predicate": {"model": entry.model, "log": str(entry.kind), "number": entry.number},
    })  # fmt: skip


def pae(kind: str, body: bytes) -> bytes:
    """The pre-authentication encoding of DSSE: type and body with their lengths, so that neither can run into the other."""
    named = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(named), named, len(body), body)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are held to. `text`: `ed25519:` and base64, as people exchange it."""

    raw: bytes

    @staticmethod
    def of(text: str) -> PublicKey:
        """Raises SigningError."""
        try:
            raw = base64.b64decode(text.removeprefix(PUBLIC), validate=True) if text.startswith(PUBLIC) else b""
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != _KEY_BYTES:
            raise SigningError(
                f"public key {text[:60]!r}", "is none", f"Write {PUBLIC} and what `registry pubkey` says."
            )
        return PublicKey(raw)

    @property
    def text(self) -> str:
        """See PublicKey."""
        return PUBLIC + base64.b64encode(self.raw).decode()

    @property
    def id(self) -> str:
        """What an envelope calls it: a hint, never believed."""
        return hashlib.sha256(self.raw).hexdigest()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is by this key, of this message. Raises NotInstalled."""
        from cryptography.exceptions import InvalidSignature

        try:
            _public(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """A key that signs. Its bytes are never shown."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @staticmethod
    def new() -> PrivateKey:
        """From the random numbers of this machine. Raises NotInstalled."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            raise NotInstalled("signing", "cryptography", "signing") from None
        return PrivateKey(Ed25519PrivateKey.generate())

    @staticmethod
    def of(pem: bytes, where: str, passphrase: bytes | None = None) -> PrivateKey:
        """A key from PEM (PKCS8). Raises SigningError, NotInstalled."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError:
            raise NotInstalled("signing", "cryptography", "signing") from None
        try:
            key = load_pem_private_key(pem, passphrase)
        except (ValueError, TypeError) as error:
            why = f"cannot be read: {error}"
            remedy = "A key that has a passphrase needs --passphrase-file, one that has none must not be given one."
            raise SigningError(where, why, remedy) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(where, "is no Ed25519 key", "`driftline registry keygen` makes one.")
        return PrivateKey(key)

    def pem(self, passphrase: bytes | None = None) -> bytes:
        """PKCS8, encrypted where there is a passphrase."""
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        hidden = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)

    @property
    def public(self) -> PublicKey:
        """Its other half."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, entry: Entry) -> bytes:
        """The envelope: the same bytes each time."""
        body = statement(entry)
        signature = self._key.sign(pae(PAYLOAD_TYPE, body))
        return canonical_bytes({
            "payload": base64.b64encode(body).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": self.public.id, "sig": base64.b64encode(signature).decode()}],
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as it was read. `signatures`: key id, and signature."""

    kind: str
    body: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @staticmethod
    def of(raw: bytes, where: str) -> Envelope:
        """Raises FormatError."""
        try:
            if len(raw) > ENVELOPE_BYTES_MAX:
                raise ValueError(f"it has {len(raw):,} bytes")
            found: Any = codec.strict_json(raw, where)
            signatures = tuple((str(each["keyid"]), _decoded(each["sig"])) for each in found["signatures"])
            return Envelope(str(found["payloadType"]), _decoded(found["payload"]), signatures)
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(where, f"is no envelope: {error!r}", "It counts as no signature.") from None

    def signers(self, entry: Entry, keys: dict[str, PublicKey]) -> list[str]:
        """The ids of those of the keys that signed just this entry."""
        if self.kind != PAYLOAD_TYPE or self.body != statement(entry):
            return []
        message = pae(self.kind, self.body)
        return [id_ for id_, signature in self.signatures if id_ in keys and keys[id_].verifies(signature, message)]


def _decoded(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _public(raw: bytes) -> Ed25519PublicKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise NotInstalled("checking signatures", "cryptography", "signing") from None
    return Ed25519PublicKey.from_public_bytes(raw)
