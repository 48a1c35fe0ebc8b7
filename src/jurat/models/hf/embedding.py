"""Features of images from the vision tower of a local model, and embeddings of texts from CLIP and its kin.

The tower is called as the model calls it, so that tiles, masks and grids are what it expects; its output is
read by a hook.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from threading import get_ident
from typing import TYPE_CHECKING, Any

from jurat.content import Chat, Failure, Turn
from jurat.models.hf.adapters import PIXELS, sees_in_every_pass
from jurat.models.hf.batch_sizes import by, joined
from jurat.models.hf.differentiable import PixelEncoder
from jurat.models.hf.float_pixels import check_pixels
from jurat.models.hf.model_parts import ModelParts, attempt
from jurat.models.hf.prompt import Prompt
from jurat.models.protocol import ModelError
from jurat.models.white_box import ImageFeatures

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_TOGETHER = 16
"""Images in one pass of the tower, at most."""
_TEXT = "Describe the image."
"""Said beside an image, for processors that take none without a text."""
_TILES = "aspect_ratio_mask"
"""The input that tells tiles from padding, (items, images, tiles); in Mllama."""


class TowerFeatures:
    """`Embedder` for a local model that reads images through a vision tower."""

    def __init__(self, model: ModelParts) -> None:
        """Raises:
        ModelError: the model has no vision tower of its own.
        """
        self._model = model
        self._tower = _tower(model)
        self._look = _look(model.network, self._tower)
        self._pixels: PixelEncoder | None = None

    def images(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        """See `jurat.models.Embedder`."""
        import torch

        with self._model.preparing:
            made = [attempt(self._model.encoder.encode_chat, _chat(image)) for image in images]
        if failures := [one for one in made if isinstance(one, Failure)]:
            raise ModelError(failures[0].reason)
        with torch.no_grad():
            return self._features([one for one in made if isinstance(one, Prompt)])

    def pixels(self, pixels: Sequence[Tensor], *, rounded: bool = False) -> list[ImageFeatures]:
        """See `jurat.models.Embedder`."""
        import torch

        check_pixels(pixels)
        self._pixels = encoder = self._pixels or PixelEncoder(self._model)
        with torch.enable_grad():
            with self._model.preparing:
                prompts = encoder.about_each(_chat(None), pixels, rounded=rounded)
            return self._features(prompts)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """See `jurat.models.Embedder`."""
        raise ModelError(f"{self._model.name!r} embeds images only: it has no encoder of texts apart.")

    def _features(self, prompts: Sequence[Prompt]) -> list[ImageFeatures]:
        import torch

        found: dict[int, ImageFeatures] = {}
        with self._model.computing:
            for group in by(range(len(prompts)), lambda i: _shapes(prompts[i])):
                with torch.no_grad():
                    most = _TOGETHER if self._model.scorer.joins([prompts[i] for i in group]) else 1
                for first in range(0, len(group), most):
                    some = group[first : first + most]
                    found.update(zip(some, self._seen([prompts[i] for i in some]), strict=True))
        return [found[i] for i in range(len(prompts))]

    def _seen(self, prompts: Sequence[Prompt]) -> list[ImageFeatures]:
        """Features of images whose inputs have equal shapes; one by one where the output does not divide
        equally."""
        caught: list[tuple[Tensor, Tensor | None]] = []

        def catch(_module: Any, _args: Any, output: Any) -> None:
            if get_ident() != owner:  # several threads may use the network at once
                return
            # Taken at once: the model puts other features in the place of the pooled ones.
            caught.append((output.last_hidden_state, getattr(output, "pooler_output", None)))

        owner = get_ident()
        handle = self._tower.register_forward_hook(catch)
        try:
            self._look(joined(prompts, self._model.network))
        finally:
            handle.remove()
        ((hidden, pooled),) = caught
        if len(hidden) % len(prompts):
            return [self._seen([prompt])[0] for prompt in prompts]
        rows = hidden.chunk(len(prompts))
        # Some towers call the features of their tokens pooled, too.
        whole = pooled is not None and pooled.ndim == 2 and hidden.ndim == 3 and len(pooled) == len(hidden)
        summaries = pooled.chunk(len(prompts)) if whole and pooled is not None else [None] * len(prompts)
        return [
            _of_image(row, summary, prompt.images.get(_TILES))
            for row, summary, prompt in zip(rows, summaries, prompts, strict=True)
        ]


def _of_image(hidden: Tensor, pooled: Tensor | None, tiles: Tensor | None) -> ImageFeatures:
    if tiles is not None:
        hidden = hidden.reshape(tiles.shape[-1], -1, hidden.shape[-1])[tiles.flatten().bool()]
    patches = hidden.flatten(0, -2).float()
    return ImageFeatures((patches if pooled is None else pooled.float()).mean(0), patches)


def _tower(model: ModelParts) -> Any:
    """The part of the network that the vision configuration describes."""
    vision = getattr(model.network.config, "vision_config", None)
    for _, module in model.network.named_modules():
        if vision is not None and type(getattr(module, "config", None)) is type(vision):
            return module
    raise ModelError(f"{model.name!r} has no vision tower apart from the rest of its network.")


def _look(network: Any, tower: Any) -> Callable[[dict[str, Any]], Any]:
    """Calls the tower on image inputs, through `get_image_features` where the network has it."""
    if sees_in_every_pass(network):  # images lie in a row an item, and the tower takes them one by one
        return lambda inputs: tower(inputs[PIXELS].flatten(0, 1))
    call = getattr(getattr(network, "model", network), "get_image_features", tower)
    named = signature(call.forward if call is tower else call).parameters
    more = {} if call is tower else {"return_dict": True}
    return lambda inputs: call(**{name: value for name, value in inputs.items() if name in named}, **more)


def _chat(image: Any) -> Chat:
    return Chat((Turn("user", (image, _TEXT)),))


def _shapes(prompt: Prompt) -> tuple[Any, ...]:
    return tuple((name, tuple(value.shape)) for name, value in prompt.images.items())
