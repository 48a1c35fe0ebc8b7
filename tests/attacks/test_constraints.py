"""Every constraint: what is projected and rounded lies inside it, exactly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jurat.attacks.constraints import L2, Box, Constraint, FixedPatch, Linf, MovingPatch, Rows

CONSTRAINTS: list[Constraint] = [
    Box(),
    Linf(1 / 255),
    Linf(8 / 255),
    Linf(0.03),  # 7.65 levels
    Linf(1),
    L2(0.05),
    L2(0.5),
    L2(20),
    FixedPatch(3, 5, 7, 4),
    FixedPatch(12, 12, 40, 40),  # reaches over the border
    Rows(4),
    MovingPatch(6),
]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(seed: int) -> Tensor:
    return torch.randint(0, 256, (3, 20, 16), generator=generator(seed), dtype=torch.uint8)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=repr)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.001, 0.02, 0.3, 3.0]))
def test_projected_variables_are_saved_inside_the_constraint(
    constraint: Constraint, seed: int, spread: float
) -> None:
    saved_clean = levels(seed)
    clean = saved_clean.float() / 255
    start = constraint.begin(clean)
    noise = spread * torch.randn(start.shape, generator=generator(seed + 1))
    for variable in (start + noise, constraint.random(clean, generator(seed))):
        inside = constraint.project(variable, clean)
        assert float(inside.min()) >= 0 and float(inside.max()) <= 1
        torch.testing.assert_close(constraint.project(inside, clean), inside, atol=1e-6, rtol=0)
        saved = constraint.to_uint8(inside, clean, generator(seed))
        assert saved.dtype == torch.uint8 and saved.shape == saved_clean.shape
        assert constraint.contains(saved, saved_clean)


@pytest.mark.parametrize(
    ("constraint", "spoil"),
    [
        (Linf(4 / 255), lambda x: x.index_put((torch.tensor(0),) * 3, x[0, 0, 0] + 5)),
        (L2(0.5), lambda x: (x.int() + 20).clamp(0, 255).to(torch.uint8)),
        (FixedPatch(0, 0, 4, 4), lambda x: x.flip(2)),
        (Rows(2), lambda x: x.roll(1, 1)),
        (MovingPatch(3), lambda x: 255 - x),
        (Box(), lambda x: x[:, :4]),
    ],
    ids=lambda value: repr(value) if isinstance(value, Constraint) else "",
)
def test_pictures_outside_are_recognised(constraint: Constraint, spoil) -> None:
    clean = levels(0).clamp(50, 200)
    assert constraint.contains(clean, clean)
    assert not constraint.contains(spoil(clean), clean)


def test_linf_steps_by_signs_and_l2_by_the_unit_gradient() -> None:
    slope = torch.tensor([[[3.0, -4.0]]])
    assert Linf(0.1).steepest(slope).tolist() == [[[1.0, -1.0]]]
    torch.testing.assert_close(L2(0.1).steepest(slope), torch.tensor([[[0.6, -0.8]]]))


def test_l2_projection_keeps_the_direction_and_the_radius() -> None:
    clean = torch.full((3, 8, 8), 0.5)
    change = 0.3 * torch.randn((3, 8, 8), generator=generator(1))
    projected = L2(0.5).project(clean + change, clean) - clean
    assert float(projected.norm()) == pytest.approx(0.5, abs=1e-5)
    assert float(torch.cosine_similarity(projected.flatten(), change.flatten(), 0)) == pytest.approx(1)


def test_moving_patch_lies_anywhere_and_gradients_reach_it() -> None:
    constraint, clean = MovingPatch(5), levels(0).float() / 255
    patch = torch.rand((3, 5, 5), generator=generator(2)).requires_grad_()
    places = set()
    for seed in range(200):
        picture = constraint.render(patch, clean, generator(seed))
        rows, columns = (picture != clean).any(0).nonzero(as_tuple=True)
        places.add((int(rows.min()), int(columns.min())))
        assert torch.equal(picture[:, rows.min() : rows.min() + 5, columns.min() : columns.min() + 5], patch)
    assert {y for y, _ in places} == set(range(16)) and {x for _, x in places} == set(range(12))
    (slope,) = torch.autograd.grad(constraint.render(patch, clean, generator(0)).sum(), patch)
    assert slope.eq(1).all()
