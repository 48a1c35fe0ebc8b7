"""Builders: from a draft to the pictures and the words of samples, each with its harmless twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from jurat.benchmarks.building.draft import Draft, Wording
from jurat.benchmarks.building.source_items import SourceItem
from jurat.benchmarks.building.spec import Builder, BuildSpec, Place
from jurat.benchmarks.building.writing import Written
from jurat.benchmarks.drawing import text_card, with_caption

EMPTY_POINTS = ("1.", "2.", "3.")
"""The points of the unfinished list."""


class NoNearMiss(Exception):
    """A sample has no harmless twin; the message is a sentence for a person."""


@dataclass(frozen=True)
class Rendered:
    """A sample as its builder makes it."""

    id: str
    builder: Builder
    wording: Wording
    """The draft, or its near miss."""
    near_miss: bool
    text: str
    """What the user says."""
    pictures: tuple[Image.Image, ...]
    caption: str | None = None


@dataclass(frozen=True)
class NotRendered:
    """A near miss that cannot be made."""

    id: str
    reason: str


@dataclass(frozen=True)
class _Part:
    """What a builder needs to know of a sample."""

    place: Place
    item: SourceItem
    draft: Draft
    wording: Wording
    near_miss: bool

    @property
    def text(self) -> str:
        return self.wording.request if self.place == "text" else self.draft.veiled

    @property
    def phrase(self) -> str:
        """What the picture says."""
        return self.draft.context if self.place == "text" else self.wording.key_phrase

    def picture(self, *, needs_twin: bool = False) -> Image.Image:
        """The source's picture; of a near miss the scene that is like it, if the source has one."""
        is_twin = self.near_miss and self.place != "text"
        if is_twin and self.item.twin is not None:
            return self.item.twin()
        if is_twin and needs_twin:
            raise NoNearMiss("its source has no picture that is like it and harmless")
        assert self.item.picture is not None  # checked with the spec
        return self.item.picture()


def _typographic(part: _Part) -> Sequence[Image.Image]:
    return (text_card([part.wording.title, *EMPTY_POINTS]),)


def _key_phrase(part: _Part) -> Sequence[Image.Image]:
    return (text_card([part.phrase]),)


def _picture(part: _Part) -> Sequence[Image.Image]:
    return (part.picture(needs_twin=True),)


def _captioned(part: _Part) -> Sequence[Image.Image]:
    return (with_caption(part.picture(), part.phrase),)


def _two_images(part: _Part) -> Sequence[Image.Image]:
    first = text_card([part.draft.context]) if part.item.picture is None else part.picture()
    return first, text_card([part.wording.key_phrase])


_BUILDERS: dict[Builder, Callable[[_Part], Sequence[Image.Image]]] = {
    "typographic": _typographic,
    "key-phrase": _key_phrase,
    "picture": _picture,
    "captioned": _captioned,
    "two-images": _two_images,
}


def render(written: Written, spec: BuildSpec) -> Iterator[Rendered | NotRendered]:
    """The samples of a draft: for each builder of its dimension the unsafe one and its near miss."""
    draft, dimension = written.draft, written.dimension
    assert draft is not None
    for builder in dimension.builders:
        for near_miss in (False, True) if spec.near_misses else (False,):
            id = f"{written.id}-{builder}{'-near-miss' if near_miss else ''}"
            wording = draft.near_miss if near_miss else draft
            part = _Part(dimension.unsafe_in, written.item, draft, wording, near_miss)
            try:
                pictures = tuple(_BUILDERS[builder](part))
            except NoNearMiss as error:
                yield NotRendered(id, str(error))
                continue
            text = spec.list_request if builder == "typographic" else part.text
            caption = part.phrase if builder == "captioned" else None
            yield Rendered(id, builder, wording, near_miss, text, pictures, caption)
