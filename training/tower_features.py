"""Training scenes of CLIP and OWL-ViT, with the output of the bundled MLLM's vision tower for each.

Both models keep the tower frozen, so its output is computed once a scene and stored beside the scenes.
Scene number i of a folder is drawn with the seed `start + i`.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from jurat.files import make_folder
from jurat.pictograms.objects import CLASSES
from jurat.pictograms.scene import MOST, SIDE, Scene, draw
from training.lineage import load_parts
from training.mllm.architecture import PATCHES, WIDTH, build
from training.mllm.tower import pixel_values
from training.parallel import in_shares
from training.stages import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import CLIPVisionModel

FIRST_SEED = 2_000_000_000
"""Seed of the first training scene of CLIP and OWL-ViT; other training uses smaller ones."""
DEVELOPMENT_SEED = 2_900_000_000
"""Seed of the first development scene, on which thresholds are chosen."""

FIELDS: dict[str, tuple[tuple[int, ...], str]] = {
    "pixels": ((SIDE, SIDE, 3), "uint8"),
    "kinds": ((MOST,), "int8"),  # class number; -1 where there is no object
    "boxes": ((MOST, 4), "float32"),  # left, top, right, bottom of the drawn pixels, as shares of the side
}


@dataclass
class TowerFeatures:
    """Output of the tower for n scenes, with their facts."""

    states: NDArray[np.float16]
    """Output of the tower's last layer, class token first: (n, 1 + PATCHES, WIDTH)."""
    kinds: NDArray[np.int8]
    boxes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def present(self) -> Tensor:
        """Whether each class is there: (n, CLASSES) bool."""
        table = torch.zeros(len(self), CLASSES + 1, dtype=torch.bool)
        table.scatter_(1, torch.from_numpy(self.kinds.astype(np.int64)) % (CLASSES + 1), True)
        return table[:, :CLASSES]

    @property
    def trained_on(self) -> int:
        """Number of scenes that are trained on, the first ones; the others are held out."""
        return max(1, len(self) - min(512, len(self) // 10))

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """States of some scenes in float32: (B, 1 + PATCHES, WIDTH)."""
        return torch.from_numpy(np.asarray(self.states[rows], np.float32))


def load_tower(stage: Path) -> CLIPVisionModel:
    """The vision tower of a finished stage of an MLLM, in float32 and evaluation mode."""
    tower, own = new_tower(), "model.vision_tower."
    weights = load_parts(stage)["model"].items()
    tower.load_state_dict({name.removeprefix(own): w for name, w in weights if name.startswith(own)})
    return tower


def new_tower() -> CLIPVisionModel:
    """A vision tower with fresh weights."""
    tower: Any = build(CLASSES).model.vision_tower
    return tower.eval()


def tower_digest(tower: CLIPVisionModel) -> str:
    """The first twelve hex digits of the SHA-256 of the weights in bfloat16."""
    digest = hashlib.sha256()
    for name, value in sorted(tower.state_dict().items()):
        digest.update(name.encode() + value.to(torch.bfloat16).view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:12]


@torch.inference_mode()
def states_of(tower: CLIPVisionModel, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
    """The tower's output for images of (n, SIDE, SIDE, 3): (n, 1 + PATCHES, WIDTH)."""
    made = np.empty((len(pixels), 1 + PATCHES, WIDTH), np.float16)
    for first in range(0, len(pixels), 64):
        batch = pixel_values(torch.from_numpy(np.array(pixels[first : first + 64])))
        made[first : first + 64] = tower(batch).last_hidden_state.half().numpy()
    return made


def truth_of(scene: Scene) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A scene's `kinds` and `boxes`, as in `FIELDS`."""
    kinds, boxes = np.full(MOST, -1, np.int8), np.zeros((MOST, 4), np.float32)
    for i, thing in enumerate(scene.objects):
        kinds[i], boxes[i] = thing.kind, np.array(thing.box) / thing.mask.shape[0]
    return kinds, boxes


def compute_features(
    folder: Path, tower: CLIPVisionModel, start: int, count: int, workers: int = 2
) -> TowerFeatures:
    """Draws scenes into `folder` and computes the tower's output; reuses what is already there."""
    scenes = folder / f"scenes-{start}-{count}"
    if not scenes.exists():
        print(f"drawing {count} scenes", flush=True)
        _fill(scenes, start, count, workers)
    arrays = {name: np.load(scenes / f"{name}.npy", mmap_mode="r") for name in FIELDS}
    states = scenes / f"states-{tower_digest(tower)}.npy"
    if not states.exists():
        print(f"the tower looks at {count} scenes", flush=True)
        part = states.with_suffix(".part")
        with part.open("wb") as stream:
            np.save(stream, states_of(tower, arrays["pixels"]))
        part.replace(states)
    return TowerFeatures(np.load(states, mmap_mode="r"), np.array(arrays["kinds"]), np.array(arrays["boxes"]))


def features_for(task: Task) -> tuple[TowerFeatures, CLIPVisionModel]:
    """Features of a stage's scenes from its parent's tower, and that tower; one process at a time."""
    parent = task.parent()
    assert parent is not None
    tower = load_tower(parent)
    folder = task.work / "clip-and-owl"
    make_folder(folder)
    with FileLock(folder / "lock"):
        count = task.stage.settings["scenes"]
        # Few scenes are drawn before another process would have started.
        return compute_features(folder, tower, FIRST_SEED, count, workers=2 if count > 500 else 1), tower


def _fill(folder: Path, start: int, count: int, workers: int) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, (shape, kind) in FIELDS.items():
        np.lib.format.open_memmap(part / f"{name}.npy", "w+", kind, (count, *shape))
    in_shares(partial(_share, part, start), count, workers)
    part.replace(folder)


def _share(folder: Path, start: int, first: int, last: int) -> None:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in FIELDS}
    for i in range(first, last):
        scene = draw(np.random.default_rng(start + i))
        kinds, boxes = truth_of(scene)
        arrays["pixels"][i], arrays["kinds"][i], arrays["boxes"][i] = scene.pixels, kinds, boxes
