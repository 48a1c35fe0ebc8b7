"""An inquiry or a conversation as tokens: what the encoder makes and the passes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Prompt:
    """One inquiry as tokens. All tensors are on the CPU."""

    prefix: Tensor
    """Token ids that all questions share, images and system turn included. (P,) int64."""
    segments: tuple[tuple[int, ...], ...]
    """Token ids of each question and of what follows it; none is empty."""
    along: dict[str, Tensor]
    """Further inputs with a value a token, such as `mm_token_type_ids`: (P + 1, ...), the last for every
    segment token."""
    images: dict[str, Tensor]
    """What the processor made of the images: `pixel_values` and its kin. The first dimension joins items."""

    @property
    def kind(self) -> tuple[Any, ...]:
        """Prompts of equal kind can share a forward pass: their image inputs can be joined."""
        return tuple(sorted((name, str(t.dtype), tuple(t.shape[1:])) for name, t in self.images.items()))

    def row(self, tokens: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Token ids of the prefix and `tokens`, and the further inputs with a value for each of them."""
        import torch

        ids = torch.cat([self.prefix, torch.tensor(tokens, dtype=self.prefix.dtype)])
        return ids, self.along_with(len(tokens))

    def along_with(self, more: int) -> dict[str, Tensor]:
        """`along` for the prefix and `more` tokens of a segment."""
        import torch

        return {k: torch.cat([v[:-1], v[-1:].expand(more, *v.shape[1:])]) for k, v in self.along.items()}

    def ending(self, tokens: Sequence[int]) -> Prompt:
        """The prefix and `tokens`, of which the last one is the only segment."""
        ids, along = self.row(tokens)
        return Prompt(ids[:-1], ((int(ids[-1]),),), along, self.images)


def length(prompt: Prompt) -> int:
    """Tokens of the prefix and all questions together."""
    return sum(slots(prompt))


def slots(prompt: Prompt) -> tuple[int, ...]:
    """Tokens of the prefix and of each question."""
    return (len(prompt.prefix), *map(len, prompt.segments))
