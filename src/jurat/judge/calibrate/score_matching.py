"""Transfers a threshold on one model's scores to another model's scores of the same images.

The new threshold decides as many of the images as the old one did (quantile matching), and never more: where
scores are tied it decides fewer. Only ranks count, so the two models' scores may be scaled in any way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from jurat.judge.calibrate.calibration import Match

if TYPE_CHECKING:
    from numpy.typing import NDArray

Side: TypeAlias = Literal["keep_below", "break_above"]
SIDES: tuple[Side, ...] = ("keep_below", "break_above")

LEAST = 10
"""Smallest number of images on each side of a threshold that can be transferred."""
MOST_TIED = 0.1
"""Largest share of the images on the smaller side that ties may move to the other side."""
DRAWS = 400
"""Bootstrap draws of the interval."""
_EDGE = 1e-12


class NotMatched(Exception):
    """Raised for a threshold that cannot be transferred; its text gives the reason, as the end of a
    sentence."""


def match_threshold(
    threshold: float, old: Sequence[float], new: Sequence[float], side: Side
) -> tuple[float, Match]:
    """The new threshold and how it was found; `old` and `new` are two models' scores of the same images, in
    the same order, each in [0, 1].

    Raises NotMatched: too few images lie on one side of the old threshold, or too many of the new model's
    scores are equal just there.
    """
    sign = 1 if side == "keep_below" else -1  # what a threshold decides lies below it, with this sign
    before, now = sign * np.asarray(old, float), sign * np.asarray(new, float)
    below = before < sign * threshold
    decided, n = int(below.sum()), len(below)
    if min(decided, n - decided) < LEAST:
        few, where = (decided, "beyond") if decided < LEAST else (n - decided, "on the other side of")
        raise NotMatched(
            f"{few} of the {n:,} images with scores of both models lie {where} the old threshold"
            f" {threshold:.3g}; it takes {LEAST}"
        )
    order = np.argsort(now, kind="stable")
    cut = _cuts(now[order], sign, np.array([decided]))[0]
    deciding = now < cut
    decided_now = int(deciding.sum())
    if decided - decided_now > max(1, MOST_TIED * min(decided, n - decided)):
        tied = int((now == now[order[decided]]).sum())
        raise NotMatched(
            f"the new model gives {tied:,} of the {n:,} images one and the same score, just where its"
            " threshold would lie"
        )
    draws = np.random.default_rng(0).poisson(1, (DRAWS, n)).astype(np.int32)
    cuts = _cuts(now[order], sign, (draws * below).sum(1), draws[:, order])
    low, high = sorted(sign * float(end) for end in np.percentile(cuts, (2.5, 97.5)))
    return sign * float(cut), Match(
        old=threshold,
        interval=(low, high),
        images=n,
        decided=decided,
        decided_now=decided_now,
        both=int((below & deciding).sum()),
    )


def _cuts(
    ordered: NDArray[np.float64],
    sign: int,
    counts: NDArray[np.int64],
    weights: NDArray[np.int32] | None = None,
) -> NDArray[np.float64]:
    """The largest cut of each draw with at most `counts` of the ordered scores below it, each counted by its
    weight. A cut between two scores is their middle in log-odds; at a tie it is the tied score itself, so
    that none of the tied scores lies below."""
    weights = np.ones((1, len(ordered)), np.int32) if weights is None else weights
    within = np.cumsum(weights, 1) <= counts[:, None]
    last = np.minimum(within.sum(1), len(ordered) - 1)
    above, under = ordered[last], ordered[np.maximum(last - 1, 0)]
    middle = sign / (1 + np.exp(-(_logit(abs(above)) + _logit(abs(under))) / 2))
    return np.where((under < middle) & (middle < above), middle, above)


def _logit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = values.clip(_EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)
