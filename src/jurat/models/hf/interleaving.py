"""Processors that take texts and images in turn (IDEFICS), called as others are: with a text that has a
placeholder for each image, and the images."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any


def adapted_processor(processor: Any) -> Any:
    """The processor, wrapped in an `InterleavingProcessor` if it needs one."""
    return InterleavingProcessor(processor) if type(processor).__name__ == "IdeficsProcessor" else processor


class InterleavingProcessor:
    """Wraps IDEFICS' processor; other attributes are the processor's own."""

    image_token = "<image>"
    """Placeholder of an image; the processor writes its own marks around it."""

    def __init__(self, official: Any) -> None:
        self._official = official
        self.image_processor = official.image_processor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by `copy` before there is an official one
            raise AttributeError(name)
        return getattr(self._official, name)

    def __call__(
        self, *, text: Sequence[str], images: Sequence[Sequence[Any]] | None, **settings: Any
    ) -> dict[str, Any]:
        """Raises:
        ValueError: a text has not as many placeholders as images, or all that stands between two of them is
            an address, which the processor would fetch.
        """
        official = copy.copy(self._official)
        official.image_processor = self.image_processor
        items = images or [()] * len(text)
        prompts = [list(self._parts(*item)) for item in zip(text, items, strict=True)]
        return official(text=prompts, **{**settings, "add_special_tokens": False})

    def _parts(self, text: str, images: Sequence[Any]) -> Iterator[Any]:
        from transformers.models.idefics.processing_idefics import is_url

        bos = self._official.tokenizer.bos_token or ""  # which the processor writes itself
        first, *rest = text.removeprefix(bos).split(self.image_token)
        if len(rest) != len(images):
            raise ValueError(f"the text has {len(rest)} placeholders for {len(images)} images")
        if any(is_url(part.strip(" ")) for part in (first, *rest)):
            raise ValueError("a text between images is an address, which the processor would fetch")
        yield first
        for image, part in zip(images, rest, strict=True):
            yield image
            yield part
