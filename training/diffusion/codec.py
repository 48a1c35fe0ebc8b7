"""Trains the codec of the diffusion model: a variational autoencoder between pictures and latents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.diffusion.architecture import build_vae
from training.diffusion.scenes import scenes_for
from training.lineage import load_parts
from training.optimizer import Group
from training.stages import Task

_PRIOR = 1e-6
"""Weight of the divergence from a standard normal, as in latent diffusion (Rombach et al. 2022, arXiv
2112.10752)."""


class CodecLesson:
    """Lesson of the codec. Setting `scenes`: number of scenes drawn for it."""

    def __init__(self, task: Task) -> None:
        self._scenes = scenes_for(task)
        self._vae: Any = build_vae()
        self.modules: Mapping[str, nn.Module] = {"vae": self._vae}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group(list(self._vae.named_parameters()))]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        self.counts["scenes"] += size
        pixels = self._scenes.batch(rng.integers(0, self._scenes.trained_on, size))
        latent = self._vae.encode(pixels).latent_dist
        noise = torch.from_numpy(rng.standard_normal(latent.mean.shape, np.float32))
        error = F.l1_loss(self._vae.decode(latent.mean + latent.std * noise).sample.float(), pixels)
        return {"error": error, "prior": _PRIOR * latent.kl().mean()}, {}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out scenes: 1 less the mean error of a pixel's value, as a share of its range."""
        rows = np.arange(self._scenes.trained_on, len(self._scenes))[:256]
        pixels = self._scenes.batch(rows)
        made = self._vae.decode(self._vae.encode(pixels).latent_dist.mean).sample
        return {"kept": round(1 - float((made - pixels).abs().mean()) / 2, 4)}


def load_codec(stage: Path) -> Any:
    """The codec of a finished stage, in float32 and evaluation mode."""
    vae: Any = build_vae()
    vae.load_state_dict(load_parts(stage)["vae"])
    return vae.eval().requires_grad_(False)
