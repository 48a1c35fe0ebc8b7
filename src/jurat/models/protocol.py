"""The model protocol: two batched verbs and the plain data they take and return.

`ask` puts closed questions about a conversation and returns probabilities; `chat` continues a conversation
in text. Both take a batch and return as many results, in order. What goes wrong with one item is a `Failure`
in its own result; only what is wrong with the model or the request as a whole raises. What only some models
can do is a capability, asked for by its type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar, overload, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Generation, Reply, Usage
from jurat.errors import JuratError

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C")

UNKNOWN = "unknown"
"""The revision of a model that does not report one, or has not yet."""

SETTINGS = tuple(each.name for each in fields(Generation))
"""The names of all decoding settings."""

_DEFAULTS = Generation()
_TINY = 1e-304
"""Keeps the logarithm of a probability finite."""


class ModelError(JuratError):
    """A model that could not be loaded, or that failed as a whole."""

    exit_code = 3


class ModelUnavailable(ModelError):
    """The server is unreachable or rejects the credentials; callers should stop the run."""


class UnsupportedSetting(ModelError):
    """A chat asks for a decoding setting that the model cannot honour. The whole batch is refused, before
    anything of it runs."""

    exit_code = 2


@dataclass(frozen=True)
class Inquiry:
    """Closed questions that share one conversation.

    Each question's text continues the last user turn of `prefix` on a new line, and is answered by Yes or No
    as if it alone had been asked. A prefix without images gives the language prior. The decoding settings of
    `prefix` are not used: nothing is decoded.
    """

    prefix: Chat
    questions: tuple[str, ...]


@dataclass(frozen=True)
class YesNo:
    """Probability mass of the two answers, each summed over its token variants ("Yes", " yes", ...)."""

    yes: float
    no: float
    failure: Failure | None = None
    """Set where this one question could not be asked: it has a word outside the model's vocabulary, say."""
    stated: bool = False
    """True where the answer was read from text: 1 and 0, or 0 and 1, which are no probabilities."""

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
class TotalUsage:
    """Calls of a model and what they cost together, failed ones included."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Answer:
    """One `YesNo` for each question, in the order of the inquiry; none where `failure` is set."""

    answers: tuple[YesNo, ...] = ()
    basis: Literal["measured", "stated"] = "measured"
    """`measured` from logits, or `stated` in text."""
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None


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
class Model(Protocol):
    """An MLLM behind two batched verbs.

    A backend may inherit from this class: it then has no capabilities, nothing to close and no settings but
    the defaults until it says otherwise.
    """

    name: str
    """As a user names it: "bundled", "hf/Qwen/Qwen3-VL-8B-Instruct", "null"."""
    revision: str
    """Digest of the weights, or what the server reports."""
    dtype: str
    """Of its computations: "float32", "bfloat16"; "none" where that means nothing."""
    supported_settings: frozenset[str] = frozenset()
    """The fields of `Generation` that `chat` honours; it takes the others at their defaults only."""
    can_chat: bool = True
    """False for a model that answers closed questions only: its `chat` raises a `JuratError`."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        """Answers closed questions; one `Answer` for each inquiry, in order."""
        ...

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        """Continues conversations; one `Reply` for each chat, in order.

        A setting of the wrong value (`invalid_setting`) is a `Failure` of its own chat.

        Raises:
            UnsupportedSetting: some chat has a setting that the model cannot honour (`check_settings`).
        """
        ...

    def capability(self, kind: type[C]) -> C | None:
        """This model's implementation of an optional protocol; None where it has none.

        Raises:
            ModelError: models of its kind have one, and this one cannot; the message says why.
        """
        return None

    def close(self) -> None:
        """Frees weights and connections. Closing twice is no error; calling a verb afterwards is one."""
        return None


def check_settings(model: Model, chats: Sequence[Chat]) -> None:
    """Refuses a batch with a setting that a model cannot honour; backends call it first in `chat`.

    Raises:
        UnsupportedSetting: names the settings.
    """
    supported: frozenset[str] = getattr(model, "supported_settings", frozenset())
    refused = [
        name
        for name in SETTINGS
        if name not in supported
        and any(getattr(chat.generation, name) != getattr(_DEFAULTS, name) for chat in chats)
    ]
    if refused:
        known = ", ".join(name for name in SETTINGS if name in supported) or "none"
        raise UnsupportedSetting(
            f"The model {model.name!r} does not support {' and '.join(refused)}.",
            hint=f"Leave {'it' if len(refused) == 1 else 'them'} out. It supports these settings: {known}.",
        )


def invalid_setting(settings: Generation) -> Failure | None:
    """Why a conversation cannot be continued with settings of these values; None where it can."""
    tokens, temperature, seed, top_p = (
        settings.max_tokens,
        settings.temperature,
        settings.seed,
        settings.top_p,
    )
    wrong = None
    if type(tokens) is not int or tokens < 1:
        wrong = f"max_tokens is {tokens!r}; it is a whole number from 1."
    elif type(temperature) not in (int, float) or not 0 <= temperature < math.inf:
        wrong = f"temperature is {temperature!r}; it is a number from 0."
    elif type(top_p) not in (int, float) or not 0 < top_p <= 1:
        wrong = f"top_p is {top_p!r}; it is a number above 0, at most 1."
    elif seed is not None and (type(seed) is not int or not -(2**63) <= seed < 2**64):
        wrong = f"seed is {seed!r}; it is a whole number of 64 bits, or None."
    elif type(settings.stop) is not tuple or not all(type(one) is str and one for one in settings.stop):
        wrong = f"stop is {settings.stop!r}; it is a tuple of texts that are not empty."
    elif type(settings.thinking) is not bool:
        wrong = f"thinking is {settings.thinking!r}; it is True or False."
    elif not all(callable(one) for one in settings.logits_processors):
        wrong = "logits_processors holds what cannot be called with token ids and scores."
    return None if wrong is None else Failure("error", f"The conversation was not continued: {wrong}")


class Named(Protocol):
    """A model, detector or matcher: a name, and the revision of its weights or its server."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str: ...


@overload
def full_name(model: Named) -> str: ...
@overload
def full_name(model: Named | None) -> str | None: ...
def full_name(model: Named | None) -> str | None:
    """NAME@REVISION, as records, runs and tables have it; None for None."""
    return None if model is None else f"{model.name}@{model.revision}"


def may_be_same_model(one: str, other: str) -> bool:
    """Whether two full names may be of the same model: revisions are compared where both are known, which
    that of a server is only after its first reply."""
    (name, _, revision), (other_name, _, other_revision) = one.rpartition("@"), other.rpartition("@")
    return name == other_name and (revision == other_revision or UNKNOWN in (revision, other_revision))


# --- capabilities --------------------------------------------------------------------------------


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


@runtime_checkable
class UsageMeter(Protocol):
    """A model whose calls are counted."""

    @property
    def spent(self) -> TotalUsage:
        """All calls since it was opened. What a single answer cost is in its `usage`."""
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

        A continuation goes on from a last assistant turn that has text; otherwise it begins the answer.
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
