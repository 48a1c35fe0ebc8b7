"""Tu et al. 2023, "How many unicorns are in this image?" (arXiv 2311.16101): the misleading attack.

Only an encoder that embeds images and texts (CLIP) is used: the picture is made to match a wrong word
better than other words. The released code takes the softmax twice, and with one word three times its loss
is constant; here the other words are true negatives, and the softmax is taken once, with CLIP's
temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Constraint, Linf
from jurat.attacks.method import PictureAttack, Wants
from jurat.attacks.objectives import Draw, Objective
from jurat.attacks.optimisers import Optimiser, Pgd
from jurat.attacks.samplers import Sampler
from jurat.errors import JuratError
from jurat.named_settings import Radius, Steps, setting

__all__ = ["Tu"]


@dataclass(frozen=True)
class Tu(PictureAttack):
    """Signed gradient descent on the probability of a wrong word, from noise."""

    random_start: ClassVar[bool] = True

    steps: Steps = setting(1000, "authors", "Steps.")
    rate: float = setting(10 / 255, "authors", "Step size, in [0, 1].")
    radius: Radius = setting(64 / 255, "authors", "Largest change of a value in [0, 1]; or 32/255.")
    scale: float = setting(100.0, "ours", "What cosines are multiplied by before the softmax (CLIP's).")
    words: tuple[str, ...] = setting(
        ("dog", "coconut", "spaceship"), "authors", "Words; a goal's trigger is the one that is to win."
    )

    @property
    def wants(self) -> Wants:
        return "trigger"

    def constraint(self, goal: Goal) -> Constraint:
        return Linf(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        return [_Misled(models[0], [self._texts(goal) for goal in goals], self.scale)]

    def _texts(self, goal: Goal) -> list[str]:
        """The wanted word, and the words that it must beat."""
        if not isinstance(goal.trigger, str):
            raise JuratError(f"The goal {goal.name!r} has no word as its trigger.")
        others = [word for word in self.words if word != goal.trigger]
        if not others:
            raise JuratError("The attack needs another word than the wanted one, to be beaten.")
        return [goal.trigger, *others]

    def optimiser(self) -> Optimiser:
        return Pgd(self.rate)


class _Misled(Objective):
    """Cross-entropy of the first of some texts, over the cosines of picture and texts."""

    def __init__(self, model: Access, texts: Sequence[Sequence[str]], scale: float) -> None:
        self._model, self._scale = model, scale
        with torch.no_grad():
            self._texts = [F.normalize(model.texts(some), dim=-1) for some in texts]

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        made = self._model.features(pictures)
        cosines = [
            self._texts[i] @ F.normalize(each.pooled, dim=-1) for i, each in zip(which, made, strict=True)
        ]
        return torch.stack([-(self._scale * each).log_softmax(-1)[0] for each in cosines])
