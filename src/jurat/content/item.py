"""What is judged: images that have not been read yet, with the texts that go with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

from PIL import Image

from jurat.content.chat import Turn
from jurat.content.image_error import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 2**30
"""The files of one item of several images, together: 1 GiB."""

Picture: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any]"
"""A path, a file's bytes, a file opened in binary mode (read from its start where it can be rewound), a
Pillow image, or an array as `jurat.media.from_array` takes it."""

Opener: TypeAlias = Callable[[], bytes]
"""Reads the bytes of an image file; raises ImageError with the reason where that fails. Those of
`jurat.sources` can be pickled."""


@dataclass(frozen=True)
class LazyImage:
    """An image that is read when it is needed."""

    uri: str
    """The absolute path, or the URI; for bytes in a row the row's own, `/` and its place in the list."""
    open: Opener


@dataclass(frozen=True)
class Item:
    """What is judged: one image, several, or a video; with a caption and a conversation, if it has them.

    Item(["cat.png"], caption="For sale.")
    Item([page_1, page_2], turns=[Turn("user", ("What is this?",)), Turn("assistant", ("A cat.",))])
    """

    images: Sequence[Picture | Opener | LazyImage] | Callable[[], Sequence[LazyImage]] = ()
    """In their order. A function finds them when the item is read, and raises ImageError with the reason
    where that fails."""
    id: str = ""
    """The path as the user wrote it; inside a folder, that folder's path joined with the rest. For a table's
    row: its id column, else the path or URI in it, else the table's name with the row's number."""
    uri: str = ""
    """The absolute path, or the URI. For a row with bytes or a list and for a member of a shard: that of the
    table or shard, `#`, and the row's number or the member's name."""
    caption: str | None = None
    """The text that goes with the images; None where the source has none."""
    turns: Sequence[Turn] = ()
    """A conversation about the images, the last turn of which may be a response to be judged. Images in the
    turns are the item's, if `images` is empty."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """The other columns of the item's row in a table, as text."""
    occurrence: int = 0
    """How many items with the same id came before it; 0 where nobody counted."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(self.turns))
        for turn in self.turns:
            if not isinstance(cast(object, turn), Turn):
                raise TypeError(f"turns are of the type jurat.content.Turn, not {type(turn).__name__}.")
        shown = tuple(image for turn in self.turns for image in turn.images)
        if callable(self.images):
            return
        if not isinstance(cast(object, self.images), list | tuple):
            raise TypeError("An Item takes a list of images, also of one: Item([image]).")
        given = tuple(self.images)
        same = len(given) == len(shown) and all(a is b for a, b in zip(given, shown, strict=True))
        if given and shown and not same:
            raise ValueError("Give an item's images in `images` or in its turns, not in both.")
        object.__setattr__(self, "images", given or shown)

    def found(self) -> tuple[Picture | Opener | LazyImage, ...]:
        """The images. Raises ImageError where they cannot be found."""
        return tuple(self.images() if callable(self.images) else self.images)

    def lazy_images(self) -> tuple[LazyImage, ...]:
        """The images of an item from a source. Raises ImageError where they cannot be found, TypeError for
        an item of pictures in memory or of paths."""
        found = self.found()
        uri = self.uri if len(found) == 1 else ""
        images = [LazyImage(uri, image) if callable(image) else image for image in found]
        for image in images:
            if not isinstance(image, LazyImage):
                raise TypeError(
                    f"The bytes of this item are not at hand: one of its images is a {type(image).__name__}. "
                    "jurat.sources.find_items(PATHS) makes items that can be read."
                )
        return cast("tuple[LazyImage, ...]", tuple(images))

    def read(self) -> tuple[bytes, ...]:
        """The bytes of each image. Raises ImageError with the reason, and which image it is; TypeError as
        `lazy_images`."""
        return read_images(self.lazy_images())


def read_images(images: Sequence[LazyImage]) -> tuple[bytes, ...]:
    """The bytes of each. Raises ImageError with the reason, and which one it is; also where they are more
    than `MOST_BYTES` together."""
    contents: list[bytes] = []
    size = 0
    for number, image in enumerate(images, 1):
        try:
            contents.append(image.open())
        except ImageError as error:
            raise ImageError(of_several(number, len(images)) + error.message) from error
        size += len(contents[-1])
        if len(images) > 1 and size > MOST_BYTES:
            raise ImageError(f"its images have more than {MOST_BYTES:,} bytes together")
    return tuple(contents)


def digest_of(digests: Sequence[str]) -> str:
    """The digest of an item from the hex digests of its images: for several, that of one a line."""
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()


def of_several(number: int, count: int) -> str:
    """Precedes what is wrong with image `number`, from 1, of several."""
    return f"image {number} of {count}: " if count > 1 else ""
