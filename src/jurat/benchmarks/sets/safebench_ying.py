"""SafeBench of Ying et al.: 23 scenarios of 100 pictures with a query each. FigStep's is another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_of
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item

_TABLE = re.compile(r"(?:.*/)?(\d+)\.csv", re.IGNORECASE)
_FOLDERS = ("high_img_gene", "final_bench")
"""Where the pictures of a scenario lie, in the arrangements of the authors' scripts."""


class SafeBenchYing(Reader):
    """The tables `<n>.csv` without a header; row k of table n has the picture `<n>/<k>.png`. Blank rows
    count, so that the pictures behind them keep their numbers."""

    def rows(self) -> Iterator[Row]:
        tables: dict[int, str] = {}
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            found = _TABLE.fullmatch(name)
            if found is not None and tables.setdefault(int(found[1]), name) != name:
                self.files.notes["tables of queries are there twice; the first was read"] += 1
        for number in sorted(tables):
            rows = self.files.table(tables[number], columns=("query",), blank=True)
            for at, row in enumerate(rows, 1):
                if len(row.cells) > 1:
                    self.files.notes["rows of queries have further cells, which were not read"] += 1
                yield row.plus(scenario=number, number=at)

    def samples(self, row: Row) -> Iterator[Sample]:
        scenario, number = text_of(row, "scenario"), text_of(row, "number")
        if not str(row.cells.get("query", "")).strip():
            raise SkipRow("its query is blank")
        name = f"{scenario}/{number}.png"
        fields = {"question": text_of(row, "query")}
        if scenario in self._names:
            fields["scenario"] = self._names[scenario]
        image = self.image(*(f"{each}/{name}" for each in _FOLDERS), name, any_suffix=True)
        yield Sample(
            id=f"{scenario}-{number}",
            item=Item([image], turns=self.turns(fields)),
            expected=REFUSE,
            category=scenario,
            fields=fields,
        )

    @cached_property
    def _names(self) -> dict[str, str]:
        """Number of a scenario to its name, where the copy has `category.csv` with a number in each row."""
        table = self.files.first("category.csv")
        found: dict[str, str] = {}
        for row in self.files.table(table, columns=("1", "2")) if table is not None else ():
            cells = [str(cell).strip() for cell in row.cells.values()]
            number = next((cell for cell in cells if cell.isdecimal()), None)
            name = next((cell for cell in cells if cell and not cell.isdecimal()), None)
            if number is not None and name is not None:
                found.setdefault(str(int(number)), name)
        return found
