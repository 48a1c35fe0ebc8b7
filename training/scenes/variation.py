"""Scenes varied as they are read: turned and mirrored with their truth, in other sizes and qualities."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from jurat.pictograms.objects import CLASSES, OBJECTS
from jurat.pictograms.scene import SIDE

TURNED = 0.22
"""Share of scenes that are turned by one to three quarters; a third of it for scenes with signs."""
MIRRORED = 0.10
"""Share of scenes that are mirrored; 0 for scenes with signs."""
RESAMPLED = 0.25
"""Share of scenes that are scaled to another size and back."""
RELIT = 0.20
"""Share of scenes with another brightness and contrast."""
GREY = 0.08
"""Share of scenes without colour."""
COMPRESSED = 0.15
"""Share of scenes that are compressed as JPEG, at a quality of 25 to 90."""
_FILTERS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)


def vary(batch: dict[str, np.ndarray], row: int, rng: np.random.Generator) -> None:
    """Varies a row of a batch (`pool.FIELDS`), in place."""
    kinds = batch["kinds"][row]
    signs = bool(((kinds >= len(OBJECTS)) & (kinds < CLASSES)).any())
    chance = rng.random()
    if chance < TURNED and (not signs or chance < TURNED / 3):
        turn(batch, row, int(rng.integers(1, 4)), mirrored=not signs and rng.random() < 0.3)
    elif not signs and chance < TURNED + MIRRORED:
        turn(batch, row, 0, mirrored=True)
    batch["pixels"][row] = spoil(batch["pixels"][row], rng)


def turn(batch: dict[str, np.ndarray], row: int, quarters: int, *, mirrored: bool) -> None:
    """Mirrors a row left to right, then turns it anticlockwise by quarters, with its truth."""
    x, y = batch["centres"][row].T.copy()
    there = batch["kinds"][row] >= 0
    if mirrored:
        x = np.where(there, SIDE - x, x)
    for _ in range(quarters):
        x, y = y, np.where(there, SIDE - x, x)
    batch["centres"][row] = np.stack([x, y], 1)
    for name in ("pixels", "cover", "contact", "seam", "foreign"):
        value = batch[name][row]
        axes = (1, 2) if name == "cover" else (0, 1)
        value = np.flip(value, axes[1]) if mirrored else value
        batch[name][row] = np.rot90(value, quarters, axes).copy()


def spoil(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels degraded as in files of users: (SIDE, SIDE, 3) uint8, the shape they came in."""
    if rng.random() < RESAMPLED:
        pixels = resample(pixels, rng)
    if rng.random() < RELIT:
        value = (pixels.astype(np.float32) - 128) * rng.uniform(0.8, 1.15) + 128 + rng.uniform(-20, 20)
        pixels = np.clip(value, 0, 255).astype(np.uint8)
    if rng.random() < GREY:
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, 2)
    if rng.random() < COMPRESSED:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(25, 91)))
        pixels = np.asarray(Image.open(file).convert("RGB"))
    return pixels


def resample(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels scaled to another size, 80 to 320 pixels a side, and back."""
    side = int(rng.integers(80, 321))
    image = Image.fromarray(pixels).resize((side, side), _FILTERS[int(rng.integers(4))])
    return np.asarray(image.resize((SIDE, SIDE), _FILTERS[int(rng.integers(3))]))
