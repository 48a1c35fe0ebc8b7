"""Properties of a forward pass that decide whether it must be checked separately.

A pass may be right for one item and wrong for several, right for short sequences and wrong for long
ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from jurat.models.hf.prompt import length, slots

if TYPE_CHECKING:
    from jurat.models.hf.architecture import Structure
    from jurat.models.hf.prompt import Prompt

Path = Literal["packed", "cached", "plain"]
Way = Literal["packed", "cached", "plain", "chat", "continued"]
"""How a pass is made: a path of questions, or conversations, whole or from prefixes that were read before."""

NOISE_FLOOR = {"float32": 2e-4, "float16": 0.05, "bfloat16": 0.25}
"""Log-odds by which a shared and a separate call may always differ, by dtype."""


@dataclass(frozen=True)
class PassCheck:
    """Answers from a shared pass against the same questions asked alone."""

    path: Way
    form: str
    """What was new about the pass that was checked, for a person."""
    difference: float
    """The largest one, in log-odds."""
    limit: float
    """Up to which a difference is taken for rounding."""


@dataclass(frozen=True)
class PassShape:
    """Properties of a pass that may make it wrong although other passes are right."""

    way: Way
    inputs: tuple[str, ...]
    """Names of the inputs besides the token ids."""
    several: bool
    """Whether it holds more than one item."""
    padded: bool
    """Whether it holds images of several sizes, padded to one."""
    uneven: bool
    """Whether it holds sequences of several lengths, padded to one."""
    passed: tuple[int, ...]
    """How many of the lengths that the configuration names are below the longest sequence, the shortest
    sequence, the longest question and the longest row."""
    windowed: bool
    """Whether the longest sequence is longer than the attention window."""

    @property
    def text(self) -> str:
        """For a person."""
        shown = any("pixel" in name or "image" in name for name in self.inputs)
        parts = (
            "with images" if shown else "without images",
            "several items" if self.several else "one item",
            *(["images of several sizes, padded"] if self.padded else []),
            *(["longer than the attention window"] if self.windowed else []),
        )
        return ", ".join(parts)


Reach: TypeAlias = tuple[int, int]
"""The lengths of a pass's longest row, and of the longest sequence that one of its questions ends, as
exponents of the next power of two."""


class CheckedShapes:
    """Pass shapes that have been checked, and up to which lengths."""

    def __init__(self) -> None:
        self._reach: dict[PassShape, Reach] = {}

    def knows(self, form: PassShape) -> bool:
        return form in self._reach

    def covers(self, form: PassShape, reach: Reach) -> bool:
        row, sequence = self._reach.get(form, (-1, -1))
        return reach[0] <= row and reach[1] <= sequence

    def add(self, form: PassShape, reach: Reach) -> None:
        row, sequence = self._reach.get(form, reach)
        self._reach[form] = max(row, reach[0]), max(sequence, reach[1])


def form_of(way: Way, prompts: Sequence[Prompt], structure: Structure, more: int = 0) -> PassShape:
    """The form of a pass of prompts; `more` tokens may be added to each of them."""
    totals = [len(p.prefix) + len(s) + more for p in prompts for s in p.segments]
    question = max(len(s) for p in prompts for s in p.segments)
    longest, row = max(totals), max(length(prompt) for prompt in prompts) + more
    names = structure.thresholds
    lengths = {slots(prompt) for prompt in prompts}
    if way == "cached":
        lengths = {(len(segment),) for prompt in prompts for segment in prompt.segments}
    return PassShape(
        way,
        tuple(sorted({*prompts[0].images, *prompts[0].along})),
        len(prompts) > 1,
        any(prompt.kind != prompts[0].kind for prompt in prompts),
        len(lengths) > 1,
        tuple(bisect_left(names, n) for n in (longest, min(totals), question, row)) if names else (),
        structure.window is not None and longest > structure.window,
    )


def reach_of(prompts: Sequence[Prompt], more: int = 0) -> Reach:
    row = max(length(prompt) for prompt in prompts) + more
    sequence = max(len(p.prefix) + max(map(len, p.segments)) for p in prompts) + more
    return (row - 1).bit_length(), (sequence - 1).bit_length()


def picked(prompts: Sequence[Prompt], *, longest_only: bool = False) -> list[tuple[int, int]]:
    """(prompt, question) by their numbers: the last of both, the longest and the shortest sequence. Of equal
    ones that in the middle is chosen, for the first is right where a pass takes it for all."""
    every = [(i, j) for i, prompt in enumerate(prompts) for j in range(len(prompt.segments))]

    def size(at: tuple[int, int]) -> tuple[int, int]:
        prompt = prompts[at[0]]
        return (
            len(prompt.prefix) + len(prompt.segments[at[1]]),
            sum(tensor.numel() for tensor in prompt.images.values()),
        )

    by_middle = sorted(every, key=lambda at: abs(at[0] - len(prompts) // 2))
    chosen = [max(by_middle, key=size), min(by_middle, key=size)]
    return list(dict.fromkeys(chosen if longest_only else [every[-1], *chosen]))


def twin(prompt: Prompt) -> Prompt:
    """A prompt of equal sizes and tokens with other image content."""
    images = {k: 1 - v if v.is_floating_point() else v for k, v in prompt.images.items()}
    return replace(prompt, images=images)


def in_words(prompt: Prompt) -> Prompt:
    """A prompt of as many tokens without an image; each is the last token of its last question."""
    import torch

    return replace(
        prompt, prefix=torch.full_like(prompt.prefix, prompt.segments[-1][-1]), images={}, along={}
    )
