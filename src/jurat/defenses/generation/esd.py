"""Erased stable diffusion: Gandikota et al. 2023, "Erasing concepts from diffusion models" (arXiv
2303.07345).

Cross-attention (the variant ESD-x) is tuned on partly sampled pictures of the concept, the model's own,
until the noise under the concept c is what the frozen model gives without it:

    e'(x_t, c, t) = e(x_t, c, t) - negative_guidance (e(x_t, c, t) - e(x_t, "", t))

The defaults are those of the authors' released code (`esd_sd.py`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from jurat.defenses.generation.defense import WeightEdit
from jurat.models import LatentDiffusion, ModelError
from jurat.named_settings import Positive, setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Esd"]

_TUNED = ".attn2."


@dataclass(frozen=True)
class Esd(WeightEdit):
    """See the module's docstring. The tuning runs when a model is put under the defense, in the model's own
    number format, unless `weights` names a file that `save` wrote."""

    name: ClassVar[str] = "esd"

    steps: Positive = setting(200, "authors", "Steps of tuning.")
    rate: Annotated[float, Field(gt=0)] = setting(5e-5, "authors", "Learning rate of Adam.")
    negative_guidance: float = setting(2.0, "authors", "How far the noise is moved off the concept.")
    guidance: float = setting(3.0, "authors", "Guidance of the pictures that it is tuned on.")
    seed: int = setting(0, "ours", "Seed of these pictures.")
    weights: str | None = setting(
        None, "ours", "A safetensors file of tuned weights, in the place of tuning."
    )

    def edit(self, model: LatentDiffusion) -> dict[str, Tensor]:
        return self.tune(model) if self.weights is None else self.read(model, Path(self.weights))

    def tune(self, model: LatentDiffusion) -> dict[str, Tensor]:
        """The tuned weights. The model is as before afterwards.

        Raises:
            ModelError: the tuning diverged.
        """
        import torch

        named = {name: weight for name, weight in model.weights().items() if _TUNED in name}
        before = {name: weight.detach().clone() for name, weight in named.items()}
        concept, empty = model.encode([self.concept]), model.encode([""])
        draw = random.Random(self.seed)
        adam = torch.optim.Adam([weight.requires_grad_() for weight in named.values()], lr=self.rate)
        try:
            for _ in range(self.steps):
                until, seed = draw.randrange(model.steps), draw.getrandbits(63)
                with model.edited(before), torch.no_grad():
                    latents, timestep = model.denoise(concept, [seed], until=until, guidance=self.guidance)
                    noise = model.predict(latents, timestep, concept)
                    plain = model.predict(latents, timestep, empty)
                target = noise - self.negative_guidance * (noise - plain)
                loss = torch.nn.functional.mse_loss(model.predict(latents, timestep, concept), target)
                if not torch.isfinite(loss):
                    raise ModelError(f"The tuning of {str(self)!r} diverged.", hint="Take a smaller rate.")
                adam.zero_grad()
                loss.backward()
                adam.step()
            return {name: weight.detach().clone() for name, weight in named.items()}
        finally:
            for name, weight in named.items():
                weight.requires_grad_(False).data = before[name]
                weight.grad = None
