"""From findings about the parts of an item to findings about the item: k of m.

Parts are the frames of an animation or a video, and the images of an item of several. A rule is broken in
an item if it is broken in k of its m parts, kept if it cannot be broken in k parts however the undecided ones
turn out, and undecided otherwise. This is the outcome of the k-th worst part, so its finding and its score,
the k-th largest, stand for the item.

One broken image of an item is enough; an image with several frames is broken in k of them. For m frames, k is
the smallest number with P(Binomial(m, f) >= k) <= `ITEM_ALARM`: if each frame is wrongly called broken with
probability f, independently, at most that share of items is. Frames of one video are not independent, so f is
better measured on whole videos (`jurat calibrate`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from jurat.judge.findings import AlternativeScore, Part, RuleFinding, RuleOutcome, with_alternatives
from jurat.judge.loading import Place

FRAME_ALARM = 0.01
"""f, unless a calibration gives another: one broken frame is enough up to 10 frames, two up to 53."""
ITEM_ALARM = 0.1
"""The largest share of items that may be called broken by chance alone."""

_WORST: dict[RuleOutcome, int] = {"kept": 0, "undecided": 1, "broken": 2}


def badness(rule: RuleFinding) -> tuple[int, float]:
    """Orders findings about one rule from best to worst."""
    return _WORST[rule.outcome], rule.score if rule.score is not None else 1.0


@lru_cache(maxsize=4096)
def frames_needed(frames: int, alarm: float = FRAME_ALARM) -> int:
    """k for m `frames`, at least 1 and at most m; see the module's docstring.

    >>> [frames_needed(m) for m in (1, 8, 10, 11, 32, 53, 54)]
    [1, 1, 1, 2, 2, 2, 3]
    """
    below = 0.0
    for k in range(1, frames):
        hits = k - 1
        below += math.comb(frames, hits) * alarm**hits * (1 - alarm) ** (frames - hits)
        if 1 - below <= ITEM_ALARM:
            return k
    return max(frames, 1)


def ranked(found: Sequence[RuleFinding], needed: int = 1) -> RuleFinding:
    """The `needed`-th worst of the findings about a rule in several parts; of equal ones the first."""
    if len(found) == 1:
        return found[0]
    return sorted(found, key=badness, reverse=True)[min(needed, len(found)) - 1]


def of_item(images: Sequence[Sequence[tuple[Place, RuleFinding]]], needed: Sequence[int]) -> RuleFinding:
    """The finding about a rule in an item.

    Args:
        images: for each image the findings on its frames, at least one.
        needed: for each image the number of frames in which the rule must be broken.
    """
    if len(images) == len(images[0]) == 1:
        return images[0][0][1]
    each = [
        ranked([said for _, said in frames], k).model_copy(update={"needed": min(k, len(frames))})
        for frames, k in zip(images, needed, strict=True)
    ]
    finding = ranked(each)
    parts = [_part(place, said) for frames in images for place, said in frames]
    agreeing = sum(part.outcome == finding.outcome for part in parts)
    return finding.model_copy(update={"parts": tuple(parts), "agreeing": agreeing})


def in_pixels_of_the_file(finding: RuleFinding, scale: float) -> RuleFinding:
    """The finding on a scaled frame, with its regions in pixels of the file."""
    if scale == 1:
        return finding

    def scaled(one: AlternativeScore) -> AlternativeScore:
        sides = [
            {side: getattr(each, side) * scale for side in ("x0", "y0", "x1", "y1")} for each in one.regions
        ]
        regions = tuple(each.model_copy(update=new) for each, new in zip(one.regions, sides, strict=True))
        return one.model_copy(update={"regions": regions})

    return with_alternatives(finding, scaled)


def _part(place: Place, said: RuleFinding) -> Part:
    return Part(
        index=place.index,
        frame=place.frame,
        time=place.time,
        rendering=place.rendering,
        outcome=said.outcome,
        score=said.score,
    )
