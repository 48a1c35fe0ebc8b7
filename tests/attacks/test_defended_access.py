"""Gradients through defenses: what the attacker computes is what the defended model is shown and says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.defended_access import DefendedAccess, way_through
from jurat.attacks.pictures import as_levels, as_pixels
from jurat.content import Chat, Turn
from jurat.defenses import Defense, defend, open_defense
from jurat.errors import JuratError
from jurat.models import Inquiry, Model, open_model

from ..models.tiny import make_llava, picture

QUESTIONS = ("Is a dog visible?", "Is the statement true?")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_model(f"hf/{make_llava(tmp_path_factory.mktemp('llava'))}")


def inquiry(image: Image.Image) -> Inquiry:
    return Inquiry(Chat((Turn("user", (image,)),)), QUESTIONS)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("jpeg?quality=40", "straight-through"),
        ("resize", "exact"),
        ("ecso", "exact"),
        ("system-prompt?text=Answer+Yes", "exact"),
        ("system-prompt?text=Answer+Yes&placement=after", "exact"),
    ],
)
def test_answers_are_those_of_the_defended_model(model: Model, name: str, way: str) -> None:
    defense, image = open_defense(name), picture(3)
    assert way_through(defense) == way
    pixels = as_pixels(as_levels(image)).requires_grad_()
    (found,) = DefendedAccess(model, [defense]).answers([inquiry(image)], [[pixels]])
    (answer,) = defend(model, [defense]).ask([inquiry(image)])
    told = torch.tensor([[each.yes, each.no] for each in answer.answers])
    torch.testing.assert_close(found.exp().detach(), told, atol=3e-3, rtol=0)
    (gradient,) = torch.autograd.grad(found[0, 0], [pixels])
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["smoothing?copies=64&deviation=0.02", "random-views?copies=64"])
def test_random_defenses_are_met_in_expectation(model: Model, name: str) -> None:
    defense, image = open_defense(name), picture(5)
    pixels, access = as_pixels(as_levels(image)), Access(model)
    with torch.no_grad():
        through = DefendedAccess(model, [defense], access.spent, draws=64)
        (found,) = through.answers([inquiry(image)], [[pixels]])
        (plain,) = access.answers([inquiry(image)], [[pixels]])
    (answer,) = defend(model, [defense]).ask([inquiry(image)])
    told = torch.tensor([[each.yes, each.no] for each in answer.answers])
    assert way_through(defense) == "in expectation"
    assert access.spent.forwards == 64 + 1  # every draw is paid for
    assert (found.exp() - told).abs().max() < 0.05
    assert not torch.equal(found, plain)


def test_draws_follow_from_the_seed_and_chains_are_applied_in_order(model: Model) -> None:
    chain = [open_defense("resize?scale=0.5"), open_defense("smoothing")]
    pixels = as_pixels(as_levels(picture(1)))

    def seen(seed: int) -> torch.Tensor:
        with torch.no_grad():
            access = DefendedAccess(model, chain, seed=seed)
            return access.answers([inquiry(picture(1))], [[pixels]])[0]

    assert torch.equal(seen(1), seen(1))
    assert not torch.equal(seen(1), seen(2))


def test_crops_are_those_of_the_defense() -> None:
    """The whole picture where a crop keeps all of it; a translation by known pixels else."""
    from jurat.attacks import defended_access

    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pixels = as_pixels(as_levels(Image.fromarray(noise)))
    whole = defended_access._cropped(open_defense("random-views?smallest=1"), pixels, torch.Generator())  # pyright: ignore
    torch.testing.assert_close(whole, pixels, atol=1e-5, rtol=0)


def test_defense_without_a_way_through_is_refused(model: Model) -> None:
    class Own(Defense):
        name = "own"

        def ask(self, inquiry):
            first = yield inquiry
            return first

    with pytest.raises(JuratError, match="Gradients do not go through the defense 'own'"):
        DefendedAccess(model, [Own()])


def test_answers_from_two_calls_have_no_way_through() -> None:
    """CoCA builds on a defensive prompt, which has one."""
    with pytest.raises(JuratError, match="Gradients do not go through the defense 'coca'"):
        way_through(open_defense("coca"))
    assert way_through(open_defense("dress")) == "exact"  # closed questions get no critique
