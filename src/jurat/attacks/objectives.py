"""What an attack lowers: losses of attacked pictures, one each, differentiable with respect to the picture.

Losses can be added and weighted: `Continuation(...) + 0.1 * Dissimilarity(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, shown
from jurat.attacks.pictures import WINDOW, as_levels, as_pixels, similarity
from jurat.attacks.samplers import All, Sampler
from jurat.content import ImageError
from jurat.models.white_box import ContinuationLogits, ImageFeatures

__all__ = [
    "Continuation",
    "Dissimilarity",
    "Draw",
    "Features",
    "GrowingTarget",
    "Objective",
    "PromptMatching",
    "Reduction",
    "Untargeted",
    "reduced",
    "seeded",
]


Reduction = Literal["mean", "sum", "tokens"]


@dataclass(frozen=True)
class Draw:
    """The step that losses are for, and the sources of what is random in it: one for each picture, so that
    what becomes of a picture does not depend on those beside it."""

    step: int
    """Counted from 0."""
    seed: int = 0
    keys: Sequence[int] = ()
    """A number for each picture, which with seed and step determines what is drawn for it; empty takes the
    picture's place among all."""
    _made: dict[int, torch.Generator] = field(default_factory=dict[int, torch.Generator], repr=False)

    def generator(self, picture: int) -> torch.Generator:
        """The source for a picture; it goes on from where it was used before in this step."""
        if picture not in self._made:
            self._made[picture] = seeded(self.seed, self.keys[picture] if self.keys else picture, self.step)
        return self._made[picture]


def seeded(*numbers: int) -> torch.Generator:
    """A source that depends on whole numbers alone."""
    words = np.random.SeedSequence([number % 2**63 for number in numbers]).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


class Objective:
    """A loss that an attack lowers.

    To write one, return from `losses` a tensor (n,): one loss for each of the pictures, each of which depends
    on its own picture only. `which` holds the numbers of the pictures among all that are attacked:

        class Darkness(Objective):
            def losses(self, pictures, which, draw):
                return torch.stack([picture.mean() for picture in pictures])
    """

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        raise NotImplementedError

    def __add__(self, other: Objective) -> Objective:
        return _Sum([(1.0, self), (1.0, other)])

    def __rmul__(self, weight: float) -> Objective:
        return _Sum([(weight, self)])


class _Sum(Objective):
    def __init__(self, parts: Sequence[tuple[float, Objective]]) -> None:
        self._parts = parts

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        found = [weight * part.losses(pictures, which, draw) for weight, part in self._parts]
        return torch.stack(found).sum(0)


class Continuation(Objective):
    """Cross-entropy of the wanted replies, in nats, mean over the conversations that are drawn.

    With the beginning of a reply as its target this is the objective of Carlini et al. 2023, with whole
    replies that of Bailey et al. 2023, and with many targets and no prompt that of Qi et al. 2023.

    Args:
        cases: for each picture, the conversations with their targets.
        sampler: which of them a step takes; all by default.
        reduction: of the tokens of a target, their "mean" or their "sum"; "tokens" is the mean over all
            tokens of all conversations of a step, so that longer targets weigh more.
    """

    def __init__(
        self,
        access: Access,
        cases: Sequence[Sequence[Case]],
        *,
        sampler: Sampler | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        self._access, self._cases = access, cases
        self._reduction: Reduction = reduction
        self._sampler = sampler or All()

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        chosen = self.chosen(which, draw)
        asked = [
            (i, case, picture)
            for i, some, picture in zip(which, chosen, pictures, strict=True)
            for case in some
        ]
        made = self.made(asked)
        rows = iter(self.tokens(case, each, draw) for (_, case, _), each in zip(asked, made, strict=True))
        return torch.stack([reduced([next(rows) for _ in some], self._reduction) for some in chosen])

    def chosen(self, which: Sequence[int], draw: Draw) -> list[Sequence[Case]]:
        """The conversations that a step takes of each picture."""
        return [self._sampler.choose(self._cases[i], draw.step, draw.generator(i)) for i in which]

    def made(self, asked: Sequence[tuple[int, Case, Tensor]]) -> list[ContinuationLogits]:
        """The logits of conversations: the number of the picture, the conversation, the picture."""
        return self._access.continuations(
            [case.chat for _, case, _ in asked],
            [shown(case, picture) for _, case, picture in asked],
            [case.target for _, case, _ in asked],
        )

    def tokens(self, case: Case, made: ContinuationLogits, draw: Draw) -> Tensor:
        """The losses of the tokens of one conversation's target."""
        return -made.log_probabilities


def reduced(rows: Sequence[Tensor], reduction: Reduction) -> Tensor:
    """One loss from those of the tokens of several targets: the mean over the targets of the "mean" or the
    "sum" of their tokens, or the mean over all "tokens"."""
    if reduction == "tokens":
        return torch.cat(list(rows)).mean()
    return torch.stack([row.mean() if reduction == "mean" else row.sum() for row in rows]).mean()


class Untargeted(Continuation):
    """The negative of the cross-entropy: makes the given replies unlikely (Schlarmann and Hein 2023)."""

    def tokens(self, case: Case, made: ContinuationLogits, draw: Draw) -> Tensor:
        return made.log_probabilities


class GrowingTarget(Continuation):
    """The cross-entropy of the first tokens of a target, one more each step, from one up to all of them and
    then from one again (Bagdasaryan et al. 2023, their released code)."""

    def tokens(self, case: Case, made: ContinuationLogits, draw: Draw) -> Tensor:
        every = -made.log_probabilities
        return every[: draw.step % len(every) + 1]


class PromptMatching(Continuation):
    """Kullback-Leibler divergence from what the model says with another prompt, in nats, by token: it replies
    to the attacked picture as if that prompt had been there (Bailey et al. 2023, section 3.3).

    Args:
        cases: conversations, each with a reply that the model gives with the other prompt.
        teacher: gives for a conversation the same one with the other prompt, the picture it then shows, and
            the same target.
    """

    def __init__(
        self,
        access: Access,
        cases: Sequence[Sequence[Case]],
        teacher: Callable[[Case], Case],
        *,
        sampler: Sampler | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(access, cases, sampler=sampler, reduction=reduction)
        every = {id(case): case for some in cases for case in some}
        self._wanted = {key: self._logits(teacher(case)).log_softmax(-1) for key, case in every.items()}

    @torch.no_grad()
    def _logits(self, case: Case) -> Tensor:
        pixels = [as_pixels(as_levels(image)) for image in case.chat.images]
        return self._access.continuations([case.chat], [pixels], [case.target])[0].logits

    def tokens(self, case: Case, made: ContinuationLogits, draw: Draw) -> Tensor:
        wanted = self._wanted[id(case)]
        return F.kl_div(made.logits.log_softmax(-1), wanted, log_target=True, reduction="none").sum(-1)


class Features(Objective):
    """Distance of a vision tower's features from given ones, or with `away` its negative.

    Shayegani et al. 2023 bring them close to those of a trigger; Dong et al. 2023 take them away from those
    of the clean picture. Models read patches, so that the pooled embedding alone may leave them as they are.

    Args:
        targets: for each picture, features from which the distance is taken.
        part: "pooled", the tower's summary (width,), or "patches" (n, width), averaged over the patches.
        distance: "l2", the Euclidean distance; "squared", its square; "cosine", 1 - cosine.
    """

    def __init__(
        self,
        access: Access,
        targets: Sequence[Tensor],
        *,
        part: Literal["pooled", "patches"] = "pooled",
        distance: Literal["l2", "squared", "cosine"] = "l2",
        away: bool = False,
    ) -> None:
        self._access, self._targets, self._part, self._distance = access, targets, part, distance
        self._sign = -1.0 if away else 1.0

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        made = self._access.features(pictures)
        return torch.stack(
            [self._sign * self._between(each, self._targets[i]) for i, each in zip(which, made, strict=True)]
        )

    def _between(self, made: ImageFeatures, target: Tensor) -> Tensor:
        found = made.pooled if self._part == "pooled" else made.patches
        if self._distance == "cosine":
            return (1 - F.cosine_similarity(found, target, dim=-1)).mean()
        squared = (found - target).square().sum(-1)
        return squared.mean() if self._distance == "squared" else squared.clamp_min(1e-12).sqrt().mean()


class Dissimilarity(Objective):
    """1 - SSIM to the clean pictures (Fu et al. 2023 keep pictures alike by a term of this kind)."""

    def __init__(self, clean: Sequence[Tensor]) -> None:
        """Raises ImageError: a picture is smaller than the window of SSIM."""
        if small := [each for each in clean if min(each.shape[1:]) < WINDOW]:
            size = " x ".join(map(str, small[0].shape[:0:-1]))
            raise ImageError(f"Similarity needs sides of at least {WINDOW} pixels; a picture has {size}.")
        self._clean = clean

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        return torch.stack(
            [
                1 - similarity(picture[None], self._clean[i][None])[0]
                for i, picture in zip(which, pictures, strict=True)
            ]
        )
