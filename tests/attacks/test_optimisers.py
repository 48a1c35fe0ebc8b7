"""Optimisers on losses whose best point is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from jurat.attacks.constraints import L2, Constraint, FixedPatch, Linf
from jurat.attacks.engine import optimise
from jurat.attacks.gradients import Averaged, Evolution, Exact, spectrum_change
from jurat.attacks.objectives import Draw, Objective
from jurat.attacks.optimisers import Adam, Apgd, CommonWeakness, Optimiser, Pgd, RandomSearch, Sgd
from jurat.attacks.problem import Batch, Problem

STEPS = 60


class Towards(Objective):
    """Mean squared distance from a picture of one level, with curvature that differs by pixel."""

    def __init__(self, level: float, extent: int = 6) -> None:
        self.level = level
        self.weights = torch.linspace(0.5, 2, extent * extent).reshape(extent, extent)

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        return torch.stack([(self.weights * (picture - self.level) ** 2).mean() for picture in pictures])


def problem(constraint: Constraint, count: int = 2, *objectives: Objective) -> Problem:
    clean = [torch.full((3, 6, 6), (100 + 10 * i) / 255) for i in range(count)]
    return Problem(clean, [constraint] * count, objectives or [Towards(0.8)])


OPTIMISERS: dict[str, Callable[[], Optimiser]] = {
    "pgd": lambda: Pgd(1 / 255),
    "momentum": lambda: Pgd(1 / 255, momentum=1.0),
    "sgd": lambda: Sgd(1.0, clip=20),
    "adam": lambda: Adam(0.01),
    "apgd": lambda: Apgd(0.1, STEPS),
    "averaged": lambda: Pgd(1 / 255, gradient=Averaged(spectrum_change(0.02), 4)),
    "common weakness": lambda: CommonWeakness(1 / 255),
    "evolution": lambda: Pgd(2 / 255, gradient=Evolution(20)),
    "random search": lambda: RandomSearch(0.05, share=0.3),
}


@pytest.mark.parametrize("constraint", [Linf(16 / 255), L2(0.6), FixedPatch(1, 1, 3, 3)], ids=repr)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_lowers_its_loss_within_the_constraint(name: str, constraint: Constraint) -> None:
    rate = (
        0.05 if isinstance(constraint, L2) and name in ("pgd", "momentum", "averaged", "evolution") else None
    )
    made = OPTIMISERS[name]()
    if rate is not None:
        made.rate = rate  # pyright: ignore[reportAttributeAccessIssue]
    given = problem(constraint)
    for i, outcome in enumerate(optimise(given, made, STEPS, seed=3)):
        clean = given.clean[i].mul(255).round().to(torch.uint8)
        assert constraint.contains(outcome.saved, clean)
        assert outcome.score < 0.97 * outcome.losses[0]
        assert len(outcome.losses) == STEPS


@pytest.mark.parametrize("name", OPTIMISERS)
def test_outcomes_depend_on_the_seed_alone(name: str) -> None:
    first, again, other = (
        optimise(problem(Linf(8 / 255)), OPTIMISERS[name](), 12, seed=seed, random_start=True)
        for seed in (1, 1, 2)
    )
    assert all(a.saved.equal(b.saved) and a.losses == b.losses for a, b in zip(first, again, strict=True))
    assert any(a.losses != b.losses for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", ["pgd", "apgd", "common weakness"])
def test_optimisers_reach_the_edge_where_the_best_point_is_outside(name: str) -> None:
    given = problem(Linf(8 / 255), 1)
    (outcome,) = optimise(given, OPTIMISERS[name](), STEPS)
    assert outcome.saved.eq(108).all()


def test_pictures_of_other_sizes_and_budgets_are_attacked_as_alone() -> None:
    clean = [torch.full((3, 6, 6), 0.4), torch.full((3, 6, 6), 0.6)]
    constraints = [Linf(2 / 255), Linf(16 / 255)]
    clean = [(each * 255).round() / 255 for each in clean]
    together = optimise(Problem(clean, constraints, [Towards(0.9)]), Apgd([2 / 255, 16 / 255], 20), 20)
    for i, rate in enumerate((2 / 255, 16 / 255)):
        (alone,) = optimise(Problem([clean[i]], [constraints[i]], [Towards(0.9)]), Apgd(rate, 20), 20)
        assert alone.saved.equal(together[i].saved) and alone.losses == pytest.approx(together[i].losses)


def test_apgd_checkpoints_are_those_of_the_paper() -> None:
    # p = 0, .22, .41, .57, .70, .80, .87, .93, .99, 1.05 (Croce and Hein 2020, section 3)
    assert Apgd(1, 100)._checkpoints() == [0, 22, 41, 57, 70, 80, 87, 93, 99, 105]


def test_apgd_halves_its_step_and_returns_to_the_best_point() -> None:
    """A step that is far too large jumps over the best point each time, until it is halved."""
    made = Apgd(2.0, 100)
    (outcome,) = optimise(problem(Linf(0.4), 1), made, 100)
    assert made._state[0].rate < 2.0
    assert outcome.score < 1e-4


def test_momentum_goes_on_in_the_old_direction() -> None:
    made, given = Pgd(1.0, momentum=0.9), problem(Linf(1), 1)
    made.begin(given, given.clean)
    zero = Batch(given, [0], [torch.zeros(3, 6, 6)], Draw(0))
    up, down = torch.ones(3, 6, 6), -0.1 * torch.ones(3, 6, 6)
    made.move(Batch(given, [0], given.clean, Draw(0)), [up], torch.zeros(1))
    (moved,) = made.move(zero, [down / 1e3], torch.zeros(1))
    assert moved.eq(1.0).all()  # 0.9 x 1 / 108 - 1 / 108 is negative: the latest gradient wins by its L1 norm
    (moved,) = made.move(zero, [up], torch.zeros(1))
    assert moved.eq(-1.0).all()


def test_adam_equals_that_of_torch() -> None:
    given = problem(Linf(1), 1)
    (outcome,) = optimise(given, Adam(0.01), 5)
    variable = given.clean[0].clone().requires_grad_()
    theirs, losses = torch.optim.Adam([variable], lr=0.01), []
    for _ in range(5):
        loss = Towards(0.8).losses([variable], [0], Draw(0))[0]
        losses.append(float(loss.detach()))
        theirs.zero_grad()
        loss.backward()
        theirs.step()
    assert list(outcome.losses) == pytest.approx(losses, rel=1e-5)


def test_evolution_approaches_the_gradient() -> None:
    given = problem(Linf(1), 1)
    batch = Batch(given, [0], given.clean, Draw(0))
    _, (exact,) = Exact().estimate(batch)
    _, (estimated,) = Evolution(2000, 0.01).estimate(batch)
    assert torch.cosine_similarity(exact.flatten(), estimated.flatten(), 0) > 0.95
    assert given.spent.backwards == 0  # an analytic objective counts nothing


def test_spectrum_change_without_noise_and_spread_is_the_identity() -> None:
    picture = torch.rand((3, 12, 20), generator=torch.Generator().manual_seed(4))
    changed = spectrum_change(0, 0)(picture, torch.Generator())
    torch.testing.assert_close(changed, picture, atol=1e-5, rtol=0)
    spread = spectrum_change(0, 0.5)(picture, torch.Generator().manual_seed(0))
    from scipy.fft import dctn

    share = dctn(spread.numpy(), axes=(1, 2), norm="ortho") / dctn(picture.numpy(), axes=(1, 2), norm="ortho")
    assert 0.499 < share.min() < 0.52 and 1.48 < share.max() < 1.501


def test_common_weakness_goes_through_the_surrogates_and_sums_their_losses() -> None:
    given = problem(Linf(16 / 255), 1, Towards(0.9), Towards(0.7))
    draw = Draw(0)
    both = float(given.losses(given.clean, [0], draw)[0])
    alone = [float(given.losses(given.clean, [0], draw, objective=k)[0]) for k in (0, 1)]
    assert both == pytest.approx(sum(alone))
    (outcome,) = optimise(given, CommonWeakness(1 / 255), 10)
    assert outcome.losses[0] > alone[0] and outcome.score < both


@pytest.mark.parametrize("name", ["averaged", "evolution", "random search"])
def test_what_is_random_does_not_depend_on_the_pictures_beside(name: str) -> None:
    given = problem(Linf(8 / 255), 3)
    given = Problem(given.clean, given.constraints, given.objectives, keys=[7, 8, 9])
    together = optimise(given, OPTIMISERS[name](), 6, seed=2, random_start=True)
    for i, key in enumerate(given.keys):
        one = Problem([given.clean[i]], [given.constraints[i]], given.objectives, keys=[key])
        (alone,) = optimise(one, OPTIMISERS[name](), 6, seed=2, random_start=True)
        assert alone.saved.equal(together[i].saved) and alone.losses == pytest.approx(together[i].losses)


def test_sources_differ_by_seed_step_and_key() -> None:
    draws = [Draw(0), Draw(1), Draw(0, 1), Draw(0, 0, [5]), Draw(0, 0, [2**40])]
    numbers = {int(torch.randint(0, 2**60, (), generator=draw.generator(0))) for draw in draws}
    assert len(numbers) == len(draws)
    again = Draw(0)
    first, second = (int(torch.randint(0, 2**60, (), generator=again.generator(0))) for _ in range(2))
    assert first in numbers and first != second
