"""Signatures of versions and moves, the trust policy that says whose count, and readers that serve nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog, Sign
from registry.digest import digest_of, hex_of
from registry.errors import Damaged, FormatError, SigningError, Untrusted
from registry.fsck import Fault, fsck
from registry.reader import Outcome
from registry.signing import PAYLOAD_TYPE, Entry, Envelope, Kind, PrivateKey, PublicKey, pae, statement
from registry.trust import Trust, check, move_entry, sign_in, signatures_of, trust_of, version_entry
from tests.cli.driving import driftline
from tests.registry import models
from tests.registry.memory import MemoryStore
from tests.registry.stories import BORN_MS, by
from tests.registry.test_reader import add_probed, reader

SEEDS = {"ci": 1, "eve": 2, "bob": 3, "mallory": 4}
GOLDEN_ENTRY = Entry("fraud", Kind.MOVE, 3, b'{"format":1}')
GOLDEN = (
    b'{"payload":"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJwcmVkaWNhdGUiOnsibG9nIjoibW92ZXMiLCJtb2'
    b"RlbCI6ImZyYXVkIiwibnVtYmVyIjozfSwicHJlZGljYXRlVHlwZSI6InVybjpkcmlmdGxpbmU6cmVnaXN0cnktZW50cnk6djEiLCJzdWJqZWN0"
    b"IjpbeyJkaWdlc3QiOnsic2hhMjU2IjoiM2YwYTk5MjU2YmVlYjg5YTZiOWYyNzkzODg1MjkxYTY0NTQ5MjhmZDc0OTAzMTU5YWIyZTUxNDUyYj"
    b'EzZGY2ZiJ9LCJuYW1lIjoibW9kZWxzL2ZyYXVkL21vdmVzLzMifV19","payloadType":"application/vnd.in-toto+json","signatur'
    b'es":[{"keyid":"6a3803d5f059902a1c6dafbc9ba4729212f7caac08634cc3ae76b27529f03827","sig":"1pj19q66pQLE554lDAgsE0'
    b'VjqgPTjC+tD8lF+vsBV0PIPBkbvYEetRB42OehspvYGPSmhprCwaoPXZw+5PdUCA=="}]}'
)
"""Append only: what any version signed is believed by every later one."""


def key(name: str) -> PrivateKey:
    """The same each time, so that what is signed can be a golden."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([SEEDS[name]]) * 32))


def signs(name: str) -> Sign:
    return lambda store, entry: sign_in(store, entry, key(name).sign(entry))


def policy(**more: Any) -> Trust:
    keys = {name: {"public": key(name).public.text} for name in ("ci", "eve", "bob")}
    keys = {name: {**said, **more.pop(name, {})} for name, said in keys.items()}
    return trust_of({"keys": keys, "models": {"fraud": {"versions": ["ci"], "moves": ["eve", "bob"], **more}}}, "here")


class Story:
    """Two versions by CI, and a reader that believes a policy."""

    def __init__(self, tmp_path: Path, trust: Trust | None = None) -> None:
        self.store, self.trust = MemoryStore(), trust or policy()
        for weight in (1, 2):
            version = add_probed(self.store, weight)
            entry, _ = version_entry(self.store, "fraud", version.number)
            signs("ci")(self.store, entry)
        self.reader = reader(self.store, tmp_path, trust=lambda: self.trust)

    def promote(self, version: int, *names: str) -> None:
        catalog = Catalog(self.store)
        Aliases(catalog, signs(names[0]) if names else None).promote("fraud", "champion", version, by())
        for name in names[1:]:
            self.sign(name)

    def sign(self, name: str) -> None:
        moved = Aliases(Catalog(self.store)).state("fraud").alias("champion").moved
        assert moved is not None
        signs(name)(self.store, move_entry(self.store, "fraud", moved))

    def refusal(self) -> str:
        taken = self.reader.poll()
        assert taken.outcome is Outcome.REFUSED, taken
        assert isinstance(taken.error, Untrusted), taken.error
        return taken.detail

    @property
    def serves(self) -> int | None:
        return None if self.reader.serving is None else self.reader.serving.version


def test_what_is_signed_is_encoded_as_dsse_has_it() -> None:
    """The example of the DSSE specification."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("a", b"b 1 c") != pae("a 5 b", b"c"), "nothing runs into its neighbour"


def test_a_signature_is_what_it_always_was() -> None:
    envelope = key("eve").sign(GOLDEN_ENTRY)
    assert envelope == GOLDEN
    found = json.loads(envelope)
    assert found["payloadType"] == PAYLOAD_TYPE
    said = json.loads(base64.b64decode(found["payload"]))
    assert said["subject"] == [
        {"name": "models/fraud/moves/3", "digest": {"sha256": hex_of(digest_of(GOLDEN_ENTRY.body))}}
    ]
    assert Envelope.of(GOLDEN, "here").signers(GOLDEN_ENTRY, {key("eve").public.id: key("eve").public}) == [
        key("eve").public.id
    ]


@pytest.mark.parametrize(
    "other",
    [
        Entry("fraud2", Kind.MOVE, 3, b'{"format":1}'),
        Entry("fraud", Kind.VERSION, 3, b'{"format":1}'),
        Entry("fraud", Kind.MOVE, 4, b'{"format":1}'),
        Entry("fraud", Kind.MOVE, 3, b'{"format":2}'),
    ],
    ids=["model", "log", "number", "bytes"],
)
def test_a_signature_of_one_entry_is_none_of_another(other: Entry) -> None:
    keys = {key("eve").public.id: key("eve").public}
    assert Envelope.of(GOLDEN, "here").signers(other, keys) == []
    forged = json.loads(GOLDEN)
    forged["payload"] = base64.b64encode(statement(other)).decode()
    assert Envelope.of(json.dumps(forged).encode(), "here").signers(other, keys) == []


def test_no_byte_of_a_signature_can_be_another() -> None:
    keys = {key("eve").public.id: key("eve").public}
    for at in range(len(GOLDEN)):
        changed = GOLDEN[:at] + bytes([GOLDEN[at] ^ 1]) + GOLDEN[at + 1 :]
        try:
            found = Envelope.of(changed, "here")
        except FormatError:
            continue
        assert found.signers(GOLDEN_ENTRY, keys) == [], at


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b"{" * 99999, b'{"payload":1}', b"x" * 20_000, b'{"signatures":[[]]}']
)
def test_what_is_no_envelope_counts_as_no_signature(raw: bytes) -> None:
    with pytest.raises(FormatError):
        Envelope.of(raw, "here")


def test_a_reader_serves_what_was_signed_by_those_who_may(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.promote(1, "eve")
    assert (story.reader.poll().outcome, story.serves) == (Outcome.SWAPPED, 1)
    story.promote(2, "bob")
    assert (story.reader.poll().outcome, story.serves) == (Outcome.SWAPPED, 2)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((), "no signature that counts: it is not signed"),
        (("mallory",), f"key '{key('mallory').public.id[:12]}' is not in the trust policy"),
        (("ci",), "'ci' may not sign it"),
    ],
    ids=["unsigned", "a stranger", "somebody else's task"],
)
def test_a_move_that_nobody_signed_who_may_is_refused_by_name_and_what_is_served_stays(
    tmp_path: Path, names: tuple[str, ...], why: str
) -> None:
    story = Story(tmp_path)
    story.promote(1, "eve")
    story.reader.poll()
    story.promote(2, *names)
    said = story.refusal()
    assert why in said
    assert "models/fraud/moves/2 (promotion of champion to 2 by" in said
    assert "It may be signed by bob, eve" in said
    assert "version 1 is served on" in said
    assert story.serves == 1
    story.sign("eve")  # whoever may has looked at it
    assert (story.reader.poll().outcome, story.serves) == (Outcome.SWAPPED, 2)


def test_a_version_that_nobody_signed_who_may_is_refused_whoever_promoted_it(tmp_path: Path) -> None:
    story = Story(tmp_path)
    add_probed(story.store, 3)
    story.promote(3, "eve")
    assert "models/fraud/versions/3 (version 3) has no signature that counts" in story.refusal()
    entry, _ = version_entry(story.store, "fraud", 3)
    signs("eve")(story.store, entry)
    assert "'eve' may not sign it" in story.refusal()


def test_a_signature_cannot_be_kept_away_by_documents_that_are_none(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.promote(1)
    for number in range(50):
        story.store.create_document(f"signatures/models/fraud/moves/1/{number:032x}", b"{}")
    assert "is no envelope" in story.refusal()
    story.sign("eve")
    assert story.reader.poll().outcome is Outcome.SWAPPED


def test_two_people_are_two_names(tmp_path: Path) -> None:
    story = Story(tmp_path, policy(signatures=2))
    story.promote(1, "eve")
    assert "has 1 of 2 signatures" in story.refusal()
    story.sign("eve")
    assert "has 1 of 2 signatures" in story.refusal()
    story.sign("bob")
    assert story.reader.poll().outcome is Outcome.SWAPPED
    with pytest.raises(SigningError, match="one key under two names"):
        policy(bob={"public": key("eve").public.text})


def test_a_rollback_may_be_left_to_a_robot_and_an_alias_to_others(tmp_path: Path) -> None:
    trust = policy(rollbacks=["ci"], aliases={"challenger": ["ci"]})
    story = Story(tmp_path, trust)
    story.promote(1, "eve")
    story.promote(2, "eve")
    story.reader.poll()
    aliases = Aliases(Catalog(story.store), signs("ci"))
    aliases.rollback("fraud", "champion", by())
    assert (story.reader.poll().outcome, story.serves) == (Outcome.SWAPPED, 1)
    aliases.promote("fraud", "challenger", 2, by())
    state = aliases.state("fraud")
    assert check(trust, Catalog(story.store), "fraud", "challenger", state) == (["ci"], ["ci"])
    aliases.promote("fraud", "champion", 2, by())
    assert "'ci' may not sign it" in story.refusal()


def test_what_a_process_left_unsigned_is_signed_when_it_is_done_again(tmp_path: Path) -> None:
    story = Story(tmp_path)
    manifest = Catalog(story.store).manifest(add_probed(story.store, 3))
    entry, _ = version_entry(story.store, "fraud", 3)
    assert signatures_of(story.store, entry) == []
    assert Catalog(story.store, signs("ci")).register(manifest, "ada", BORN_MS)[1] is False
    assert len(signatures_of(story.store, entry)) == 1
    by_run = msgspec.structs.replace(manifest, run="r1")
    Catalog(story.store).register(by_run, "ada", BORN_MS)
    Catalog(story.store, signs("ci")).register(msgspec.structs.replace(by_run, code_revision="x"), "ada", BORN_MS)
    other, _ = version_entry(story.store, "fraud", 4)
    assert signatures_of(story.store, other) == [], "another result of the run is not what was handed in"


def test_a_model_that_no_rule_is_about_is_refused(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.trust = trust_of(
        {
            "keys": {"ci": {"public": key("ci").public.text}},
            "models": {"flights*": {"versions": ["ci"], "moves": ["ci"]}},
        },
        "here",
    )
    story.promote(1, "ci")
    assert "model 'fraud' is in no rule of the trust policy" in story.refusal()


def test_a_move_that_names_another_manifest_than_its_version_is_damage(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.promote(1, "eve")
    moved = Aliases(Catalog(story.store)).state("fraud").alias("champion").moved
    assert moved is not None
    with pytest.raises(Damaged, match="not the one that was read before"):
        move_entry(story.store, "fraud", msgspec.structs.replace(moved, version=2))
    assert codec.encode(moved) == move_entry(story.store, "fraud", moved).body
    assert len(signatures_of(story.store, move_entry(story.store, "fraud", moved))) == 1


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "is list where keys are needed"),
        ({"keys": {}, "models": {}}, "says no keys or no models"),
        ({"keys": {"a": {"publik": "x"}}, "models": {}}, "unknown field 'publik'"),
        ({"keys": {"a": {"public": "ed25519:AAAA"}}, "models": {}}, "public key 'ed25519:AAAA' is none"),
        ({"models": {"m": {"versions": ["a"], "moves": ["b"]}}}, "names 'b', who is not in `keys`"),
        ({"models": {"m": {"versions": ["a"], "moves": "a"}}}, "Write a list of names"),
        ({"models": {"m": {"versions": ["a"]}}}, "nobody moves"),
        ({"models": {"m": {"versions": ["a"], "moves": ["a"], "signatures": 0}}}, "how many people"),
        ({"models": {"m": {"versions": ["a"], "moves": ["a"], "mvoes": []}}}, "unknown field 'mvoes'"),
        ({"until": "tomorrow"}, "Write 2027-01-01"),
        ({"until": "2027-01-01T00:00:00"}, "Write 2027-01-01"),
    ],
)
def test_a_policy_with_a_mistake_is_refused_by_its_path(document: Any, why: str) -> None:
    if isinstance(document, dict):
        until = {"until": document.pop("until")} if "until" in document else {}
        document.setdefault("keys", {"a": {"public": key("ci").public.text, **until}})
        document.setdefault("models", {"m": {"versions": ["a"], "moves": ["a"]}})
    with pytest.raises(SigningError) as caught:
        trust_of(document, "trust policy 't'")
    assert why in str(caught.value)


def test_keys_are_kept_as_everybody_keeps_them() -> None:
    for passphrase in (None, b"open sesame"):
        made = PrivateKey.new()
        pem = made.pem(passphrase)
        assert PrivateKey.of(pem, "here", passphrase).public == made.public
        assert (b"ENCRYPTED" in pem) is (passphrase is not None)
        with pytest.raises(SigningError, match="passphrase"):
            PrivateKey.of(pem, "here", b"another" if passphrase is None else None)
    with pytest.raises(SigningError, match="cannot be read"):
        PrivateKey.of(b"no key", "key 'k'")
    assert PublicKey.of(key("eve").public.text) == key("eve").public


def test_from_the_command_line_a_stranger_is_refused_and_a_signature_mends_it(tmp_path: Path) -> None:
    store, model = tmp_path / "registry", tmp_path / "model.json"
    model.write_bytes(models.json_model(1.0))

    def registry(*args: object) -> Any:
        return driftline("registry", *args)

    public = {name: registry("keygen", tmp_path / f"{name}.key").out.strip() for name in ("ci", "eve")}
    assert (tmp_path / "ci.key").stat().st_mode & 0o777 == 0o600
    assert registry("keygen", tmp_path / "ci.key").code == 2
    assert registry("pubkey", tmp_path / "ci.key").out.strip() == public["ci"]
    trust = tmp_path / "trust.yaml"
    document = {
        "keys": {name: {"public": text} for name, text in public.items()},
        "models": {"*": {"versions": ["ci"], "moves": ["eve"]}},
    }
    trust.write_text(yaml.safe_dump(document))
    where = ("--store", store)
    assert registry("add", model, "--name", "fraud", "--key", tmp_path / "ci.key", *where).code == 0
    assert registry("promote", "fraud@1", "--reason", "first", *where).code == 0
    refused = registry("verify", "fraud@champion", "--trust", trust, *where)
    assert refused.code == 3
    assert "fraud@1 is signed by ci" in refused.err
    rows = [line.split() for line in refused.out.splitlines()]
    assert ["fraud@1", "whole", "bytes", "of", "ci"] in rows
    assert ["fraud@champion", "-", "its", "move", "do", "not", "count"] in rows
    assert "models/fraud/moves/1 (promotion of champion to 1 by" in refused.err
    assert (
        registry("sign", "fraud@champion", "--key", tmp_path / "eve.key", *where).out.strip() == "models/fraud/moves/1"
    )
    again = registry("sign", "fraud@champion", "--key", tmp_path / "eve.key", *where)
    assert (again.code, "as it was before" in again.err) == (0, True)
    fine = registry("verify", "fraud@champion", "--trust", trust, *where, "-o", "json")
    assert fine.code == 0, fine.err
    assert [each["signed_by"] for each in fine.json["signatures"]] == [["ci"], ["eve"]]
    assert registry("fsck", *where).code == 0
    assert registry("promote", "fraud@1", "--alias", "challenger", "--reason", "r", "--key", trust, *where).code == 2
    assert registry("history", "fraud", *where, "-o", "json").json["moves"][1:] == [], (
        "a key is read before anything moves"
    )


def test_a_signature_of_what_is_not_there_tells_that_the_end_of_a_log_was_taken_away(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.promote(1, "eve")
    assert list(fsck(story.store)) == [], "signatures are the registry's own"
    gone = Entry("fraud", Kind.MOVE, 2, b"{}")
    sign_in(story.store, gone, key("eve").sign(gone))
    (found,) = fsck(story.store)
    assert (found.what, found.fault) == ("entry 2 of 'models/fraud/moves'", Fault.MISSING)
    assert "there is a signature of it, 'signatures/models/fraud/moves/2/" in found.detail
    story.store.create_document("signatures/odd", b"{}")
    assert len([each for each in fsck(story.store) if each.fault is Fault.MISSING]) == 2
