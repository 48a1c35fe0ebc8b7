"""Text-to-image models of diffusers: the same pictures as its pipeline, one generator a picture, hooks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jurat.errors import JuratError
from jurat.models import (
    LatentDiffusion,
    ModelError,
    SamplingHook,
    TextToImage,
    TextToImageWrapper,
    open_text_to_image,
)
from jurat.models.diffusion.checkpoint import load_text_encoder
from jurat.models.diffusion.pipeline import DiffusionModel, picture_seed

from .tiny_diffusion import SCHEDULERS, SIDE, make_checkpoint

PROMPTS = ["a picture of a dog", "a cat and a car", "two cup", "a picture of a dog"]
OPTIONS = "steps=4&guidance=3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[DiffusionModel]:
    opened = open_text_to_image(f"diffusers/{folder}?{OPTIONS}", device="cpu")
    assert isinstance(opened, DiffusionModel)
    yield opened
    opened.close()


def pixels(images: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(image, np.int64) for image in images])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_pictures_are_those_of_the_pipeline(scheduler: str, tmp_path: Path) -> None:
    model = open_text_to_image(
        f"diffusers/{make_checkpoint(tmp_path, scheduler=scheduler)}?{OPTIONS}", device="cpu"
    )
    assert isinstance(model, DiffusionModel)
    generators = [torch.Generator().manual_seed(picture_seed(5, i)) for i in range(len(PROMPTS))]
    theirs = model._pipe(PROMPTS, num_inference_steps=4, guidance_scale=3.0, generator=generators).images
    ours = model.generate(PROMPTS, 5)
    assert [image.size for image in ours] == [(SIDE, SIDE)] * len(PROMPTS)
    assert np.abs(pixels(ours) - pixels(theirs)).max() <= 1, "levels of 255"


def test_a_picture_depends_on_prompt_seed_and_place_only(folder: Path, model: DiffusionModel) -> None:
    together = pixels(model.generate(PROMPTS, 1))
    singly = open_text_to_image(f"diffusers/{folder}?{OPTIONS}&batch=1", device="cpu")
    assert np.abs(pixels(singly.generate(PROMPTS, 1)) - together).max() <= 1
    assert np.abs(together[0] - together[3]).max() > 1, "equal prompts at different places"
    assert np.abs(pixels(model.generate(PROMPTS, 2)) - together).reshape(4, -1).max(1).min() > 1, (
        "another seed"
    )
    assert np.abs(pixels(model.generate(["a cat", *PROMPTS[1:]], 1)) - together)[0].max() > 0, (
        "another prompt"
    )


class SecondStream(SamplingHook):
    """Samples under the empty prompt besides, and takes that in the place of the first at the end."""

    def embeddings(self, embeddings: torch.Tensor) -> torch.Tensor:
        return torch.cat([embeddings, self.model.encode([""] * len(embeddings))])

    def latents(self, step: Any, latents: torch.Tensor) -> torch.Tensor:
        _, second = latents.chunk(2)
        return torch.cat([second, second]) if step.number == self.model.steps - 1 else latents


class NoCondition(SamplingHook):
    def noise(self, step: Any, noise: torch.Tensor) -> torch.Tensor:
        return step.unconditional


class Wrapped(TextToImageWrapper):
    hook = NoCondition


def test_hooks_reach_embeddings_noise_and_latents(model: DiffusionModel) -> None:
    empty = pixels(model.generate([""] * 4, 3))
    wrapped: TextToImage = Wrapped(model, "wrapped")
    assert np.abs(pixels(model.generate(PROMPTS, 3, [SecondStream])) - empty).max() <= 1
    assert np.abs(pixels(wrapped.generate(PROMPTS, 3)) - empty).max() <= 1
    assert wrapped.capability(LatentDiffusion) is None and model.capability(LatentDiffusion) is model


def test_edited_weights_are_put_back(model: DiffusionModel) -> None:
    before = pixels(model.generate(PROMPTS[:1]))
    name = next(name for name in model.weights() if name.endswith("attn2.to_v.weight"))
    with model.edited({name: torch.ones_like(model.weights()[name]) * 9}):
        assert np.abs(pixels(model.generate(PROMPTS[:1])) - before).max() > 0
    assert np.array_equal(pixels(model.generate(PROMPTS[:1])), before)


def test_text_encoder_alone_gives_the_embeddings_of_the_model(folder: Path, model: DiffusionModel) -> None:
    tokenizer, network = load_text_encoder(folder, "cpu")
    inputs = tokenizer(PROMPTS, padding="max_length", truncation=True, return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(network(inputs.input_ids)[0], model.encode(PROMPTS))
    ids = inputs.input_ids[0].tolist()
    assert ids[model.last_token(PROMPTS)[0]] == tokenizer.convert_tokens_to_ids("dog")


def no_weights(folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").rename(folder / "unet/diffusion_pytorch_model.bin")


def own_code(folder: Path) -> None:
    _edit(folder / "model_index.json", unet=["my_unet", "UNet"])


def other_pipeline(folder: Path) -> None:
    _edit(folder / "model_index.json", _class_name="FluxPipeline")


def weights_elsewhere(folder: Path) -> None:
    index = folder / "vae/diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}}))


def _edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_weights, "holds no safetensors weights"),
        (own_code, "'my_unet', which is code of the checkpoint's own"),
        (other_pipeline, "'FluxPipeline'; only a StableDiffusionPipeline"),
        (weights_elsewhere, "outside its folder"),
        (lambda folder: (folder / "model_index.json").unlink(), "holds no model_index.json"),
        (lambda folder: (folder / "unet/config.json").write_text("{"), "could not be loaded"),
    ],
)
def test_what_may_not_be_read_is_refused(
    damage: Callable[[Path], object], message: str, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    damage(copy)
    with pytest.raises(ModelError, match=message):
        open_text_to_image(f"diffusers/{copy}", device="cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("diffusers/{folder}?steps=none", "option steps is 'none'"),
        ("diffusers/{folder}?stepz=3", "no option 'stepz'"),
        ("diffusers", "names no model"),
        ("difusers/x", "no text-to-image model 'difusers/x'"),
        ("diffusers/no/such/folder", "There is no folder 'no/such/folder'"),
        ("diffusers/no-such-owner/no-such-model", "no copy of such a model"),
    ],
)
def test_names_that_open_nothing(name: str, message: str, folder: Path) -> None:
    with pytest.raises(JuratError, match=message):
        open_text_to_image(name.format(folder=folder), device="cpu")


def test_a_closed_model_says_so(folder: Path) -> None:
    model = open_text_to_image(f"diffusers/{folder}", device="cpu")
    model.close()
    model.close()
    with pytest.raises(ModelError, match="is closed"):
        model.generate(["a dog"])
