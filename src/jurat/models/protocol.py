"""The model protocol: two batched verbs and the plain data they take and return.

`ask` puts closed questions about a conversation and returns probabilities; `chat` continues a conversation
in text. Both take a batch and return as many results, in order. What goes wrong with one item is a `Failure`
in its own result; only what is wrong with the model or the request as a whole raises. What only some models
can do is a capability (`jurat.models.capabilities`), asked for by its type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol, TypeVar, overload, runtime_checkable

from jurat.content import Chat, Failure, Generation, Reply, Usage
from jurat.errors import JuratError

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
    def sound(self) -> bool:
        """Whether `yes` and `no` are probabilities: no nan, none negative, at most 1 together (up to
        rounding)."""
        return self.yes >= 0 and self.no >= 0 and self.yes + self.no <= 1.001

    @property
    def mass(self) -> float:
        """`yes + no`, in [0, 1]; low mass means that the question was not answered. 0 where they are no
        probabilities, so that nan is never read as an answer."""
        return self.yes + self.no if self.sound else 0.0

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
class Answer:
    """One `YesNo` for each question, in the order of the inquiry; none where `failure` is set."""

    answers: tuple[YesNo, ...] = ()
    basis: Literal["measured", "stated"] = "measured"
    """`measured` from logits, or `stated` in text."""
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None


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
    """Number format of its computations: "float32", "bfloat16"; "none" where that means nothing."""
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
