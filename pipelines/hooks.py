"""The executor that hands a step to an outside system by a signed message (`pipelines.hook_spec`), and waits for what comes back.

The message says what is to be done and where it is in the store; `driftline retrain fetch` lays it out there, and `driftline
retrain deliver` brings back what came of it, signed. The id of a hand-off follows from what is to be done, so whoever comes upon
it (a worker that was restarted, one that took the run over) waits for the same hand-off, and a message that is said again after
a lost answer says the same. What decides is the log in the store (`pipelines.handoffs`), and as everywhere a result is a
document that is created once.

Nobody can know whether a stranger's process has stopped. A step that is cancelled, timed out or given up is *withdrawn*: from
that entry on nothing that comes back for it counts, and then the stranger is told.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from pipelines.carrying import has_result, send, settle, take
from pipelines.codec import PREFIX, canonical_bytes, digest_of
from pipelines.errors import CancelAsked, ConfigError, Halted, StepFailed
from pipelines.filesteps import Work
from pipelines.handoffs import Accepted, Delivered, Failed, HandOff, HandOffs, Requested, Withdrawn, signed
from pipelines.hook_spec import LONGEST_MS, REQUESTED, WITHDRAWN, Webhook, headers, message, secrets_of
from pipelines.meanwhile import meanwhile
from pipelines.policy import Policy
from pipelines.ports import Alive, Store, through
from pipelines.post import Answer, Lost, post

POLL_SECS: Final = 2.0
POLL_SECS_MOST: Final = 30.0
"""Between two looks at a hand-off that has been under way for long: a twentieth of that time."""
ALIVE_SECS: Final = 1.0
RETRY_SECS: Final = 5.0
"""Before a message is said again; twice as long before each later time."""
RETRY_SECS_MOST: Final = 300.0
GOODBYES: Final = 2
GOODBYE_SECS: Final = 5.0
"""How often, and how long each time, a stranger is told that a step is not wanted any more: a worker holds a run meanwhile."""
_NAME_HEX_DIGITS: Final = 10
_OK: Final = range(200, 300)
_LATER: Final = frozenset({408, 409, 425, 429})
_CONFLICT: Final = 409
_SERVER: Final = 500


class Hooks:
    """`pipelines.filesteps.Executor` for one place that steps are handed to."""

    def __init__(
        self,
        store: Store,
        place: Webhook,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._place, self._clock, self._sleep = store, place, clock, sleep
        self._handoffs = HandOffs(store, self._secrets)

    def execute(self, work: Work, alive: Alive) -> None:
        """See Executor. What a step took nobody here can know."""
        limit_ms = work.policy.train.timeout_ms + self._place.starting_ms
        if limit_ms > LONGEST_MS:
            why = "and executor.webhook.starting are more than six days together"
            raise ConfigError("train.timeout", why, "The store keeps what a step reads for a week.")
        self._secrets()  # a secret that cannot be used is said before anything is asked for
        brought = meanwhile(lambda: send(self._store, work.directory), alive)
        name = self._name(work, brought)
        if has_result(self._store, name):
            meanwhile(lambda: take(self._store, name, work.directory), alive)  # somebody waited for it, and left
            return
        wanted = Requested(
            attempt=1, at_ms=0, until_ms=limit_ms, step=work.name, brought=brought.removeprefix(PREFIX),
            function=work.function, command=tuple(work.command), environment=tuple(work.policy.train.environment),
        )  # fmt: skip
        found = self._requested(work.policy.model, name, wanted, alive)
        try:
            found = self._followed(found, wanted, alive)
        except (CancelAsked, Halted):
            self._withdraw(found, "it was stopped", alive)
            raise
        self._conclude(found, work, alive)

    def clear(self, policy: Policy, alive: Alive, why: str = "the run has ended") -> None:
        """See Executor. Withdrawn is as gone as it gets."""
        keeping = through(alive)
        logs = meanwhile(lambda: self._handoffs.logs(policy.model), keeping)
        for found in self._handoffs.under_way(policy.model, logs, keeping):
            self._withdraw(found, why, alive)

    # ------------------------------------------------------------------------------------------------------- within

    def _secrets(self) -> tuple[bytes, ...]:
        return secrets_in(self._place)

    def _name(self, work: Work, brought: str) -> str:
        """What is to be done, whoever asks: other rows or other code are other work."""
        number = 1
        while True:
            asked = canonical_bytes([brought, work.function, [*work.command], number])
            name = f"{work.name}-{digest_of(asked).removeprefix(PREFIX)[:_NAME_HEX_DIGITS]}"
            if has_result(self._store, name) is not None:
                return name
            number += 1  # a result whose files were collected since: the work is done again

    def _requested(self, model: str, name: str, wanted: Requested, alive: Alive) -> HandOff:
        """The hand-off that is open, or one that is opened now. Of `wanted` the times count from now."""
        while True:
            found = self._handoffs.read(model, name)
            if found.open:
                if (why := _other(found, wanted)) is None:
                    return found
                self._withdraw(found, why, alive)
                continue
            if isinstance(found.ending, Delivered) and self._kept(found.ending):
                return found
            number, now_ms = found.asked.attempt + 1 if found.asked else 1, self._now_ms()
            record = msgspec.structs.replace(wanted, attempt=number, at_ms=now_ms, until_ms=now_ms + wanted.until_ms)
            if (entered := self._handoffs.enter(found, signed(record, name, self._secrets()))) is not None:
                return entered

    def _kept(self, delivered: Delivered) -> bool:
        """Whether what was delivered, and never taken, is still in the store."""
        return self._store.blob_size(PREFIX + delivered.listing) is not None

    def _followed(self, found: HandOff, wanted: Requested, alive: Alive) -> HandOff:
        """Say it until it is accepted, and wait until it has ended. Past its time it is withdrawn."""
        begun, due, tries = self._clock(), 0.0, 0
        why = "nobody has accepted it"
        while found.open:
            with contextlib.suppress(ConfigError):  # without a secret nothing can be signed anew, and it is waited on
                found = self._handoffs.signed_anew(found)
            assert found.asked is not None
            if (other := _other(found, wanted)) is not None:
                return self._withdraw(found, other, alive)
            if self._now_ms() >= found.asked.until_ms:
                more = f"; {found.refused} results with a wrong signature were not taken" if found.refused else ""
                reason = f"took longer than it may ({'it was accepted' if found.accepted else why}{more})"
                return self._withdraw(found, reason, alive)
            if found.accepted is None and self._clock() >= due:
                tries += 1
                answer = self._told(found, REQUESTED, self._place.answer_ms / 1000, alive)
                if answer.code in _OK or answer.code == _CONFLICT:  # 409: it knows the id already
                    record = Accepted(attempt=found.asked.attempt, at_ms=self._now_ms(), code=answer.code)
                    found = self._handoffs.enter(found, record) or found
                elif answer.code not in _LATER and 0 < answer.code < _SERVER:
                    why = f"answered {answer.code}: {answer.said or 'nothing'}"
                    return self._withdraw(found, f"was refused: {self._place.url} {why}", alive, tell=False)
                else:
                    why = f"{self._place.url} answered {answer.code}: {answer.said}" if answer.code else answer.said
                    due = self._clock() + (answer.after_secs or min(RETRY_SECS_MOST, RETRY_SECS * 2 ** (tries - 1)))
            self._pause(alive, min(POLL_SECS_MOST, max(POLL_SECS, (self._clock() - begun) / 20)))
            found = self._handoffs.read(found.model, found.name)
        return found

    def _told(self, found: HandOff, kind: str, timeout_secs: float, alive: Alive) -> Answer:
        """Say something about a hand-off; code 0 where no answer came."""
        asked = found.asked
        assert asked is not None
        if kind == REQUESTED:
            id_, at_ms, data = found.id, asked.at_ms, self._data(found, asked)
        else:
            assert isinstance(found.ending, Withdrawn)
            id_, at_ms = f"{found.id}-withdrawn", found.ending.at_ms
            data = {"id": found.id, "model": found.model, "why": found.ending.why}
        body = message(kind, datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds"), data)
        now = self._clock()
        try:
            said = headers(self._secrets(), id_, int(now), body)
            return post(self._place.url, body, said, timeout_secs, self._place.ca_file, alive, now)
        except Lost as error:
            return Answer(0, f"no answer from {self._place.url}: {error}")

    @staticmethod
    def _data(found: HandOff, asked: Requested) -> dict[str, Any]:
        return {
            "id": found.id, "model": found.model, "step": asked.step.split("-")[0], "work": asked.step,
            "attempt": asked.attempt, "until_ms": asked.until_ms, "reads": PREFIX + asked.brought,
            "function": asked.function, "command": [*asked.command], "environment": [*asked.environment],
        }  # fmt: skip

    def _withdraw(self, found: HandOff, why: str, alive: Alive, tell: bool = True) -> HandOff:
        """Nothing that comes later counts. Something may have come before."""
        assert found.asked is not None
        record = Withdrawn(attempt=found.asked.attempt, at_ms=self._now_ms(), why=why)
        after = self._handoffs.end(found, record)
        if tell and isinstance(after.ending, Withdrawn):
            for _ in range(GOODBYES):
                with contextlib.suppress(ConfigError):  # without a secret nothing can be said
                    if self._told(after, WITHDRAWN, GOODBYE_SECS, through(alive)).code not in (0, 429, 503):
                        break
        return after

    def _pause(self, alive: Alive, secs: float) -> None:
        until = self._clock() + secs
        while self._clock() < until:
            alive()
            self._sleep(ALIVE_SECS)

    def _taken(self, name: str, listing: str, work: Work) -> None:
        settle(self._store, name, listing)
        take(self._store, name, work.directory)

    def _conclude(self, found: HandOff, work: Work, alive: Alive) -> None:
        what = f"hand-off {found.id!r}"
        match found.ending:
            case Delivered(listing=listing):
                meanwhile(lambda: self._taken(found.name, PREFIX + listing, work), alive)
            case Failed(why=why, again=again, actor=actor):
                self._handoffs.told(found)
                remedy = "It is tried again." if again else f"Ask {actor}, who did it."
                raise StepFailed(what, f"failed: {why}", remedy, again=again)
            case Withdrawn(why=why, at_ms=at_ms):
                assert found.asked is not None
                if why.startswith("was refused"):
                    raise StepFailed(what, why, "Look at executor.webhook, or at what runs there.")
                late = at_ms >= found.asked.until_ms
                remedy = "Raise train.timeout or executor.webhook.starting." if late else "It is tried again."
                raise StepFailed(what, why if late else f"was withdrawn: {why}", remedy, again=not late, timed_out=late)
            case None:
                raise AssertionError("followed until it had ended")

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _other(found: HandOff, wanted: Requested) -> str | None:
    """Why an open hand-off is none of what is to be done. Whoever can write to the store can enter a request under its name,
    and what is told of it would have this worker's signature."""
    parts = ("step", "brought", "function", "command", "environment")
    differing = [part for part in parts if getattr(found.asked, part) != getattr(wanted, part)]
    return f"it asks for another {' and '.join(differing)} than the run does" if differing else None


def secrets_in(place: Webhook) -> tuple[bytes, ...]:
    """Those of its file. Read anew each time they are used: a secret that was changed counts from the next message on. Raises
    ConfigError."""
    where = f"file {place.secret_file!r} (executor.webhook.secret_file)"
    try:
        text = Path(place.secret_file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise ConfigError(where, why, "`driftline retrain secret` prints what belongs in it.") from None
    return secrets_of(text, where)
