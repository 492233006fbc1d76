"""Editions: everything that is decided has one number of its own, beside the version of the program.

What the ledger counts, which metrics windows carry, what rules, budgets and detectors make of them: whoever reads a ledger again
must come to the same bytes. So a change of any of these is another edition, and code that knows edition n decides by every one
up to n. A namespace goes by one of them at a time: by the newest that its first worker knew, until all who own a partition know
a later one (`daemon.editions_in_force`). Windows keep the edition that held where they start (`windows.editions`).

An edition may add cells behind those of the one before, and change what is made of cells. It may not change what a join holds:
whoever takes a partition over rebuilds that.

To add one: its number and the release that brings it go into RELEASES, `Task.of_edition` gives the ones before their cells and
metrics, and whatever else is decided otherwise asks which edition holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from monitor.errors import NewerVersion

FIRST: Final = 1
"""That of records which name none."""
DETAILED: Final = 2
"""Which added metrics to all tasks, and the cells that they need; what F1 and ROC AUC can end at while labels are missing."""
LASTING: Final = 3
"""Which has an alert of the budget stand while the change that it is about goes on, or labels are held; and tells no causes
beside it that did not change; and explains it by longer windows where the shortest do not reach back to before the change. A
namespace that begins with it counts rows under segments in the order of their names, an earlier one for ever in that of its
files. Regression keeps what the interval of a small RMSLE needs. Ticks close that have gone by on the wall, so that the last
labels of a load are decided before the next load comes; and a record that is as old as lateness allows has a window of its own
also where `disorder` is shorter than a tick. Of versions that are over, the last hundred of a model are remembered."""
RELEASES: Final[Mapping[int, str]] = MappingProxyType({FIRST: "0.1.0", DETAILED: "0.1.0", LASTING: "0.1.0"})
"""The editions that this code knows, each with the first release that does."""
NEWEST: Final = max(RELEASES)


class Edition(msgspec.Struct, frozen=True, array_like=True):
    """An edition as records name it: `release` is the first that knows it, for the advice of those that do not."""

    number: int
    release: str

    @staticmethod
    def of(number: int) -> Edition | msgspec.UnsetType:
        """What a record says of an edition: of the first nothing."""
        return msgspec.UNSET if number == FIRST else Edition(number, RELEASES.get(number, "unreleased"))


Named = Edition | msgspec.UnsetType
"""What a record says of its edition."""


def number_of(named: Named) -> int:
    """Its number."""
    return FIRST if isinstance(named, msgspec.UnsetType) else named.number


def refuse_newer(named: Named, known: int, where: str) -> int:
    """The number of an edition that is to be gone on with. Raises NewerVersion for one after `known`."""
    number = number_of(named)
    if isinstance(named, Edition) and number > known:
        raise NewerVersion(
            f"{where} goes by edition {number}, this version of Driftline knows up to {known}", named.release
        )
    return number


_KNOWS = "+"


def owner_of(token: str, known: int) -> str:
    """What an owner is called that knows editions up to `known`; `token` is drawn at random per opening.

    Fences, commits and checkpoints carry it since the first version, which only compares it: who owns a partition can tell
    what he knows without a record that an earlier version would not read.
    """
    return token if known == FIRST else f"{token}{_KNOWS}{known}"


def known_to(owner: str) -> int:
    """The newest edition that an owner knows; the first where nobody ever owned."""
    number = owner.partition(_KNOWS)[2]
    return int(number) if number.isdigit() else FIRST
