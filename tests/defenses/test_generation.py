"""Defenses of text-to-image models: formulas, limits, and that the model itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from jurat.defenses.generation.esd import Esd
from jurat.defenses.generation.registry import GENERATION_DEFENSES, open_generation_defense
from jurat.defenses.generation.sld import LEVELS, Sld
from jurat.defenses.generation.uce import Uce
from jurat.errors import JuratError
from jurat.models import LatentDiffusion, SamplingStep, open_text_to_image
from jurat.models.diffusion.pipeline import DiffusionModel
from jurat.registry import Evidence

from ..models.tiny_diffusion import make_checkpoint

PROMPTS = ["a picture of a dog", "a cat and a car"]
DEFENSES = [
    "sld?concept=dog&warm_up=1&level=max",
    "esd?concept=dog&steps=2&rate=0.05",
    "uce?concept=dog;a+dog&preserve=a+cat&guide=tree",
    "dual-latent?context=tree&strength=0.7",
]


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"diffusers/{make_checkpoint(tmp_path_factory.mktemp('diffusion'))}?steps=4&guidance=3"


@pytest.fixture(scope="module")
def model(name: str) -> Iterator[DiffusionModel]:
    opened = open_text_to_image(name, device="cpu")
    assert isinstance(opened, DiffusionModel)
    yield opened
    opened.close()


def pixels(images: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(image, np.int64) for image in images])


def changed(one: np.ndarray, other: np.ndarray) -> int:
    """Largest difference in levels of 255."""
    return int(np.abs(one - other).max())


def test_every_defense_is_tested() -> None:
    assert sorted(each.partition("?")[0] for each in DEFENSES) == sorted(GENERATION_DEFENSES.names())


@pytest.mark.parametrize("defense", DEFENSES)
def test_a_defense_changes_pictures_and_leaves_the_model(defense: str, model: DiffusionModel) -> None:
    before = pixels(model.generate(PROMPTS, 1))
    settings = open_generation_defense(defense)
    defended = settings.over(model)
    made = pixels(defended.generate(PROMPTS, 1))
    assert made.shape == before.shape and changed(made, before) > 0
    assert np.array_equal(pixels(defended.generate(PROMPTS, 1)), made), "not deterministic"
    assert np.array_equal(pixels(model.generate(PROMPTS, 1)), before), "the model itself changed"
    assert not any(weight.requires_grad for weight in model.weights().values())
    assert defended.capability(LatentDiffusion) is None, "reaches around the defense"
    assert defended.name == f"{model.name} + {settings}" and defended.revision == model.revision
    assert open_generation_defense(str(settings)) == settings


@pytest.mark.parametrize("defense", DEFENSES)
def test_settings_say_where_they_come_from(defense: str) -> None:
    settings = open_generation_defense(defense)
    for each in fields(settings):
        assert each.metadata["evidence"] in get_args(Evidence) and each.metadata["doc"].endswith("."), (
            each.name
        )


@pytest.mark.parametrize(
    ("defense", "like"),
    [
        ("dual-latent?strength=0&context=tree", PROMPTS),
        ("dual-latent?threshold=1&context=tree", PROMPTS),
        ("dual-latent?strength=1&threshold=0&context=tree", ["tree", "tree"]),
        ("sld?concept=dog&warm_up=0&scale=0&momentum_scale=0", PROMPTS),
        ("uce?concept=dog&guide=dog", PROMPTS),
    ],
)
def test_limits(defense: str, like: list[str], model: DiffusionModel) -> None:
    made = open_generation_defense(defense).over(model).generate(PROMPTS, 2)
    assert changed(pixels(made), pixels(model.generate(like, 2))) <= 1


def test_uce_reads_the_concept_as_its_guide(model: DiffusionModel) -> None:
    def last(text: str) -> torch.Tensor:
        return model.encode([text])[0, model.last_token([text])[0]]

    edit = Uce(concept="dog", guide="tree", preserve="cat", regularisation=1e-4)
    changes = edit.edit(model)
    assert len(changes) == 2 * sum(name.endswith("attn2.to_k.weight") for name in model.weights())
    for name, after in changes.items():
        before = model.weights()[name].double()
        for asked, wanted in (("dog", "tree"), ("cat", "cat")):
            given, expected = after @ last(asked).double(), before @ last(wanted).double()
            assert torch.allclose(given, expected, atol=1e-2 * float(expected.abs().max())), (name, asked)


def test_sld_is_that_of_diffusers(model: DiffusionModel) -> None:
    from diffusers.pipelines.deprecated.stable_diffusion_safe.pipeline_stable_diffusion_safe import (
        StableDiffusionPipelineSafe as Safe,
    )

    known = LEVELS["strong"]._replace(warm_up=1, threshold=0.01)
    hook = Sld(concept="dog", level="strong", warm_up=1, threshold=0.01).hook(model)
    momentum, rng = None, torch.Generator().manual_seed(0)
    for number in range(3):
        latents, empty, noise = torch.randn((3, 2, 4, 8, 8), generator=rng)
        timestep = torch.tensor(500 - number)
        unsafe = model.predict(latents, timestep, model.encode(["dog", "dog"]))
        theirs, momentum = Safe.perform_safety_guidance(
            None, True, momentum, noise - empty, (noise, empty, unsafe), number,
            known.scale, known.warm_up, known.threshold, known.momentum_scale, known.decay,
        )  # fmt: skip
        ours = hook.noise(SamplingStep(number, timestep, latents, empty), noise) - empty
        assert torch.allclose(ours, theirs, atol=1e-5), f"step {number}"


def test_esd_moves_the_noise_towards_its_target(model: DiffusionModel, tmp_path: Path) -> None:
    esd = Esd(concept="dog", steps=40, rate=1e-2)
    changes = esd.edit(model)
    concept, empty = model.encode(["dog"]), model.encode([""])
    latents, timestep = model.denoise(concept, [3], until=2, guidance=3.0)
    before = model.predict(latents, timestep, concept)
    target = before - esd.negative_guidance * (before - model.predict(latents, timestep, empty))
    with model.edited(changes):
        after = model.predict(latents, timestep, concept)
    assert float((after - target).norm()) < 0.8 * float((before - target).norm())

    esd.save(changes, file := tmp_path / "esd.safetensors")
    read = Esd(concept="dog", weights=str(file)).edit(model)
    assert all(torch.equal(read[name], value) for name, value in changes.items()) and len(read) == len(
        changes
    )


def test_an_edit_is_kept_and_made_anew_for_another_model_or_settings(
    model: DiffusionModel, tmp_path: Path
) -> None:
    file, esd = tmp_path / "kept" / "esd.safetensors", Esd(concept="dog", steps=2, rate=1e-2)
    first = pixels(esd.over(model, file).generate(PROMPTS))
    made = file.stat().st_mtime_ns
    assert np.array_equal(pixels(esd.over(model, file).generate(PROMPTS)), first)
    assert file.stat().st_mtime_ns == made, "it was tuned again"
    replace(esd, steps=3).over(model, file)
    assert file.stat().st_mtime_ns > made
    made = file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(pixels(esd.over(model, file).generate(PROMPTS)), first), "a cut file is made anew"
    assert file.stat().st_mtime_ns > made


def test_defenses_compose_by_name(name: str, model: DiffusionModel) -> None:
    both = open_text_to_image(f"{name} + dual-latent?context=tree + uce?concept=dog&guide=tree", device="cpu")
    within = open_generation_defense("uce?concept=dog&guide=tree").over(model)
    alone = open_generation_defense("dual-latent?context=tree").over(within)
    assert both.name == alone.name
    assert np.array_equal(pixels(both.generate(PROMPTS)), pixels(alone.generate(PROMPTS)))


def no_such_file(model: DiffusionModel, folder: Path) -> object:
    return Esd(concept="dog", weights=str(folder / "absent.safetensors")).over(model)


def another_concept(model: DiffusionModel, folder: Path) -> object:
    esd = Esd(concept="cat", steps=1)
    esd.save(esd.edit(model), folder / "cat.safetensors")
    return Esd(concept="dog", weights=str(folder / "cat.safetensors")).over(model)


def too_late(model: DiffusionModel, folder: Path) -> object:
    return Sld(concept="dog").over(model).generate(PROMPTS)


def diverges(model: DiffusionModel, folder: Path) -> object:
    return Esd(concept="dog", steps=4, rate=1e30).over(model)


def another_model(model: DiffusionModel, folder: Path) -> object:
    Esd(concept="dog").save({"x": torch.zeros(1)}, folder / "x.safetensors")
    return Esd(concept="dog", weights=str(folder / "x.safetensors")).over(model)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda model, _: open_generation_defense("uce"), "needs a concept to remove"),
        (
            lambda model, _: open_generation_defense("sldd?concept=a"),
            "no defense of text-to-image models 'sldd'",
        ),
        (lambda model, _: open_generation_defense("dual-latent?strength=2"), "less than or equal to 1"),
        (lambda model, _: Uce(concept="a").over(Uce(concept="b").over(model)), "needs the parts"),
        (no_such_file, "cannot be read"),
        (another_model, "weights of another model: x"),
        (another_concept, "removes 'cat', not 'dog'"),
        (too_late, "begins after 10 steps, and a picture takes 4"),
        (diverges, "diverged"),
        (lambda model, _: open_generation_defense("uce?concept=;"), "needs a concept to remove"),
    ],
)
def test_what_cannot_be_is_refused(
    attempt: Callable[[DiffusionModel, Path], object], message: str, model: DiffusionModel, tmp_path: Path
) -> None:
    with pytest.raises(JuratError, match=message):
        attempt(model, tmp_path)
