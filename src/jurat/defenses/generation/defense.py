"""The base classes of defenses of text-to-image models, and a model with edited weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from jurat.errors import JuratError
from jurat.files import make_folder, written_aside
from jurat.models import LatentDiffusion, SamplingHook, TextToImage, TextToImageWrapper, full_name
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
            raise no_concept(self.name)


@dataclass(frozen=True)
class WeightEdit(Removal):
    """A removal that edits the weights of the denoising network, once, when the model is put under it."""

    def edit(self, model: LatentDiffusion) -> dict[str, Tensor]:
        """The new values of the parameters that it changes, by name."""
        raise NotImplementedError

    def over(self, model: TextToImage, kept: Path | None = None) -> TextToImage:
        """The model under this defense.

        Args:
            kept: a file for the edit: it is read where it was written by this edit of this model, else made
                and written there.

        Raises:
            JuratError: the model lacks what the defense needs, or the edit failed.
        """
        parts = latent_diffusion(model, f"The defense {self.name!r}")
        if kept is None:
            return EditedModel(model, self, parts, self.edit(parts))
        of = full_name(model)
        if kept.is_file() and _facts(kept) == self._made_by(of):
            return EditedModel(model, self, parts, self.read(parts, kept))
        changes = self.edit(parts)
        self.save(changes, kept, of)
        return EditedModel(model, self, parts, changes)

    def save(self, changes: dict[str, Tensor], file: Path, of: str = "") -> None:
        """Writes edited weights to a safetensors file, with what they were made by.

        Args:
            of: name@revision of the model.
        """
        from safetensors.torch import save_file

        make_folder(file.parent)
        with written_aside(file) as aside:
            save_file({n: value.contiguous() for n, value in changes.items()}, aside, self._made_by(of))

    def read(self, model: LatentDiffusion, file: Path) -> dict[str, Tensor]:
        """Edited weights from a safetensors file.

        Raises:
            JuratError: it cannot be read, holds weights of another network, or says that it removes another
                concept.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found, facts = load_file(file), _facts(file)
        except (OSError, SafetensorError) as error:
            raise JuratError(f"The edited weights {str(file)!r} cannot be read: {error}.") from error
        known = model.weights()
        strange = [
            name for name, value in found.items() if name not in known or known[name].shape != value.shape
        ]
        if strange or not found:
            raise JuratError(
                f"{str(file)!r} holds weights of another model: {', '.join(strange[:3]) or 'none'}.",
                hint=f"Make them on this model: name {self.name!r} without a file.",
            )
        if (concept := facts.get("concept", self.concept)) != self.concept:
            raise JuratError(f"{str(file)!r} removes {concept!r}, not {self.concept!r}.")
        return found

    def _made_by(self, of: str) -> dict[str, str]:
        return {"made_by": str(self), "concept": self.concept, "model": of}


def no_concept(name: str) -> JuratError:
    """The error for a removal that is told to remove nothing."""
    return JuratError(f"The defense {name!r} needs a concept to remove.", hint=f'"{name}?concept=a dog"')


def _facts(file: Path) -> dict[str, str]:
    """What the metadata of a safetensors file say; empty where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (OSError, SafetensorError):
        return {}


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
        self, prompts: Sequence[str], seed: int = 0, hooks: Sequence[HookMaker] = (), *, first: int = 0
    ) -> list[Image.Image]:
        with self._parts.edited(self.changes):
            return super().generate(prompts, seed, hooks, first=first)
