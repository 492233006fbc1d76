"""What the pipelines ask of the world. A composition root fills these; tests fill them from memory.

Every step that changes something outside the journal can be done twice without harm, because a process may end between the
doing and the record of it: `register` gives a run one version however often it is asked, `promote` and `rollback` move an
alias for a run at most once, ever, and only from where the run believes it to stand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import msgspec

from pipelines.errors import CancelAsked, Halted
from pipelines.explanation import Explanation
from pipelines.firing import Firing
from pipelines.gate import Paired
from pipelines.intake import Groups
from pipelines.losses import Floats
from pipelines.missing import Missing
from pipelines.policy import Policy

Alive = Callable[[], None]
"""Called every second or so by a step at work: keeps the run. Raises Fenced, CancelAsked or Halted when the step is to stop."""


def through(alive: Alive) -> Alive:
    """`alive` for what is brought to its end although the step is to stop: only who has lost the run leaves it."""

    def kept() -> None:
        with suppress(CancelAsked, Halted):
            alive()

    return kept


class Put(Protocol):
    """What `put_blob` gives."""

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hexadecimal digits."""

    @property
    def size_bytes(self) -> int:
        """Bytes."""


class Store(Protocol):
    """Numbered entries and documents that are created once, and blobs by digest. The registry's stores satisfy this, and
    so does `pipelines.directory`."""

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        """Create entry `number` of a log, durably, unless there is one; True for the one writer who did."""

    def entry(self, log: str, number: int) -> bytes | None:
        """The body of an entry, None when there is none."""

    def last(self, log: str) -> int:
        """The largest number in the log, 0 for an empty one."""

    def logs(self, prefix: str = "") -> list[str]:
        """Names of the logs below `prefix`, sorted."""

    def create_document(self, name: str, body: bytes) -> bool:
        """Create a document, durably, unless there is one; True for the one writer who did."""

    def document(self, name: str) -> bytes | None:
        """The body of a document, None when there is none."""

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Put:
        """Keep bytes, durably."""

    def blob_size(self, digest: str) -> int | None:
        """Bytes of a blob, None when it is not there."""

    def blob(self, digest: str) -> Iterator[bytes]:
        """The bytes in chunks, verified at the last one at the latest."""


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows to train on and later rows to judge by. `digest` names the whole; the parts are blobs of JSON lines."""

    digest: str
    train: str
    test: str
    train_rows: int
    test_rows: int
    until_ms: int  # labels that became known later are not in it


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model, as a blob."""

    digest: str
    size_bytes: int


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What training gave: files by path, the facts of its environment, and what the code said of itself."""

    files: dict[str, ModelFile]
    environment: dict[str, str]
    said: dict[str, Any]


class Serving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registered version. `names`: what predictions may call it."""

    version: int
    names: tuple[str, ...]
    files: dict[str, ModelFile]

    @staticmethod
    def of(model: str, number: int, files: dict[str, ModelFile], *more: str) -> Serving:
        """Version `number` of a model: predictions may say `3`, `v3` or `MODEL@3`, and `more`, such as its digest."""
        return Serving(number, (str(number), f"v{number}", f"{model}@{number}", *more), files)


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with data, in a word and a sentence."""

    check: str
    detail: str


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model version before it has a number."""

    model: str
    run: str
    dataset: str
    artifact: Artifact
    params: dict[str, Any]
    code_revision: str | None
    gate_report: str  # digest of the JSON


class Move(StrEnum):
    """What came of moving an alias."""

    MOVED = "moved"
    ALREADY = "already"  # this run did it before
    CONFLICT = "conflict"  # the alias does not point where the run believes
    REFUSED = "refused"  # a rule of the registry says no
    FROZEN = "frozen"  # a person stopped automatic moves, and may let them go on


class Moving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of it, and why in a sentence."""

    move: Move
    detail: str = ""

    @staticmethod
    def conflict(alias: str, at: int | None, expected: int | None) -> Moving:
        """The alias points at another version than the one that was to be replaced."""
        return Moving(Move.CONFLICT, f"{alias} points at {at}, not at {expected}")


class Registered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version as it was registered. `names`: as of Serving."""

    model: str
    number: int
    names: tuple[str, ...]
    run: str | None
    dataset: str | None  # digest of what it was trained on
    by: str
    at_ms: int


class AliasMove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that was done to an alias, in words: `champion moved to 3`."""

    at_ms: int
    actor: str
    said: str
    reason: str


class Clock(Protocol):
    """Time is handed in."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""


class Alerts(Protocol):
    """What the monitor says."""

    def firing(self) -> tuple[Firing, ...]:
        """What fires now."""


@runtime_checkable
class Told(Protocol):
    """Alerts that are known by the ids of their events too, as `driftline alerts list` prints them."""

    def events(self) -> Mapping[str, Firing]:
        """By the id of an event what it tells of, whether it fires or is over."""


class Data(Protocol):
    """Where rows come from."""

    def mature(self, policy: Policy, now_ms: int) -> int:
        """Labelled rows at hand."""

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        """Fix the rows of a run: the same call gives the same dataset as long as the source holds the rows."""

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        """What forbids training on it."""

    def missing(self, policy: Policy, dataset: Dataset) -> tuple[Missing, ...]:
        """In how many of its rows each feature is missing, to train on and to judge by."""

    def watched(
        self, policy: Policy, names: Collection[str], since_ms: int, until_ms: int, alive: Alive
    ) -> Dataset | None:
        """Labelled rows that a promoted version predicted, all in `test`; None when there are none.

        Predictions call the version one of `names`. Rows that do not say who predicted count from the promotion on.
        """

    def compared(
        self,
        policy: Policy,
        served: Collection[str],
        other: Collection[str],
        since_ms: int,
        until_ms: int,
        alive: Alive,
    ) -> Dataset | None:
        """Labelled rows that two versions can be compared on, all in `test`, in the order in which their labels became known;
        None when there are none. They were predicted from `since_ms` on by a version that is called one of `served`. Where
        whoever serves scores both (`shadow.scored_by`) they are those that one of `other` predicted too, with the scores of
        both as columns SERVED_SCORE and OTHER_SCORE."""

    def past(self, policy: Policy, from_ms: int, until_ms: int) -> Dataset:
        """All labelled rows of [from_ms, until_ms), all in `test`, whenever their labels became known: for backtests."""

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        """Whether predictions name the version now, with or without labels: that it serves. None where nobody can say."""


class Trainer(Protocol):
    """Runs the user's training."""

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        """Raises StepFailed. An attempt shares nothing with another one."""

    def clear(self, policy: Policy, alive: Alive) -> None:
        """No step of the model is at work any more, whoever began it: asked before a run is said to have ended in the middle of
        a step. `alive` is called as by a step. Raises StepFailed where that cannot be had now."""


SERVED_SCORE = "score.served"
OTHER_SCORE = "score.other"


class Anchors(Protocol):
    """Where the fixed rows are that every challenger must pass."""

    def anchor(self, policy: Policy) -> Dataset:
        """The anchor set, all in `test`. Raises NotFound where there is none, or not the one that the policy names."""


@dataclass(frozen=True, slots=True)
class Known:
    """Columns of the rows that hold scores already; None: the model scores them."""

    champion: str | None = None
    challenger: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with their scores: labels, scores (None where nobody was asked for them), and who they belong to."""

    labels: Floats
    scores: Floats | None
    groups: Groups = field(default_factory=dict)


class Evaluator(Protocol):
    """Scores champion and challenger on the same rows."""

    def losses(
        self,
        policy: Policy,
        dataset: Dataset,
        challenger: Artifact,
        champion: Serving | None,
        alive: Alive,
        known: Known | None = None,
    ) -> Paired:
        """Losses on the held-out rows, in order. Without a champion its place has the base rate of the training rows.
        `known`: None is the champion's column of the policy."""

    def scored(
        self, policy: Policy, rows: str, model: Serving | None, alive: Alive, known: str | None = None
    ) -> Scored:
        """The labels of the rows of a blob, and what a model makes of them; no scores without a model and a known column. They
        belong to guarded segments and to sources of labels."""

    def explained(
        self,
        policy: Policy,
        dataset: Dataset,
        paired: Paired,
        challenger: Artifact,
        champion: Serving | None,
        alive: Alive,
    ) -> Explanation:
        """What the two look at, and where they differ, on the held-out rows."""


class Models(Protocol):
    """Where versions and the alias are kept."""

    def serving(self, policy: Policy) -> Serving | None:
        """What the alias points at."""

    def version(self, policy: Policy, number: int) -> Serving:
        """One version."""

    def models(self) -> list[str]:
        """Every model with a version, sorted."""

    def registered(self, model: str) -> tuple[Registered, ...]:
        """The versions of a model, in order; empty where there is none."""

    def moved(self, model: str) -> tuple[AliasMove, ...]:
        """What was done to its aliases and counted, in order."""

    def register(self, draft: Draft, by: str, at_ms: int) -> int:
        """The version of the run: a new one the first time, the same one ever after."""

    def promote(
        self,
        policy: Policy,
        run: str,
        version: int,
        replaces: int | None,
        approvers: Mapping[str, str],
        by: str,
        at_ms: int,
    ) -> Moving:
        """Let the alias point at the version, if it points at `replaces`, at most once for a run: one that brings the alias of a
        shadow to two versions, one after the other, does each once. `approvers`: who, why."""

    def rollback(self, policy: Policy, run: str, version: int, to: int, by: str, at_ms: int) -> Moving:
        """Let the alias point at `to` again, if it points at `version`, at most once for a run."""


class Ports(Protocol):
    """All of them together, and the store that the journals are in."""

    @property
    def store(self) -> Store:
        """Journals and blobs."""

    @property
    def clock(self) -> Clock: ...  # noqa: D102

    @property
    def alerts(self) -> Alerts: ...  # noqa: D102

    @property
    def data(self) -> Data: ...  # noqa: D102

    @property
    def trainer(self) -> Trainer: ...  # noqa: D102

    @property
    def evaluator(self) -> Evaluator: ...  # noqa: D102

    @property
    def anchors(self) -> Anchors: ...  # noqa: D102

    @property
    def models(self) -> Models: ...  # noqa: D102
