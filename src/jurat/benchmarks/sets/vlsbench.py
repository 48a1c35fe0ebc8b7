"""VLSBench: harmless-sounding instructions whose harm only the picture shows."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.cells import digest_of_image, image_of
from jurat.benchmarks.reader import Reader, Row, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item

_FIELDS = ("sub_category", "source", "image_description", "safety_reason")


class VLSBench(Reader):
    """Reads `data.json`, whose pictures are in a folder or in `imgs.tar`, or the hub's Parquet files."""

    def rows(self) -> Iterator[Row]:
        pattern = self.card.patterns(self.layout)[0]
        if self.layout == "json":
            yield from self.files.records(self.files.one(pattern))
            return
        for name in self.files.find(pattern):
            yield from self.files.image_table(name, "image")

    def samples(self, row: Row) -> Iterator[Sample]:
        path = text_if_any(row.cells, "image_path", "image")
        image = self.image(path or "") if self.layout == "json" else image_of(row)
        fields = {"instruction": text_of(row, "instruction")} | texts_named(row.cells, _FIELDS)
        yield Sample(
            id=text_of(row, "instruction_id"),
            item=Item([image], turns=self.turns(fields)),
            expected=REFUSE,
            category=text_of(row, "category"),
            cluster=path or digest_of_image(image),
            fields=fields,
        )
