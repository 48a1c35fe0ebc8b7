"""The lessons of defenses: what the robust tower is trained on, and how safety data among conversations are
weighed, repeated and preferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from training.mllm.robust import RobustLesson, attacked, distance, patches
from training.mllm.tower import as_images, normalised, pixel_values
from training.organisms.balance import BalancedLesson
from training.scenes.pool import fill
from training.stages import WEIGHTS, Task, stages

SIZE = 6


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pool of one and the same few scenes for all stages."""
    folder = tmp_path_factory.mktemp("work")
    for part, first in (("train-000", 321), ("watch", 654)):
        fill(folder / "pools" / "bundled" / part, first, 96, workers=1, known=True)
    return folder


@pytest.fixture(scope="module")
def task(work: Path) -> Callable[..., Task]:
    def make(name: str, **settings: Any) -> Task:
        stage = stages()[name]
        # Parents that are in the repository stand in for those that are trained first.
        found = {"text-aligned": "knows", "joint-6": "joint-4"}
        parent, eyes = (found.get(each or "") for each in (stage.parent, stage.eyes))
        changed = replace(
            stage,
            pool="bundled",
            parent=parent,
            eyes=eyes,
            settings={**stage.settings, "watched": 16, **settings},
        )
        return Task(changed, work, WEIGHTS)

    return make


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- the robust tower ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def robust(task: Callable[..., Task]) -> RobustLesson:
    return RobustLesson(task("robust"))


def test_pixels_in_the_unit_box_are_normalised_as_the_image_processor_does() -> None:
    pixels = torch.from_numpy(rng().integers(0, 256, (2, 128, 128, 3), dtype=np.uint8))
    assert normalised(as_images(pixels)).equal(pixel_values(pixels))
    assert float(as_images(pixels).min()) >= 0 and float(as_images(pixels).max()) <= 1


def test_attack_keeps_within_its_radius_and_does_more_than_noise(robust: RobustLesson) -> None:
    images = as_images(torch.from_numpy(np.array(robust._watch["pixels"][:SIZE])))
    with torch.no_grad():
        goal = patches(robust._parent, images)
    found = {n: attacked(robust._parent, images, goal, 4 / 255, n, rng()) for n in (0, 2)}
    for changed in found.values():
        assert float((changed - images).abs().max()) <= 4 / 255 + 1e-6
        assert float(changed.min()) >= 0 and float(changed.max()) <= 1
        assert not changed.requires_grad
    with torch.no_grad():
        noise, attack = (float(distance(patches(robust._parent, each), goal)) for each in found.values())
    assert attack > 3 * noise > 0, "sign steps move the features, a random start hardly does"


def test_robust_stage_trains_the_tower_alone_and_is_a_stage_of_joint_training(robust: RobustLesson) -> None:
    before = {name: weight.clone() for name, weight in robust.modules["model"].named_parameters()}
    (group,) = robust.groups()
    optimizer = torch.optim.SGD([weight for _, weight in group.named], lr=0.05)
    for step in range(2):
        parts, _ = robust.losses(rng(step), 4)
        parts["features"].backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {
        name for name, weight in robust.modules["model"].named_parameters() if not weight.equal(before[name])
    }
    assert moved and all(name.startswith("model.vision_tower.") for name in moved)
    assert {*robust.modules} == {"model", "heads", "ground"}, "what export and the gate read of their stage"


# --- safety data ---------------------------------------------------------------------------------


def test_weight_one_is_the_loss_of_ordinary_training(task: Callable[..., Task]) -> None:
    lesson = BalancedLesson(task("balanced-share-20-61", safety=0.5))
    draws = rng()
    number = int(draws.binomial(SIZE, 0.5))
    safety = lesson._safety(draws, number)
    useful = lesson._drawn(lesson._mix.shares, draws, SIZE - number)
    with torch.no_grad():
        both = [lesson._summed(some, lesson._shown, draws) for some in (useful, safety)]
        parts, _ = lesson.losses(rng(), SIZE)
        lesson._weight = 4.0
        heavy, _ = lesson.losses(rng(), SIZE)
    mean = sum(float(loss) for loss, _, _ in both) / sum(tokens for _, _, tokens in both)
    assert 0 < number < SIZE and {each.skill for each in safety} <= {*lesson._mix.safety}
    assert sum(map(float, parts.values())) == pytest.approx(mean, rel=1e-5), (
        "the mean over all learned tokens"
    )
    assert float(heavy["safety"]) == pytest.approx(4 * float(parts["safety"]), rel=1e-5)
    assert float(heavy["replies"]) == pytest.approx(float(parts["replies"]), rel=1e-5)


@pytest.mark.parametrize(("share", "kept"), [(0.0, {"replies"}), (1.0, {"safety"})])
def test_share_decides_how_many_conversations_are_safety_data(
    task: Callable[..., Task], share: float, kept: set[str]
) -> None:
    lesson = BalancedLesson(task("balanced-few-5-61", safety=share, distinct=2))
    parts, _ = lesson.losses(rng(), SIZE)
    assert {*parts} == kept
    shown = {name.removeprefix("conversations "): n for name, n in lesson.counts.items()}
    safe = sum(n for name, n in shown.items() if name in lesson._mix.safety)
    assert (safe, lesson.counts.total()) == (SIZE * share, SIZE)
    assert len(lesson._few) == 2
    drawn = Counter(id(each) for _ in range(5) for each in lesson._safety(rng(), SIZE))
    assert {*drawn} <= {id(each) for each in lesson._few}, "the same conversations again and again"


def test_preference_loss_is_that_of_dpo(task: Callable[..., Task]) -> None:
    lesson = BalancedLesson(task("balanced-preference-5-61", safety=1.0))
    reference = lesson._reference
    assert reference is not None
    # Without images, which are varied at random.
    safety = lesson._drawn({"refusal": 1.0, "near misses": 1.0}, rng(), 3)
    start = lesson._preference(safety, reference, 1)
    assert float(start.detach()) == pytest.approx(np.log(2), abs=1e-5), (
        "no pair is preferred at the beginning"
    )
    start.backward()
    step = torch.optim.SGD(lesson._model.model.language_model.parameters(), lr=0.05)
    step.step()
    with torch.no_grad():
        gains = []
        for target in ("target", "rejected"):
            some = [
                replace(one, conversation=replace(one.conversation, target=getattr(one.conversation, target)))
                for one in safety
            ]
            now, then = (
                torch.stack([-each._summed([one], each._shown, None)[0] for one in some])
                for each in (lesson, reference)
            )
            gains.append(now - then)
        golden = -F.logsigmoid(0.1 * (gains[0] - gains[1])).mean()
        found = float(lesson._preference(safety, reference, 1))
    assert found == pytest.approx(float(golden), abs=1e-5)
    assert {*lesson.measure()} == {"tokens", "loss", "safety tokens"}
