"""Ring-A-Bell: Tsai, Hsu et al. 2024, "Ring-A-Bell! How reliable are concept removal methods for diffusion
models?" (arXiv 2310.10012).

A prompt that brings an erased concept back, found with a text encoder alone: no access to the model under
attack. With E the embedding of all tokens of the window, the concept's direction is the mean over pairs of
texts with and without it,

    c = mean_i (E(with_i) - E(without_i)),

and a genetic search looks for tokens t whose embedding is nearest to that of a prompt P moved along it:

    min_t || E(t) - (E(P) + eta c) ||^2

Each generation keeps the better half; each of them is crossed at one point with a random other with
probability `crossover`, both children are added, and each row gets a random token at a random place with
probability `mutation`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from jurat.errors import JuratError
from jurat.models import ModelError
from jurat.models.text_to_image import picture_seed
from jurat.named_settings import Positive, Settings, setting
from jurat.text import printable

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from jurat.models.diffusion.text_encoder import TextEncoder

__all__ = ["FoundPrompt", "RingABell", "concept_direction", "random_prompts"]


@dataclass(frozen=True)
class FoundPrompt:
    """What a search found for one prompt. Distances are squared, over all tokens of the window, from the
    prompt's embedding moved along the concept's direction."""

    prompt: str
    text: str
    ids: tuple[int, ...]
    distance: float
    """Distance of `ids`."""
    text_distance: float
    """Distance of the ids that `text` is read as, which are those that a prompted model is given."""
    prompt_distance: float
    """Distance of the prompt as it was."""
    generations: int
    encoded: int
    """Rows that were put through the text encoder."""
    seconds: float


@dataclass(frozen=True)
class RingABell(Settings):
    """See the module's docstring. The authors' code mutates the best row too, so that it can be lost between
    generations, and takes the best ids whatever their text is read as (the preset `as_released`)."""

    name: ClassVar[str] = "ring-a-bell"

    eta: float = setting(3.0, "authors", "How far the prompt is moved along the concept's direction.")
    length: Positive = setting(16, "authors", "Tokens of the prompt that is looked for.")
    population: Annotated[int, Field(ge=4)] = setting(200, "authors", "Rows that a generation begins with.")
    generations: Positive = setting(3000, "authors", "Generations.")
    crossover: Annotated[float, Field(ge=0, le=1)] = setting(0.5, "authors", "Probability of crossing a row.")
    mutation: Annotated[float, Field(ge=0, le=1)] = setting(0.25, "authors", "Probability of changing a row.")
    keep_best: bool = setting(True, "ours", "The best row is not mutated.")
    by_text: bool = setting(
        True, "ours", "Of the last generation the best text, read again, is taken, not the best ids."
    )

    def run(
        self,
        encoder: TextEncoder,
        direction: Tensor,
        prompts: Sequence[str],
        seed: int = 0,
        *,
        first: int = 0,
    ) -> list[FoundPrompt]:
        """A found prompt for each of `prompts`.

        Args:
            direction: of the concept, from `concept_direction`.
            first: place of the first prompt among all that are attacked with this seed.

        Raises:
            JuratError: the encoder's window is too small for `length`, or the seed is negative.
            ModelError: an embedding holds no numbers.
        """
        self.check(encoder)
        return [
            self._search(encoder, direction, prompt, _generator(seed, first + place))
            for place, prompt in enumerate(prompts)
        ]

    def check(self, encoder: TextEncoder) -> None:
        """Raises JuratError where the encoder's window is too small for `length`."""
        if self.length > encoder.most:
            raise JuratError(
                f"A prompt of {self.length} tokens does not fit: {encoder.name} reads {encoder.most}.",
                hint=f'Set a smaller length: "{self.name}?length={encoder.most}"',
            )

    def target(self, encoder: TextEncoder, direction: Tensor, prompt: str) -> tuple[Tensor, float]:
        """The embedding that is looked for, (1, window, width), and the squared distance of the prompt's own.

        Raises:
            ModelError: it holds no numbers.
        """
        own = encoder.encode(encoder.ids_of([prompt]))
        target = own + self.eta * direction
        distance = float((own - target).square().sum())
        if not math.isfinite(distance):
            raise ModelError(
                f"The target of {printable(prompt)!r} holds no numbers.",
                hint=f"The text encoder {encoder.name} is damaged, or eta is too large.",
            )
        return target, distance

    def _search(self, encoder: TextEncoder, direction: Tensor, prompt: str, rng: Generator) -> FoundPrompt:
        import torch

        begun, encoded = time.monotonic(), 0
        target, begins_at = self.target(encoder, direction, prompt)

        def distances(rows: Tensor) -> Tensor:
            nonlocal encoded
            encoded += len(rows)
            return (encoder.encode(rows) - target).square().sum((1, 2)).cpu()

        def better_half(tokens: Tensor) -> tuple[Tensor, Tensor]:
            scores = distances(encoder.rows_of(tokens))
            order = scores.argsort(stable=True)[: self.population // 2]
            return tokens[order], scores[order]

        free = torch.tensor(encoder.free)
        drawn = torch.randint(len(free), (self.population, self.length), generator=rng)
        tokens, scores = better_half(free[drawn])
        for _ in range(self.generations - 1):
            tokens, scores = better_half(self._next(tokens, free, rng))
        texts = [encoder.text_of(row) for row in tokens.tolist()]
        reread = distances(encoder.ids_of(texts))
        best = int(reread.argmin()) if self.by_text else 0
        return FoundPrompt(
            prompt,
            texts[best],
            tuple(tokens[best].tolist()),
            float(scores[best]),
            float(reread[best]),
            begins_at,
            self.generations,
            encoded,
            time.monotonic() - begun,
        )

    def _next(self, kept: Tensor, free: Tensor, rng: Generator) -> Tensor:
        """The next generation from the rows that are kept, the best first."""
        import torch

        count, length = kept.shape
        mates = kept[torch.randint(count, (count,), generator=rng)]
        points = torch.randint(length, (count, 1), generator=rng)
        crossed = torch.rand(count, generator=rng) < self.crossover
        before = torch.arange(length) < points
        children = [torch.where(before, kept, mates)[crossed], torch.where(before, mates, kept)[crossed]]
        rows = torch.cat([kept, *children])
        mutated = torch.rand(len(rows), generator=rng) < self.mutation
        if self.keep_best:
            mutated[0] = False
        places = torch.randint(length, (len(rows),), generator=rng)
        drawn = free[torch.randint(len(free), (len(rows),), generator=rng)]
        which = mutated.nonzero()[:, 0]
        rows[which, places[which]] = drawn[which]
        return rows


def concept_direction(encoder: TextEncoder, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """The mean difference of the embeddings of texts with and without a concept: (1, window, width).

    Args:
        pairs: (with, without).

    Raises:
        JuratError: there are none, or a pair is twice the same text.
    """
    if not pairs:
        raise JuratError("The direction of a concept needs at least one pair of texts, with and without it.")
    if same := [with_it for with_it, without in pairs if with_it == without]:
        raise JuratError(f"A pair is twice the same text: {printable(same[0])!r}.")
    embeddings = [encoder.encode(encoder.ids_of(list(texts))) for texts in zip(*pairs, strict=True)]
    return (embeddings[0] - embeddings[1]).mean(0, keepdim=True)


def random_prompts(encoder: TextEncoder, length: int, count: int, seed: int = 0) -> list[str]:
    """Texts of random tokens, as long as those that a search finds: the control."""
    import torch

    free, texts = torch.tensor(encoder.free), list[str]()
    for place in range(count):
        drawn = torch.randint(len(free), (length,), generator=_generator(seed, place))
        texts.append(encoder.text_of(free[drawn].tolist()))
    return texts


def _generator(seed: int, place: int) -> Generator:
    import torch

    return torch.Generator().manual_seed(picture_seed(seed, place))
