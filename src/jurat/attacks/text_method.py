"""What attacks on text share: their settings, how they begin and how they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jurat.attacks.access import Access
from jurat.attacks.engine import Checked
from jurat.attacks.objectives import Reduction, seeded
from jurat.attacks.samplers import All, Sampler
from jurat.attacks.text import (
    Span,
    TextCheck,
    TextGoal,
    TextOptimiser,
    TextOutcome,
    TextProblem,
    optimise_text,
)
from jurat.content import SPAN, with_span
from jurat.named_settings import Positive, Settings, Steps, setting

__all__ = ["TextAttack"]


@dataclass(frozen=True)
class TextAttack(Settings):
    """An attack on text, put together from the parts of the engine.

    A subclass is a dataclass of settings. Override `optimiser`, and what else differs:

        @dataclass(frozen=True)
        class Mine(TextAttack):
            candidates: Positive = setting(64, "ours", "Texts that are tried a step.")

            def optimiser(self):
                return GreedyCoordinate(self.candidates)
    """

    reduction: ClassVar[Reduction] = "mean"
    """How a loss is made of those of the targets' tokens."""

    steps: Steps = setting(100, "ours", "Steps.")
    every: Positive = setting(10, "ours", "Steps between checks on validation prompts.")
    stop: bool = setting(False, "ours", "Ends as soon as all validation prompts are answered as wanted.")
    start: str | None = setting(None, "ours", "Text that it begins with; null: random tokens.")
    length: Positive = setting(20, "ours", "Random tokens that it begins with, where there is no text.")
    ascii_only: bool = setting(True, "ours", "Takes tokens of printable ASCII characters only.")

    def optimiser(self) -> TextOptimiser:
        raise NotImplementedError

    def training_text(self, prompt: str) -> str:
        """What a user's turn says in a conversation that the attack trains on: `SPAN` behind the prompt, by
        default."""
        return f"{prompt} {SPAN}"

    def submitted_text(self, prompt: str) -> str:
        """What a user's turn says in a conversation that success is measured on; the same by default."""
        return self.training_text(prompt)

    def sampler(self) -> Sampler:
        """Which conversations a step takes; all by default."""
        return All()

    def run(self, models: Sequence[Access], goals: Sequence[TextGoal], seed: int = 0) -> list[TextOutcome]:
        """The best text for each goal, one goal after the other.

        Args:
            models: the victim alone.

        Raises:
            JuratError: the model gives no gradients of text, or a text to begin with cannot be typed.
        """
        (model,) = models
        found: list[TextOutcome] = []
        for number, goal in enumerate(goals):
            key = number if goal.key is None else goal.key
            problem = TextProblem(model, goal.train, reduction=self.reduction, ascii_only=self.ascii_only)
            begun = (
                problem.random(self.length, seeded(seed, key))
                if self.start is None
                else problem.read(self.start)
            )
            found.append(
                optimise_text(
                    problem,
                    self.optimiser(),
                    begun,
                    self.steps,
                    sampler=self.sampler(),
                    check=self.check(problem, goal),
                    every=self.every,
                    seed=seed,
                    key=key,
                )
            )
        return found

    def check(self, problem: TextProblem, goal: TextGoal) -> TextCheck:
        """The loss over all validation prompts; with `stop`, done where each is answered as wanted."""
        cases = goal.validation or goal.train
        held_out = problem.about(cases)

        def check(span: Span, text: str) -> Checked:
            score = held_out.loss_of(text)
            if not self.stop:
                return Checked(score)
            replies = problem.access.chat([with_span(case.chat, text) for case in cases])
            answered = (
                reply.failure is None and goal.succeeded(case, reply)
                for case, reply in zip(cases, replies, strict=True)
            )
            return Checked(score, all(answered))

        return check
