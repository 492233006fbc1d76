"""What is measured of inputs and scores against the reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from monitor.config.base import Section
from monitor.config.metric_names import DISTANCES, PAIRED, STANDARD
from monitor.config.streams import FeatureName

Distance = Literal["psi", "ks", "psi_corrected", "js", "hellinger", "tvd", "linf", "chi_square", "wasserstein"]
Pair = tuple[FeatureName, FeatureName]
MOST_PAIRS = 32
"""Each pair costs a cell for every prediction and half a kilobyte for every window."""


class Drift(Section):
    """What is measured of inputs and scores, beside PSI and KS."""

    distances: tuple[Distance, ...] = Field(
        (),
        description="More distances to the reference that windows carry and rules may name, beside psi and ks.",
        examples=[["js", "wasserstein"]],
    )
    pairs: Annotated[tuple[Pair, ...], Field(max_length=MOST_PAIRS)] = Field(
        (),
        description="Pairs of features of which is watched whether they go together as in the reference, which must have been "
        "built with them: a change that neither shows alone.",
        examples=[[["hour", "origin"]]],
    )

    @property
    def pair_names(self) -> tuple[str, ...]:
        """The pairs as metrics name them: `hour~origin`."""
        return tuple(PAIRED.join(pair) for pair in self.pairs)

    @property
    def carried(self) -> tuple[str, ...]:
        """The distances of every input window, each once, in the order of the catalogue."""
        return tuple(name for name in DISTANCES if name in STANDARD or name in self.distances)
