"""The base classes of defenses of text-to-image models, and a model with edited weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jurat.errors import JuratError
from jurat.models import LatentDiffusion, SamplingHook, TextToImage, TextToImageWrapper
from jurat.models.model_spec import defended_name
from jurat.models.text_to_image import HookMaker, latent_diffusion
from jurat.named_settings import Settings, setting, written

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["EditedModel", "GenerationDefense", "HookedModel", "Removal", "WeightEdit"]


@dataclass(frozen=True)
class GenerationDefense(Settings):
    """A defense as settings; `over(model)` is the defended model.

    By default it intervenes in the sampling, by what `hook` returns; see `SamplingHook`.
    """

    name: ClassVar[str]
    """As the registry has it."""

    def hook(self, model: LatentDiffusion) -> SamplingHook:
        """The hook for one batch."""
        raise NotImplementedError

    def over(self, model: TextToImage) -> TextToImage:
        """The model under this defense.

        Raises:
            JuratError: the model lacks what the defense needs.
        """
        return HookedModel(model, self)

    def __str__(self) -> str:
        """Its name with the settings that differ from their defaults."""
        return written(self)


@dataclass(frozen=True)
class Removal(GenerationDefense):
    """A defense that removes one concept.

    Raises:
        JuratError: no concept is given.
    """

    concept: str = setting("", "ours", "The concept that is removed, as a prompt names it; required.")

    def __post_init__(self) -> None:
        if not self.concept.strip():
            raise JuratError(
                f"The defense {self.name!r} needs a concept to remove.", hint=f'"{self.name}?concept=a dog"'
            )


@dataclass(frozen=True)
class WeightEdit(Removal):
    """A removal that edits the weights of the denoising network, once, when the model is put under it."""

    def edit(self, model: LatentDiffusion) -> dict[str, Tensor]:
        """The new values of the parameters that it changes, by name."""
        raise NotImplementedError

    def over(self, model: TextToImage) -> TextToImage:
        parts = latent_diffusion(model, f"The defense {self.name!r}")
        return EditedModel(model, self, parts, self.edit(parts))


class HookedModel(TextToImageWrapper):
    """A model under a defense that intervenes in the sampling."""

    def __init__(self, inner: TextToImage, defense: GenerationDefense) -> None:
        super().__init__(inner, defended_name(inner.name, str(defense)))
        self.defense = defense
        self.hook = defense.hook


class EditedModel(TextToImageWrapper):
    """A model whose denoising network has other weights while it makes pictures. The model itself stays as
    it is, so that several removals can share one in memory, one after the other."""

    def __init__(
        self, inner: TextToImage, defense: WeightEdit, parts: LatentDiffusion, changes: dict[str, Tensor]
    ) -> None:
        super().__init__(inner, defended_name(inner.name, str(defense)))
        self.defense, self.changes = defense, changes
        self._parts = parts

    def generate(
        self, prompts: Sequence[str], seed: int = 0, hooks: Sequence[HookMaker] = ()
    ) -> list[Image.Image]:
        with self._parts.edited(self.changes):
            return super().generate(prompts, seed, hooks)
