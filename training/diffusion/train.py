"""Trains the diffusion model: a text encoder and a UNet, together, on the latents of a finished codec.

The UNet learns to predict the noise in a latent from the prompt (Ho et al. 2020, arXiv 2006.11239, with the
mean squared error over all steps).
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from training.diffusion.architecture import build_scheduler, build_text_encoder, build_unet, tokenizer_of
from training.diffusion.codec import load_codec
from training.diffusion.prompts import write
from training.diffusion.scenes import Scenes, scenes_for
from training.optimizer import Group
from training.stages import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEASURED = 256
"""Held-out scenes that are measured on."""


class DiffusionLesson:
    """Lesson of the diffusion model. Setting `scenes`: number of scenes drawn for it."""

    def __init__(self, task: Task) -> None:
        parent = task.parent()
        assert parent is not None
        self._scenes = scenes_for(task)
        vae = load_codec(parent)
        self._latents = latents_for(task, vae, self._scenes)
        self._tokenizer = tokenizer_of()
        self._text: Any = build_text_encoder(len(self._tokenizer))
        self._unet: Any = build_unet()
        self._noise: Any = build_scheduler()
        scale = Scale(1 / float(np.asarray(self._latents[:2048, 0], np.float32).std()))
        self._scale = float(scale.factor)
        self.modules: Mapping[str, nn.Module] = {
            "text_encoder": self._text,
            "unet": self._unet,
            "vae": vae,
            "scale": scale,
        }
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group([*self._text.named_parameters(), *self._unet.named_parameters()])]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        words = random.Random(int(rng.integers(2**62)))
        rows = rng.integers(0, self._scenes.trained_on, size)
        prompts = [write(self._scenes.of(int(row)), words) for row in rows]
        self.counts["scenes"] += size
        self.counts["prompts"] += sum(map(bool, prompts))
        times = torch.from_numpy(rng.integers(0, self._noise.config.num_train_timesteps, size))
        return {"noise": self._errors(rows, prompts, times, rng).mean()}, {}

    def _errors(
        self, rows: NDArray[np.int64], prompts: list[str], times: Tensor, rng: np.random.Generator
    ) -> Tensor:
        """Mean squared error of the predicted noise for each scene: (rows,)."""
        mean, deviation = torch.from_numpy(np.asarray(self._latents[rows], np.float32)).unbind(1)
        drawn = torch.from_numpy(rng.standard_normal((2, *mean.shape), np.float32))
        clean = self._scale * (mean + deviation * drawn[0])
        noisy = self._noise.add_noise(clean, drawn[1], times)
        tokens = self._tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt")
        # Without an attention mask, as the pipeline encodes prompts: padding is attended to.
        embeddings = self._text(tokens["input_ids"]).last_hidden_state
        predicted = self._unet(noisy, times, encoder_hidden_states=embeddings).sample
        return F.mse_loss(predicted.float(), drawn[1], reduction="none").mean((1, 2, 3))

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out scenes, halfway in the noise: the share of the noise's variance that is predicted, and
        how often it is predicted better under a scene's own prompt than under that of another scene."""
        rows = np.arange(self._scenes.trained_on, len(self._scenes))[:_MEASURED]
        kinds = [self._scenes.of(int(row)) for row in rows]
        words = random.Random(1)
        prompts = [write(some, words, empty=0) for some in kinds]
        times = torch.full((len(rows),), self._noise.config.num_train_timesteps // 2)
        others = [*prompts[1:], prompts[0]]
        differ = torch.tensor([set(a) != set(b) for a, b in zip(kinds, [*kinds[1:], kinds[0]], strict=True)])
        own, other = (self._errors(rows, p, times, np.random.default_rng(2)) for p in (prompts, others))
        return {
            "noise_predicted": round(max(0.0, 1 - float(own.mean())), 4),
            "prompt_heeded": round(float((own < other)[differ].float().mean()), 4),
        }


class Scale(nn.Module):
    """The factor by which latents have a standard deviation of about 1, kept with the weights."""

    factor: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        # Rounded as weights are when they are stored, so that the exported model has the factor of training.
        self.register_buffer("factor", torch.tensor(factor).to(torch.bfloat16).float())


def latents_for(task: Task, vae: Any, scenes: Scenes) -> NDArray[np.float16]:
    """Mean and standard deviation of each scene's latent: (scenes, 2, channels, height, width); computed by
    the first process that asks."""
    root = task.work / "diffusion"
    digest = hashlib.sha256(b"".join(p.numpy().tobytes() for p in vae.state_dict().values())).hexdigest()[:12]
    file = root / f"latents-{len(scenes)}-{digest}.npy"
    with FileLock(root / "lock"):
        if not file.exists():
            print(f"the codec encodes {len(scenes)} scenes", flush=True)
            with file.with_suffix(".part").open("wb") as stream:
                np.save(stream, _encoded(vae, scenes))
            file.with_suffix(".part").replace(file)
    return np.load(file, mmap_mode="r")


@torch.no_grad()
def _encoded(vae: Any, scenes: Scenes) -> NDArray[np.float16]:
    parts: list[NDArray[np.float16]] = []
    for first in range(0, len(scenes), 128):
        rows = np.arange(first, min(first + 128, len(scenes)))
        latent = vae.encode(scenes.batch(rows)).latent_dist
        parts.append(torch.stack([latent.mean, latent.std], 1).half().numpy())
    return np.concatenate(parts)
