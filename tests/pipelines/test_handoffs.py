"""What is signed and how, what the log of a hand-off says, and what a policy file may say of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pipelines.cli.policies import load
from pipelines.errors import ConfigError, FormatError, PolicyError, StoreError
from pipelines.handoffs import Accepted, Delivered, Failed, HandOffs, Requested, Withdrawn, shared, signed
from pipelines.hook_spec import genuine, headers, message, secrets_of, signature
from tests.pipelines.memory import MemoryStore

SECRETS = secrets_of("whsec_" + "QUFB" * 11, "here")
ASKED = Requested(
    attempt=1, at_ms=1000, until_ms=9000, step="train-3f2a", brought="ab" * 32, function=None, command=("x",),
    environment=(),
)  # fmt: skip
GOLDEN = (
    (
        b'{"at_ms":1000,"attempt":1,"brought":"abababababababababababababababababababababababababababababababa'
        b'b","command":["x"],"environment":[],"format":1,"function":null,"kind":"requested","previous":null,"s'
        b'tep":"train-3f2a","until_ms":9000}'
    ),
    (
        b'{"at_ms":2000,"attempt":1,"code":202,"format":1,"kind":"accepted","previous":"sha256:c1127a3e32341a5'
        b'9d0d9420024133913885fe593f4a333ceda466363d4738fe9"}'
    ),
    (
        b'{"actor":"a","again":true,"at_ms":3000,"attempt":1,"format":1,"kind":"failed","previous":"sha256:60a'
        b'1de31f91993734be542eeafa0aee2c734751b741deccfd9ae7304bbdddc47","signature":"v1,LMMMIfDCPgkC6qve1SnMT'
        b'K5FNTLr8Za+IzpGWfBLSZI=","why":"w"}'
    ),
)
"""Append only: what any version wrote is read by every later one."""
SIGNED = (
    (
        b'{"at_ms":1000,"attempt":1,"brought":"abababababababababababababababababababababababababababababababa'
        b'b","command":["x"],"environment":[],"format":2,"function":null,"kind":"requested","previous":null,"s'
        b'ignature":"v1,eMxGquhGLHoukLgDCDio92pTHSt5nugZp+ZEPeMA4fY=","step":"train-3f2a","until_ms":9000}'
    ),
    (
        b'{"at_ms":2000,"attempt":1,"code":202,"format":1,"kind":"accepted","previous":"sha256:69d787b24539009'
        b'047c1d7a88929103da512d1f3ae1867abe8bdb9c995daef10"}'
    ),
    (
        b'{"actor":"a","again":true,"at_ms":3000,"attempt":1,"format":1,"kind":"failed","previous":"sha256:3fd'
        b'0ee12311fae076a3b295b487909d763e5ee03173a609016ee55ed3b0eb792","signature":"v1,LMMMIfDCPgkC6qve1SnMT'
        b'K5FNTLr8Za+IzpGWfBLSZI=","why":"w"}'
    ),
)
"""The same since requests are signed."""
WITNESS = b"5dbadc748b7f9a544f04aefc689f60fed809ae7ec15249a92371b99e91d616e9"


def test_a_message_is_signed_as_everybody_signs_it() -> None:
    """The example of the Standard Webhooks specification."""
    secrets = secrets_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "here")
    said = signature(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_signed_cannot_be_changed_and_any_of_the_secrets_will_do() -> None:
    other = secrets_of("QkJC" * 11, "here")
    said = headers((*SECRETS, *other), "i", 5, b"b")["webhook-signature"]
    assert len(said.split(" ")) == 2
    assert genuine(SECRETS, "i", 5, b"b", said)
    assert genuine(other, "i", 5, b"b", said)
    for name, at, body in (("j", 5, b"b"), ("i", 6, b"b"), ("i", 5, b"c")):
        assert not genuine(SECRETS, name, at, body, said)
    assert not genuine(SECRETS, "i", 5, b"b", "")
    assert not genuine(SECRETS, "i", 5, b"b", said.replace("v1,", "v2,"))


def test_a_message_is_the_same_bytes_each_time() -> None:
    said = message("step.requested", "2026-11-01T12:00:00+00:00", {"b": 1, "a": None})
    assert said == b'{"data":{"a":null,"b":1},"timestamp":"2026-11-01T12:00:00+00:00","type":"step.requested"}'


@pytest.mark.parametrize("text", ["", "# nothing\n", "whsec_", "AAAA", "kein Base64"])
def test_a_secret_that_is_none_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secrets_of(text, "file 's'")
    assert not text.strip("#\n ") or text not in str(caught.value) or text == "whsec_"


def log() -> tuple[MemoryStore, HandOffs]:
    store = MemoryStore()
    return store, HandOffs(store, lambda: SECRETS)


def test_the_first_ending_counts_whoever_gives_it() -> None:
    _, handoffs = log()
    found = handoffs.enter(handoffs.read("m", "n"), ASKED)
    assert found is not None
    assert found.open
    late = found
    found = handoffs.end(found, Withdrawn(attempt=1, at_ms=3000, why="cancelled"))
    delivered = signed(Delivered(attempt=1, at_ms=4000, actor="a", listing="cd" * 32), "n", SECRETS)
    after = handoffs.end(late, delivered)  # who read before the other wrote
    assert after.ending == found.ending
    assert isinstance(after.ending, Withdrawn)
    again = handoffs.enter(after, msgspec.structs.replace(ASKED, attempt=2))
    assert again is not None
    assert (again.id, again.open) == ("n-2", True)


def test_the_log_is_written_as_this_version_writes_it_and_is_a_chain() -> None:
    store, handoffs = log()
    found = handoffs.enter(handoffs.read("m", "n"), signed(ASKED, "n", SECRETS))
    assert found is not None
    found = handoffs.enter(found, Accepted(attempt=1, at_ms=2000, code=202))
    assert found is not None
    handoffs.end(found, signed(Failed(attempt=1, at_ms=3000, actor="a", why="w", again=True), "n", SECRETS))
    assert handoffs.read("m", "n").bodies == SIGNED
    assert [store.entries["handoffs/m/n", number] for number in (1, 2, 3)] == [*SIGNED]


@pytest.mark.parametrize("written", [GOLDEN, SIGNED], ids=["format 1", "format 2"])
def test_logs_of_every_version_are_read(written: tuple[bytes, ...]) -> None:
    store, handoffs = log()
    for number, raw in enumerate(written, 1):
        store.create_entry("handoffs/m/n", number, raw)
    found = handoffs.read("m", "n")
    assert found.asked is not None
    assert msgspec.structs.replace(found.asked, signature="", format=2) == ASKED
    assert isinstance(found.ending, Failed)
    assert (found.ending.why, found.refused) == ("w", 0)


def test_a_request_tells_whether_a_secret_is_one_that_it_was_made_with() -> None:
    others = secrets_of("QkJC" * 11, "here")
    assert shared(ASKED, "n", others), "it is not signed, as of earlier versions"
    assert shared(signed(ASKED, "n", SECRETS), "n", SECRETS)
    assert not shared(signed(ASKED, "n", SECRETS), "n", others)
    assert shared(signed(ASKED, "n", SECRETS), "n", (*others, *SECRETS))
    assert shared(signed(ASKED, "n", (*SECRETS, *others)), "n", others)
    assert not shared(signed(ASKED, "n", SECRETS), "another", SECRETS)


def test_a_failure_that_was_believed_has_a_witness_that_every_later_version_reads() -> None:
    store, handoffs = log()
    for number, raw in enumerate(GOLDEN, 1):
        store.create_entry("handoffs/m/n", number, raw)
    handoffs.told(handoffs.read("m", "n"))
    assert store.documents["steps/n-1.failed"] == WITNESS
    others = HandOffs(store, lambda: secrets_of("QkJC" * 11, "here"))
    assert others.read("m", "n").ending is not None
    store.documents["steps/n-1.failed"] = WITNESS[::-1]
    assert others.read("m", "n").ending is None


def test_a_newer_log_is_refused_with_advice_and_a_broken_one_by_its_number() -> None:
    store, handoffs = log()
    store.create_entry("handoffs/m/n", 1, GOLDEN[0].replace(b'"format":1', b'"format":3'))
    with pytest.raises(FormatError, match="has format 3, this version of Driftline reads up to 2"):
        handoffs.read("m", "n")
    store.create_entry("handoffs/m/o", 1, GOLDEN[0])
    store.create_entry("handoffs/m/o", 2, GOLDEN[2])
    with pytest.raises(StoreError, match="entry 2 of 'handoffs/m/o' does not continue"):
        handoffs.read("m", "o")


def test_the_policy_file_says_where_steps_are_handed_to(tmp_path: Path) -> None:
    path = tmp_path / "retrain.yaml"
    said = "models:\n  fraud:\n    data: {label: y, features: [a]}\n"
    path.write_text(
        said + "    executor: {webhook: {url: 'https://there/steps', secret_file: hook.secret, starting: 5m}}\n"
    )
    _, files = load(path)
    hook = files.executors["fraud"].webhook
    assert hook
    assert (hook.secret_file, hook.ca_file, hook.starting_ms) == (str(tmp_path / "hook.secret"), None, 300_000)
    for more, why in (
        ("webhook: {url: 'https://there', secretfile: s}", "unknown field `secretfile`, did you mean 'secret_file'?"),
        ("webhook: {url: 'there', secret_file: s}", "url is 'there'; write https://HOST/PATH"),
        ("webhook: {url: 'ftp://there', secret_file: s}", "write https://HOST/PATH"),
        ("webhook: {url: 'https://me:hunter2@there', secret_file: s}", "the secret is in secret_file"),
        ("webhook: {url: 'https://there', secret_file: s, answer: 2m}", "at most 1m"),
        ("webhook: {url: 'https://there', secret_file: s}, kubernetes: {image: 'i:1'}", "not both"),
    ):
        path.write_text(said + f"    executor: {{{more}}}\n")
        with pytest.raises(PolicyError) as caught:
            load(path)
        assert why in str(caught.value)
        assert "hunter2" not in str(caught.value)
