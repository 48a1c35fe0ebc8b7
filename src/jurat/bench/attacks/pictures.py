"""The pictures of a run: clean scenes for each goal, and scenes that show what the goal is about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

from jurat.attacks.pictures import read_png
from jurat.bench.attacks.goals import Task, TaskGoal
from jurat.bench.pictogram.items import drawing
from jurat.content import Item, LazyImage
from jurat.errors import JuratError
from jurat.files import make_folder, write_whole, written_aside
from jurat.pictograms.composing import compose
from jurat.pictograms.reading import parse
from jurat.sources import read_file

__all__ = ["GoalPictures", "keep_pictures"]

_STREAM = 9
"""Random numbers that no split of Pictogram Bench and no suite of injections takes."""


@dataclass(frozen=True)
class GoalPictures:
    """The pictures of a goal, as PNG files."""

    absent: tuple[Path, ...]
    """The clean pictures, which are attacked: the statements `absent` of the task are false of them."""
    present: tuple[Path, ...]
    """As many for which the statements `present` hold. The first is the trigger of attacks that want an
    image."""

    def items(self, goal: TaskGoal) -> list[Item]:
        """The clean pictures as items of a run; their ids do not depend on the folder."""
        return [
            Item(
                [LazyImage(str(path), partial(read_file, path))], id=f"{goal.name}-{path.stem}", uri=str(path)
            )
            for path in self.absent
        ]

    @property
    def trigger(self) -> Image.Image:
        return read_png(self.present[0])


def keep_pictures(folder: Path, task: Task, goal: TaskGoal, seed: int, count: int) -> GoalPictures:
    """`count` pictures of each kind, drawn into the folder where they are not there yet. The same seed draws
    the same pictures, whatever their number. Of several processes one draws, and the others wait for it.

    Raises:
        JuratError: no scene is as the task wants it, or the folder has pictures of other statements.
    """
    lists: list[tuple[Path, ...]] = []
    for kind, texts, truth in (("absent", task.absent, False), ("present", task.present, True)):
        own = folder / f"{task.name}-{goal.name}-{seed}" / kind
        paths = tuple(own / f"{number:03d}.png" for number in range(count))
        statements = [goal.filled(text) for text in texts]
        with drawing(own):
            make_folder(own)
            _check_same(own, statements)
            for number, path in enumerate(paths):
                if not path.exists():
                    key = [seed, _STREAM, crc32(f"{task.name}/{goal.name}/{kind}".encode()), number]
                    _draw(path, statements, truth, key)
        lists.append(paths)
    return GoalPictures(*lists)


def _check_same(folder: Path, statements: Sequence[str]) -> None:
    """Keeps for which statements a folder's pictures are drawn. Raises JuratError where it is for others:
    rows that were made on its pictures would be taken for rows of these."""
    path = folder / "statements.json"
    if not path.exists():
        write_whole(path, json.dumps(statements) + "\n")
    elif path.read_text() != json.dumps(statements) + "\n":
        raise JuratError(
            f"{folder} has pictures that were drawn for other statements of the same goal.",
            hint="Name another --out, or give the goal another name.",
        )


def _draw(path: Path, texts: Sequence[str], truth: bool, key: Sequence[int]) -> None:
    try:
        scene = compose([(parse(text), truth) for text in texts], np.random.default_rng(key))
    except ValueError as error:
        raise JuratError(f"A goal's pictures cannot be drawn: {error}.") from error
    with written_aside(path) as aside:
        scene.image.save(aside, format="PNG")
