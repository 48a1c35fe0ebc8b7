"""Fits the number of frames of a video in which a rule has to be broken, from videos labelled as a whole.

How many frames are needed follows from their number and from f, the chance of a false alarm in one frame
(`jurat.judge.aggregation`). Frames of one video are alike, so f is not measured on frames: of the values
below, from the largest down, each is tried on the videos that keep the rule, as long as the share of them
that is called broken is at most the bound with 95% confidence (Clopper and Pearson 1934). The last one
that passes is taken. Since fewer and fewer frames are needed on the way, testing in that order needs no
correction for testing several times (Angelopoulos et al. 2021, arXiv 2110.01052, fixed sequence testing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jurat.judge.aggregation import FRAME_ALARM, frames_needed

CONFIDENCE = 0.95
ALARMS = (
    *(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15),
    *(0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001),
)
"""Values of f to try, the largest first."""


@dataclass(frozen=True)
class FramesFit:
    """The fit of one rule to labelled videos."""

    alarm: float | None
    """The fitted f; None if there are too few videos to prove any value."""
    violations: int
    """Labelled videos that break the rule."""
    others: int
    """Labelled videos that do not break it."""
    missed: int
    """Violations not called broken with this f, or with the default if it is None."""

    def needed(self, frames: int) -> int:
        """Number of frames, out of `frames`, in which the rule has to be broken."""
        return frames_needed(frames, FRAME_ALARM if self.alarm is None else self.alarm)


def fit_frames(videos: Sequence[tuple[int, int, bool]], max_false_alarm: float) -> FramesFit:
    """Fits f to videos of one rule.

    Args:
        videos: for each video, the number of frames in which the rule is broken, the number of all its
            frames, and whether the video breaks the rule.
        max_false_alarm: bound on the share of videos keeping the rule that are called broken.
    """
    kept = [(broken, frames) for broken, frames, breaks in videos if not breaks]
    violations = [(broken, frames) for broken, frames, breaks in videos if breaks]
    alarm: float | None = None
    for f in ALARMS:
        wrong = sum(broken >= frames_needed(frames, f) for broken, frames in kept)
        if not _within(wrong, len(kept), max_false_alarm):
            break
        alarm = f
    at = FRAME_ALARM if alarm is None else alarm
    missed = sum(broken < frames_needed(frames, at) for broken, frames in violations)
    return FramesFit(alarm, len(violations), len(kept), missed)


def _within(wrong: int, n: int, bound: float) -> bool:
    """Whether `wrong` of `n` prove, at 95% confidence, that the share is at most the bound."""
    from scipy.stats import binom

    return n > 0 and float(binom.cdf(wrong, n, bound)) <= 1 - CONFIDENCE
