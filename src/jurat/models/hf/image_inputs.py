"""Prepares images for a vision model one by one, so that a bad image fails alone."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jurat.content import Failure
from jurat.models.hf.failures import line_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

log = logging.getLogger("jurat.models")

BATCH = 16
"""Images in one forward pass, at most."""

Inputs = dict[str, "Tensor"]
"""What a processor makes of one image: `pixel_values` and its kin, each with a leading 1."""


def prepare(processor: Any, images: Mapping[int, Image.Image]) -> dict[int, Inputs | Failure]:
    """Each image as processor inputs, or the failure to prepare it."""
    return {i: _prepare(processor, image) for i, image in images.items()}


def _prepare(processor: Any, image: Image.Image) -> Inputs | Failure:
    try:
        return dict(processor(images=[image.convert("RGB")], return_tensors="pt"))
    except Exception as error:  # processors raise anything at all of images they cannot take
        log.debug("an image could not be prepared", exc_info=True)
        return Failure("error", f"The image could not be prepared: {line_of(error)}")


def batches(prepared: Mapping[int, Inputs | Failure]) -> list[list[int]]:
    """The numbers of images whose inputs can be joined, `BATCH` at most together."""
    alike: dict[Any, list[int]] = defaultdict(list)
    for i, inputs in prepared.items():
        if not isinstance(inputs, Failure):
            alike[tuple((name, value.shape) for name, value in inputs.items())].append(i)
    return [group[k : k + BATCH] for group in alike.values() for k in range(0, len(group), BATCH)]


def joined(prepared: Mapping[int, Inputs | Failure], group: Sequence[int], device: Any) -> Inputs:
    """The inputs of a group of `batches`, one after the other, on the device."""
    import torch

    rows = [row for i in group if not isinstance(row := prepared[i], Failure)]
    return {name: torch.cat([row[name] for row in rows]).to(device) for name in rows[0]}
