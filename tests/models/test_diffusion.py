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
from PIL import Image
from safetensors.torch import load_file, save_file

from jurat.errors import JuratError
from jurat.models import (
    LatentDiffusion,
    ModelError,
    SamplingHook,
    TextToImage,
    TextToImageWrapper,
    open_text_to_image,
)
from jurat.models.diffusion.checkpoint import checkpoint_digest, load_text_encoder, text_encoder_digest
from jurat.models.diffusion.pipeline import DiffusionModel
from jurat.models.text_to_image import picture_seed

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
    assert np.abs(pixels(model.generate(PROMPTS[2:], 1, first=2)) - together[2:]).max() <= 1, (
        "from a place on"
    )


def test_codec_alone_gives_the_picture_back(model: DiffusionModel) -> None:
    pictures = [Image.new("RGB", (SIDE, SIDE), color) for color in ("red", "blue", "white")]
    made = model.reconstruct(pictures)
    with torch.no_grad():
        given = model._pipe.image_processor.preprocess(pictures)
        latents = model._pipe.vae.encode(given).latent_dist.mean
        theirs = model._pipe.image_processor.postprocess(model._pipe.vae.decode(latents).sample)
    assert np.abs(pixels(made) - pixels(theirs)).max() <= 1 and model.side == SIDE
    assert model.reconstruct([]) == []
    with pytest.raises(ValueError, match="not 16 pixels wide and high"):
        model.reconstruct([Image.new("RGB", (SIDE, 8))])


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
    known = json.loads(file.read_text()) | values
    file.write_text(json.dumps({name: value for name, value in known.items() if value != GONE}))


GONE = "no such key"


def lacks(part: str, tensor: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (file,) = (folder / part).glob("*.safetensors")
        save_file({n: v for n, v in load_file(file).items() if tensor not in n}, file, {"format": "pt"})

    return damage


def cut(folder: Path) -> None:
    (file,) = (folder / "unet").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:40_000])


def edits(name: str, **values: object) -> Callable[[Path], None]:
    return lambda folder: _edit(folder / name, **values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_weights, "holds no safetensors weights"),
        (own_code, "'my_unet', which is code of the checkpoint's own"),
        (other_pipeline, "'FluxPipeline'; only a StableDiffusionPipeline"),
        (weights_elsewhere, "outside its folder"),
        (lambda folder: (folder / "model_index.json").unlink(), "holds no model_index.json"),
        (lambda folder: (folder / "unet/config.json").write_text("{"), "could not be loaded"),
        (cut, "could not be loaded"),
        (lacks("unet", "attn2.to_k"), "they would be initialised at random"),
        (lacks("vae", "decoder.conv_in"), "they would be initialised at random"),
        (lacks("text_encoder", "fc1.weight"), "they would be initialised at random"),
        (
            edits("model_index.json", unet=["diffusers", "UNet3DConditionModel"]),
            "only a UNet2DConditionModel",
        ),
        (edits("text_encoder/config.json", model_type="t5"), "of type 't5'; only a CLIPTextModel"),
        (edits("unet/config.json", sample_size=[8, 8]), "no square pictures"),
        (edits("tokenizer/tokenizer_config.json", pad_token=GONE), "has no token for pad"),
        (edits("tokenizer/tokenizer_config.json", model_max_length=GONE), "and the text encoder reads 12"),
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
        ("diffusers/{folder}?steps=2.5", "steps is '2.5'; it is a whole number"),
        ("diffusers/{folder}?steps=1001", "steps is 1,001; the scheduler in .* takes 1,000 at most"),
        ("diffusers/{folder}?download=yes", "download is 'yes'; it is true or false"),
        ("diffusers", "names no model"),
        ("difusers/x", "no text-to-image model 'difusers/x'"),
        ("diffusers/no/such/folder", "There is no folder 'no/such/folder'"),
        ("diffusers/no-such-owner/no-such-model", "no copy of such a model"),
    ],
)
def test_names_that_open_nothing(name: str, message: str, folder: Path) -> None:
    with pytest.raises(JuratError, match=message):
        open_text_to_image(name.format(folder=folder), device="cpu")


@pytest.mark.parametrize(
    ("prompts", "seed", "message"),
    [
        ("a dog", 0, "not one text"),
        ([3], 0, "not int"),
        (["a \ud800 dog"], 0, "no valid Unicode"),
        (["a dog"], -1, "no whole number from 0"),
        (["a dog"], 1.5, "no whole number from 0"),
    ],
)
def test_what_cannot_be_drawn_is_said(prompts: Any, seed: Any, message: str, model: DiffusionModel) -> None:
    with pytest.raises(JuratError, match=message):
        model.generate(prompts, seed)


def test_pictures_of_no_numbers_are_no_black_pictures(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (file,) = (tmp_path / "copy/unet").glob("*.safetensors")
    save_file({name: value * float("nan") for name, value in load_file(file).items()}, file, {"format": "pt"})
    model = open_text_to_image(f"diffusers/{tmp_path / 'copy'}?steps=1", device="cpu")
    with pytest.raises(ModelError, match="holds no numbers"):
        model.generate(["a dog"])


def test_revision_is_of_weights_and_settings(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    before = checkpoint_digest(folder)
    assert checkpoint_digest(tmp_path / "copy") == before
    _edit(tmp_path / "copy/scheduler/scheduler_config.json", beta_end=0.02)
    assert checkpoint_digest(tmp_path / "copy") != before
    assert text_encoder_digest(tmp_path / "copy") == text_encoder_digest(folder)


def test_a_closed_model_says_so(folder: Path) -> None:
    model = open_text_to_image(f"diffusers/{folder}", device="cpu")
    model.close()
    model.close()
    with pytest.raises(ModelError, match="is closed"):
        model.generate(["a dog"])
