"""The loop of attacks on a tiny LLaVA with random weights: what is counted, checked, kept and verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.cases import Case
from jurat.attacks.constraints import Box, Linf, MovingPatch
from jurat.attacks.engine import Checked, optimise
from jurat.attacks.gradients import Averaged
from jurat.attacks.objectives import (
    Continuation,
    Dissimilarity,
    Draw,
    Features,
    GrowingTarget,
    PromptMatching,
    Untargeted,
)
from jurat.attacks.optimisers import Adam, Pgd
from jurat.attacks.pictures import as_levels, as_picture, as_pixels, read_png, save_png, similarity
from jurat.attacks.problem import Batch, Problem
from jurat.attacks.samplers import All, Random, Rotation
from jurat.content import Chat, Turn
from jurat.errors import JuratError
from jurat.models import PromptScores, open_model
from jurat.models.hf.torchvision_import import prepare_torchvision

from ..models.tiny import make_llava, picture

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

QUESTIONS = ("Is a dog visible ?", "Does a child hold a knife ?", "Is the following statement true ?")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = make_llava(tmp_path_factory.mktemp("tiny") / "llava")
    return open_model(f"hf/{folder}", device="cpu")


def clean(count: int = 2) -> list[Tensor]:
    return [as_pixels(as_levels(picture(seed))) for seed in range(count)]


def cases(*targets: str) -> list[Case]:
    blank = Image.new("RGB", (8, 8))
    return [
        Case(Chat((Turn("user", (blank, question)),)), target)
        for question, target in zip(QUESTIONS, targets, strict=False)
    ]


def draw(step: int = 0) -> Draw:
    return Draw(step)


def test_attack_makes_the_target_likely_in_the_saved_picture(model: Any, tmp_path: Path) -> None:
    access = Access(model)
    problem = Problem(
        clean(), [Box()] * 2, [Continuation(access, [cases(" knife")] * 2, reduction="sum")], access.spent
    )
    for i, outcome in enumerate(optimise(problem, Pgd(8 / 255), 25)):
        save_png(outcome.saved, tmp_path / f"{i}.png")
        saved = read_png(tmp_path / f"{i}.png")
        (case,) = cases(" knife")
        scores = model.capability(PromptScores)
        assert isinstance(scores, PromptScores)
        chat = Chat((Turn("user", (saved, QUESTIONS[0])),))
        (scored,) = scores.prompt_scores([chat], [case.target])
        assert -scored.total == pytest.approx(outcome.score, abs=2e-3)  # pyright: ignore
        assert outcome.score < outcome.losses[0] - 0.3


def test_compute_is_counted(model: Any) -> None:
    access = Access(model)
    objective = Continuation(access, [cases(" dog", " dog")] * 2)
    problem = Problem(clean(), [Linf(4 / 255)] * 2, [objective], access.spent)
    optimise(problem, Pgd(1 / 255), 3, every=3)
    # Three steps and two checks of two pictures with two conversations each.
    assert access.spent.forwards == 5 * 4 and access.spent.backwards == 3 * 4 and access.spent.queries == 0
    assert access.spent.seconds > 0
    before = replace(access.spent)
    access.chat([case.chat for case in cases(" dog", " dog")])
    assert access.spent == replace(before, queries=before.queries + 2)


def test_random_changes_cost_a_pass_each(model: Any) -> None:
    access = Access(model)
    problem = Problem(clean(1), [Box()], [Continuation(access, [cases(" dog")])], access.spent)
    noise = Averaged(lambda x, g: x + 0.01 * torch.randn(x.shape, generator=g), 3)
    problem_before = access.spent.forwards
    noise.estimate(Batch(problem, [0], problem.clean, draw()))
    assert (access.spent.forwards - problem_before, access.spent.backwards) == (3, 3)


def test_best_checked_iterate_is_kept_and_finished_pictures_leave_the_batch(model: Any) -> None:
    seen: list[list[int]] = []

    def check(saved: Sequence[Tensor], which: Sequence[int]) -> list[Checked]:
        seen.append(list(which))
        # The first picture is best at its second check; the second is done at its third.
        return [Checked([3.0, 1.0, 2.0, 4.0][len(seen) - 1], i == 1 and len(seen) == 3) for i in which]

    access = Access(model)
    problem = Problem(clean(), [Box()] * 2, [Continuation(access, [cases(" dog")] * 2)], access.spent)
    first, second = optimise(problem, Pgd(1 / 255), 6, check=check, every=2)
    assert seen == [[0, 1], [0, 1], [0, 1], [0]]
    assert (first.step, first.score, len(first.losses)) == (2, 1.0, 6)
    assert (second.step, second.score, len(second.losses)) == (4, 2.0, 4)


def test_losses_of_a_batch_are_those_of_single_pictures(model: Any) -> None:
    access = Access(model)
    objective = Continuation(access, [cases(" dog"), cases(" knife", " cat")])
    together = objective.losses(clean(), [0, 1], draw())
    for i, one in enumerate(clean()):
        assert float(objective.losses([one], [i], draw())[0]) == pytest.approx(float(together[i]), abs=1e-4)


def test_untargeted_is_the_negative_and_growing_targets_grow(model: Any) -> None:
    access, asked = Access(model), [cases(" dog cat child")]
    whole = float(Continuation(access, asked, reduction="sum").losses(clean(1), [0], draw())[0])
    assert float(Untargeted(access, asked, reduction="sum").losses(clean(1), [0], draw())[0]) == -whole
    growing = GrowingTarget(access, asked, reduction="sum")
    parts = [float(growing.losses(clean(1), [0], draw(step))[0]) for step in range(4)]
    assert 0 < parts[0] < parts[1] < parts[2] == pytest.approx(whole, abs=1e-4) and parts[3] == parts[0]


def test_prompt_matching_is_zero_at_the_teacher_itself_and_positive_elsewhere(model: Any) -> None:
    one = picture(0)

    def teacher(case: Case) -> Case:
        return Case(Chat((Turn("user", (one, QUESTIONS[0])),)), case.target)

    objective = PromptMatching(Access(model), [cases(" dog cat")], teacher)
    assert float(objective.losses([as_pixels(as_levels(one))], [0], draw())[0]) == pytest.approx(0, abs=1e-4)
    assert float(objective.losses([as_pixels(as_levels(picture(3)))], [0], draw())[0]) > 1e-3


@pytest.mark.parametrize("part", ["pooled", "patches"])
@pytest.mark.parametrize("distance", ["l2", "squared", "cosine"])
def test_features_come_close_to_the_target_and_go_away(model: Any, part: Any, distance: Any) -> None:
    access = Access(model)
    (target,) = access.features([as_pixels(as_levels(picture(7)))])
    wanted = getattr(target, part)
    problem = Problem(
        clean(1), [Box()], [Features(access, [wanted], part=part, distance=distance)], access.spent
    )
    (outcome,) = optimise(problem, Adam(0.02), 15, random_start=True)
    assert outcome.score < 0.9 * outcome.losses[0]
    away = Features(access, [wanted], part=part, distance=distance, away=True)
    assert float(away.losses(clean(1), [0], draw())[0]) < 0


def test_dissimilarity_is_that_of_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    one, other = (as_levels(picture(seed, (24, 20))) for seed in (0, 1))
    theirs = structural_similarity(
        one.numpy(), other.numpy(), data_range=255, channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=False,
    )  # fmt: skip
    ours = float(similarity(as_pixels(one)[None].double(), as_pixels(other)[None].double())[0])
    assert ours == pytest.approx(float(theirs), abs=5e-3)
    same = Dissimilarity([as_pixels(one)]).losses([as_pixels(one)], [0], draw())
    assert float(same[0]) == pytest.approx(0, abs=1e-5)


def test_objectives_are_added_and_weighted(model: Any) -> None:
    access = Access(model)
    words, kept = Continuation(access, [cases(" dog")]), Dissimilarity(clean(1))
    both = (words + 0.5 * kept).losses([torch.full((3, 40, 40), 0.3)], [0], draw())
    parts = [each.losses([torch.full((3, 40, 40), 0.3)], [0], draw()) for each in (words, kept)]
    assert float(both[0]) == pytest.approx(float(parts[0][0] + 0.5 * parts[1][0]))


def test_moving_patches_are_attacked_too(model: Any) -> None:
    access = Access(model)
    problem = Problem(clean(1), [MovingPatch(20)], [Continuation(access, [cases(" dog")])], access.spent)
    (outcome,) = optimise(problem, Pgd(8 / 255), 10, random_start=True, seed=5)
    assert MovingPatch(20).contains(outcome.saved, as_levels(picture(0)))
    assert not outcome.saved.equal(as_levels(picture(0)))


def test_model_without_gradients_is_named_in_the_error() -> None:
    access = Access(open_model("null"))
    with pytest.raises(
        JuratError, match="needs gradients with respect to pixels, which 'null' does not give"
    ):
        access.continuations([cases(" dog")[0].chat], [clean(1)], [" dog"])


def test_png_keeps_every_level(tmp_path: Path) -> None:
    levels = torch.randint(0, 256, (3, 9, 7), dtype=torch.uint8)
    save_png(levels, tmp_path / "x.png")
    assert as_levels(read_png(tmp_path / "x.png")).equal(levels)
    assert as_levels(as_picture(levels)).equal(levels)


def test_samplers_choose_what_they_say() -> None:
    asked, generator = cases(" a", " b", " c"), torch.Generator().manual_seed(0)
    assert list(All().choose(asked, 0, generator)) == asked
    some = Random(2).choose(asked, 0, generator)
    assert len({id(case) for case in some}) == 2
    turns = [Rotation(2, seed=1).choose(asked, step, generator) for step in range(3)]
    targets = [case.target for turn in turns for case in turn]
    assert sorted(targets[:3]) == sorted(targets[3:]) == [" a", " b", " c"]
