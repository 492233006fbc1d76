"""Keys have their time: whoever holds one that is over, and may write to the store, signs nothing by writing an earlier time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.digest import digest_of
from registry.errors import Untrusted
from registry.manifest import VersionEntry
from registry.reader import Outcome
from registry.trust import check_version, version_entry
from tests.registry.stories import BORN_MS, by
from tests.registry.test_signing import Story, policy, signs

DAY_MS = 86_400_000


def test_keys_are_changed_one_after_the_other(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.promote(1, "eve")
    assert story.reader.poll().outcome is Outcome.SWAPPED
    later = {"until": "2013-01-01"}
    story.trust = policy(eve=later)
    story.promote(2, "eve")
    assert "the key of 'eve' was good until 2013-01-01T00:00Z" in story.refusal()
    story.sign("bob")
    assert story.reader.poll().outcome is Outcome.SWAPPED
    story.trust = policy(bob={"from": "2099-01-01T00:00:00Z"})
    assert story.reader.poll().outcome is Outcome.SAME_VERSION, "eve's key is good again for what it signed"
    story.trust = policy(bob={"revoked": True}, eve={"from": "2099-01-01T00:00:00+01:00"})
    said = story.refusal()
    assert "the key of 'bob' is revoked" in said
    assert "the key of 'eve' is good from 2098-12-31T23:00Z on only" in said
    assert "Add a key to the trust policy: nobody who may sign it can, as the other keys are revoked" in said
    assert story.serves == 2, "what is served is served on"


def test_nobody_is_sent_to_a_key_that_would_not_count(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.promote(1)
    for eve in ({"revoked": True}, {"until": days(-1)}, {"from": days(2)}):
        story.trust = policy(eve=eve)
        assert "It may be signed by bob: `driftline registry sign`" in story.refusal()
    story.trust = policy()
    assert "It may be signed by bob, eve: `driftline registry sign`" in story.refusal()


def test_who_has_signed_already_is_not_asked_again(tmp_path: Path) -> None:
    story = Story(tmp_path, policy(signatures=2))
    story.promote(1, "eve")
    assert "has 1 of 2 signatures" in story.refusal()
    assert "It may be signed by bob: `driftline registry sign`" in story.refusal()
    story.trust = policy(signatures=2, bob={"revoked": True})
    assert "Add a key to the trust policy: nobody who may sign it can" in story.refusal()


def days(count: float) -> str:
    """A time so many days after the tests begin, as a trust policy has it."""
    return datetime.fromtimestamp(BORN_MS / 1000 + count * 86_400, UTC).isoformat()


def test_a_version_is_never_registered_before_the_one_before_it(tmp_path: Path) -> None:
    story = Story(tmp_path)
    catalog = Catalog(story.store)
    for number, at_ms in ((3, BORN_MS + 1000), (4, BORN_MS - 1000), (5, 0)):
        manifest = msgspec.structs.replace(catalog.manifest(catalog.version("fraud", 1)), run=f"r{number}")
        assert catalog.register(manifest, "ada", at_ms)[0].number == number
    assert [version.entry.at_ms - BORN_MS for version in catalog.versions("fraud")] == [0, 0, 1000, 1000, 1000]


def test_a_key_whose_time_is_over_signs_no_version_by_writing_an_earlier_time(tmp_path: Path) -> None:
    """Whoever has such a key and may write to the store does not ask the catalog what time it is."""
    story = Story(tmp_path)
    catalog = Catalog(story.store)
    first = catalog.manifest(catalog.version("fraud", 1))

    def enters(number: int, at_ms: int) -> None:
        digest = story.store.put_blob([codec.encode(msgspec.structs.replace(first, run=f"r{number}"))]).digest
        before = story.store.entry("models/fraud/versions", number - 1)
        assert before is not None
        made = VersionEntry(1, number, digest_of(before), digest, f"r{number}", "thief", at_ms)
        story.store.create_entry("models/fraud/versions", number, codec.encode(made))
        signs("ci")(story.store, version_entry(story.store, "fraud", number)[0])

    enters(3, BORN_MS + 10 * 86_400_000)  # while the key was good
    enters(4, BORN_MS + 1 * 86_400_000)
    enters(5, BORN_MS + 2 * 86_400_000)  # later than the one before it, and still too early
    good = policy(ci={"until": days(11)})
    assert [check_version(good, catalog, "fraud", number) for number in range(1, 6)] == [["ci"]] * 5, (
        "a clock that was behind costs nobody a version"
    )
    over = policy(ci={"until": days(5)})
    assert check_version(over, catalog, "fraud", 2) == ["ci"]
    for number, said in (
        (3, ""),
        (4, "it says 2023-11-15T22:13Z, and comes after an entry of 2023-11-24T22:13Z"),
        (5, ""),
    ):
        with pytest.raises(Untrusted, match=r"the key of 'ci' was good until 2023-11-19T22:13Z") as caught:
            check_version(over, catalog, "fraud", number)
        assert said in str(caught.value)
    story.trust = over
    story.promote(5, "eve")
    assert "the key of 'ci' was good until" in story.refusal()


def test_a_key_whose_time_is_over_moves_no_alias_to_a_version_that_was_made_since(tmp_path: Path) -> None:
    story = Story(tmp_path)
    catalog = Catalog(story.store)
    manifest = msgspec.structs.replace(catalog.manifest(catalog.version("fraud", 1)), run="r3")
    version, _ = catalog.register(manifest, "ci", BORN_MS + 10 * DAY_MS)
    signs("ci")(story.store, version_entry(story.store, "fraud", version.number)[0])

    def moved(number: int, at_days: int) -> None:
        Aliases(catalog, signs("eve")).promote("fraud", "champion", number, by(at_ms=at_days * DAY_MS))

    moved(2, 1)
    assert (story.reader.poll().outcome, story.serves) == (Outcome.SWAPPED, 2)
    moved(3, 2)
    story.trust = policy(eve={"until": days(5)})
    assert "it says 2023-11-16T22:13Z, and comes after an entry of 2023-11-24T22:13Z" in story.refusal()
    assert story.serves == 2
    story.trust = policy(eve={"until": days(11)})
    assert (story.reader.poll().outcome, story.serves) == (Outcome.SWAPPED, 3), (
        "a clock that was behind costs nobody a move"
    )
