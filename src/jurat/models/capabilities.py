"""Capabilities: what only some models can do, asked for by its type with `Model.capability`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Usage

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.protocol import Inquiry


@runtime_checkable
class Vocabulary(Protocol):
    """A model that knows only certain words."""

    def unknown_words(self, text: str) -> list[str]:
        """The words of `text` that the model never learned, in order, without repeats."""
        ...


@runtime_checkable
class StatementReader(Protocol):
    """A model that reads statements of a small language only, and answers others wrongly."""

    def refusal(self, statement: str) -> str | None:
        """Why the model is not asked whether `statement` is true, and what to write instead; None where it
        is asked."""
        ...

    def presence(self, statement: str) -> tuple[tuple[str, ...], ...]:
        """What a relation implies: that each thing it names is visible, and that it holds for one of the
        things in a list. Each inner tuple holds alternatives, one of which is true. Empty where `statement`
        is no relation."""
        ...


@runtime_checkable
class Disclaimer(Protocol):
    """A model with a remark that goes into every record."""

    @property
    def disclaimer(self) -> str:
        """One sentence, such as that the `null` model's answers mean nothing."""
        ...


@dataclass(frozen=True)
class TotalUsage:
    """Calls of a model and what they cost together, failed ones included."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)


@runtime_checkable
class UsageMeter(Protocol):
    """A model whose calls are counted."""

    @property
    def spent(self) -> TotalUsage:
        """All calls since it was opened. What a single answer cost is in its `usage`."""
        ...


@dataclass(frozen=True)
class DefenseCost:
    """What one defense added to the conversations and inquiries of its model so far.

    An item's first call is its own; every further call is added. Tokens by which a defense lengthens that
    first call are not told apart from it: the usage of replies has them.
    """

    defense: str
    """Its name and settings: "jpeg?quality=50"."""
    items: int = 0
    """Conversations and inquiries that came in."""
    blocked: int = 0
    """Those of `items` that never reached the model."""
    calls: int = 0
    """Conversations and inquiries that were put to the model after an item's first."""
    checks: int = 0
    """What was given to something else than the model: a judge."""
    usage: Usage = field(default_factory=Usage)
    """Tokens and money of `calls` and `checks`."""
    seconds: float = 0.0
    """Time beyond that of first calls. Of a batch with first calls and others, each has an equal share."""
    events: Mapping[str, int] = field(default_factory=dict[str, int])
    """What it did, and how often: "leak found", "refusals outvoted"."""


@runtime_checkable
class Defended(Protocol):
    """A model under defenses that count what they cost."""

    @property
    def defenses(self) -> tuple[DefenseCost, ...]:
        """The defense that sees a conversation first comes first. The calls of one are the items of the
        next."""
        ...


@runtime_checkable
class Deterministic(Protocol):
    """A model that always gives the same answer to the same question."""

    @property
    def pin(self) -> str:
        """Digest of all that its answers depend on: weights, dtype, chat template."""
        ...


@runtime_checkable
class ConcurrencySupport(Protocol):
    """A model whose verbs may be called from several threads: it prepares one call while it computes another,
    or computes several side by side."""

    @property
    def lanes(self) -> int:
        """How many concurrent calls are worthwhile, from 1."""
        ...

    def at_work(self) -> AbstractContextManager[None]:
        """A context that each of the calling threads holds."""
        ...


@dataclass(frozen=True)
class RuleDraft:
    """The clauses of a rule. An image breaks the rule where all clauses hold; a clause holds where one of its
    alternatives does."""

    clauses: tuple[tuple[tuple[str, bool], ...], ...]
    """The alternatives of each clause: (statement, whether it is negated)."""
    objects: tuple[tuple[str, ...], ...] = ()
    """The central objects of each clause, in the order of `clauses`; empty where the writer names none."""
    description: str | None = None
    """What an image that breaks the rule shows, as a short phrase."""


@runtime_checkable
class RuleWriter(Protocol):
    """A model that drafts clauses from a rule itself, without instructions in a conversation."""

    def draft_rule(self, text: str) -> RuleDraft | Failure:
        """The clauses, objects and description of a rule given as a sentence."""
        ...


@dataclass(frozen=True)
class PromptScore:
    """The log-probability of a given continuation of a conversation."""

    log_probabilities: tuple[float, ...]
    """One for each token of the continuation, given all tokens before it; natural logarithms."""
    usage: Usage = field(default_factory=Usage)

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation."""
        return math.fsum(self.log_probabilities)

    @property
    def tokens(self) -> int:
        """How many tokens the continuation has."""
        return len(self.log_probabilities)


@runtime_checkable
class PromptScores(Protocol):
    """A model that gives the log-probability of a given continuation."""

    def prompt_scores(
        self, chats: Sequence[Chat], continuations: Sequence[str]
    ) -> list[PromptScore | Failure]:
        """The score of each conversation's continuation, in order.

        A continuation follows the text of a last assistant turn; without such a text it begins the answer.
        """
        ...


@runtime_checkable
class Sized(Protocol):
    """A model whose size is known."""

    @property
    def parameters(self) -> int:
        """All parameters; tied ones count once."""
        ...

    @property
    def language_parameters(self) -> int:
        """Those of the language model, embeddings and output layer included."""
        ...

    @property
    def vision_parameters(self) -> int:
        """Those of the vision tower and the projector behind it."""
        ...

    def prefill_flops(self, tokens: int, images: int = 0) -> float:
        """Estimated floating-point operations of one forward pass over `tokens` tokens, those of images
        included, and `images` images; a multiplication and an addition count as two."""
        ...


@runtime_checkable
class DomainGate(Protocol):
    """A model that recognises images outside the domain it was trained on."""

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        """For each image an `out_of_domain` failure, or None where it is inside the domain."""
        ...


# --- white-box capabilities of local models -------------------------------------------------------


@dataclass(frozen=True)
class ContinuationLogits:
    """What a model predicts at each token of a given continuation (teacher forcing)."""

    tokens: tuple[int, ...]
    """Token ids of the continuation, T of them."""
    logits: Tensor
    """(T, vocabulary), float32: the logits from which each token would be drawn."""

    @property
    def log_probabilities(self) -> Tensor:
        """(T,): of each token given the conversation and the tokens before it. Their sum is the
        log-probability of the whole continuation."""
        chosen = self.logits.new_tensor(self.tokens).long()
        return self.logits.log_softmax(-1).gather(-1, chosen[:, None])[:, 0]


@dataclass(frozen=True)
class Deviation:
    """How far the differentiable path is from the 8-bit path, in levels of 255 after resizing."""

    largest: float
    mean: float


@runtime_checkable
class Differentiable(Protocol):
    """Capability of a model that gives gradients with respect to the pixels of its images.

    Pixels are tensors [3, H, W] with values in [0, 1] at the resolution at which an image is submitted. They
    take the places of a chat's images, in order; the chat's own images only mark these places. Asking a local
    model that cannot do this raises a `ModelError` with the reason.
    """

    def continuations(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        *,
        rounded: bool = False,
    ) -> list[ContinuationLogits]:
        """Logits of the continuation `texts[i]` of each chat, differentiable with respect to `pixels[i]`.

        `rounded` rounds pixels to 8 bits wherever the model's processor does, with the gradient of the
        identity (straight-through). One tensor may occur in many chats.

        Raises:
            ValueError: the three have different lengths, a chat has more or fewer images than pixels, pixels
                have another shape or values outside [0, 1], or a text is empty.
            ModelError: the model's processor does not take the conversation.
        """
        ...

    def answers(
        self,
        inquiries: Sequence[Inquiry],
        pixels: Sequence[Sequence[Tensor]],
        *,
        rounded: bool = False,
    ) -> list[Tensor]:
        """What `ask` computes, differentiable with respect to `pixels[i]`: log-probabilities of Yes and No to
        each question, (questions, 2) float32 for each inquiry.

        Questions share their prefix wherever `ask` shares it, so that an image is read once for all of them.

        Raises:
            ValueError: as `continuations`.
            ModelError: as `continuations`.
        """
        ...

    def submitted(self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]]) -> list[Chat]:
        """The same chats with the pixels rounded to 8-bit RGB images, as a saved PNG would hold them.
        Evaluate on these with `ask` and `chat`: they take the official 8-bit path."""
        ...

    def deviation(
        self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]], *, rounded: bool = False
    ) -> Deviation:
        """The difference between what the model is shown by `continuations` and by `submitted` images."""
        ...


@runtime_checkable
class DifferentiableGate(Protocol):
    """Capability of a model whose domain gate gives gradients."""

    def excess(self, pixels: Sequence[Tensor], *, rounded: bool = False) -> Tensor:
        """By how much each image is stranger than the gate lets pass: (n,) float32, positive where
        `DomainGate.foreign` gives a failure. Pixels are given as for `Differentiable`."""
        ...


@runtime_checkable
class DifferentiableText(Protocol):
    """Capability of a model that gives gradients with respect to a part of its prompts' text.

    The character `jurat.content.SPAN` stands once in the text of each chat, in the place of that part. A span
    is the tokens that the model reads there, by their ids. Images are given as pixels, as for
    `Differentiable`.
    """

    def vocabulary(self) -> tuple[str | None, ...]:
        """The text of each token, by its id; None for tokens that are no plain text, such as special ones."""
        ...

    def embeddings(self) -> Tensor:
        """(tokens, width): what the language model reads of each token, by its id."""
        ...

    def span(self, chat: Chat, text: str) -> tuple[int, ...]:
        """The tokens of `text` in the place of the span.

        Raises:
            ValueError: the chat has not one `SPAN`, or the text has no tokens.
        """
        ...

    def typed(self, chats: Sequence[Chat], span: Sequence[int]) -> str | None:
        """The text that is read as this span in every one of the chats, without spaces around it; None where
        its text is read as other tokens, so that no user can type it."""
        ...

    def continuations(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
        shifts: Sequence[Tensor] | None = None,
        *,
        rounded: bool = False,
    ) -> list[ContinuationLogits]:
        """Logits of the continuation `texts[i]` of each chat with `spans[i]` in it, differentiable with
        respect to `pixels[i]` and `shifts[i]`.

        A shift (tokens of the span, width) is added to the embeddings of the span's tokens. The gradient at a
        shift of zeros, multiplied by `embeddings`, is that with respect to one-hot tokens.

        Raises:
            ValueError: as `Differentiable.continuations` does, a span cannot be typed, or a shift has another
                shape.
            ModelError: the processor does not take the conversation, or a Q-Former reads the span, too.
        """
        ...

    def scores(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
        *,
        rounded: bool = False,
    ) -> list[Tensor]:
        """The log-probabilities of each continuation's tokens, without gradients: for many spans of one
        conversation, whose image is then processed once."""
        ...


Hook: TypeAlias = "Callable[[Tensor], Tensor | None]"
"""Takes a layer's output and returns its replacement, of equal shape, or None to leave it as it is."""


@runtime_checkable
class Steerable(Protocol):
    """Capability of a model whose hidden states can be read and replaced.

    While hooks are set, every conversation and every closed question is a sequence of its own, unpacked and
    unpadded: language layers output (1, tokens, width), first the whole prompt and then one token a step;
    vision layers output (images or tiles, patches, width), or (patches, width) in families that pack patches.
    """

    def layers(self) -> tuple[str, ...]:
        """Names of the language model's decoder layers and of the vision layers."""
        ...

    def hooks(self, functions: Mapping[str, Hook]) -> AbstractContextManager[None]:
        """Sets hooks by layer name for what this thread asks of the model within the context. They are
        removed at its end, also after an exception; contexts may be nested, inner hooks run after outer ones.

        Raises:
            ValueError: there is no layer of that name.
        """
        ...

    def forward(self, chats: Sequence[Chat]) -> list[Tensor]:
        """Logits (vocabulary,), float32, of the token that would follow each chat.

        Raises:
            ModelError: the model's processor does not take one of the conversations.
        """
        ...

    def hidden_states(self, chats: Sequence[Chat], layers: Sequence[str]) -> list[dict[str, Tensor]]:
        """For each chat the output of each of the named layers, as hooks see it, when the chat is read."""
        ...


@dataclass(frozen=True)
class ImageFeatures:
    """What a vision tower makes of one image, in float32."""

    pooled: Tensor
    """(width,): the tower's own summary of the image, or the mean of `patches` where it has none. Of models
    that embed images and texts, the embedding that is compared with texts; its length is not 1."""
    patches: Tensor
    """(n, width): the tower's last hidden states, of all tiles one after the other; with the class token if
    the tower has one."""


@runtime_checkable
class Embedder(Protocol):
    """Capability of a model that gives the features of its vision tower, and embeds texts if it can."""

    def images(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        """Features of images through the official 8-bit path.

        Raises:
            ModelError: the model's processor does not take one of the images.
        """
        ...

    def pixels(self, pixels: Sequence[Tensor], *, rounded: bool = False) -> list[ImageFeatures]:
        """Features that are differentiable with respect to pixels, given as for `Differentiable`."""
        ...

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (texts, width), float32, in the space of `pooled`; their lengths are not 1.

        Raises:
            ModelError: the model does not embed texts.
        """
        ...
