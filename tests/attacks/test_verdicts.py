"""The attack on the judge's verdict: its numbers are the judge's, and so is its success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.objectives import Draw
from jurat.attacks.pictures import as_levels, as_picture, as_pixels
from jurat.attacks.verdicts import VerdictAttack, VerdictLoss, reached, shift
from jurat.bench.pictogram.definition import constitution_of
from jurat.constitution import Constitution, load_constitution, parse_constitution
from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.judge.stages.views import DIAGONALS, shifted
from jurat.models import Model, open_model

SCENES = Path(__file__).parents[2] / "examples" / "scenes"
NURSERY = load_constitution("shelf:nursery")
BROKEN, KEPT = "0002-child-with-alcohol-broken.png", "0003-child-with-alcohol-near-miss.png"


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    opened = open_model("bundled")
    yield opened
    opened.close()


def levels(name: str) -> torch.Tensor:
    return as_levels(Image.open(SCENES / name))


@pytest.mark.parametrize("size", [(64, 64), (37, 90)])
def test_shift_is_that_of_the_views_stage(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = as_pixels(as_levels(Image.fromarray(noise)))
    for copy, diagonal in zip(shifted(Image.fromarray(noise)), DIAGONALS, strict=True):
        torch.testing.assert_close(shift(picture, *diagonal), as_pixels(as_levels(copy)))


@pytest.mark.parametrize(
    ("constitution", "preset"), [(NURSERY, "quick"), (constitution_of("test"), "direct")]
)
def test_scores_are_those_of_the_verdict(model: Model, constitution: Constitution, preset: str) -> None:
    judge = Judge(constitution, model, preset)
    names = (BROKEN, KEPT)
    loss = VerdictLoss(judge, Access(model), ["safe"] * len(names))
    found = loss.scores([as_pixels(levels(name)) for name in names], [0, 1], Draw(0)).sigmoid()
    for name, row in zip(names, found, strict=True):
        told = [rule.score for rule in judge(SCENES / name).rules]
        assert row.tolist() == pytest.approx(told, abs=2e-3)


def test_loss_is_zero_where_the_verdict_is_the_wanted_one(model: Model) -> None:
    judge, access = Judge(NURSERY, model, "quick"), Access(model)
    pictures = [as_pixels(levels(name)) for name in (BROKEN, KEPT)]
    assert [judge(SCENES / name).outcome for name in (BROKEN, KEPT)] == ["unsafe", "safe"]
    for aim, zero in [("unsafe", [True, False]), ("safe", [False, True]), ("not unsafe", [False, True])]:
        found = VerdictLoss(judge, access, [aim, aim], margin=0.0).losses(pictures, [0, 1], Draw(0))
        assert [float(each) == 0 for each in found] == zero, aim


def test_attack_within_its_ball_changes_verdicts_that_noise_does_not(model: Model) -> None:
    judge, access = Judge(NURSERY, model, "quick"), Access(model)
    clean, aims = [levels(BROKEN), levels(KEPT)], ["not unsafe", "unsafe"]
    attack = VerdictAttack(radius=16 / 255, steps=16, every=4)
    outcomes = attack.run(judge, access, clean, aims, seed=3)
    for before, outcome, aim in zip(clean, outcomes, aims, strict=True):
        assert int((outcome.saved.int() - before.int()).abs().max()) <= 16
        assert reached(aim, judge(as_picture(outcome.saved)))
        noise = torch.randint(-16, 17, before.shape, generator=torch.Generator().manual_seed(1))
        noisy = (before.int() + noise).clamp(0, 255).to(torch.uint8)
        assert not reached(aim, judge(as_picture(noisy)))
    assert access.spent.forwards == access.spent.backwards > 0
    assert access.spent.queries % len(judge.questions) == 0 < access.spent.queries


def test_loss_looks_at_the_image_and_at_a_shifted_copy(model: Model) -> None:
    """The shifted copy adds a loss of its own to that of the image."""
    access, picture = Access(model), as_pixels(levels(BROKEN))
    found = [
        VerdictLoss(Judge(NURSERY, model, preset), access, ["safe"]).losses([picture], [0], Draw(0))
        for preset in ("quick", "jurat")
    ]
    assert float(found[1]) > 1.5 * float(found[0]) > 0
    assert access.spent.forwards == 1 + 1 + 2 + 1  # the image and its strangeness, once with a copy


def test_attack_depends_on_its_seed_and_not_on_pictures_beside_it(model: Model) -> None:
    judge, attack = Judge(NURSERY, model, "jurat"), VerdictAttack(radius=4 / 255, steps=1, every=1)

    def attacked(seed: int, *names: str) -> list[torch.Tensor]:
        aims, keys = ["safe"] * len(names), [{BROKEN: 0, KEPT: 1}[name] for name in names]
        made = attack.run(judge, Access(model), [levels(n) for n in names], aims, keys=keys, seed=seed)
        return [outcome.saved for outcome in made]

    alone, *_ = attacked(3, BROKEN)
    _, beside = attacked(3, KEPT, BROKEN)
    assert alone.equal(beside)
    assert not alone.equal(attacked(4, BROKEN)[0])


CAPTION = """
name: captions
version: "1"
rules:
  - rule: Sales of knives are forbidden.
    clauses: [{statement: The caption offers a knife for sale., about: caption}]
"""


@pytest.mark.parametrize(
    ("constitution", "preset", "message"),
    [
        (NURSERY, "clue-quick", "does not decide by log-odds"),
        (CAPTION, "quick", "is about a text of the item"),
    ],
)
def test_judges_without_gradients_are_refused(
    model: Model, constitution: Constitution | str, preset: str, message: str
) -> None:
    if isinstance(constitution, str):
        constitution = parse_constitution(constitution)
    with pytest.raises(JuratError, match=message):
        VerdictLoss(Judge(constitution, model, preset, allow_unknown=True), Access(model), [])
