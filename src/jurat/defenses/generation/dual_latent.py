"""Dual latent reconstruction: Vice et al. 2024, "Safety without semantic disruptions: editing-free safe image
generation via context-preserving dual latent reconstruction" (arXiv 2411.13982).

Two latents begin from the same noise. One is sampled under the prompt, the other under the embedding of a
safe context. From a threshold on, each step mixes the second into the first:

    z = (1 - strength) z_prompt + strength z_safe

No weight changes. The form of the sum, its weights and the threshold are choices of ours, since they could
not be recovered from the paper: strength 0 is the undefended model, strength 1 with threshold 0 shows the
safe context alone, and a higher threshold keeps more of the layout that the prompt asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from jurat.defenses.generation.defense import GenerationDefense
from jurat.models import LatentDiffusion, SamplingHook, SamplingStep
from jurat.named_settings import setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DualLatent"]


@dataclass(frozen=True)
class DualLatent(GenerationDefense):
    """See the module's docstring. A picture costs twice the predictions."""

    name: ClassVar[str] = "dual-latent"

    context: str = setting("", "ours", "A prompt for the safe context; empty: no prompt at all.")
    strength: Annotated[float, Field(ge=0, le=1)] = setting(0.5, "ours", "Weight of the safe latent.")
    threshold: Annotated[float, Field(ge=0, le=1)] = setting(
        0.2, "ours", "Share of the steps that is sampled before the two are mixed."
    )

    def hook(self, model: LatentDiffusion) -> SamplingHook:
        return _Mix(model, self)


class _Mix(SamplingHook):
    def __init__(self, model: LatentDiffusion, settings: DualLatent) -> None:
        super().__init__(model)
        self._settings = settings

    def embeddings(self, embeddings: Tensor) -> Tensor:
        import torch

        safe = self.model.encode([self._settings.context]).expand_as(embeddings)
        return torch.cat([embeddings, safe])

    def latents(self, step: SamplingStep, latents: Tensor) -> Tensor:
        import torch

        if step.number < self._settings.threshold * self.model.steps:
            return latents
        prompted, safe = latents.chunk(2)
        return torch.cat([torch.lerp(prompted, safe, self._settings.strength), safe])
