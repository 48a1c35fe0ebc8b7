"""Luo et al. 2024, "An image is worth 1000 lies" (CroPA, arXiv 2403.09766).

One picture for prompts that were never seen: while it lowers the loss, perturbations of the prompts'
embeddings raise it. They are dropped at the end. The prompts of a goal's `train` are the pool, one of which
is taken a step; success is measured on the prompts of `test`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal, shown
from jurat.attacks.constraints import Constraint, Linf
from jurat.attacks.method import PictureAttack, Wants
from jurat.attacks.objectives import Continuation, Draw, Objective, Untargeted
from jurat.attacks.optimisers import Optimiser, Pgd
from jurat.attacks.problem import Batch
from jurat.attacks.samplers import Rotation, Sampler
from jurat.content import SPAN, Chat
from jurat.errors import JuratError
from jurat.models.white_box import ContinuationLogits
from jurat.named_settings import Positive, Radius, Steps, setting

__all__ = ["Luo", "PerturbedPrompts"]


@dataclass(frozen=True)
class Luo(PictureAttack):
    """Signed gradient descent on the picture, and now and then ascent on a prompt, from noise in the ball."""

    random_start: ClassVar[bool] = True

    steps: Steps = setting(1701, "authors", "Steps.")
    rate: float = setting(1 / 255, "authors", "Step size of the picture, in [0, 1].")
    radius: Radius = setting(16 / 255, "authors", "Largest change of a value in [0, 1].")
    prompt_rate: float = setting(
        0.01, "authors", "Step size of the prompts' embeddings; 0 leaves them as they are (Multi-P)."
    )
    prompt_every: Positive = setting(
        10, "paper", "Steps of the picture for each of a prompt; the authors' code: 300 / prompts."
    )
    prompt_until: int | None = setting(
        None, "paper", "Last step after which a prompt is changed; 300 in the authors' code; null: no limit."
    )
    low: float = setting(-0.23, "authors", "Smallest change of a value of an embedding.")
    high: float = setting(0.27, "authors", "Largest change of a value of an embedding.")
    targeted: bool = setting(True, "paper", "Makes the texts likely; false makes them unlikely.")
    every: Positive = setting(100, "ours", "Steps between checks on validation prompts.")

    @property
    def wants(self) -> Wants:
        return "target" if self.targeted else "reference"

    def constraint(self, goal: Goal) -> Constraint:
        return Linf(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        cases = [goal.train for goal in goals]
        return [PerturbedPrompts(models[0], cases, sampler=sampler, targeted=self.targeted)]

    def validation(self, models: Sequence[Access], goals: Sequence[Goal]) -> list[Objective]:
        kind = Continuation if self.targeted else Untargeted
        return [kind(models[0], [goal.train for goal in goals])]

    def sampler(self) -> Sampler:
        return Rotation()

    def optimiser(self) -> Optimiser:
        return _MinMax(self)


class PerturbedPrompts(Continuation):
    """`Continuation`, with perturbations of the embeddings of the last user turn's text: each picture has its
    own for each of its conversations."""

    def __init__(
        self,
        access: Access,
        cases: Sequence[Sequence[Case]],
        *,
        sampler: Sampler | None = None,
        targeted: bool = True,
    ) -> None:
        super().__init__(access, cases, sampler=sampler)
        self._sign = -1.0 if targeted else 1.0
        self._prompts = {id(case): _marked(case.chat) for some in cases for case in some}
        self._spans = {key: access.text.span(*marked) for key, marked in self._prompts.items()}
        width = access.text.embeddings().shape[1]
        self.shifts = {
            (i, id(case)): torch.zeros(len(self._spans[id(case)]), width)
            for i, some in enumerate(cases)
            for case in some
        }
        """(tokens of the prompt, width), by the number of the picture and the conversation's identity."""

    def made(self, asked: Sequence[tuple[int, Case, Tensor]]) -> list[ContinuationLogits]:
        return self._access.span_continuations(
            [self._prompts[id(case)][0] for _, case, _ in asked],
            [shown(case, picture) for _, case, picture in asked],
            [case.target for _, case, _ in asked],
            [self._spans[id(case)] for _, case, _ in asked],
            [self.shifts[i, id(case)] for i, case, _ in asked],
        )

    def tokens(self, case: Case, made: ContinuationLogits, draw: Draw) -> Tensor:
        return self._sign * made.log_probabilities

    def raise_loss(self, batch: Batch, rate: float, low: float, high: float) -> None:
        """Moves the perturbations that a step's losses depend on by `rate` in the sign of their gradient, and
        keeps them in [low, high]."""
        spent, draw = self._access.spent, batch.draw
        used = [
            (i, id(case))
            for i, some in zip(batch.which, self.chosen(batch.which, _again(draw)), strict=True)
            for case in some
        ]
        before = spent.forwards
        free = [self.shifts[key].requires_grad_() for key in used]
        losses = self.losses(batch.variables, batch.which, _again(draw))
        slopes = torch.autograd.grad(losses.sum(), free)
        spent.backwards += spent.forwards - before
        for key, slope in zip(used, slopes, strict=True):
            self.shifts[key] = (self.shifts[key].detach() + rate * slope.sign()).clamp(low, high)


class _MinMax(Pgd):
    """Both players move along gradients at the same point, so that it does not matter who moves first."""

    def __init__(self, attack: Luo) -> None:
        super().__init__(attack.rate)
        self._attack = attack

    def step(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        moved = super().step(batch)
        attack, step = self._attack, batch.draw.step
        due = step > 0 and step % attack.prompt_every == 0
        if due and attack.prompt_rate and (attack.prompt_until is None or step <= attack.prompt_until):
            (prompts,) = batch.problem.objectives
            assert isinstance(prompts, PerturbedPrompts)
            prompts.raise_loss(batch, attack.prompt_rate, attack.low, attack.high)
        return moved


def _again(draw: Draw) -> Draw:
    """The same draw, from its beginning."""
    return Draw(draw.step, draw.seed, draw.keys)


def _marked(chat: Chat) -> tuple[Chat, str]:
    """The chat with a mark in the place of the last user turn's last text, and that text."""
    for number in range(len(chat.turns) - 1, -1, -1):
        turn = chat.turns[number]
        texts = [k for k, part in enumerate(turn.parts) if isinstance(part, str) and part.strip()]
        if turn.role == "user" and texts:
            parts, text = list(turn.parts), str(turn.parts[texts[-1]]).strip()
            parts[texts[-1]] = str(parts[texts[-1]]).replace(text, SPAN, 1)
            turns = (*chat.turns[:number], replace(turn, parts=tuple(parts)), *chat.turns[number + 1 :])
            return replace(chat, turns=turns), text
    raise JuratError("The attack perturbs the text of a user's turn, and a conversation has none.")
