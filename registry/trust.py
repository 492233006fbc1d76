"""Whom to believe: a trust policy says whose signatures count for what, and readers serve nothing that it does not cover.

    keys:
      ci:     {public: "ed25519:..."}
      eve:    {public: "ed25519:...", from: 2026-01-01, until: 2027-01-01}
      laptop: {public: "ed25519:...", revoked: true}
    models:
      fraud:  {versions: [ci], moves: [eve], rollbacks: [robot], signatures: 1, aliases: {challenger: [ci]}}
      "*":    {versions: [ci], moves: [eve]}

A key is good for entries of its time: those that were made from `from` on and before `until`. The time is that of the entry
and, because whoever may write to the store may write any time, that of every entry before it: a key whose time is over signs
nothing that comes after what was made since, and no move to such a version. Whoever holds a key that was lost can still write
what is as old as the last entry. Such a key is `revoked`, and nothing that it ever signed counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from registry import codec
from registry.catalog import Catalog
from registry.digest import digest_of
from registry.errors import Damaged, FormatError, NotFound, SigningError, Untrusted
from registry.fold import MovesState
from registry.manifest import VersionEntry, decode_entry, versions_log
from registry.moves import Promote, Rollback, moves_log
from registry.signing import Entry, Envelope, Kind, PublicKey
from registry.store import Store

ENVELOPES_MAX: Final = 1000
"""Envelopes of one entry that are looked at: whoever may write to the store may write many."""
_DAY_CHARS: Final = len("2027-01-01")
_KEY: Final = frozenset({"public", "from", "until", "revoked"})
_RULE: Final = frozenset({"versions", "moves", "rollbacks", "signatures", "aliases"})
_REMEDY: Final = "docs/registry.md says how a trust policy is written."


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key, whose it is, and when it is good: `[from_ms, until_ms)`."""

    name: str
    public: PublicKey
    from_ms: int | None = None
    until_ms: int | None = None
    revoked: bool = False

    def fault(self, at_ms: int) -> str | None:
        """Why what it signed at a time does not count."""
        if self.revoked:
            return "is revoked"
        if self.from_ms is not None and at_ms < self.from_ms:
            return f"is good from {_said(self.from_ms)} on only"
        if self.until_ms is not None and at_ms >= self.until_ms:
            return f"was good until {_said(self.until_ms)}"
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may sign what of some models. `signatures`: how many people a move needs."""

    versions: frozenset[str]
    moves: frozenset[str]
    rollbacks: frozenset[str] = frozenset()
    aliases: Mapping[str, frozenset[str]] = field(default_factory=dict)
    signatures: int = 1

    def may(self, entry: Entry, what: Promote | Rollback | VersionEntry) -> frozenset[str]:
        """Who may sign it."""
        if entry.kind is Kind.VERSION or isinstance(what, VersionEntry):
            return self.versions
        people = self.aliases.get(what.alias, self.moves)
        return people | self.rollbacks if isinstance(what, Rollback) else people


@dataclass(frozen=True, slots=True)
class Trust:
    """A trust policy. `rules`: by pattern of models, in order; the first that fits counts."""

    keys: tuple[TrustedKey, ...]
    rules: tuple[tuple[str, Rule], ...]

    def rule(self, model: str) -> Rule:
        """Raises Untrusted."""
        for pattern, rule in self.rules:
            if fnmatchcase(model, pattern):
                return rule
        raise Untrusted(f"model {model!r}", "is in no rule of the trust policy", "Add one, or '*'.")

    def checked(
        self, entry: Entry, what: Promote | Rollback | VersionEntry, envelopes: Iterable[bytes], latest_ms: int
    ) -> list[str]:
        """The names of those who signed an entry and may. Raises Untrusted when they are too few, with every reason.
        `latest_ms`: the latest time of what it comes after, itself included."""
        rule = self.rule(entry.model)
        may, needed = rule.may(entry, what), rule.signatures if entry.kind is Kind.MOVE else 1
        keys = {key.public.id: key for key in self.keys}
        publics = {id_: key.public for id_, key in keys.items()}
        fine, reasons = set[str](), []
        for raw in envelopes:
            try:
                envelope = Envelope.of(raw, f"a signature of {entry.where}")
            except FormatError as error:
                reasons.append(f"a signature {error.why}")
                continue
            signed = envelope.signers(entry, publics)
            for id_ in signed:
                name = keys[id_].name
                if name not in may:
                    reasons.append(f"{name!r} may not sign it")
                elif (fault := keys[id_].fault(what.at_ms)) is not None:
                    reasons.append(f"the key of {name!r} {fault}")
                elif (fault := keys[id_].fault(latest_ms)) is not None:
                    older = f"it says {_said(what.at_ms)}, and comes after an entry of {_said(latest_ms)}"
                    reasons.append(f"the key of {name!r} {fault} ({older})")
                else:
                    fine.add(name)
            if not signed:
                known = [keys[id_].name for id_, _ in envelope.signatures if id_ in keys]
                unknown = [id_[:12] for id_, _ in envelope.signatures if id_ not in keys]
                reasons += [f"what claims to be by {name!r} is no signature of it" for name in known]
                reasons += [f"key {id_!r} is not in the trust policy" for id_ in unknown]
        if len(fine) >= needed:
            return sorted(fine)
        have = f"{len(fine)} of {needed} signatures" if needed > 1 or fine else "no signature that counts"
        why = f"has {have}: {'; '.join(sorted(set(reasons))) or 'it is not signed'}"
        able = self._able(may - fine, (what.at_ms, latest_ms))
        raise Untrusted(f"{entry.where} ({_told(what)})", why, _remedy(able, needed - len(fine)))

    def _able(self, names: frozenset[str], times_ms: tuple[int, ...]) -> list[str]:
        """Those whose signature would count for an entry of these times: a key that is revoked, or not of them, is no help."""
        found = {key.name for key in self.keys if not any(key.fault(at_ms) for at_ms in times_ms)}
        return sorted(names & found)


# ------------------------------------------------------------------------------------------------------ in a store


def sign_in(store: Store, entry: Entry, envelope: bytes) -> bool:
    """Keep a signature beside an entry; False when it is there already."""
    return store.create_document(f"{_folder(entry)}/{digest_of(envelope).removeprefix('sha256:')[:32]}", envelope)


def signatures_of(store: Store, entry: Entry) -> list[bytes]:
    """The envelopes that are kept beside an entry."""
    names = store.documents(_folder(entry))[:ENVELOPES_MAX]
    return [body for name in names if (body := store.document(name)) is not None]


def version_entry(store: Store, model: str, number: int) -> tuple[Entry, VersionEntry]:
    """Raises NotFound, FormatError."""
    body = store.entry(versions_log(model), number)
    if body is None:
        raise NotFound(f"version {model}@{number}", "is not in this registry", "`driftline registry list` shows all.")
    return Entry(model, Kind.VERSION, number, body), decode_entry(body, f"entry {number} of {versions_log(model)!r}")


def move_entry(store: Store, model: str, moved: Promote | Rollback) -> Entry:
    """The entry of a move. Raises Damaged when the store has another one there."""
    body = store.entry(moves_log(model), moved.sequence)
    if body is None or body != codec.encode(moved):
        raise Damaged(f"entry {moved.sequence} of {moves_log(model)!r}", "it is not the one that was read before")
    return Entry(model, Kind.MOVE, moved.sequence, body)


def check(trust: Trust, catalog: Catalog, model: str, alias: str, state: MovesState) -> tuple[list[str], list[str]]:
    """Who signed the version that an alias points at, and who the move by which it does. Raises Untrusted, NotFound."""
    moved = state.alias(alias).moved
    if moved is None:
        raise NotFound(f"alias {model}@{alias}", "points at nothing", "Promote a version to it.")
    store = catalog.store
    entry, version = version_entry(store, model, moved.version)
    if version.manifest != moved.manifest:
        raise Damaged(entry.where, f"its manifest is {version.manifest}, move {moved.sequence} says {moved.manifest}")
    by = check_version(trust, catalog, model, moved.version)
    move = move_entry(store, model, moved)
    # A move that went back was not accepted. Nobody moves an alias to what is yet to be made.
    latest_ms = max(moved.at_ms, _latest_ms(catalog, model, moved.version))
    return by, trust.checked(move, moved, signatures_of(store, move), latest_ms)


def check_version(trust: Trust, catalog: Catalog, model: str, number: int) -> list[str]:
    """Who signed a version. Raises Untrusted, NotFound."""
    entry, version = version_entry(catalog.store, model, number)
    return trust.checked(entry, version, signatures_of(catalog.store, entry), _latest_ms(catalog, model, number))


def _latest_ms(catalog: Catalog, model: str, number: int) -> int:
    """The latest time that a version or one before it says."""
    return max(each.entry.at_ms for each in catalog.versions(model)[:number])


def _folder(entry: Entry) -> str:
    return f"signatures/{entry.where}"


def _remedy(able: list[str], lacking: int) -> str:
    """What is to be done. `able`: who may still sign; `lacking`: how many of them have to."""
    if len(able) >= lacking:
        return f"It may be signed by {', '.join(able)}: `driftline registry sign`."
    only = f"of those who may sign it only {', '.join(able)} can" if able else "nobody who may sign it can"
    return f"Add a key to the trust policy: {only}, as the other keys are revoked, or not good for that time."


def _told(what: Promote | Rollback | VersionEntry) -> str:
    if isinstance(what, VersionEntry):
        return f"version {what.number}"
    verb = "rollback of" if isinstance(what, Rollback) else "promotion of"
    return f"{verb} {what.alias} to {what.version} by {what.actor}"


def _said(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="minutes").removesuffix("+00:00") + "Z"


# -------------------------------------------------------------------------------------------------- as it is written


def trust_of(document: Any, where: str) -> Trust:
    """A trust policy from its document. Raises SigningError with the first mistake, by its path."""
    whole = _mapping(document, where, frozenset({"keys", "models"}))
    keys = tuple(_key(name, each, f"{where}: keys.{name}") for name, each in _mapping(whole.get("keys"), where).items())
    if len({key.public.raw for key in keys}) < len(keys):
        raise SigningError(where, "has one key under two names", "Two names must be two people.")
    names = frozenset(key.name for key in keys)
    rules = [
        (str(pattern), _rule(each, names, f"{where}: models.{pattern}"))
        for pattern, each in _mapping(whole.get("models"), where).items()
    ]
    if not keys or not rules:
        raise SigningError(where, "says no keys or no models", _REMEDY)
    return Trust(keys, tuple(rules))


def _key(name: Any, written: Any, where: str) -> TrustedKey:
    said = _mapping(written, where, _KEY)
    revoked = said.get("revoked", False)
    if not isinstance(revoked, bool) or not isinstance(said.get("public"), str):
        raise SigningError(where, "needs `public` as text, and `revoked` true or false if at all", _REMEDY)
    times = [_ms(said.get(key), f"{where}.{key}") for key in ("from", "until")]
    return TrustedKey(str(name), PublicKey.of(said["public"]), times[0], times[1], revoked)


def _rule(written: Any, names: frozenset[str], where: str) -> Rule:
    said = _mapping(written, where, _RULE)
    people = {key: _people(said.get(key, []), names, f"{where}.{key}") for key in ("versions", "moves", "rollbacks")}
    aliases = {
        str(a): _people(who, names, f"{where}.aliases.{a}")
        for a, who in _mapping(said.get("aliases", {}), where).items()
    }
    needed = said.get("signatures", 1)
    if not isinstance(needed, int) or isinstance(needed, bool) or needed < 1:
        raise SigningError(
            f"{where}.signatures", f"is {needed!r}", "Write how many people have to sign a move: 1 or more."
        )
    if not people["versions"] or not (people["moves"] or aliases):
        raise SigningError(where, "lets nobody sign versions, or nobody moves", _REMEDY)
    return Rule(people["versions"], people["moves"], people["rollbacks"], aliases, needed)


def _people(written: Any, names: frozenset[str], where: str) -> frozenset[str]:
    if not isinstance(written, list):
        raise SigningError(where, f"is {written!r}", "Write a list of names from `keys`.")
    if unknown := sorted(str(each) for each in written if each not in names):
        raise SigningError(
            where, f"names {unknown[0]!r}, who is not in `keys`", f"There are: {', '.join(sorted(names))}."
        )
    return frozenset(written)


def _mapping(written: Any, where: str, known: frozenset[str] | None = None) -> Mapping[Any, Any]:
    if not isinstance(written, dict):
        raise SigningError(where, f"is {type(written).__name__} where keys are needed", _REMEDY)
    if known is not None and (unknown := sorted(str(key) for key in written if key not in known)):
        raise SigningError(where, f"has unknown field {unknown[0]!r}; there are: {', '.join(sorted(known))}", _REMEDY)
    return written


def _ms(written: Any, where: str) -> int | None:
    """A day, or a time with its zone: one without could be any."""
    if written is None:
        return None
    at = written
    if isinstance(at, str):
        try:
            at = date.fromisoformat(at) if len(at) == _DAY_CHARS else datetime.fromisoformat(at)
        except ValueError:
            at = None
    if isinstance(at, date) and not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise SigningError(where, f"is {written!r}", "Write 2027-01-01, or 2027-01-01T12:00:00Z.")
    return int(at.timestamp() * 1000)
