"""Time-uniform bounds of Howard, Ramdas, McAuliffe and Sekhon (2020, 2021) that the gates do not use, and are measured by.

`beta_binomial` is the mixture for sums of centred values within [-g, h]; `stitched` the polynomial stitched bound of sub-Gaussian
ones; `bernoulli` the confidence sequence of a chance from the first. All as in confseq.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import betainc, betaln, zeta

_EDGE = 1e-9


@dataclass(frozen=True)
class BetaBinomial:
    """The mixture, best at a variance of `tuned`."""

    tuned: float
    alpha: float
    g: float
    h: float
    one_sided: bool

    @property
    def _prior(self) -> float:
        alpha = 2 * self.alpha if self.one_sided else self.alpha
        both = 2 * math.log(1 / alpha)
        return max(self.tuned / (both + math.log1p(both)) - self.g * self.h, 1e-3 * self.g * self.h)

    def _beta(self, spread: float, total: float) -> float:
        g, h = self.g, self.h
        x = h / (g + h) if self.one_sided else 1.0
        a, b = (self._prior + spread - g * total) / (g * (g + h)), (self._prior + spread + h * total) / (h * (g + h))
        return float(math.log(betainc(a, b, x)) + betaln(a, b))

    def log(self, total: float, spread: float) -> float:
        """Logarithm of the supermartingale at a sum and a variance process."""
        g, h = self.g, self.h
        up, down = (spread + h * total) / (h * (g + h)), (spread - g * total) / (g * (g + h))
        scale = spread / (g * h) * math.log(g + h) - up * math.log(g) - down * math.log(h)
        return scale + self._beta(spread, total) - self._beta(0.0, 0.0)

    def bound(self, spread: float) -> float:
        """How far the sum can be above its mean, ever, with probability alpha."""
        most = spread / self.g * (1 - _EDGE)
        return float(brentq(lambda total: self.log(total, spread) - math.log(1 / self.alpha), 0.0, most))


def bernoulli(hits: int, n: int, tuned_rows: float, alpha: float) -> tuple[float, float]:
    """The chances under which so many hits of n are not too unlikely, at any n; best at `tuned_rows`."""

    def evidence(p: float) -> float:
        mixture = BetaBinomial(tuned_rows * p * (1 - p), alpha, p, 1 - p, one_sided=False)
        return mixture.log(hits - n * p, n * p * (1 - p)) - math.log(1 / alpha)

    share = hits / n
    low = brentq(evidence, _EDGE, share) if evidence(_EDGE) > 0 else 0.0
    high = brentq(evidence, share, 1 - _EDGE) if evidence(1 - _EDGE) > 0 else 1.0
    return float(low), float(high)


def stitched(spread: float, alpha: float, least: float, power: float = 1.4, eta: float = 2.0) -> float:
    """The polynomial stitched bound, from a variance of `least` on."""
    spread = max(spread, least)
    geometric = (eta**0.25 + eta**-0.25) / math.sqrt(2)
    epochs = power * math.log(math.log(eta * spread / least)) + math.log(zeta(power) / math.log(eta) ** power)
    return float(geometric * math.sqrt(spread * (epochs + math.log(1 / alpha))))
