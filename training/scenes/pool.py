"""Scenes drawn ahead of training, with their truth as arrays, memory-mapped from a folder.

Scene number i of a pool is drawn with the seed `start + i`, so that two pools with disjoint ranges
share nothing, and a pool can be drawn by several processes in parts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from jurat.pictograms.scene import MOST, NEAR, SIDE, Scene
from jurat.pictograms.statements import UNKNOWN, Facts
from training.parallel import in_shares
from training.scenes.composition import compose

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 16
"""Number of cells along a side of the dense targets; a cell is 8 x 8 scene units."""

FIELDS: dict[str, tuple[tuple[int, ...], str]] = {
    "pixels": ((SIDE, SIDE, 3), "uint8"),
    "kinds": ((MOST,), "int8"),  # class number, or UNKNOWN; -1 where there is no object
    "centres": ((MOST, 2), "float32"),  # x, y in scene units
    "areas": ((MOST,), "float32"),  # square units
    "gaps": ((MOST, MOST), "float32"),  # scene units; 0 where a pair touches
    "cover": ((MOST, CELLS, CELLS), "uint8"),  # uncovered pixels of each object in each cell
    "contact": ((CELLS, CELLS), "uint8"),  # bit i: object i overlaps another one in this cell
    "seam": (
        (CELLS, CELLS),
        "uint8",
    ),  # bit i: object i comes nearest to another one here without touching it
    "foreign": (
        (CELLS, CELLS),
        "uint8",
    ),  # pixels of an unknown background in each cell, covered ones included
}


def _cells(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels of a mask in each cell, of those of a scene of `SIDE` pixels."""
    if len(mask) != SIDE:
        mask = np.asarray(Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    return mask.reshape(CELLS, SIDE // CELLS, CELLS, SIDE // CELLS).sum((1, 3))


def measure(scene: Scene) -> dict[str, NDArray[np.generic]]:
    """Facts of one scene as arrays, by the names in `FIELDS`; its pixels are scaled to `SIDE`."""
    row = {name: np.zeros(shape, kind) for name, (shape, kind) in FIELDS.items()}
    row["pixels"][:] = np.asarray(scene.image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    row["kinds"][:] = -1
    for i, thing in enumerate(scene.objects):
        row["kinds"][i], row["areas"][i] = thing.kind, thing.area
        row["centres"][i] = thing.x, thing.y
        row["cover"][i] = _cells(thing.visible)
        for j, other in enumerate(scene.objects[:i]):
            gap = scene.gap[i, j]
            row["gaps"][i, j] = row["gaps"][j, i] = gap
            bits = np.uint8(1 << i | 1 << j)
            if gap == 0:
                row["contact"][_cells(thing.mask & other.mask) > 0] |= bits
            elif gap < NEAR:
                row["seam"][_cells(thing.distance + other.distance < gap + 1) > 0] |= bits
    return row


@dataclass
class Pool:
    """Arrays over n scenes; the leading dimension of each is n."""

    arrays: dict[str, NDArray[np.generic]]

    def __len__(self) -> int:
        return len(self.arrays["kinds"])

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.arrays[name]

    @classmethod
    def open(cls, folder: Path) -> Pool:
        """Maps a pool that `fill` has written."""
        return cls({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in FIELDS})

    @classmethod
    def create(cls, folder: Path, count: int) -> Pool:
        folder.mkdir(parents=True, exist_ok=True)
        return cls(
            {
                name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (count, *shape))
                for name, (shape, kind) in FIELDS.items()
            }
        )


def load_batch(pools: Sequence[Pool], index: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
    """Rows of concatenated pools, by the names in `FIELDS`."""
    edges = np.cumsum([0, *map(len, pools)])
    which = np.searchsorted(edges, index, "right") - 1
    batch = {name: np.empty((len(index), *shape), kind) for name, (shape, kind) in FIELDS.items()}
    for w in np.unique(which):
        rows = which == w
        for name in FIELDS:
            batch[name][rows] = pools[w][name][index[rows] - edges[w]]
    return batch


def known_rows(pools: Sequence[Pool]) -> NDArray[np.intp]:
    """Numbers of the rows, in concatenated pools, that hold something known and nothing unknown."""
    kinds = np.concatenate([np.asarray(pool["kinds"], np.int64) for pool in pools])
    foreign = np.concatenate([np.asarray(pool["foreign"]).any((1, 2)) for pool in pools])
    return np.flatnonzero(~foreign & (kinds < UNKNOWN).all(1) & (kinds >= 0).any(1))


def facts_of(kinds: np.ndarray, centres: np.ndarray, areas: np.ndarray, gaps: np.ndarray) -> Facts:
    """Facts from the padded arrays of a pool's row."""
    there = np.flatnonzero(kinds >= 0)
    return Facts(kinds[there], centres[there], areas[there], gaps[np.ix_(there, there)])


def _part(folder: Path, start: int, known: bool, first: int, last: int) -> None:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in FIELDS}
    tags: Counter[str] = Counter()
    for i in range(first, last):
        composed = compose(np.random.default_rng(start + i), known=known)
        tags.update({*composed.tags})
        for name, value in measure(composed.scene).items():
            arrays[name][i] = value
        arrays["foreign"][i] = _cells(composed.foreign)
    (folder / f"tags-{first}.json").write_text(json.dumps(tags))


def fill(folder: Path, start: int, count: int, workers: int = 2, *, known: bool = False) -> Pool:
    """Draws scenes `start` .. `start + count - 1` into a new folder, with several processes; with `known`,
    those without anything unknown. One worker is this process itself.

    `tags.json` there counts the scenes by `Composed.tags`. An unfinished folder has another name.
    """
    aside = folder.with_name(f"{folder.name}.part")
    Pool.create(aside, count)
    in_shares(partial(_part, aside, start, known), count, workers)
    tags: Counter[str] = Counter()
    for each in sorted(aside.glob("tags-*.json")):
        tags.update(json.loads(each.read_text()))
        each.unlink()
    (aside / "tags.json").write_text(json.dumps(dict(sorted(tags.items())), indent=1) + "\n")
    aside.rename(folder)
    return Pool.open(folder)


assert UNKNOWN < 127, "class numbers are stored as int8"
