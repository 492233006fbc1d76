"""What people are told when the rule does not allow a move: what, why with the values, what to do next."""

from __future__ import annotations

from registry.errors import Conflict, MoveRefused
from registry.fold import AliasState, MovesState, Verdict, approvers
from registry.moves import Freeze, Move, Promote, Protect, Retire, Unfreeze


def refusal(model: str, state: MovesState, move: Move, verdict: Verdict) -> MoveRefused:
    """The error for a move that does not count."""
    why, remedy = _because(model, state, move, verdict)
    kind = Conflict if verdict is Verdict.MOVED_MEANWHILE else MoveRefused
    return kind(_what(model, move), str(verdict), f"is refused: {why}", remedy)


def _what(model: str, move: Move) -> str:
    verb = type(move).__name__.lower()
    if isinstance(move, Retire):
        return f"to retire {model}@{move.version}"
    if isinstance(move, Freeze | Unfreeze | Protect):
        return f"to {verb} {model}@{move.alias}"
    return f"to {verb} {model}@{move.version} as {move.alias}"


def _because(model: str, state: MovesState, move: Move, verdict: Verdict) -> tuple[str, str]:
    alias = AliasState() if isinstance(move, Retire) else state.alias(move.alias)
    version = getattr(move, "version", None)
    match verdict:
        case Verdict.MOVED_MEANWHILE:
            believed, found = _version(getattr(move, "replaces", None)), _version(alias.version)
            return (
                f"it was to replace {believed}, the alias points at {found}",
                "Compare with that one and decide again.",
            )
        case Verdict.FROZEN:
            return "the alias is frozen, so nothing moves it automatically", _unfreeze(model, move)
        case Verdict.RETIRED:
            return f"version {version} was retired: {_reason(state, version)}", "Choose another version."
        case Verdict.NOT_APPROVED:
            assert isinstance(move, Promote)
            given = approvers(alias, move)
            needs = max(alias.required, move.required)
            by = f" ({', '.join(given)})" if given else ""
            return (
                f"it needs {needs} approvals by others than {move.actor} and whoever registered it, and has {len(given)}{by}",
                f"Somebody else runs: driftline registry approve {model}@{version} --alias {move.alias} --reason ...",
            )
        case Verdict.OWN_APPROVAL:
            return f"{move.actor} registered this version", "Somebody else has to approve it."
        case Verdict.NEVER_HELD:
            trail = ", ".join(map(str, alias.trail[:-1])) or "none"
            return f"the alias pointed at {trail} before, not at {version}", "Promote the version instead."
        case Verdict.IN_USE:
            users = sorted(name for name, each in state.aliases.items() if each.version == version)
            return f"{', '.join(users)} points at it", "Promote or roll back to another version first."
        case Verdict.NOT_A_PERSON:
            return "this is for people to decide, and the move is automatic", "Let a person do it."
        case Verdict.TIME_WENT_BACK:
            return f"its time {move.at_ms} is before the last move at {state.at_ms}", "Set the clock of this machine."
        case _:
            return "it is so already", "Nothing needs to be done."


def _unfreeze(model: str, move: Move) -> str:
    alias = getattr(move, "alias", "")
    return (
        f"When it is safe: driftline registry unfreeze {model} --alias {alias} --reason ..., or let a person move it."
    )


def _version(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"


def _reason(state: MovesState, version: int | None) -> str:
    retired = state.retired.get(version or 0)
    return "unknown" if retired is None else f"{retired.reason!r} ({retired.actor})"
