"""The runs of one model, as the log of admissions has them: `retraining/MODEL/runs`, entry n is the n-th run.

Whoever creates entry n first has admitted run n, and only on what the entries before it say: one active run, cooldown, budget
and "once per incident" hold under any number of workers, because each decides anew when another one was first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from pipelines.codec import canonical_bytes, decode, digest_of
from pipelines.errors import ConfigError
from pipelines.firing import Firing
from pipelines.journal import Reason
from pipelines.policy import Policy
from pipelines.states import State, terminal

FORMAT: Final = 2
"""1: policies without intake, labels, guards of the gate, ... An admission has the lowest format that can say what it says: older
code goes on with what it understands."""
RUN_HEX_DIGITS: Final = 32
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Mode(StrEnum):
    """How far a run goes."""

    FULL = "full"  # to promotion
    CANDIDATE = "candidate"  # a version is registered and that is all


class Admission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entry `number` of the log. The policy is kept whole: a run goes on under the one that it began with."""

    format: int
    number: int
    previous: str | None  # digest of the entry before
    run: str
    model: str
    mode: Mode
    causes: tuple[Firing, ...]  # empty: a person asked
    alpha: float  # what its gate may spend
    policy: Policy
    requested_by: str
    why: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a decision about the next run needs to know of an earlier one."""

    admission: Admission
    state: State
    ended_ms: int | None
    promoted: bool = False
    reason: Reason | None = None
    promoted_ms: int | None = None

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return not terminal(self.state)

    @property
    def incidents(self) -> frozenset[tuple[str, str]]:
        """The incidents, (fingerprint, episode), that it was begun for."""
        return frozenset((cause.fingerprint, cause.episode) for cause in self.admission.causes)

    @property
    def turned_away(self) -> bool:
        """Whether it ended over its rows, before anything was trained: later rows may be better, the incident stays open."""
        return self.state is State.REJECTED and self.reason in (Reason.DATA_QUALITY, Reason.FEW_LABELS)


def run_id(model: str, fingerprint: str, episode: str, policy: Policy, attempt: int = 1) -> str:
    """Names a run by what it is for: the same incident under the same policy is the same run, whoever asks. `attempt` counts
    from 1; later ones follow runs that were turned away."""
    again = [attempt] if attempt > 1 else []
    body = canonical_bytes(["run", model, fingerprint, episode, policy.digest, *again])
    return digest_of(body).removeprefix("sha256:")[:RUN_HEX_DIGITS]


def admissions_log(model: str) -> str:
    """Where the runs of a model are entered. Raises ConfigError."""
    if not _MODEL.fullmatch(model):
        raise ConfigError(
            f"model {model[:80]!r}", "cannot be used", "Use at most 100 letters, digits, '.', '_' and '-'."
        )
    return f"retraining/{model}/runs"


def encode_admission(admission: Admission) -> bytes:
    """The bytes of an entry."""
    document = msgspec.to_builtins(admission, str_keys=True)
    return canonical_bytes({**document, "policy": admission.policy.document()})


def format_of(policy: Policy) -> int:
    """The format of an admission under a policy."""
    return 1 if policy.is_of_format_1 else FORMAT


def decode_admission(raw: bytes, where: str) -> Admission:
    """Raises FormatError."""
    found: Admission = decode(Admission, raw, where, FORMAT)
    return found
