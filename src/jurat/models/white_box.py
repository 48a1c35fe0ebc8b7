"""White-box capabilities of local models: gradients, hidden states and features. They are asked for by their
types, with `Model.capability`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from PIL import Image

from jurat.content import Chat, Reply, Usage

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.protocol import Inquiry


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


@dataclass(frozen=True)
class Proposals:
    """What a detector makes of an image, differentiable with respect to its pixels."""

    log_odds: Tensor
    """(boxes, words) float32: of each box that it proposes, for each word."""
    excess: Tensor | None = None
    """By how much the image is stranger than the detector's domain gate lets pass; None without a gate."""


@runtime_checkable
class DifferentiableDetector(Protocol):
    """A detector (`jurat.models.Detector`) that gives gradients with respect to the pixels of its images."""

    def proposals(
        self, pixels: Sequence[Tensor], words: Sequence[Sequence[str]], *, rounded: bool = False
    ) -> list[Proposals]:
        """What `detect` decides by, for `words[i]` in `pixels[i]`. Pixels are given as for `Differentiable`.

        Raises:
            ValueError: the two have different lengths, there is no word, or pixels have another shape or
                values outside [0, 1].
            ModelError: the detector's processor takes no float tensors, or it does not read a word.
        """
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
class ChatPair:
    """Two conversations that one reply continues, decoded from what the model predicts after each."""

    first: Chat
    """Its decoding settings hold for the reply."""
    second: Chat
    combine: Callable[[Tensor, Tensor], Tensor]
    """Takes the logits of the next token after the first and after the second conversation, each
    (1, vocabulary) float32, and returns those that the token is drawn from, of equal shape."""


@dataclass(frozen=True)
class PairReply:
    """The reply that continues both conversations of a pair."""

    reply: Reply
    """Its usage counts the tokens of both conversations once, and those that were written once."""
    added: Usage = field(default_factory=Usage)
    """The part of that usage that is the second conversation's."""

    @property
    def usage(self) -> Usage:
        """The reply's."""
        return self.reply.usage


@runtime_checkable
class PairedDecoding(Protocol):
    """Capability of a model that decodes one reply from two conversations at once."""

    def chat_pairs(self, pairs: Sequence[ChatPair]) -> list[PairReply]:
        """One reply for each pair, in order. Every token is drawn from the combined logits and continues both
        conversations; it does not depend on what else is in the batch.

        What goes wrong with one pair is the failure of its reply, as for `Model.chat`.

        Raises:
            UnsupportedSetting: as `Model.chat`.
        """
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
