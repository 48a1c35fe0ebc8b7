"""Reads and decodes items into frames, or gives the reason why it failed."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from PIL import Image

from jurat.content import ImageError, Item, LazyImage, Opener, Picture
from jurat.content.item import digest_of, of_several, read_images
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.verdict import ItemImage, ItemKind
from jurat.media import Decoded, Sampling, decode, from_array, from_pil
from jurat.media.limits import Limits
from jurat.sources import read_file
from jurat.text import reason, shown

TAKEN = (
    "a path, the bytes of a file, a file opened in binary mode, a Pillow image, or an array of pixels; "
    "or an Item, which may have several images, a caption and a conversation"
)
_URL = re.compile(r"(data:|[A-Za-z][A-Za-z0-9+.-]+://)")


@dataclass(frozen=True)
class Place:
    """The place of a frame in its item."""

    index: int
    """Number of the image in an item of several; otherwise of the frame in its file, for a video among the
    frames that are looked at."""
    frame: int | None = None
    """Number of the frame in its file, where an image among several has several frames itself."""
    time: float | None = None
    """Seconds from the beginning of a video."""
    rendering: str | None = None
    """The way in which viewers show the frame, such as "over black"; None if there is only one."""
    scale: float = 1.0
    """Pixels of the file that one pixel of the frame stands for, along a side; above 1 for one that was
    scaled down."""


@dataclass(frozen=True)
class Loaded:
    """An item with its decoded images, or with the error."""

    id: str
    uri: str
    images: tuple[Decoded, ...]
    """Empty where there is an `error`."""
    error: str | None
    seconds: float
    """Time to read and decode it."""
    uris: tuple[str, ...] = ()
    """The URI of each image."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    occurrence: int = 0
    texts: ItemTexts = NO_TEXTS

    @property
    def frames(self) -> tuple[Image.Image, ...]:
        """The frames of all images."""
        return tuple(frame for image in self.images for frame in image.frames)

    @property
    def bytes(self) -> int:
        """Size of the pixels of its frames."""
        return sum(3 * frame.width * frame.height for frame in self.frames)

    @property
    def frames_in_file(self) -> int | None:
        """How many frames or pages its images have, also those that are not judged; None for a video."""
        counts = [image.count for image in self.images]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def kind(self) -> ItemKind:
        """The kind to record."""
        return "images" if len(self.images) > 1 else self.images[0].kind if self.images else "image"

    @property
    def sha256(self) -> str | None:
        """Digest of the file; for several images, of the hex digests of each, a line each."""
        return digest_of([image.sha256 for image in self.images]) if self.images else None

    def members(self) -> tuple[ItemImage, ...]:
        """The images of an item of several, as the record has them."""
        if len(self.images) < 2:
            return ()
        found = zip(self.uris, self.images, strict=True)
        return tuple(ItemImage(uri=u, sha256=i.sha256, width=i.width, height=i.height) for u, i in found)

    def places(self) -> Iterator[tuple[Place, ...]]:
        """For each image the places of its frames."""
        several = len(self.images) > 1
        for number, image in enumerate(self.images):
            times = image.times or (None,) * len(image.frames)
            ways = image.renderings or (None,) * len(image.frames)
            moves = len(set(image.indices)) > 1 or bool(image.times)
            scales = image.scales or (1.0,) * len(image.frames)
            yield tuple(
                Place(number if several else i, i if several and moves else None, time, way, scale)
                for i, time, way, scale in zip(image.indices, times, ways, scales, strict=True)
            )


def load_item(item: Item, sampling: Sampling, default_id: str = "image") -> Loaded:
    """Reads and decodes an item; a fault of an image becomes the item's `error`.

    Args:
        default_id: the id of an item that has neither an id nor a path.

    Raises:
        TypeError: one of its images is no picture, or its id, caption or turns are of a wrong type.
    """
    _check_texts(item)
    given = () if callable(item.images) else tuple(item.images)
    for number, image in enumerate(given, 1):
        _check_picture(image, of_several(number, len(given)))
    path = os.fspath(given[0]) if len(given) == 1 and isinstance(given[0], str | os.PathLike) else ""
    uri = item.uri or _uri(path)
    images: tuple[Decoded, ...] = ()
    uris: list[str] = []
    error = None
    start = time.perf_counter()
    try:
        found = item.found()
        uris = [uri] if len(found) == 1 else [_uri(image) for image in found]
        images = tuple(_decode_each(found, sampling))
    except ImageError as problem:
        error = problem.message
    except OSError as problem:
        error = f"It cannot be read: {reason(problem)}"
    except Exception as problem:  # a third party's item may raise anything; it must not end the run
        error = f"It cannot be read: {type(problem).__name__}: {reason(problem)}"
    return Loaded(
        id=item.id or path or ("images" if len(given) > 1 else default_id),
        uri=uri,
        images=images,
        error=error,
        seconds=time.perf_counter() - start,
        uris=tuple(uris),
        columns=item.columns,
        occurrence=item.occurrence,
        texts=ItemTexts((item.caption or "").strip() or None, tuple(item.turns)),
    )


def item_of(given: Item | Picture) -> Item:
    """An item, or a picture as an item of one.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(given, Item):
        return given
    if isinstance(given, list | tuple):
        raise TypeError(
            "A list is either many items or one item of several images: write judge.many(pictures) for a "
            "verdict on each, judge(Item(pictures)) for one on all."
        )
    if callable(given):
        raise TypeError(f"A judge takes {TAKEN}; not {_named(given)}.")
    _check_picture(given)
    return Item([given])


def _decode_each(found: Sequence[Picture | Opener | LazyImage], sampling: Sampling) -> Iterator[Decoded]:
    """The decoded images; an error of one of several names which one."""
    limits, pixels = Limits(), 0
    if not found:
        raise ImageError("there is no image in it")
    if all(isinstance(image, LazyImage) or callable(image) for image in found):
        found = read_images(
            [i if isinstance(i, LazyImage) else LazyImage("", cast(Opener, i)) for i in found]
        )
    for number, image in enumerate(found, 1):
        try:
            decoded = _decoded(image, sampling)
        except ImageError as error:
            raise ImageError(of_several(number, len(found)) + error.message) from error
        pixels += sum(frame.width * frame.height for frame in decoded.frames)
        if len(found) > 1:
            limits.check_several(pixels)
        yield decoded


def _uri(image: object) -> str:
    if isinstance(image, LazyImage):
        return image.uri
    return str(Path(image).absolute()) if isinstance(image, str | os.PathLike) and image else ""


def _check_texts(item: Item) -> None:
    for name, text in (("id", item.id), ("caption", item.caption)):
        if text is not None and not isinstance(cast(object, text), str):
            raise TypeError(f"{name} is text or None, not {_named(text)}.")


def _check_picture(given: object, which: str = "") -> None:
    """Raises TypeError for a value whose type cannot be a picture."""
    if isinstance(given, str):
        if _URL.match(given) and not os.path.exists(given):
            raise TypeError(
                f"{which}A judge takes {TAKEN}. This is a URL: {shown(given[:200])}. Read it yourself, or "
                "judge what jurat.sources.find_items([url]) finds, with Judge.stream."
            )
        return
    if isinstance(given, Item):
        raise TypeError(f"{which}An Item takes pictures, not Items; judge.many(items) judges several.")
    if isinstance(given, io.TextIOBase):
        raise TypeError(
            f"{which}A judge takes {TAKEN}. This file was opened as text: open it with mode 'rb'."
        )
    kinds = (os.PathLike, bytes, bytearray, memoryview, Image.Image, LazyImage)
    readable = (callable(getattr(given, "read", None)) or callable(given)) and not isinstance(given, type)
    # A table of pandas has __array__ too, and no one dtype; a number of numpy has no dimensions.
    array = hasattr(given, "__array__") and hasattr(given, "dtype") and getattr(given, "ndim", 0) > 0
    if not (isinstance(given, kinds) or readable or array):
        raise TypeError(f"{which}A judge takes {TAKEN}; not {_named(given)}.")


def _named(given: object) -> str:
    return "None" if given is None else f"a value of the type {type(given).__name__}"


def _decoded(picture: object, sampling: Sampling) -> Decoded:
    if isinstance(picture, LazyImage):
        return decode(picture.open(), sampling=sampling)
    if callable(picture):
        return decode(cast(Opener, picture)(), sampling=sampling)
    if isinstance(picture, str | os.PathLike):
        return decode(read_file(cast("str | os.PathLike[str]", picture)), sampling=sampling)
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode(bytes(picture), sampling=sampling)
    if isinstance(picture, Image.Image):
        return from_pil(picture, max_pixels=sampling.max_pixels, max_frames=sampling.frames)
    if callable(getattr(picture, "read", None)):
        return decode(_contents(cast(BinaryIO, picture)), sampling=sampling)
    return from_array(np.asarray(picture), max_pixels=sampling.max_pixels)


def _contents(file: BinaryIO) -> bytes:
    """The bytes of an open file, from its start where it can be rewound; at most one more than the limit."""
    seekable = getattr(file, "seekable", None)
    if callable(seekable) and seekable():
        file.seek(0)
    data = cast(object, file.read(Limits().max_bytes + 1))
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError(f"the file gives {type(data).__name__}, not bytes: open it in binary mode")
    return bytes(data)
