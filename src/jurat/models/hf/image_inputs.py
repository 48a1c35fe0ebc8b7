"""Prepares images for a vision model one by one, so that a bad image fails alone.

`BundledDomain` holds the words that the bundled detector and matcher were trained on, and recognises foreign
images with the gate of the bundled MLLM, whose vision tower they share.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.content import Failure
from jurat.models.bundled.domain_gate import Gate
from jurat.models.bundled.word_vocabulary import question_vocabulary
from jurat.models.hf.failures import line_of
from jurat.models.protocol import ModelError

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


class BundledDomain:
    """Words and images that the bundled detector and matcher were trained on."""

    def __init__(self, folder: Path, tokenizer: Any) -> None:
        """`folder` holds their weights and a domain gate.

        Raises:
            ModelError: there is no gate.
        """
        self._gate = Gate.load(folder)
        self._words = question_vocabulary(tokenizer)

    def unknown_words(self, text: str) -> list[str]:
        return self._words.unknown_words(text)

    def strange_words(self, texts: Sequence[str]) -> Failure | None:
        """An `out_of_domain` failure that names unknown words; None if all are known."""
        unknown = list(dict.fromkeys(word for text in texts for word in self.unknown_words(text)))
        if not unknown:
            return None
        named = ", ".join(repr(word) for word in unknown)
        return Failure("out_of_domain", f"The bundled model never learned {named}.")

    def foreign(self, tower: Any, pixels: Tensor) -> list[Failure | None]:
        """An `out_of_domain` failure for each of the images that is unlike any scene of pictograms."""
        inside = self._gate.strangeness(tower, pixels) <= self._gate.threshold  # False of what is no number
        reason = "The image is unlike the scenes of pictograms that the bundled model knows."
        return [None if known else Failure("out_of_domain", reason) for known in inside.tolist()]


def check_bundled(folder: Path, what: str) -> None:
    """Raises:
    ModelError: the weights of a bundled model are not there.
    """
    if not folder.is_dir():
        raise ModelError(
            f"The weights of the bundled {what} are not there: {folder}",
            hint="This installation of jurat is incomplete: install it again, or name another.",
        )
