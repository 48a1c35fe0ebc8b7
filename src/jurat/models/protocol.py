"""The two verbs every model answers to, and the plain data that travels through them.

`ask` puts closed questions about a conversation and returns probabilities; `chat` continues a
conversation in text. Both take a batch and return as many results, in order; neither raises because
of one item. What went wrong with an item is a `Failure` in its own result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, overload, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Reply, Usage
from jurat.errors import JuratError

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
