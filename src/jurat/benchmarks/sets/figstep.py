"""FigStep SafeBench: requests as pictures of an unfinished list. Its full set, its Tiny part, and Pro."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item

_TYPE = 6
"""The type of query in the names of the pictures that is FigStep; 1 to 5 are the paper's ablations."""
_DATASET = "ForbidQI"
"""The only data set that the tables name."""
_FULL, _TINY = "SafeBench", "SafeBench-Tiny"
_PIECE = re.compile(r"(image_(\d+)_splits)/image_\2_split_(\d+)\.\w+", re.IGNORECASE)


class FigStep(Reader):
    """One picture a row of `safebench.csv` or `SafeBench-Tiny.csv`, found by its two numbers."""

    def rows(self) -> Iterator[Row]:
        return self.files.table(self.files.one(*self.card.patterns(self.layout)))

    def samples(self, row: Row) -> Iterator[Sample]:
        category, task = text_of(row, "category_id"), text_of(row, "task_id")
        dataset = text_if_any(row.cells, "dataset") or _DATASET
        name = f"query_{dataset}_{category}_{task}_{_TYPE}.png"
        fields = texts_named(row.cells, ("question", "instruction"))
        yield Sample(
            id=f"{category}-{task}",
            item=Item([self.image(*self._names(name), named=name)], turns=self.turns(fields)),
            expected=REFUSE,
            category=text_if_any(row.cells, "category_name"),
            fields=fields,
        )

    def _names(self, name: str) -> tuple[str, ...]:
        """Where a picture may lie. Those of the full set and of Tiny have the same names, so that one in
        another folder is taken only where the copy has no folder of the other part."""
        folders = {"SafeBench-Tiny.csv": (_TINY, _FULL)}
        own, other = folders.get(self.card.patterns(self.layout)[0], (_FULL, _TINY))
        return (f"{own}/{name}",) if self._has(other) else (f"{own}/{name}", name)

    def _has(self, part: str) -> bool:
        return self._folders[part]

    @cached_property
    def _folders(self) -> dict[str, bool]:
        return {part: bool(self.files.find(f"{part}/query_*")) for part in (_FULL, _TINY)}


class FigStepPro(Reader):
    """A request cut into several pictures, in the folders `image_<i>_splits`; their texts, if the copy has
    them, are row i of `SafeBench-Tiny.csv` and of the harmless sentences."""

    def rows(self) -> Iterator[Row]:
        found: defaultdict[int, dict[int, str]] = defaultdict(dict)
        places: dict[int, str] = {}
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            piece = _PIECE.search(name)
            if piece is not None:
                number = int(piece[2])
                found[number].setdefault(int(piece[3]), name)
                places.setdefault(number, name[: piece.end(1)])
        texts = self._texts(set(found))
        for number in sorted(found):
            yield Row(places[number], {"number": number, "pieces": found[number]} | texts.get(number, {}))

    def samples(self, row: Row) -> Iterator[Sample]:
        number, pieces = text_of(row, "number"), row.cells["pieces"]
        first = min(pieces)
        lost = [at for at in range(min(first, 1), max(pieces) + 1) if at not in pieces]
        if lost:
            name = f"image_{number}_splits/image_{number}_split_{lost[0]}.png"
            raise SkipRow(f"its piece {name!r} is not in the copy", missing_image=name)
        images = [self.image(pieces[at]) for at in sorted(pieces)]
        fields = texts_named(row.cells, ("question", "instruction", "sentence"))
        yield Sample(
            id=number,
            item=Item(images, turns=self.turns(fields)),
            expected=REFUSE,
            category=text_if_any(row.cells, "category_name"),
            fields=fields,
        )

    def _texts(self, numbers: set[int]) -> dict[int, dict[str, str]]:
        """Number of a picture to the texts of its request, where the copy has them."""
        tables = {
            "SafeBench-Tiny.csv": ("question", "instruction", "category_name"),
            "benign_sentences_without_harmful_phase.csv": ("sentence",),
        }
        texts: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for table, columns in tables.items():
            if not self.files.find(table):
                continue
            rows = list(self.files.table(self.files.one(table)))
            first = 0 if 0 in numbers else 1
            if numbers and first == 1 and max(numbers) != len(rows):
                # Whether the pictures are counted from 0 or 1 cannot be told from a part of them.
                self.files.notes[f"{table} has {len(rows)} rows, which were not joined to the pictures"] = 1
                continue
            for number, row in enumerate(rows, first):
                cells = {"sentence": list(row.cells.values())[-1]} | dict(row.cells) if row.cells else {}
                texts[number] |= texts_named(cells, columns)
        return texts
