"""Conversations, the settings of their continuation, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image

FailureKind = Literal["refused", "filtered", "unparsed", "out_of_domain", "error"]
Role = Literal["system", "user", "assistant"]
Part = str | Image.Image
"""A piece of a turn: text, or a decoded RGB image."""


@dataclass(frozen=True)
class Usage:
    """Tokens that an answer cost; `shared` ones were computed once for several questions."""

    input_tokens: int = 0
    output_tokens: int = 0
    shared_tokens: int = 0


@dataclass(frozen=True)
class Failure:
    """Why a model gave no usable answer to one item."""

    kind: FailureKind
    reason: str
    """One sentence for a person."""
    usage: Usage = field(default_factory=Usage, compare=False)
    """Tokens that were spent all the same."""


@dataclass(frozen=True)
class Generation:
    """Decoding settings of one conversation."""

    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    seed: int | None = None
    """Of the draws, where the temperature is above 0; local models take None as 0."""
    logits_processors: tuple[Any, ...] = ()
    """transformers `LogitsProcessor` objects; only local models honour them."""


@dataclass(frozen=True)
class Turn:
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[Image.Image, ...]:
        return tuple(part for part in self.parts if not isinstance(part, str))


@dataclass(frozen=True)
class Chat:
    """A conversation, with the decoding settings of its continuation."""

    turns: tuple[Turn, ...] = ()
    generation: Generation = field(default_factory=Generation)

    @property
    def images(self) -> tuple[Image.Image, ...]:
        return tuple(image for turn in self.turns for image in turn.images)


@dataclass(frozen=True)
class Reply:
    """A continuation in text; empty where `failure` is set."""

    text: str = ""
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None
