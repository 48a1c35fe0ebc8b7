"""Dong et al. 2023 (arXiv 2309.11751) against a detector in front of a chatbot: a picture in which nobody is
found.

The confidences of all boxes that a detector proposes are lowered, on an ensemble of detectors, by the paper's
optimiser (SSA and CWA). Theirs find faces, and which ones they are, within what budget, is not known to us;
here any detector is asked for any words, and the bundled one, asked for people, stands in. A detector with a
domain gate finds nothing in what it does not know, and says so: that is no evasion, so the picture is kept
inside the gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jurat.attacks.access import Compute
from jurat.attacks.constraints import Linf
from jurat.attacks.engine import Check, Checked, Outcome, optimise
from jurat.attacks.methods.dong import Dong
from jurat.attacks.objectives import Draw, Objective
from jurat.attacks.pictures import as_picture, as_pixels
from jurat.attacks.problem import Problem
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.models import Detector, DifferentiableDetector
from jurat.models.hf.detectors import LEAST_SCORE

__all__ = ["DetectorEvasion", "Undetected", "evaded"]

_ROOM = 0.1
"""By how much the strangeness of a picture stays below the gate's limit."""


def evaded(detector: Detector, levels: Tensor, words: Sequence[str], threshold: float) -> bool:
    """Whether a detector finds none of the words in a saved picture, uint8 (3, H, W), with a confidence of at
    least `threshold`. A failure, such as a picture outside its domain, is no evasion."""
    (found,) = detector.detect([as_picture(levels)], [words])
    return not isinstance(found, Failure) and all(box.score < threshold for box in found)


class Undetected(Objective):
    """How far the boxes of a detector are above a confidence, in log-odds, summed over boxes and words, and
    how far the picture is outside its domain; 0 where nothing is found.

    Args:
        words: what is searched for in each picture.
        threshold: confidence from which a box counts, in (0, 1).
        margin: log-odds below it that are aimed at.

    Raises:
        JuratError: the detector gives no gradients.
    """

    def __init__(
        self,
        detector: Detector,
        words: Sequence[Sequence[str]],
        spent: Compute,
        *,
        threshold: float,
        margin: float,
    ) -> None:
        if not isinstance(detector, DifferentiableDetector):
            raise JuratError(
                f"The detector {detector.name!r} gives no gradients.",
                hint="Local detectors give them: bundled, hf/NAME_OR_PATH.",
            )
        self._detector: DifferentiableDetector = detector
        self._words, self._spent = words, spent
        self._limit = math.log(threshold / (1 - threshold)) - margin

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        self._spent.forwards += len(pictures)
        made = self._detector.proposals(pictures, [self._words[i] for i in which], rounded=True)
        rows = [
            (each.log_odds - self._limit).relu().sum()
            + (0.0 if each.excess is None else (each.excess + _ROOM).relu())
            for each in made
        ]
        return torch.stack(rows).cpu()


@dataclass(frozen=True)
class DetectorEvasion:
    """The attack, with its settings.

    Raises:
        JuratError: the threshold is below the confidences of the boxes that detectors give.
    """

    dong: Dong = field(default_factory=Dong)
    """Radius, steps and the settings of SSA and CWA; its `aim` is not used."""
    threshold: float = 0.1
    """Confidence from which the detector's boxes count; ours."""
    margin: float = 0.5
    """Log-odds below the threshold that are aimed at; ours."""

    def __post_init__(self) -> None:
        if not LEAST_SCORE <= self.threshold < 1:
            raise JuratError(
                f"A threshold of {self.threshold} cannot be told: detectors give boxes from a confidence of "
                f"{LEAST_SCORE}, below 1.",
                hint=f"Name one from {LEAST_SCORE}: below it every picture would count as evading.",
            )

    def run(
        self,
        detectors: Sequence[Detector],
        pictures: Sequence[Tensor],
        words: Sequence[Sequence[str]],
        *,
        spent: Compute | None = None,
        keys: Sequence[int] = (),
        seed: int = 0,
    ) -> list[Outcome]:
        """The best picture for each of `pictures`, uint8 (3, H, W): one in which no detector finds any of its
        words, or the one with the least loss.

        Args:
            detectors: the ensemble that the pictures are made on.
            spent: what is counted; a query is one picture shown to one detector.
            keys: see `jurat.attacks.objectives.Draw`.

        Raises:
            JuratError: a detector gives no gradients, or does not read a word.
        """
        spent = Compute() if spent is None else spent
        objectives = [
            Undetected(each, words, spent, threshold=self.threshold, margin=self.margin) for each in detectors
        ]
        clean = [as_pixels(levels) for levels in pictures]
        constraints = [Linf(self.dong.radius) for _ in clean]
        return optimise(
            Problem(clean, constraints, objectives, spent, keys),
            self.dong.optimiser(),
            self.dong.steps,
            check=self._check(detectors, objectives, words, spent),
            every=self.dong.every,
            seed=seed,
        )

    def _check(
        self,
        detectors: Sequence[Detector],
        objectives: Sequence[Undetected],
        words: Sequence[Sequence[str]],
        spent: Compute,
    ) -> Check:
        """By the loss on the saved picture; done where all detectors are evaded."""

        def check(saved: Sequence[Tensor], which: Sequence[int]) -> list[Checked]:
            with torch.no_grad():
                pixels = [as_pixels(levels) for levels in saved]
                scores = torch.stack([each.losses(pixels, which, Draw(0)) for each in objectives]).sum(0)
            spent.queries += len(saved) * len(detectors)
            return [
                Checked(score, all(evaded(each, levels, words[i], self.threshold) for each in detectors))
                for i, levels, score in zip(which, saved, scores.tolist(), strict=True)
            ]

        return check
