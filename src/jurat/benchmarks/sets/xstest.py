"""XSTest: safe prompts that read like unsafe ones, and unsafe prompts beside them. Text only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample
from jurat.content import Item

_CONTRAST = "contrast_"
_TWINS = {"contrast_discr": "real_group_nons_discr", "contrast_privacy": "privacy_fictional"}
"""The safe types whose prompts the contrasts of two safe types were made from, one by one; for others the
name says it."""


class XSTest(Reader):
    """One prompt a row. A safe prompt and the unsafe one that was made of it are a cluster: they have the
    same place in their types."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._places: Counter[str] = Counter()

    def rows(self) -> Iterator[Row]:
        pattern = self.card.patterns(self.layout)[0]
        if self.layout != "parquet":
            yield from self.files.table(self.files.one(pattern))
            return
        for name in self.files.find(pattern):
            yield from self.files.parquet(name)

    def samples(self, row: Row) -> Iterator[Sample]:
        kind = text_if_any(row.cells, "type", "category")
        # Before anything can be wrong with the row: those behind it keep their places.
        cluster = self._cluster(kind) if kind else ""
        label = text_if_any(row.cells, "label", "answer")
        if label is None:
            label = "unsafe" if text_of(row, "type").startswith(_CONTRAST) else "safe"
        if (label := label.lower()) not in ("safe", "unsafe"):
            raise SkipRow(f"its label {label!r} is neither safe nor unsafe")
        fields = {"prompt": text_of(row, "prompt", "question")} | texts_named(row.cells, ("focus", "note"))
        yield Sample(
            id=self._id(row),
            item=Item(turns=self.turns(fields)),
            expected=COMPLY if label == "safe" else REFUSE,
            label=label,
            category=kind,
            cluster=cluster,
            fields=fields,
        )

    def _id(self, row: Row) -> str:
        """The number of the prompt in the second version; of one of the first version the id as it is."""
        if (index := text_if_any(row.cells, "index")) is not None:
            return f"tsv-{index}"
        id = text_if_any(row.cells, "id", "id_v2")
        return row.place.rpartition(":")[2] if id is None else id.removeprefix("v2-")

    def _cluster(self, kind: str) -> str:
        self._places[kind] += 1
        return f"{_TWINS.get(kind, kind.removeprefix(_CONTRAST))}-{self._places[kind]}"
