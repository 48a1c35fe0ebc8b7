"""Scenes of the diffusion model: one or two of twelve objects on a plain ground, small and large enough to be
told apart. Scene number i of a folder is drawn with the seed `FIRST_SEED + i`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from jurat.files import make_folder
from jurat.pictograms.objects import NUMBER
from jurat.pictograms.scene import Look, Scene, Wish, draw
from training.parallel import in_shares
from training.scenes.composition import together
from training.stages import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_SEED = 4_000_000_000
"""Seed of the first scene, above those of all other scenes of training and below those of the exams."""
NAMES = (
    "dog",
    "cat",
    "horse",
    "car",
    "bicycle",
    "apple",
    "banana",
    "tree",
    "ball",
    "kitchen knife",
    "umbrella",
    "guitar",
)
"""The objects that it knows."""
SIDE = 48
"""Side of a picture in pixels."""
MOST = 2
"""Objects in a scene at most."""
LOOK = Look(sides=(40.0, 60.0), tilt=12.0)
"""In units of 1/128 of the side."""
GROUNDS = ("flat", "gradient")
_KINDS = tuple(NUMBER[name] for name in NAMES)
_FIELDS: dict[str, tuple[tuple[int, ...], str]] = {
    "pixels": ((SIDE, SIDE, 3), "uint8"),
    "kinds": ((MOST,), "int8"),  # class number; -1 where there is no object
}


@dataclass
class Scenes:
    """Scenes that were drawn ahead, memory-mapped."""

    pixels: NDArray[np.uint8]
    kinds: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def trained_on(self) -> int:
        """Number of scenes that are trained on, the first ones; the others are held out."""
        return len(self) - min(512, len(self) // 8)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """Pictures in [-1, 1]: (rows, 3, SIDE, SIDE)."""
        pixels = torch.from_numpy(np.array(self.pixels[rows]))
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1

    def of(self, row: int) -> list[int]:
        """The classes of a scene."""
        return [int(kind) for kind in self.kinds[row] if kind >= 0]


def draw_scene(rng: np.random.Generator) -> Scene:
    """One object, or with equal chance two different ones."""
    count = int(rng.integers(1, MOST + 1))
    kinds = together([int(kind) for kind in rng.choice(_KINDS, count, replace=False)])
    ground = str(rng.choice(GROUNDS))
    return draw(rng, [Wish(kind) for kind in kinds], size=SIDE, texture=ground, look=LOOK)


def scenes_for(task: Task) -> Scenes:
    """The scenes of a stage, as many as its setting `scenes`; drawn by the first process that asks."""
    count = int(task.stage.settings["scenes"])
    root = task.work / "diffusion"
    make_folder(root)
    folder = root / f"scenes-{count}"
    with FileLock(root / "lock"):
        if not folder.exists():
            print(f"drawing {count} scenes", flush=True)
            _fill(folder, count)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FIELDS}
    return Scenes(arrays["pixels"], np.array(arrays["kinds"]))


def _fill(folder: Path, count: int) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, (shape, kind) in _FIELDS.items():
        np.lib.format.open_memmap(part / f"{name}.npy", "w+", kind, (count, *shape))
    # Few scenes are drawn before another process would have started.
    in_shares(partial(_share, part), count, workers=2 if count > 500 else 1)
    part.replace(folder)


def _share(folder: Path, first: int, last: int) -> None:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _FIELDS}
    for i in range(first, last):
        scene = draw_scene(np.random.default_rng(FIRST_SEED + i))
        arrays["pixels"][i] = scene.pixels
        arrays["kinds"][i] = [*scene.kinds, *[-1] * MOST][:MOST]
