"""What a dimension's drafts are about: topics, key phrases, pictures of a folder, scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from jurat.benchmarks.building.spec import BuildSpec, Dimension, Scene
from jurat.benchmarks.drawing import png, scene
from jurat.benchmarks.drawn import visible
from jurat.benchmarks.protocol import single_frame
from jurat.content import ImageError
from jurat.errors import JuratError
from jurat.media import IMAGE_SUFFIXES
from jurat.media.hash_list import differing_bits, picture_hash
from jurat.text import shown

Kind = Literal["topic", "key_phrase", "image", "scene"]


@dataclass(frozen=True)
class SourceItem:
    """One source."""

    kind: Kind
    about: str
    """The topic, the key phrase, the statements of the scene, or the picture's file."""
    picture: Callable[[], Image.Image] | None = None
    """Reads or draws its picture; None for topics and key phrases."""
    twin: Callable[[], Image.Image] | None = None
    """Draws the scene that is like it and harmless, if the spec has one."""
    shown: bytes | None = None
    """The picture as PNG, where the writer is shown it."""


@dataclass(frozen=True)
class LeftOutSource:
    """A picture of a folder about which nothing is drafted."""

    name: str
    reason: str


def source_items(
    spec: BuildSpec, name: str, dimension: Dimension, folder: Path
) -> tuple[list[SourceItem], list[LeftOutSource]]:
    """The sources of a dimension in a random order that depends on the seed, and those left out.

    Args:
        folder: where the spec's file is.

    Raises:
        JuratError: there is none.
    """
    found, left_out = list(_texts(dimension)), list[LeftOutSource]()
    found += [_scene_item(spec, f"{name}/{at}", each) for at, each in enumerate(dimension.sources.scenes)]
    if dimension.sources.images is not None:
        pictures, left_out = _images(folder / dimension.sources.images, spec.filters.picture_bits)
        found += pictures
    if not found:
        where = shown(str(dimension.sources.images))
        raise JuratError(f"The dimension {name!r} has no source: no picture of {where} can be used.")
    order = np.random.default_rng(_seed(spec, name)).permutation(len(found))
    return [found[at] for at in order], left_out


def _texts(dimension: Dimension) -> Iterator[SourceItem]:
    for text in dict.fromkeys(dimension.sources.topics):
        yield SourceItem("topic", text)
    for text in dict.fromkeys(dimension.sources.key_phrases):
        yield SourceItem("key_phrase", text)


def _scene_item(spec: BuildSpec, name: str, source: Any) -> SourceItem:
    seed = _seed(spec, name)
    twin = None if source.near_miss is None else partial(_scene, spec, source.near_miss, (*seed, 1))
    picture = partial(_scene, spec, source, (*seed, 0))
    for draw in (picture, twin):  # a scene that cannot be is reported before anything is asked
        if draw is not None:
            draw()
    return SourceItem("scene", source.about, picture, twin)


def _scene(spec: BuildSpec, wanted: Scene, seed: Sequence[int]) -> Image.Image:
    named = wanted.about.lower()
    absent = [thing for thing in spec.only_where_named if thing.lower() not in named]
    truths = [(text, True) for text in wanted.shows] + [(text, False) for text in wanted.hides]
    truths += [(visible(*absent), False)] if absent else []
    try:
        return scene(truths, seed)
    except ValueError as error:
        raise JuratError(f"No scene shows {wanted.about!r}: {error}.") from error


def _seed(spec: BuildSpec, name: str) -> tuple[int, int]:
    """Numbers for a part of the set that do not depend on the other parts."""
    return spec.seed, int.from_bytes(sha256(name.encode()).digest()[:6], "big")


def _images(folder: Path, bits: int) -> tuple[list[SourceItem], list[LeftOutSource]]:
    """The pictures of a folder by name; duplicates of earlier ones and unreadable ones are left out."""
    if not folder.is_dir():
        raise JuratError(f"There is no folder {shown(str(folder))}.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    items: list[SourceItem] = []
    left_out: list[LeftOutSource] = []
    hashes: list[tuple[str, Any]] = []
    seen: dict[str, str] = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            data = path.read_bytes()
            picture = single_frame(data).convert("RGB")
        except (ImageError, OSError) as error:
            left_out.append(LeftOutSource(name, f"it cannot be read: {error}"))
            continue
        first = seen.setdefault(sha256(picture.tobytes()).hexdigest(), name)
        hash = picture_hash(np.asarray(picture))
        if first != name:
            left_out.append(LeftOutSource(name, f"it is the same picture as {first}"))
        elif (near := _nearest(hashes, hash, bits)) is not None:
            left_out.append(LeftOutSource(name, f"it is a near duplicate of {near}"))
        else:
            hashes += [] if hash is None else [(name, hash)]
            items.append(SourceItem("image", name, partial(_read, path), shown=png(picture)))
    return items, left_out


def _read(path: Path) -> Image.Image:
    return single_frame(path.read_bytes()).convert("RGB")


def _nearest(hashes: Sequence[tuple[str, Any]], hash: Any, bits: int) -> str | None:
    if hash is None or not hashes:
        return None
    distances = differing_bits(np.stack([each for _, each in hashes]), hash)
    at = int(distances.argmin())
    return hashes[at][0] if distances[at] <= bits else None
