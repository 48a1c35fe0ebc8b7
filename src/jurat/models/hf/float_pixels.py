"""The official image processor of a model on float tensors, so that gradients reach the submitted pixels.

Processors of transformers come in two halves: one on Pillow, which reads 8-bit images, and one on
torchvision, which also takes float tensors and keeps their gradients. The second is used as it is, made from
the settings of the first. Only its resizing is changed: an 8-bit resize treats width and height one after the
other and stores levels after each, while a float resize overshoots beyond [0, 255] by tens of levels at sharp
edges. So it is done in the same two steps here, each clamped to [0, 255] and, if asked for, rounded with the
gradient of the identity (straight-through; Bengio et al. 2013).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from jurat.models.hf.batch_sizes import by
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.protocol import ModelError
from jurat.models.white_box import Deviation

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 255.0
PIXELS = "pixel_values"
_NOT_CALLED: tuple[Any, dict[str, Any]] = ((), {})
Size = tuple[int, int]
"""Height and width."""


def check_pixels(pixels: Sequence[Tensor]) -> None:
    """Raises:
    ValueError: one is not a float tensor [3, H, W] with values in [0, 1].
    """
    for one in pixels:
        if one.ndim != 3 or one.shape[0] != 3 or not one.is_floating_point():
            raise ValueError(f"Pixels are a float tensor [3, H, W], not {one.dtype} {list(one.shape)}.")
        low, high = (float(bound) for bound in one.detach().aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"Pixels are in [0, 1]; these are in [{low:.4g}, {high:.4g}].")


def straight_through(values: Tensor) -> Tensor:
    """`values` rounded to whole numbers, halves up as Pillow does, with the gradient of the identity."""
    return values + ((values.detach() + 0.5).floor() - values.detach())


def as_image(pixels: Tensor) -> Image.Image:
    """Pixels [3, H, W] in [0, 1], rounded to an 8-bit RGB image."""
    import torch

    levels = straight_through(pixels.detach().float() * LEVELS).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())


class FloatProcessor:
    """A model's image processor for pixels. Not to be used by two threads at a time."""

    def __init__(self, official: Any, name: str) -> None:
        """Raises:
        ModelError: the model `name` has no image processor on torchvision.
        """
        self._official = official
        self.twin = _twin(official, name)
        self._pillow = official.backend == "pil"
        self._nested = False
        self._settings: dict[str, Any] = {"return_tensors": "pt"}

    def learn(self) -> None:
        """Takes the form and the settings of the last call of `twin` for those that follow: how the model's
        whole processor calls its image processor."""
        images, self._settings = self.twin.call
        self._nested = isinstance(images[0], list | tuple)

    def inputs(
        self, items: Sequence[Sequence[Tensor]], *, rounded: bool, **settings: Any
    ) -> list[dict[str, Tensor]]:
        """What the processor makes of the images of each item. Items of the very same tensors share it, and
        those of equal sizes are processed together."""
        unique = {tuple(map(id, item)): item for item in items}
        made: dict[tuple[int, ...], dict[str, Tensor]] = {}
        for alike in by(unique, lambda key: tuple(pixels.shape for pixels in unique[key])):
            scaled = [[self._scaled(one, rounded) for one in unique[key]] for key in alike]
            with _resizing(rounded, self._pillow):
                shares = self._shares(self.twin, scaled, settings)
            made |= zip(alike, shares, strict=True)
        self.twin.call = _NOT_CALLED  # which would keep the graph of these pixels alive
        return [made[tuple(map(id, item))] for item in items]

    def deviation(self, items: Sequence[Sequence[Tensor]], *, rounded: bool) -> Deviation:
        """Between `inputs` of pixels and what the official processor makes of 8-bit images of them."""
        import torch

        raw = {"do_rescale": False, "do_normalize": False}
        with torch.no_grad():
            floats = [one[PIXELS] for one in self.inputs(items, rounded=rounded, **raw)]
            official = [
                self._call(self._official, [[as_image(one) for one in item]], raw)[PIXELS] for item in items
            ]
        pairs = zip(floats, official, strict=True)
        gaps = torch.cat([(a.cpu().float() - b.float()).abs().flatten() for a, b in pairs])
        return Deviation(float(gaps.max()), float(gaps.mean()))

    def _shares(
        self, processor: Any, items: list[list[Any]], settings: dict[str, Any]
    ) -> list[dict[str, Tensor]]:
        """Inputs of items of equal sizes, made together; one by one where they do not divide equally."""
        made = self._call(processor, items, settings)
        tensors = {name: value for name, value in made.items() if hasattr(value, "chunk")}
        if all(len(value) % len(items) == 0 for value in tensors.values()):
            rows = [value.chunk(len(items)) for value in tensors.values()]
            return [dict(zip(tensors, row, strict=True)) for row in zip(*rows, strict=True)]
        return [self._shares(processor, [item], settings)[0] for item in items]

    def repeated(self) -> Mapping[str, Tensor]:
        """What `twin` makes of the images of its last call."""
        images, settings = self.twin.call
        return self._call(self.twin, images if self._nested else [images], settings)

    def _call(
        self, processor: Any, items: Sequence[Sequence[Any]], settings: dict[str, Any]
    ) -> Mapping[str, Tensor]:
        given = items if self._nested else [image for item in items for image in item]
        made = processor(given, **{**self._settings, **settings})
        if hasattr(made, "items"):
            return made
        # The pixels of all images (IDEFICS): its whole processor gives each item a row of images.
        return {PIXELS: made.unflatten(0, (len(items), -1))}

    def _scaled(self, pixels: Tensor, rounded: bool) -> Tensor:
        """In the levels of an 8-bit image, for which processors' rescaling and padding values are made."""
        # On a GPU torchvision takes a bicubic filter in the place of Lanczos'.
        lanczos = getattr(self.twin, "resample", None) == Image.Resampling.LANCZOS
        scaled = (pixels.cpu() if lanczos else pixels).float() * LEVELS
        return straight_through(scaled) if rounded else scaled


def _resizing(rounded: bool, pillow: bool) -> Any:
    """A context in which antialiased resizing goes through the levels that an 8-bit resize stores: that of
    `pillow`, or of torchvision."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Resizing(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func is not torch.nn.functional.interpolate or not kwargs.get("antialias"):
                return func(*args, **kwargs)
            (image,) = args
            old, new = tuple(image.shape[-2:]), tuple(kwargs["size"])
            first = pillow and _height_first(old, new, kwargs["mode"])
            for size in _steps(old, new, first):
                if tuple(image.shape[-2:]) != size:
                    image = func(image, **{**kwargs, "size": size}).clamp(0, LEVELS)
                    image = straight_through(image) if rounded else image
            return image

    return Resizing()


def _steps(old: Size, new: Size, height_first: bool) -> tuple[Size, Size]:
    return (new[0], old[1]) if height_first else (old[0], new[1]), new


@lru_cache(maxsize=1024)
def _height_first(old: Size, new: Size, mode: str) -> bool:
    """Whether Pillow resizes the height before the width, by trial: versions and sizes differ in it."""
    import numpy as np
    import torch
    from torch.nn.functional import interpolate

    noise = np.random.default_rng(0).integers(0, 256, old, dtype=np.uint8)
    expected = Image.fromarray(noise).resize((new[1], new[0]), Image.Resampling[mode.upper()])

    def gap(height_first: bool) -> float:
        made = torch.from_numpy(noise)[None, None].float()
        for size in _steps(old, new, height_first):
            made = interpolate(made, size=size, mode=mode, antialias=True).clamp(0, LEVELS)
            made = straight_through(made)
        return float((made[0, 0] - torch.from_numpy(np.array(expected))).abs().mean())

    return gap(True) < gap(False)


class _CallRecorder:
    """Mixed into an image processor, which then remembers how it was called."""

    call: tuple[Any, dict[str, Any]] = _NOT_CALLED
    """Images and settings of the last call."""

    def __call__(self, images: Any, *args: Any, **settings: Any) -> Any:
        self.call = images, settings
        return super().__call__(images, *args, **settings)  # pyright: ignore[reportAttributeAccessIssue]


def _twin(official: Any, name: str) -> Any:
    """The torchvision half of an image processor with the same settings."""
    if not prepare_torchvision():
        raise ModelError(f"{name!r} gives no gradients: that needs torchvision, which cannot be used here.")
    import transformers
    from transformers.image_processing_backends import PilBackend, TorchvisionBackend

    if isinstance(official, TorchvisionBackend):
        made: Any = copy.copy(official)
    else:
        kind = getattr(transformers, type(official).__name__.removesuffix("Pil"), None)
        if not (isinstance(official, PilBackend) and _is_a(kind, TorchvisionBackend)):
            raise ModelError(
                f"{name!r} gives no gradients: transformers has no {type(official).__name__} on torchvision."
            )
        made = kind.from_dict(official.to_dict())  # pyright: ignore[reportOptionalMemberAccess]
    kind = type(made)
    made.__class__ = type(kind.__name__, (_CallRecorder, kind), {})
    return made


def _is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)
