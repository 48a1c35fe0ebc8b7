"""CLIP, SigLIP and the like of transformers as matchers: the bundled one, and `hf/NAME_OR_PATH`.

A text longer than the model reads (77 tokens for CLIP, 64 for SigLIP) is cut at the end by its tokenizer;
a warning is logged, once a text.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jurat.content import Failure
from jurat.models.hf.float_pixels import PIXELS, FloatProcessor, check_pixels
from jurat.models.hf.image_inputs import batches, joined, prepare
from jurat.models.hf.image_text_model import BundledDomain, ImageTextModel, load_bundled, unit
from jurat.models.hf.load_model import LoadedModel, load
from jurat.models.protocol import C, ModelError
from jurat.models.white_box import Embedder, ImageFeatures

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

log = logging.getLogger("jurat.models")

WEIGHTS = Path(__file__).parents[1] / "bundled" / "clip"
RELEVANT_ABOVE = 0.22
"""CLUE's threshold (arXiv 2501.00192, section 4.2), for clip-vit-base-patch16. SigLIP's lies elsewhere."""
SETTINGS = "matching.json"
"""Beside the bundled weights: {"version": 1, "relevant_above": 0.31}."""
VERSION = 1
_FAMILY = "AutoModel"


def open_local(reference: str, device: str | None) -> LocalMatcher:
    loaded = load(reference, device=device, family=_FAMILY)
    return LocalMatcher(loaded, name=f"hf/{reference}")


def open_bundled(_reference: str, device: str | None, folder: Path = WEIGHTS) -> LocalMatcher:
    """The matcher for scenes of pictograms. `folder` holds other weights of its making."""
    loaded = load_bundled(folder, device, what="matcher", family=_FAMILY)
    world = BundledDomain(folder, loaded.processor.tokenizer)
    return LocalMatcher(loaded, name="bundled", relevant_above=_threshold(folder), world=world)


class LocalMatcher(ImageTextModel):
    """See the module's docstring."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        name: str,
        relevant_above: float = RELEVANT_ABOVE,
        world: BundledDomain | None = None,
    ) -> None:
        """Raises:
        ModelError: the model does not embed both images and texts.
        """
        if not all(hasattr(loaded.network, f"get_{what}_features") for what in ("image", "text")):
            raise ModelError(
                f"{name!r} is a {type(loaded.network).__name__}, which does not embed images and texts.",
                hint="Name a CLIP or a SigLIP: hf/openai/clip-vit-base-patch16",
            )
        super().__init__(loaded, name=name, world=world)
        self.relevant_above = relevant_above
        # SigLIP was trained on texts of full length, and reads shorter ones badly.
        self._padding = "max_length" if loaded.network.config.model_type.startswith("siglip") else True
        self._accepted = {
            what: frozenset(signature(getattr(loaded.network, f"get_{what}_features")).parameters)
            for what in ("image", "text")
        }
        self._floats: FloatProcessor | None = None

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        """As `Matcher` says. Where the bundled matcher never learned a word of some text, every row is an
        `out_of_domain` failure that names it: leave out what `unknown_words` finds."""
        strange = self._world.strange_words(texts) if self._world else None
        if strange is not None:
            return [strange for _ in images]
        prepared = prepare(self._processor.image_processor, dict(enumerate(images)))
        rows: list[list[float] | Failure] = [
            entry if isinstance(entry := prepared[i], Failure) else [] for i in range(len(images))
        ]
        for group in batches(prepared):
            inputs = joined(prepared, group, self.network.device)
            for i, row in zip(group, self._compare(inputs, texts), strict=True):
                rows[i] = row
        return rows

    def capability(self, kind: type[C]) -> C | None:
        """`Embedder`, by this matcher itself; None for anything else."""
        return cast(C, self) if kind is Embedder else None

    def images(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        """See `jurat.models.Embedder`. Images outside a bundled matcher's domain have features, too."""
        import torch

        prepared = prepare(self._processor.image_processor, dict(enumerate(images)))
        if failures := [one for one in prepared.values() if isinstance(one, Failure)]:
            raise ModelError(failures[0].reason)
        with torch.no_grad(), self._threads():
            return self._features(prepared)

    def pixels(self, pixels: Sequence[Tensor], *, rounded: bool = False) -> list[ImageFeatures]:
        """See `jurat.models.Embedder`."""
        import torch

        check_pixels(pixels)
        floats = self._floats = self._floats or FloatProcessor(self._processor.image_processor, self.name)
        with torch.enable_grad(), self._threads():
            made = floats.inputs([[one] for one in pixels], rounded=rounded)
            return self._features(dict(enumerate(made)))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """See `jurat.models.Embedder`.

        Raises:
            ModelError: the bundled matcher never learned a word of some text.
        """
        import torch

        strange = self._world.strange_words(texts) if self._world else None
        if strange is not None:
            raise ModelError(strange.reason)
        with torch.no_grad(), self._threads():
            return torch.cat(
                [self._of_texts(texts[first : first + 64]) for first in range(0, len(texts), 64)]
            )

    def _compare(self, inputs: dict[str, Tensor], texts: Sequence[str]) -> list[list[float] | Failure]:
        import torch

        with torch.inference_mode(), self._threads():
            pixels = inputs[PIXELS]
            foreign = self._world.foreign(self.network.vision_model, pixels) if self._world else None
            seen = unit(self._of_images(inputs).pooler_output.float())
            cosines = (seen @ self._read(texts).T).clamp(-1, 1).tolist() if texts else [[]] * len(seen)
        return [(foreign[n] if foreign else None) or _sound(row) for n, row in enumerate(cosines)]

    def _of_images(self, inputs: Mapping[str, Tensor]) -> Any:
        """What the network makes of images: `pooler_output` and `last_hidden_state`, a row an image."""
        taken = {name: value for name, value in inputs.items() if name in self._accepted["image"]}
        taken[PIXELS] = taken[PIXELS].to(self.network.dtype)
        return self.network.get_image_features(**taken, return_dict=True)

    def _features(self, prepared: Mapping[int, dict[str, Tensor] | Failure]) -> list[ImageFeatures]:
        found: dict[int, ImageFeatures] = {}
        for group in batches(prepared):
            seen = self._of_images(joined(prepared, group, self.network.device))
            rows = zip(seen.pooler_output.float(), seen.last_hidden_state.float(), strict=True)
            found.update(zip(group, (ImageFeatures(*row) for row in rows), strict=True))
        return [found[i] for i in range(len(prepared))]

    def _of_texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (texts, width), float32."""
        for text in texts:
            self._warn_if_cut(text)
        tokens = self._processor.tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._limit, return_tensors="pt"
        )
        taken = {
            name: value.to(self.network.device)
            for name, value in tokens.items()
            if name in self._accepted["text"]
        }
        return self.network.get_text_features(**taken, return_dict=True).pooler_output.float()

    def _warn_if_cut(self, text: str) -> None:
        count = len(self._processor.tokenizer(text, verbose=False)["input_ids"])
        if count > self._limit:
            log.warning(
                "a text of %d tokens is cut at %d, which is all that %s reads: %.60r",
                count,
                self._limit,
                self.name,
                text,
            )


def _sound(row: list[float]) -> list[float] | Failure:
    if all(math.isfinite(cosine) for cosine in row):
        return row
    return Failure("error", "The matcher's embedding of the image or of a text is not a number.")


def _threshold(folder: Path) -> float:
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        if settings["version"] != VERSION:
            raise ModelError(
                f"{folder / SETTINGS} is of version {settings['version']}; this jurat reads {VERSION}."
            )
        return float(settings["relevant_above"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The settings of the matcher in {folder} cannot be read: {error}") from error
