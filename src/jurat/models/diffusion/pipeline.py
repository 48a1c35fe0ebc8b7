"""The backend `diffusers/NAME_OR_PATH`: any `StableDiffusionPipeline` as a text-to-image model.

The sampling loop is that of `StableDiffusionPipeline.__call__`, taken apart so that hooks see the noise and
so that each picture has a random generator of its own; without hooks both make the same pictures, which a
test checks.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from jurat.errors import JuratError
from jurat.models.diffusion.checkpoint import checkpoint_digest, find_checkpoint, load_pipeline
from jurat.models.model_spec import ModelSpec
from jurat.models.protocol import C, ModelError
from jurat.models.text_to_image import (
    HookMaker,
    LatentDiffusion,
    SamplingHook,
    SamplingStep,
    TextToImage,
    check_prompts,
    picture_seed,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["DiffusionModel", "open_pipeline"]


def open_pipeline(spec: ModelSpec) -> DiffusionModel:
    """Opens the model that a spec names, with the options `steps`, `guidance`, `batch` and `download`."""
    spec.check("steps", "guidance", "batch", "download", reference="NAME_OR_PATH")
    options = spec.options
    steps, batch = _whole(options, "steps", 50), _whole(options, "batch", 8)
    guidance = _number(options, "guidance", 7.5, 0.0)
    if (download := options.get("download", "false")) not in ("true", "false"):
        raise JuratError(f"The option download is {download!r}; it is true or false.")
    folder = find_checkpoint(spec.reference, download=download == "true")
    pipe = load_pipeline(folder, spec.device, spec.dtype)
    _check_pipeline(folder, pipe, steps)
    return DiffusionModel(
        pipe,
        name=spec.name,
        revision=checkpoint_digest(folder),
        steps=steps,
        guidance=guidance,
        batch=batch,
    )


class DiffusionModel(TextToImage):
    """A `StableDiffusionPipeline`, which is its own `LatentDiffusion`."""

    def __init__(
        self,
        pipe: Any,
        *,
        name: str,
        revision: str,
        steps: int = 50,
        guidance: float = 7.5,
        batch: int = 8,
    ) -> None:
        """
        Args:
            steps: denoising steps of a picture; 50, and a guidance of 7.5, are diffusers' defaults.
            batch: pictures that are made at once.
        """
        self._pipe = pipe
        self.name, self.revision = name, revision
        self.dtype = str(pipe.unet.dtype).removeprefix("torch.")
        self.steps, self.guidance, self._batch = steps, guidance, batch
        self.side = int(pipe.unet.config.sample_size * pipe.vae_scale_factor)

    def generate(
        self, prompts: Sequence[str], seed: int = 0, hooks: Sequence[HookMaker] = (), *, first: int = 0
    ) -> list[Image.Image]:
        check_prompts(prompts)
        images: list[Image.Image] = []
        for start in range(0, len(prompts), self._batch):
            part = list(prompts[start : start + self._batch])
            seeds = [picture_seed(seed, first + start + i) for i in range(len(part))]
            images += self._pictures(part, seeds, hooks)
        return images

    @torch.no_grad()
    def _pictures(
        self, prompts: list[str], seeds: list[int], hooks: Sequence[HookMaker]
    ) -> list[Image.Image]:
        made = [make(self) for make in hooks]
        embeddings = self.encode(prompts)
        for hook in made:
            embeddings = hook.embeddings(embeddings)
        latents, _ = self.denoise(embeddings, seeds, made)
        return self._decoded(latents[: len(prompts)] / self._opened.vae.config.scaling_factor)

    @torch.no_grad()
    def reconstruct(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        pipe = self._opened
        found: list[Image.Image] = []
        for first in range(0, len(images), self._batch):
            given = list(images[first : first + self._batch])
            if wrong := [image.size for image in given if image.size != (self.side, self.side)]:
                raise ValueError(f"a picture is {wrong[0]}, not {self.side} pixels wide and high")
            pixels = pipe.image_processor.preprocess(given).to(pipe.device, pipe.vae.dtype)
            found += self._decoded(pipe.vae.encode(pixels).latent_dist.mode())
        return found

    def _decoded(self, latents: Tensor) -> list[Image.Image]:
        pixels = self._opened.vae.decode(latents, return_dict=False)[0]
        if not torch.isfinite(pixels).all():
            raise ModelError(
                f"{self.name!r} made a picture that holds no numbers.",
                hint="Half precision overflows in some checkpoints: try --dtype float32. Else its weights "
                "are damaged, or what was tuned on them diverged.",
            )
        return self._opened.image_processor.postprocess(pixels, output_type="pil")

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        return self._opened.encode_prompt(list(texts), self._opened.device, 1, False)[0]

    def last_token(self, texts: Sequence[str]) -> list[int]:
        tokens = self._opened.tokenizer(list(texts), truncation=True)["input_ids"]
        return [max(0, len(ids) - 2) for ids in tokens]

    def predict(self, latents: Tensor, timestep: Tensor, embeddings: Tensor) -> Tensor:
        return self._opened.unet(latents, timestep, encoder_hidden_states=embeddings, return_dict=False)[0]

    @torch.no_grad()
    def denoise(
        self,
        embeddings: Tensor,
        seeds: Sequence[int],
        hooks: Sequence[SamplingHook] = (),
        *,
        until: int | None = None,
        guidance: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        pipe, rows = self._opened, len(embeddings)
        pipe.scheduler.set_timesteps(self.steps, device=pipe.device)
        generators = [torch.Generator().manual_seed(seeds[row % len(seeds)]) for row in range(rows)]
        channels, side = pipe.unet.config.in_channels, self.side
        latents = pipe.prepare_latents(rows, channels, side, side, embeddings.dtype, pipe.device, generators)
        extra = pipe.prepare_extra_step_kwargs(generators, 0.0)
        both = torch.cat([self.encode([""]).expand_as(embeddings), embeddings])
        timesteps = pipe.scheduler.timesteps
        until = len(timesteps) if until is None else until
        guidance = self.guidance if guidance is None else guidance
        for number, timestep in enumerate(timesteps[:until]):
            given = pipe.scheduler.scale_model_input(latents, timestep)
            empty, noise = self.predict(torch.cat([given, given]), timestep, both).chunk(2)
            step = SamplingStep(number, timestep, given, empty)
            for hook in hooks:
                noise = hook.noise(step, noise)
            guided = empty + guidance * (noise - empty)
            latents = pipe.scheduler.step(guided, timestep, latents, **extra, return_dict=False)[0]
            for hook in hooks:
                latents = hook.latents(step, latents)
        return latents, timesteps[min(until, len(timesteps) - 1)]

    def weights(self) -> dict[str, Tensor]:
        return dict(self._opened.unet.named_parameters())

    @contextmanager
    def edited(self, changes: dict[str, Tensor]) -> Generator[None]:
        named = self.weights()
        before = {name: named[name].data for name in changes}
        try:
            for name, value in changes.items():
                named[name].data = value.to(named[name])
            yield
        finally:
            for name, value in before.items():
                named[name].data = value

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self) if kind is LatentDiffusion else None

    def close(self) -> None:
        self._pipe = None

    @property
    def _opened(self) -> Any:
        if self._pipe is None:
            raise ModelError(f"The model {self.name!r} is closed.")
        return self._pipe


def _check_pipeline(folder: Path, pipe: Any, steps: int) -> None:
    """Raises JuratError for what only some pictures would tell."""
    side, most = pipe.unet.config.sample_size, pipe.scheduler.config.num_train_timesteps
    if not isinstance(side, int):
        raise ModelError(f"{folder / 'unet'} makes no square pictures: its sample_size is {side!r}.")
    if steps > most:
        raise JuratError(f"The option steps is {steps:,}; the scheduler in {folder} takes {most:,} at most.")


def _number(options: dict[str, str], name: str, default: float, least: float) -> float:
    text = options.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not least <= value < 1e6:
        raise JuratError(f"The option {name} is {text!r}; it is a number from {least:g}.")
    return value


def _whole(options: dict[str, str], name: str, default: int) -> int:
    value = _number(options, name, default, 1.0)
    if value != int(value):
        raise JuratError(f"The option {name} is {options[name]!r}; it is a whole number.")
    return int(value)
