"""Attacks on prompts of text-to-image models as a run: what was found for each prompt of a file, and random
tokens beside it, the control."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.attacks.methods.ring_a_bell import RingABell, concept_direction, random_prompts
from jurat.content import Item
from jurat.errors import JuratError
from jurat.files import written_aside
from jurat.metrics.row_files import read_rows
from jurat.models import full_name
from jurat.models.text_to_image import picture_seed
from jurat.runs import RowSchema, Run
from jurat.runs import read_rows as read_run
from jurat.runs.arrow import ArrowSchema
from jurat.text import shown

if TYPE_CHECKING:
    from jurat.models.diffusion.text_encoder import TextEncoder

__all__ = ["PROMPT_ROWS", "PromptAttacker", "read_texts"]

TABLE = "prompts.csv"
"""File in a run's folder: the columns `prompt`, `attacked` and `random`."""


def _arrow() -> ArrowSchema:
    import pyarrow as pa

    texts, numbers = ("id", "uri", "outcome", "error", "prompt", "text"), ("seconds",)
    distances = ("distance", "text_distance", "prompt_distance")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in ("occurrence", "generations", "encoded")),
            *((name, pa.float64()) for name in (*distances, *numbers)),
            ("ids", pa.list_(pa.int64())),
        ]
    )


PROMPT_ROWS = RowSchema(_arrow, error_values={"ids": []})
"""A row a prompt, with what a `FoundPrompt` holds. `outcome` is "nearer" where the found text, read again, is
nearer to the target than the prompt itself, else "farther"."""


@dataclass(frozen=True)
class PromptAttacker:
    """An attack on prompts with a text encoder, and what it is to bring back."""

    attack: RingABell
    name: str
    """The attack as it was named, with its settings."""
    encoder: TextEncoder
    pairs: Sequence[tuple[str, str]]
    """Texts with the concept and without it."""
    prompts: Sequence[str]
    seed: int = 0

    def open_run(self, folder: Path, *, fresh: bool = False) -> Run:
        """A folder for the rows: a new run, or one that is resumed.

        Raises:
            JuratError: as `Run` does; or the attack cannot be run, which leaves the folder as it is.
        """
        self.attack.check(self.encoder)
        direction = concept_direction(self.encoder, self.pairs)
        for prompt in self.prompts:
            self.attack.target(self.encoder, direction, prompt)
        picture_seed(self.seed, 0)
        settings = {
            "attack": self.name,
            "attack_settings": asdict(self.attack),
            "text_encoder": full_name(self.encoder),
            "pairs": [list(pair) for pair in self.pairs],
            "prompts": list(self.prompts),
            "seed": self.seed,
        }
        return Run(folder, PROMPT_ROWS, settings, fresh=fresh)

    def rows(self, run: Run, most: int | None = None) -> Iterator[dict[str, Any]]:
        """Searches for each prompt that has no row yet; yields the rows.

        Args:
            most: only the first so many prompts.
        """
        direction = concept_direction(self.encoder, self.pairs)
        places = range(len(self.prompts))[:most]
        for item in run.pending(Item(id=str(place)) for place in places):
            place = int(item.id)
            (found,) = self.attack.run(self.encoder, direction, [self.prompts[place]], self.seed, first=place)
            nearer = found.text_distance < found.prompt_distance
            row = {"id": item.id, "occurrence": item.occurrence, "uri": item.uri, "error": None}
            row |= {"outcome": "nearer" if nearer else "farther", **asdict(found), "ids": list(found.ids)}
            run.write(row)
            yield row

    def random(self) -> list[str]:
        """As many random tokens for each prompt, the control."""
        return random_prompts(self.encoder, self.attack.length, len(self.prompts), self.seed + 1)

    def write_table(self, folder: Path) -> Path:
        """Writes `TABLE` from the rows of a finished run: each prompt, what was found, and random tokens."""
        found, drawn = {row["id"]: row["text"] for row in read_run(folder)}, self.random()
        with written_aside(folder / TABLE) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["prompt", "attacked", "random"])
            for place, (prompt, other) in enumerate(zip(self.prompts, drawn, strict=True)):
                table.writerow([prompt, found[str(place)], other])
        return folder / TABLE


def read_texts(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """The texts in some columns of a file of rows (.csv, .tsv, .jsonl, .json or .parquet).

    Raises:
        JuratError: it cannot be read, lacks a column, or a row has no text there.
    """
    table, place = read_rows(path), shown(str(path))
    if table.problems:
        raise JuratError(f"{place} cannot be used: {table.problems[0].place}: {table.problems[0].reason}.")
    if not table.rows:
        raise JuratError(f"{place} cannot be used: it has no rows.")
    if missing := [column for column in columns if column not in table.columns]:
        known = ", ".join(map(shown, table.columns))
        raise JuratError(f"{place} has no column {missing[0]!r}.", hint=f"Its columns: {known}")
    for number, row in zip(table.places, table.rows, strict=True):
        if not all(isinstance(text := row.get(column), str) and text.strip() for column in columns):
            raise JuratError(f"{place}, {number}: {' or '.join(columns)} holds no text.")
    return [tuple(row[column].strip() for column in columns) for row in table.rows]
