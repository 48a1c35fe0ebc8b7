"""Capabilities: what only some models can do, asked for by its type with `Model.capability`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Usage
from jurat.text import counted

if TYPE_CHECKING:
    pass


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
    """What was given to something else than the verbs of the model: to a judge, or to be read for its hidden
    states."""
    usage: Usage = field(default_factory=Usage)
    """Tokens and money of `calls` and `checks`."""
    seconds: float = 0.0
    """Time beyond that of first calls. Of a batch with first calls and others, each has an equal share."""
    events: Mapping[str, int] = field(default_factory=dict[str, int])
    """What it did, and how often: "leak found", "refusals outvoted"."""

    @property
    def summary(self) -> str:
        """For people, on one line."""
        parts = [f"{counted(self.calls, 'call')} more for {counted(self.items, 'item')}"]
        parts += [counted(self.checks, "check")] if self.checks else []
        parts += [f"{self.blocked:,} blocked before a call"] if self.blocked else []
        tokens = f"{counted(self.usage.input_tokens, 'token')} in, {self.usage.output_tokens:,} out"
        events = [f"{name}: {count:,}" for name, count in self.events.items()]
        return f"Defense {self.defense}: {'; '.join([*parts, tokens, f'{self.seconds:,.2f} s', *events])}."

    def __add__(self, other: DefenseCost) -> DefenseCost:
        """What the same defense added at two times together."""
        return self._with(other, 1)

    def since(self, before: DefenseCost) -> DefenseCost:
        """What was added after `before`, a count of the same defense at an earlier time."""
        return self._with(before, -1)

    def _with(self, other: DefenseCost, sign: int) -> DefenseCost:
        usage, than = self.usage, other.usage
        known = [usage.money or 0.0, sign * (than.money or 0.0)]
        return DefenseCost(
            self.defense,
            self.items + sign * other.items,
            self.blocked + sign * other.blocked,
            self.calls + sign * other.calls,
            self.checks + sign * other.checks,
            Usage(
                usage.input_tokens + sign * than.input_tokens,
                usage.output_tokens + sign * than.output_tokens,
                usage.shared_tokens + sign * than.shared_tokens,
                None if usage.money is than.money is None else sum(known),
            ),
            self.seconds + sign * other.seconds,
            {
                name: count
                for name in {**self.events, **other.events}
                if (count := self.events.get(name, 0) + sign * other.events.get(name, 0))
            },
        )


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
