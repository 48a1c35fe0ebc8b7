"""The loop of every attack on text: a span of tokens in conversations, optimised over all of them.

The character `jurat.content.SPAN` stands in each conversation where the text goes. What is submitted is a
text, typed in: a span whose text would be read as other tokens is left out, and counted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from jurat.attacks.access import Access, Compute
from jurat.attacks.cases import Case
from jurat.attacks.engine import Checked
from jurat.attacks.objectives import Reduction, reduced, seeded
from jurat.attacks.pictures import as_levels, as_pixels
from jurat.attacks.samplers import Sampler
from jurat.content import Chat, Reply, with_span
from jurat.errors import JuratError

__all__ = [
    "Span",
    "SubmittedText",
    "TextCheck",
    "TextGoal",
    "TextOptimiser",
    "TextOutcome",
    "TextProblem",
    "TextStep",
    "optimise_text",
    "submit_text",
]

Span = tuple[int, ...]
"""Token ids that the model reads in the place of the text."""
_TRIES = 200
"""Tokens that are drawn for a place of a random text before it is given up."""


@dataclass(frozen=True)
class TextGoal:
    """What is wanted of one text. Conversations of the three lists should not overlap."""

    train: Sequence[Case]
    """What the attack may use. Each conversation holds `SPAN` once."""
    validation: Sequence[Case]
    """What the best text is chosen on; empty takes `train`."""
    test: Sequence[Case]
    """What success is measured on."""
    succeeded: Callable[[Case, Reply], bool]
    """Whether a reply to a case of `test` is what the attacker wants. It is not called for failures."""
    name: str = ""
    key: int | None = None
    """With the seed, determines all that is random; None takes the goal's place among all."""


@dataclass(frozen=True)
class TextOutcome:
    """The best checked text of an attack."""

    text: str
    """To be typed in the place of `SPAN` (`jurat.content.with_span`)."""
    span: Span
    """What the model reads there in the conversations that were trained on."""
    step: int
    """After how many steps it was found; 0 is the start."""
    score: float
    """Its score by the check; lower is better."""
    losses: tuple[float, ...]
    """The loss before each step that was taken."""
    left_out: int
    """Candidates that were not tried, since their text is read as other tokens."""
    spent: Compute
    """What this text cost."""


class TextProblem:
    """Conversations with a span: what is lowered, and which spans can be typed."""

    def __init__(
        self, access: Access, cases: Sequence[Case], *, reduction: Reduction = "mean", ascii_only: bool = True
    ) -> None:
        """
        Args:
            reduction: as for `Continuation`.
            ascii_only: leaves out tokens with other than printable ASCII characters.
        """
        self.access, self.cases = access, cases
        self._reduction: Reduction = reduction
        self.table = access.text.embeddings().float()
        """(tokens, width): what the model reads of each token."""
        usable = [_usable(text, ascii_only) for text in access.text.vocabulary()]
        self.allowed = torch.tensor(usable, device=self.table.device)
        """(tokens,): which of them a text may hold."""
        self.left_out = 0
        self._pixels = _pixels_of(cases)

    def about(self, cases: Sequence[Case]) -> TextProblem:
        """The same over other conversations."""
        other = copy.copy(self)
        other.cases, other.left_out, other._pixels = cases, 0, _pixels_of(cases)
        return other

    def read(self, text: str) -> Span:
        """The tokens of a text to begin with.

        Raises:
            JuratError: it is not read as the same tokens in all conversations.
        """
        span = self.access.text.span(self.cases[0].chat, text)
        if self.text(span) is None:
            raise JuratError(
                f"The text {text!r} is not read as the same tokens in all conversations, or holds words that "
                "the model does not know.",
                hint="Begin with random tokens: start=null.",
            )
        return span

    def random(self, length: int, generator: torch.Generator) -> Span:
        """Random tokens that can be typed.

        Raises:
            JuratError: none were found.
        """
        choices, span = self.allowed.nonzero()[:, 0], Span()
        for _ in range(length):
            for _ in range(_TRIES):
                token = choices[int(torch.randint(len(choices), (), generator=generator))]
                if self.text(longer := (*span, int(token))) is not None:
                    span = longer
                    break
            else:
                raise JuratError("No random text of the model's tokens can be typed in these conversations.")
        return span

    def text(self, span: Span) -> str | None:
        """What is typed for a span; None where nothing is read as it in all conversations."""
        return self.access.text.typed([case.chat for case in self.cases], span)

    def typable(self, spans: Sequence[Span]) -> list[Span]:
        """Those that can be typed; the others are counted in `left_out`."""
        found = [span for span in spans if self.text(span) is not None]
        self.left_out += len(spans) - len(found)
        return found

    def losses(self, spans: Sequence[Span], cases: Sequence[Case]) -> Tensor:
        """The loss of each span over some of the conversations, (spans,)."""
        return self._losses([(span, case) for span in spans for case in cases], len(cases))

    def loss_of(self, text: str) -> float:
        """The loss of a text over all conversations, whatever tokens it is read as in each of them."""
        pairs = [(self.access.text.span(case.chat, text), case) for case in self.cases]
        return float(self._losses(pairs, len(pairs))[0])

    def _losses(self, pairs: Sequence[tuple[Span, Case]], together: int) -> Tensor:
        """The losses of spans in conversations, reduced over `together` at a time."""
        made = self.access.span_scores(
            [case.chat for _, case in pairs],
            [self._pixels[id(case)] for _, case in pairs],
            [case.target for _, case in pairs],
            [span for span, _ in pairs],
        )
        rows = [-each.float().cpu() for each in made]
        return torch.stack(
            [reduced(rows[i : i + together], self._reduction) for i in range(0, len(rows), together)]
        )

    def slope(self, span: Span, cases: Sequence[Case], shift: Tensor | None = None) -> tuple[float, Tensor]:
        """The loss of a span and its gradient with respect to the tokens' embeddings, (tokens, width).

        Args:
            shift: added to the embeddings; none by default.
        """
        begun = torch.zeros(len(span), self.table.shape[1]) if shift is None else shift
        free = begun.detach().clone().requires_grad_()
        made = self.access.span_continuations(
            [case.chat for case in cases],
            [self._pixels[id(case)] for case in cases],
            [case.target for case in cases],
            [span] * len(cases),
            [free] * len(cases),
        )
        loss = reduced([-each.log_probabilities for each in made], self._reduction)
        (slope,) = torch.autograd.grad(loss, free)
        self.access.spent.backwards += len(cases)
        return float(loss.detach()), slope

    def by_token(self, slope: Tensor) -> Tensor:
        """The gradient with respect to one-hot tokens, (tokens of the span, vocabulary): how the loss
        changes, to first order and up to a constant for each place, where another token stands there.
        Infinite for those that are not allowed."""
        return (slope.to(self.table) @ self.table.T).masked_fill(~self.allowed, torch.inf)


@dataclass(frozen=True)
class TextStep:
    """What a step is made on."""

    problem: TextProblem
    span: Span
    cases: Sequence[Case]
    """The conversations that the step takes."""
    number: int
    """Counted from 0."""
    generator: torch.Generator


class TextOptimiser:
    """Replaces a span by one with a lower loss. Override `step`: the new span, which can be typed, and the
    loss of the old one. State is set up in `begin`."""

    def begin(self, problem: TextProblem, span: Span) -> None:
        """Called once."""

    def step(self, at: TextStep) -> tuple[Span, float]:
        raise NotImplementedError


class TextCheck(Protocol):
    """Scores a span with its text, on conversations that the attack does not train on."""

    def __call__(self, span: Span, text: str) -> Checked: ...


def optimise_text(
    problem: TextProblem,
    optimiser: TextOptimiser,
    span: Span,
    steps: int,
    *,
    sampler: Sampler,
    check: TextCheck,
    every: int = 10,
    seed: int = 0,
    key: int = 0,
) -> TextOutcome:
    """Attacks one text from `span` on, and returns the best checked one.

    Args:
        every: steps between checks; the start and the end are checked, too.
        key: with the seed, determines all that is random.
    """
    before = replace(problem.access.spent)
    optimiser.begin(problem, span)
    best: TextOutcome | None = None
    losses: list[float] = []
    with problem.access.spent.timed():
        for step in range(steps + 1):
            if step % every == 0 or step == steps:
                text = problem.text(span)
                if text is None:
                    raise RuntimeError("An optimiser returned a span that cannot be typed.")
                found = check(span, text)
                if best is None or found.done or found.score < best.score:
                    best = TextOutcome(text, span, step, found.score, (), 0, before)
                if found.done or step == steps:
                    break
            generator = seeded(seed, key, step)
            cases = sampler.choose(problem.cases, step, generator)
            span, loss = optimiser.step(TextStep(problem, span, cases, step, generator))
            losses.append(loss)
    assert best is not None
    spent = problem.access.spent.since(before)
    return replace(best, losses=tuple(losses), left_out=problem.left_out, spent=spent)


@dataclass(frozen=True)
class SubmittedText:
    """What the model replied to a text."""

    goal: TextGoal
    text: str
    replies: tuple[Reply, ...]
    """One for each case of `goal.test`."""

    @property
    def successes(self) -> int:
        """Cases in which the model did what the attacker wants. Failures are none."""
        return sum(
            reply.failure is None and self.goal.succeeded(case, reply)
            for case, reply in zip(self.goal.test, self.replies, strict=True)
        )


def submit_text(model: Access, goals: Sequence[TextGoal], texts: Sequence[str]) -> list[SubmittedText]:
    """Asks the model with each goal's text in its test conversations, as any user would type it."""
    chats: list[list[Chat]] = [
        [with_span(case.chat, text) for case in goal.test] for goal, text in zip(goals, texts, strict=True)
    ]
    replies = iter(model.chat([chat for some in chats for chat in some]))
    return [
        SubmittedText(goal, text, tuple(next(replies) for _ in some))
        for goal, text, some in zip(goals, texts, chats, strict=True)
    ]


def _pixels_of(cases: Sequence[Case]) -> dict[int, list[Tensor]]:
    """The images of each conversation, by its identity."""
    return {id(case): [as_pixels(as_levels(image)) for image in case.chat.images] for case in cases}


def _usable(text: str | None, ascii_only: bool) -> bool:
    """Whether a text may hold a token."""
    if text is None or not text.strip() or not text.isprintable():
        return False
    return not ascii_only or text.isascii()
