"""FigStep SafeBench: requests as pictures of an unfinished list. Its full set, its Tiny part, and Pro."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, text_of
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item

_TYPE = 6
"""The type of query in the names of the pictures that is FigStep; 1 to 5 are the paper's ablations."""


class FigStep(Reader):
    """One picture a row of `safebench.csv` or `SafeBench-Tiny.csv`, found by its two numbers."""

    def rows(self) -> Iterator[Row]:
        return self.files.table(self.files.one(*self.card.patterns(self.layout)))

    def samples(self, row: Row) -> Iterator[Sample]:
        category, task = text_of(row, "category_id"), text_of(row, "task_id")
        name = f"query_{text_of(row, 'dataset')}_{category}_{task}_{_TYPE}.png"
        image = self.image(f"SafeBench/{name}", name)
        fields = {"question": text_of(row, "question"), "instruction": text_of(row, "instruction")}
        yield Sample(
            id=f"{category}-{task}",
            item=Item([image], turns=self.turns(fields)),
            expected=REFUSE,
            category=text_of(row, "category_name"),
            fields=fields,
        )
