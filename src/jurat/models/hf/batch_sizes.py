"""How many prompts share a forward pass: alike ones, within bounds of tokens and of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt

T = TypeVar("T")

TOKENS_A_PASS = 16_384
"""Tokens of one forward pass, padding included."""
MASK_ENTRIES = 2**26
"""Entries of one attention mask: a pack of 8,192 tokens at most."""
LOGIT_ENTRIES = 2**27
"""Questions of one forward pass times the vocabulary's size."""
_LEAST_TOKENS, _LEAST_QUESTIONS = 2048, 16
"""What is tried however little memory seems to be free; passes are halved where it does run out."""
FEATURES = "image_features"
"""Among a prompt's image inputs: what the vision tower and the projector made of its images, (n, tokens,
width), in the place of their pixels."""
_SHARE = 0.1
"""Share of the free memory for each of activations, masks and logits."""


@dataclass(frozen=True)
class PassLimits:
    """What one forward pass may hold at most; a single question is always tried."""

    tokens: int
    entries: int
    """Entries of the attention mask."""
    questions: int

    @classmethod
    def of(cls, network: Any) -> PassLimits:
        """The module's limits, lowered to fit the free memory of the network's device."""
        text = network.config.get_text_config(decoder=True)
        vocabulary = _largest(text, "vocab_size", 1)
        bounds = cls(TOKENS_A_PASS, MASK_ENTRIES, max(1, LOGIT_ENTRIES // vocabulary))
        free = free_memory(network.device)
        if free is None:
            return bounds
        share, size = int(free * _SHARE), network.dtype.itemsize
        hidden = _largest(text, "hidden_size", 1)
        wide = _largest(text, "intermediate_size", 4 * hidden)
        # Eager attention keeps scores and weights of every head, besides the mask itself.
        heads = _largest(text, "num_attention_heads", 1) if text._attn_implementation == "eager" else 0
        tokens = max(_LEAST_TOKENS, share // (size * (10 * hidden + 3 * wide)))
        entries = max(_LEAST_TOKENS**2, share // (size + 2 + 3 * heads * size))
        questions = max(_LEAST_QUESTIONS, share // (2 * size * vocabulary))
        return cls(min(bounds.tokens, tokens), min(bounds.entries, entries), min(bounds.questions, questions))

    def halved(self) -> PassLimits:
        """Half of these limits, for retrying after running out of memory."""
        return PassLimits(self.tokens // 2, self.entries // 4, self.questions // 2)

    def fit(self, rows: int, longest: int, questions: int) -> bool:
        return (
            rows * longest <= self.tokens
            and rows * longest**2 <= self.entries
            and rows * questions <= self.questions
        )

    def split(self, prompt: Prompt) -> Iterator[Prompt]:
        """The prompt, or several with some of its questions each, so that each may be a pack."""
        limit = min(self.tokens, math.isqrt(max(self.entries, 0))) - len(prompt.prefix)
        part: list[tuple[int, ...]] = []
        for segment in prompt.segments:
            full = sum(map(len, part)) + len(segment) > limit or len(part) >= self.questions
            if part and full:
                yield replace(prompt, segments=tuple(part))
                part = []
            part.append(segment)
        # Equal tuples stay one object: what is laid out of them is laid out once.
        yield prompt if len(part) == len(prompt.segments) else replace(prompt, segments=tuple(part))

    def batches(
        self,
        entries: Sequence[T],
        parts: Callable[[T], Sequence[int]],
        questions: Callable[[T], int] = lambda _: 1,
    ) -> Iterator[list[T]]:
        """Consecutive entries that fit a pass as rows of one width; at least one a batch.

        `parts` are the lengths of an entry's parts, as many for each: a part begins at one place in all rows.
        """
        batch: list[T] = []
        widest: Sequence[int] = ()
        most = 0
        for entry in entries:
            own = parts(entry)
            wider, more = [max(pair) for pair in zip(widest or own, own, strict=True)], questions(entry)
            if batch and not self.fit(len(batch) + 1, sum(wider), max(most, more)):
                yield batch
                batch, wider, most = [], own, 0
            widest, most = wider, max(most, more)
            batch.append(entry)
        if batch:
            yield batch


def _largest(config: Any, name: str, usual: int) -> int:
    """A size of a configuration; the largest where each layer has its own, as in Gemma 3n."""
    found = getattr(config, name, None)
    sizes = found if isinstance(found, list | tuple) else [found]
    return max((int(size) for size in sizes if size), default=usual)


def free_memory(device: Any) -> int | None:
    """Free bytes on a `torch.device`; None if unknown."""
    import torch

    if device.type == "cuda":
        # What torch has set aside and does not use is free to it.
        return torch.cuda.mem_get_info(device)[0] + (
            torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        )
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (kibibytes,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError):
        return None
    return int(kibibytes) * 1024


def by(entries: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """The entries in groups of equal key, in order of first appearance."""
    groups: dict[Any, list[T]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def joined(prompts: Sequence[Prompt], network: Any) -> dict[str, Any]:
    """The image inputs of all prompts as a network takes them: on its device, numbers in its dtype, each
    padded with zeros to the size of the largest.

    Zeros at the end are how processors of transformers pad the images of a batch themselves; what is
    padding follows from the other inputs (sizes, masks, aspect ratios).
    """
    import torch

    inputs: dict[str, Any] = {}
    for name in prompts[0].images:
        one = torch.cat(padded([p.images[name] for p in prompts])).to(network.device)
        # Not every tower casts its pixels itself.
        inputs[name] = one.to(network.dtype) if one.is_floating_point() else one
    if FEATURES in inputs:
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        seen = BaseModelOutputWithPooling(pooler_output=list(inputs.pop(FEATURES)))  # pyright: ignore[reportArgumentType]
        inputs["mm_encoder_outputs"] = {"image": seen}
    return inputs


def padded(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same with zeros at the ends of all dimensions but the first, so that these agree."""
    sizes = [max(size) for size in zip(*(t.shape[1:] for t in tensors), strict=True)]
    return [_grown(tensor, sizes) for tensor in tensors]


def _grown(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    if list(tensor.shape[1:]) == list(sizes):
        return tensor
    grown = tensor.new_zeros((tensor.shape[0], *sizes))
    grown[(slice(None), *(slice(size) for size in tensor.shape[1:]))] = tensor
    return grown
