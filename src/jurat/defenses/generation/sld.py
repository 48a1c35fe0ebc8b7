"""Safe latent diffusion: Schramowski et al. 2023, "Safe latent diffusion: mitigating inappropriate
degeneration in diffusion models" (arXiv 2211.05105).

Each step predicts the noise under the concept as well, e_s, and takes a part of its direction out of the
guidance. With e the noise under the prompt and e_0 that under the empty prompt (equations 3 to 8):

    mu    = min(1, scale |e - e_s|) where e - e_s < threshold, else 0       (elementwise)
    gamma = mu (e_s - e_0) + momentum_scale m
    m    <- decay m + (1 - decay) gamma
    e    <- e - gamma                                                       (from step `warm_up` on)

The levels are those of `SafetyConfig` in diffusers 0.42, whose `StableDiffusionPipelineSafe` the formulas are
checked against.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from jurat.defenses.generation.defense import Removal
from jurat.errors import JuratError
from jurat.models import LatentDiffusion, SamplingHook, SamplingStep
from jurat.named_settings import setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEVELS", "Level", "Sld"]


class Level(NamedTuple):
    """Constants of the formulas."""

    warm_up: int
    scale: float
    threshold: float
    momentum_scale: float
    decay: float


LEVELS: dict[str, Level] = {
    "weak": Level(15, 20, 0.0, 0.0, 0.0),
    "medium": Level(10, 1000, 0.01, 0.3, 0.4),
    "strong": Level(7, 2000, 0.025, 0.5, 0.7),
    "max": Level(0, 5000, 1.0, 0.5, 0.7),
}


@dataclass(frozen=True)
class Sld(Removal):
    """See the module's docstring. A step costs three predictions in the place of two."""

    name: ClassVar[str] = "sld"

    level: Literal["weak", "medium", "strong", "max"] = setting("medium", "third party", "A key of `LEVELS`.")
    warm_up: int | None = setting(None, "third party", "Steps before it begins; null: the level's.")
    scale: float | None = setting(None, "third party", "Strength of the guidance; null: the level's.")
    threshold: float | None = setting(
        None, "third party", "Elements further than this from the concept are left alone; null: the level's."
    )
    momentum_scale: float | None = setting(None, "third party", "Share of the momentum; null: the level's.")
    decay: float | None = setting(None, "third party", "What the momentum keeps; null: the level's.")

    def constants(self) -> Level:
        """The level, with the settings that are given in the place of its own."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name in Level._fields}
        return LEVELS[self.level]._replace(
            **{name: value for name, value in given.items() if value is not None}
        )

    def hook(self, model: LatentDiffusion) -> SamplingHook:
        """Raises JuratError where a picture is finished before the guidance begins."""
        known = self.constants()
        if known.warm_up >= model.steps:
            raise JuratError(
                f"The defense {str(self)!r} begins after {known.warm_up} steps, and a picture takes "
                f"{model.steps}: it would do nothing.",
                hint="Take more steps, or set warm_up.",
            )
        return _Away(model, self.concept, known)


class _Away(SamplingHook):
    def __init__(self, model: LatentDiffusion, concept: str, constants: Level) -> None:
        super().__init__(model)
        self._concept, self._constants = model.encode([concept]), constants
        self._momentum: Tensor | float = 0.0

    def noise(self, step: SamplingStep, noise: Tensor) -> Tensor:
        known = self._constants
        concept = self._concept.expand(len(noise), -1, -1)
        unsafe = self.model.predict(step.latents, step.timestep, concept)
        scale = ((noise - unsafe).abs() * known.scale).clamp(max=1.0)
        scale = scale.masked_fill(noise - unsafe >= known.threshold, 0.0)
        away = scale * (unsafe - step.unconditional) + known.momentum_scale * self._momentum
        self._momentum = known.decay * self._momentum + (1 - known.decay) * away
        return noise - away if step.number >= known.warm_up else noise
