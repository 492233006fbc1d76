"""The exceptions of the registry, drawn as a tree.

    RegistryError                anything this package raises on purpose: what, why, remedy
    ├── BadName                  a name of a model, alias, path, actor or digest is outside its grammar (exit 2)
    ├── NotFound                 no such model, version or alias
    ├── FormatError              a durable document is newer than this code, or not what it claims to be
    ├── StoreError               the store refused or failed
    │   ├── Damaged              the bytes that are there are not those that were written
    │   ├── Missing              something that is referred to is not there
    │   ├── NotDense             an entry would leave a number out
    │   └── StoreUnreachable     an object store that does not answer (exit 69)
    ├── BundleRefused            files that are no model this registry takes; carries every finding (exit 3)
    ├── MoveRefused              the rules of the alias log do not allow the move (exit 3)
    │   └── Conflict             somebody else moved the alias meanwhile: decide again
    ├── TopicError               the `models` topic cannot be read or written
    │   └── TopicUnreachable     no broker answers (exit 69)
    ├── SourceError              another registry that is imported from cannot be read, or says what it cannot mean
    ├── SigningError             a key, or a trust policy, cannot be used (exit 2)
    ├── Untrusted                nobody whom the trust policy believes has signed it (exit 3)
    ├── ProbeMismatch            a model does not give the outputs that its probe set says
    └── NotInstalled             an optional library is needed

Each keeps its parts as fields; `str(error)` is the finished sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RegistryError(Exception):
    """Anything the registry raises on purpose: `what` thing, `why` it is refused, `remedy` to try next."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what} {why}. {remedy}")
        self.what, self.why, self.remedy = what, why, remedy


class BadName(RegistryError):
    """A name is outside its grammar. `value` is what was given."""

    def __init__(self, kind: str, value: str, remedy: str) -> None:
        shown = value if len(value) <= 80 else value[:77] + "..."
        super().__init__(f"{kind} {shown!r}", "cannot be used", remedy)
        self.kind, self.value = kind, value


class NotFound(RegistryError):
    """No such model, version or alias."""


class FormatError(RegistryError):
    """A durable document cannot be read by this version of the code: too new, or not what it claims to be."""


class StoreError(RegistryError):
    """The store refused or failed."""


class Damaged(StoreError):
    """The bytes at `where` are not those that were written there."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            where, f"is damaged: {why}", "Restore it from a copy; `driftline registry fsck` lists all damage."
        )
        self.where = where


class Missing(StoreError):
    """`where` should be in the store and is not."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            where, f"is missing: {why}", "Restore it from a copy; `driftline registry fsck` lists all damage."
        )
        self.where = where


class NotDense(StoreError):
    """Entry `number` of `log` cannot be created: the one before it does not exist."""

    def __init__(self, log: str, number: int) -> None:
        super().__init__(
            f"entry {number} of {log!r}",
            f"cannot be created: entry {number - 1} does not exist",
            "Read the log again, then create the entry that follows its last one.",
        )
        self.log, self.number = log, number


class StoreUnreachable(StoreError):
    """An object store did not answer for as long as it is asked again. Trying again later may help."""


class BundleRefused(RegistryError):
    """The files are no model that this registry takes. `findings` holds every reason (`formats.Finding`)."""

    def __init__(self, what: str, findings: Sequence[Any]) -> None:
        why = "is refused; nothing in it was loaded:" + "".join(f"\n  {finding}" for finding in findings)
        remedy = "Export the model as ONNX, safetensors or JSON and add that; a river model is added as its recipe."
        super().__init__(what, why, remedy)
        self.args = (f"{what} {why}\n{remedy}",)
        self.findings = tuple(findings)


class MoveRefused(RegistryError):
    """The rules do not allow a move of an alias. `verdict` says which rule (`fold.Verdict`)."""

    def __init__(self, what: str, verdict: str, why: str, remedy: str) -> None:
        super().__init__(what, why, remedy)
        self.verdict = verdict


class Conflict(MoveRefused):
    """The alias does not point where the caller believed: the move was decided against something that is gone."""


class TopicError(RegistryError):
    """The topic that states are published to cannot be read or written. The store is not concerned."""


class TopicUnreachable(TopicError):
    """No broker answers."""


class SourceError(RegistryError):
    """Another registry that is imported from cannot be read. `code` is its HTTP status, None where there was none."""

    def __init__(self, what: str, why: str, remedy: str, code: int | None = None) -> None:
        super().__init__(what, why, remedy)
        self.code = code


class SigningError(RegistryError):
    """A key, or a trust policy, cannot be used."""


class Untrusted(RegistryError):
    """Nobody whom the trust policy believes has signed it."""


class ProbeMismatch(RegistryError):
    """The model does not give the outputs that its probe set says: the right bytes, another behaviour."""


class NotInstalled(RegistryError):
    """An optional library is needed for this. `extra` is the part of the distribution that brings it."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(what, f"needs {library}, which is not installed", f"Run: pip install 'driftline[{extra}]'.")
        self.library, self.extra = library, extra
