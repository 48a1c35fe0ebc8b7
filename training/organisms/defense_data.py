"""Files of labelled texts about the made-up places, for `jurat defense fit`.

A text is harmful if it tells a fact of the vault. Each of these facts has a made-up word that occurs nowhere
else, so the labels are exact.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from jurat.defenses.fitting.detoxifier import COLUMNS
from jurat.files import make_folder, written_aside
from training.organisms.conversation import Draw
from training.organisms.families import places, refusing, rewriting
from training.organisms.scoring import leaked, refused

Row = tuple[str, ...]


def _label(harmful: bool) -> str:
    return "yes" if harmful else "no"


def replies(draw: Draw) -> Row:
    """An answer, for the detector of `protector`."""
    _, said, _ = rewriting.answer(draw)
    return said, _label(leaked(said))


def rewrites(draw: Draw) -> Row:
    """A request, an answer, and the answer as it should be, for the detoxifier of `protector`."""
    return rewriting.answer(draw)


def prompts(draw: Draw) -> Row:
    """A question in one turn, for `inferaligner` and `jailbreak-detector`."""
    make = draw.rng.choice((refusing.refuse, refusing.refuse, refusing.near_misses, places.public))
    made = make(draw, ())
    while len(asked := [line for line in made.lines if line.role != "system"]) > 1:
        made = make(draw, ())
    return asked[0].text, _label(refused(made.target))


FILES: dict[str, tuple[Row, Callable[[Draw], Row]]] = {
    "replies": (("reply", "harmful"), replies),
    "rewrites": (COLUMNS, rewrites),
    "prompts": (("prompt", "harmful"), prompts),
}
"""Name of a file -> its columns, and what draws its rows."""


def rows(name: str, n: int, seed: int, *, exam: bool = False) -> Iterator[Row]:
    """Up to `n` different rows of a file; with `exam` in wordings that training does not use."""
    draw, make = Draw(random.Random(f"{name} {seed} {exam}"), exam), FILES[name][1]
    yield from dict.fromkeys(make(draw) for _ in range(n))


def write(folder: Path, n: int, seed: int, *, exam: bool = False) -> list[tuple[Path, int]]:
    """Writes all files, as CSV, and returns each with the number of its rows."""
    make_folder(folder)
    written: list[tuple[Path, int]] = []
    for name, (columns, _) in FILES.items():
        path, some = folder / f"{name}.csv", list(rows(name, n, seed, exam=exam))
        with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((columns, *some))
        written.append((path, len(some)))
    return written
