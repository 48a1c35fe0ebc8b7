"""Conversations, the settings of their continuation, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from PIL import Image

FailureKind = Literal["refused", "filtered", "unparsed", "out_of_domain", "error"]
Role = Literal["system", "user", "assistant"]
_ROLES: tuple[str, ...] = get_args(Role)
FinishReason = Literal["stop", "length"]
"""`stop`: the model ended its reply, or wrote a stop text. `length`: the limit of tokens cut it off."""
SPAN = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Marks in a conversation the place of a text that is filled in later (`with_span`)."""
Part = str | Image.Image
"""A piece of a turn: text, or a decoded RGB image."""


@dataclass(frozen=True)
class Usage:
    """What one answer or reply cost. Usages can be added."""

    input_tokens: int = 0
    output_tokens: int = 0
    shared_tokens: int = 0
    """Those of the input that were computed once for several questions."""
    money: float | None = None
    """Price of all calls made for it, in the currency of the prices given; None where no prices are known."""

    def __add__(self, other: Usage) -> Usage:
        known = [money for money in (self.money, other.money) if money is not None]
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.shared_tokens + other.shared_tokens,
            sum(known) if known else None,
        )


@dataclass(frozen=True)
class Failure:
    """Why a model gave no usable answer to one item."""

    kind: FailureKind
    reason: str
    """One sentence for a person."""
    usage: Usage = field(default_factory=Usage, compare=False)
    """What the failed call cost."""


@dataclass(frozen=True)
class Generation:
    """Decoding settings of one conversation.

    No setting is dropped: a model raises `jurat.models.UnsupportedSetting` for one that is not at its default
    and that it cannot honour.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Draws from the smallest set of tokens with at least this probability, above 0; 1 draws from all."""
    seed: int | None = None
    """Seed of the draws, where the temperature is above 0; local models take None as 0."""
    stop: tuple[str, ...] = ()
    """Texts that end the reply where the model writes one; the reply does not contain it."""
    thinking: bool = False
    """Lets a model that can think think before it replies; the thoughts are no part of the reply's text."""
    logits_processors: tuple[Any, ...] = ()
    """transformers `LogitsProcessor` objects; only local models honour them."""


@dataclass(frozen=True)
class Turn:
    """What one side says at once: `Turn("user", (image, "What is this?"))`."""

    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"The role of a turn is one of {', '.join(_ROLES)}, not {self.role!r}.")
        # A text alone would be taken for its characters, each a part of its own.
        if not isinstance(cast(object, self.parts), list | tuple):
            raise TypeError(
                f'A turn takes a tuple of texts and images, also of one: Turn("{self.role}", (part,)).'
            )
        object.__setattr__(self, "parts", tuple(self.parts))

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

    @property
    def prefilled_text(self) -> str | None:
        """The text of a last assistant turn, which the reply continues; None where there is none."""
        if not self.turns or self.turns[-1].role != "assistant":
            return None
        return self.turns[-1].text or None


@dataclass(frozen=True)
class Reply:
    """A continuation in text.

    An empty `text` without a `failure` is a reply that says nothing. Where an error, a refusal or a filter
    left no text, `failure` says so, `text` is empty and `finish` is None.
    """

    text: str = ""
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None
    finish: FinishReason | None = None
    """Why the text ends; None where the backend does not say."""


def ask_in(turns: Sequence[Turn], question: str) -> tuple[Turn, ...]:
    """The turns with `question` on a new line of the last user turn, or in one of its own if the last is
    not a user's."""
    if not turns or turns[-1].role != "user":
        return (*turns, Turn("user", (question,)))
    *head, last = turns
    *parts, end = last.parts or ("",)
    if isinstance(end, str):
        return (*head, Turn("user", (*parts, f"{end}\n{question}" if end else question)))
    return (*head, Turn("user", (*parts, end, question)))


def with_span(chat: Chat, text: str) -> Chat:
    """The chat with a text in the place of `SPAN`."""

    def filled(turn: Turn) -> Turn:
        parts = (part.replace(SPAN, text) if isinstance(part, str) else part for part in turn.parts)
        return replace(turn, parts=tuple(parts))

    return replace(chat, turns=tuple(map(filled, chat.turns)))
