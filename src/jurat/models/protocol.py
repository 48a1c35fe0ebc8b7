"""The two verbs every model answers to, and the plain data that travels through them.

`ask` puts closed questions about a conversation and returns probabilities; `chat` continues a
conversation in text. Both take a batch and return as many results, in order; neither raises because
of one item. What went wrong with an item is a `Failure` in its own result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar, overload, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Reply, Usage
from jurat.errors import JuratError

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C")

UNKNOWN = "unknown"
"""The revision of a model that does not tell it, or not yet."""

_TINY = 1e-304
"""Keeps the logarithm of a probability finite."""


class ModelError(JuratError):
    """A model that could not be loaded, or that failed as a whole."""

    exit_code = 3


class ModelGone(ModelError):
    """A model that answers nobody any more: its server is gone, or refuses the key. A run had better end."""


@dataclass(frozen=True)
class Inquiry:
    """Many closed questions that share one conversation.

    Each question's text continues the last user turn of `prefix` on a new line, and is answered by
    Yes or No as if it alone had been asked. A prefix without images gives the language prior.
    """

    prefix: Chat
    questions: tuple[str, ...]


@dataclass(frozen=True)
class YesNo:
    """Probability mass of the two answers, each summed over its token variants ("Yes", " yes", ...)."""

    yes: float
    no: float
    failure: Failure | None = None
    """Set where this one question could not be put (a word outside the model's vocabulary, say)."""
    stated: bool = False
    """True where it was read from text: 1 and 0, or 0 and 1, which are no probabilities."""

    @property
    def mass(self) -> float:
        """`yes + no`, in [0, 1]; low mass means that the question was not answered."""
        return self.yes + self.no

    @property
    def score(self) -> float:
        """`yes / (yes + no)`, in [0, 1]; 0.5 where there is no mass at all."""
        return self.yes / self.mass if self.mass > 0 else 0.5

    @property
    def log_odds(self) -> float:
        """`log(yes / no)`: the score's logit, without its rounding near 0 and 1. In [-700, 700]; 0 without
        mass."""
        return 0.0 if self.mass <= 0 else math.log(max(self.yes, _TINY)) - math.log(max(self.no, _TINY))


@dataclass(frozen=True)
class Spent:
    """What calls of a model came to, failed ones included."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    money: float | None = None
    """In the currency of the prices that were given; None where none were."""


@dataclass(frozen=True)
class Answer:
    """One `YesNo` a question, in the order of the inquiry; empty where `failure` is set."""

    answers: tuple[YesNo, ...] = ()
    basis: Literal["measured", "stated"] = "measured"
    """`measured` from logits, or `stated` in text."""
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None


@dataclass(frozen=True)
class RuleDraft:
    """A rule taken apart: it is broken where every clause holds, and a clause where one alternative does."""

    clauses: tuple[tuple[tuple[str, bool], ...], ...]
    """The alternatives of each clause: (statement, True where it is wanted false)."""
    objects: tuple[tuple[str, ...], ...] = ()
    """The central objects of each clause, in the order of `clauses`; empty where the writer names none."""
    description: str | None = None
    """What breaks the rule, as a short positive description of what is seen."""


@runtime_checkable
class Model(Protocol):
    """An MLLM behind two batched verbs."""

    name: str
    """As a user names it: "bundled", "hf/Qwen/Qwen3-VL-8B-Instruct", "null"."""
    revision: str
    """Digest of the weights, or what the server reports."""
    dtype: str
    """In which it computes: "float32", "bfloat16"; "none" where that means nothing."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        """Answers closed questions; one `Answer` an inquiry, in order."""
        ...

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        """Continues conversations; one `Reply` a chat, in order."""
        ...

    def capability(self, kind: type[C]) -> C | None:
        """What only some models can do, asked for by type; None where this one cannot."""
        ...


class Named(Protocol):
    """What has a name, and a revision that says which weights or which server stand behind it."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str: ...


@overload
def full_name(model: Named) -> str: ...
@overload
def full_name(model: Named | None) -> str | None: ...
def full_name(model: Named | None) -> str | None:
    """NAME@REVISION, as records, runs and tables name what judged; None for nothing."""
    return None if model is None else f"{model.name}@{model.revision}"


def may_be(one: str, other: str) -> bool:
    """Whether two full names may be of the same model: revisions count where both are known. A server tells
    its own only when it answers."""
    (name, _, revision), (named, _, revised) = one.rpartition("@"), other.rpartition("@")
    return name == named and (revision == revised or UNKNOWN in (revision, revised))


@runtime_checkable
class Vocabulary(Protocol):
    """Capability of a model that knows only certain words."""

    def unknown_words(self, text: str) -> list[str]:
        """The words of `text` that the model never learned, in order, without repeats."""
        ...


@runtime_checkable
class StatementReader(Protocol):
    """Capability of a model that reads statements of a small language only, and answers others wrongly."""

    def refusal(self, statement: str) -> str | None:
        """Why the model is not asked whether `statement` is true, and what to write instead; None where it
        is asked."""
        ...

    def presence(self, statement: str) -> tuple[tuple[str, ...], ...]:
        """What is true wherever a relation is: that each thing it names is visible, and of a list that the
        relation is to one of them. Of the statements of each inner tuple one is true. Empty where `statement`
        is no relation."""
        ...


@runtime_checkable
class Disclaimer(Protocol):
    """Capability of a model that has a remark to make about itself in every record."""

    @property
    def disclaimer(self) -> str:
        """One sentence: the `null` model says here that its answers mean nothing."""
        ...


@runtime_checkable
class UsageMeter(Protocol):
    """Capability of a model whose calls are counted, and may cost money."""

    @property
    def spent(self) -> Spent:
        """Since it was opened."""
        ...


@runtime_checkable
class ConcurrencySupport(Protocol):
    """Capability of a model whose verbs may be called from several threads: it prepares what one of them asks
    while it computes for another, or computes for several side by side."""

    @property
    def lanes(self) -> int:
        """How many calls at once are worth while, from 1."""
        ...

    def at_work(self) -> AbstractContextManager[None]:
        """To be held while calls come from several threads, which are started within it."""
        ...


@runtime_checkable
class RuleWriter(Protocol):
    """Capability of a model that takes rules apart itself, without being told how in a conversation."""

    def draft_rule(self, text: str) -> RuleDraft | Failure:
        """The clauses, objects and description of a rule that is given as a sentence."""
        ...


@runtime_checkable
class DomainGate(Protocol):
    """Capability of a model that can tell images of its own world from others."""

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        """For each image, an `out_of_domain` failure, or None where the image is of the model's world."""
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

    def submitted(self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]]) -> list[Chat]:
        """The same chats with the pixels rounded to 8-bit RGB images, as a saved PNG would hold them.
        Evaluate on these with `ask` and `chat`: they take the official 8-bit path."""
        ...

    def deviation(
        self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]], *, rounded: bool = False
    ) -> Deviation:
        """The difference between what the model is shown by `continuations` and by `submitted` images."""
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
        """For each chat the output of each of the named layers, as hooks see it; language layers without the
        leading 1: (tokens, width)."""
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
