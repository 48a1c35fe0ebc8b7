"""How an attack on text moves its span: by the gradient with respect to one-hot tokens, or in the space of
embeddings."""

from __future__ import annotations

import torch

from jurat.attacks.text import Span, TextOptimiser, TextProblem, TextStep

__all__ = ["EmbeddingSearch", "GreedyCoordinate", "TokenByToken"]


class GreedyCoordinate(TextOptimiser):
    """Greedy coordinate gradient (Zou et al. 2023, algorithm 1): many spans are tried in which one token is
    another, drawn from those of the steepest gradient. The best of them is taken, also where it is worse
    than the old one.

    Args:
        candidates: spans that are drawn, equally many for each place.
        top: tokens of the steepest gradient that they are drawn from.
    """

    def __init__(self, candidates: int = 512, top: int = 256) -> None:
        self.candidates, self.top = candidates, top

    def step(self, at: TextStep) -> tuple[Span, float]:
        problem, span = at.problem, at.span
        loss, slope = problem.slope(span, at.cases)
        steepest = _steepest(problem, problem.by_token(slope), self.top)
        drawn = torch.randint(steepest.shape[1], (self.candidates,), generator=at.generator)
        places = torch.arange(self.candidates) * len(span) // self.candidates
        tokens = steepest[places, drawn].tolist()
        best = _best(
            at, [_with(span, place, token) for place, token in zip(places.tolist(), tokens, strict=True)]
        )
        return (span if best is None else best[0]), loss


class TokenByToken(TextOptimiser):
    """One place a step, in turn: the tokens of the steepest gradient are tried there, and the best of them is
    taken where it lowers the loss (HotFlip, Ebrahimi et al. 2018, as Qi et al. 2023 use it).

    Args:
        candidates: tokens that are tried.
    """

    def __init__(self, candidates: int = 100) -> None:
        self.candidates = candidates

    def step(self, at: TextStep) -> tuple[Span, float]:
        problem, span, place = at.problem, at.span, at.number % len(at.span)
        loss, slope = problem.slope(span, at.cases)
        (tokens,) = _steepest(problem, problem.by_token(slope[place : place + 1]), self.candidates).tolist()
        best = _best(at, [_with(span, place, token) for token in tokens])
        return (span if best is None or best[1] >= loss else best[0]), loss


class EmbeddingSearch(TextOptimiser):
    """Adam on the embeddings of the span, whose nearest tokens are returned. A place whose nearest token
    cannot be typed beside the others keeps the token that it had.

    Args:
        rate: learning rate, in standard deviations of the embeddings.
    """

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate

    def begin(self, problem: TextProblem, span: Span) -> None:
        self._base = problem.table[list(span)]
        self._begun = span
        self._point = self._base.clone().requires_grad_()
        self._adam = torch.optim.Adam([self._point], self.rate * float(problem.table.std()))

    def step(self, at: TextStep) -> tuple[Span, float]:
        problem = at.problem
        loss, self._point.grad = problem.slope(self._begun, at.cases, self._point.detach() - self._base)
        self._adam.step()
        distances = torch.cdist(self._point.detach(), problem.table).masked_fill(~problem.allowed, torch.inf)
        span = at.span
        for place, token in enumerate(distances.argmin(1).tolist()):
            if token != span[place]:
                span = (problem.typable([_with(span, place, token)]) or [span])[0]
        return span, loss


def _with(span: Span, place: int, token: int) -> Span:
    return (*span[:place], token, *span[place + 1 :])


def _steepest(problem: TextProblem, slopes: torch.Tensor, count: int) -> torch.Tensor:
    """For each place the tokens that lower the loss most, to first order: (places, count)."""
    return (-slopes).topk(min(count, int(problem.allowed.sum())), 1).indices


def _best(at: TextStep, candidates: list[Span]) -> tuple[Span, float] | None:
    """The candidate with the lowest loss; equal ones are tried once. None where none can be typed."""
    problem = at.problem
    tried = problem.typable([span for span in dict.fromkeys(candidates) if span != at.span])
    if not tried:
        return None
    losses = problem.losses(tried, at.cases)
    return tried[int(losses.argmin())], float(losses.min())
