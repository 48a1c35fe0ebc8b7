"""Ensembles: the model answers about several random copies of each picture, and the answers vote.

SmoothLLM (arXiv 2310.03684) is the form for texts; Cohen et al. 2019 (arXiv 1902.02918) for classifiers.

- `ask` averages the probabilities of the copies: the result is still a probability, and one copy of n that
  was fooled moves it by at most 1/n.
- `chat` cannot average texts, and the texts of copies are rarely equal. As in SmoothLLM, the majority
  decides whether the request is refused, by a list of refusal phrases, and the first reply that agrees is
  given, as it was written. A tie refuses.

A copy that fails makes the item fail: a vote with fewer copies would be easier to win. Random numbers follow
from `seed` and the picture, so that the same item has the same copies in any batch. Whoever knows the seed
can attack through the copies: choose a secret one where that matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field

from jurat.content import Chat, Reply
from jurat.defenses.defense import Defense, with_images
from jurat.defenses.procedure import Event, Steps
from jurat.models import Answer, Inquiry, YesNo
from jurat.named_settings import Positive, setting

__all__ = ["Ensemble", "RandomViews", "Smoothing"]


@dataclass(frozen=True)
class Ensemble(Defense):
    """Several copies of each picture, made by `copy`. Conversations without an image pass unchanged.

    Events: "refusals outvoted" and "replies outvoted", of conversations whose copies did not agree.
    """

    copies: Positive = setting(5, "ours", "Copies of each picture.")
    seed: int = setting(0, "ours", "Seed of the copies.")
    refusals: str = setting("gcg-style", "ours", "List of phrases by which refusals are found.")

    def __post_init__(self) -> None:
        self._is_refusal("")  # raises where there is no such list

    def copy(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        """One random copy."""
        raise NotImplementedError

    def views(self, image: Image.Image) -> list[Image.Image]:
        # The same picture has the same copies, whatever it is asked about.
        content = hashlib.sha256(f"{self.seed} {image.mode} {image.size}".encode() + image.tobytes())
        streams = np.random.SeedSequence(int.from_bytes(content.digest()[:16], "big")).spawn(self.copies)
        return [self.copy(image, np.random.default_rng(stream)) for stream in streams]

    def chat(self, chat: Chat) -> Steps[Reply]:
        if not chat.images:
            return (yield chat)
        replies: list[Reply] = yield self._each(chat)
        failed = next((reply for reply in replies if reply.failure is not None), None)
        if failed is not None:
            return failed
        refused = [self._is_refusal(reply.text) for reply in replies]
        refuses = 2 * sum(refused) >= len(replies)
        if any(each != refuses for each in refused):
            yield Event("replies outvoted" if refuses else "refusals outvoted")
        return replies[refused.index(refuses)]

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        if not inquiry.prefix.images:
            return (yield inquiry)
        answers: list[Answer] = yield [
            replace(inquiry, prefix=prefix) for prefix in self._each(inquiry.prefix)
        ]
        failed = next((answer for answer in answers if answer.failure is not None), None)
        if failed is not None:
            return failed
        votes = zip(*(answer.answers for answer in answers), strict=True)
        return replace(answers[0], answers=tuple(map(_mean, votes)))

    def _each(self, chat: Chat) -> list[Chat]:
        """The conversation with the first copy of each of its pictures, with the second, and so on."""
        views = [self.views(image) for image in chat.images]

        def with_copy(number: int) -> Chat:
            some = iter([each[number] for each in views])
            return replace(chat, turns=with_images(chat.turns, lambda _: next(some)))

        return [with_copy(number) for number in range(self.copies)]

    def _is_refusal(self, text: str) -> bool:
        from jurat.scorers.refusal_list import shipped_list

        return shipped_list(self.refusals).find(text) is not None


@dataclass(frozen=True)
class Smoothing(Ensemble):
    """Copies with Gaussian noise."""

    name: ClassVar[str] = "smoothing"

    deviation: Annotated[float, Field(ge=0)] = setting(
        0.05, "ours", "Standard deviation of the noise, of values in [0, 1]."
    )

    def copy(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        levels = np.asarray(image.convert("RGB"), np.float32)
        noisy = levels + 255 * self.deviation * random.standard_normal(levels.shape, np.float32)
        return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


@dataclass(frozen=True)
class RandomViews(Ensemble):
    """Random crops, scaled to the size of the picture; not mirrored, since left and right have a meaning."""

    name: ClassVar[str] = "random-views"

    smallest: Annotated[float, Field(gt=0, le=1)] = setting(
        0.9, "ours", "Smallest share of each side that a crop keeps."
    )

    def copy(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        share = random.uniform(self.smallest, 1)
        width, height = share * image.width, share * image.height
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        box = (left, top, left + width, top + height)
        return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def _mean(votes: Sequence[YesNo]) -> YesNo:
    """The mean of the probabilities; the first failure, where there is one."""
    failed = next((vote for vote in votes if vote.failure is not None), None)
    if failed is not None:
        return failed
    n = len(votes)
    yes, no = sum(vote.yes for vote in votes) / n, sum(vote.no for vote in votes) / n
    return YesNo(yes, no, stated=votes[0].stated)
