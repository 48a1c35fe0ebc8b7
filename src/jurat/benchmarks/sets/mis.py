"""MIS: two pictures that are harmful together with a question."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item, LazyImage


class MIS(Reader):
    """The lists `mis_easy.json`, `mis_hard.json` and `mis_real.json`, or those of them that the copy has."""

    def rows(self) -> Iterator[Row]:
        read: set[str] = set()
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            split = name.rpartition("/")[2].rpartition(".")[0].partition("_")[2].lower()
            if split in read:
                self.files.notes["lists are there twice; the first was read"] += 1
                continue
            read.add(split)
            for number, row in enumerate(self.files.records(name), 1):
                yield row.plus(split=split, number=number)

    def samples(self, row: Row) -> Iterator[Sample]:
        split = text_of(row, "split")
        names = [text_of(row, f"image_path{number}") for number in (1, 2)]
        fields = {"question": text_of(row, "question")} | texts_named(row.cells, ("sub_category",))
        yield Sample(
            id=f"{split}-{text_of(row, 'id', 'number')}",
            item=Item([self._image(name) for name in names], turns=self.turns(fields)),
            expected=REFUSE,
            group=split,
            category=text_if_any(row.cells, "category"),
            cluster=f"{split}-{'/'.join(_last_parts(names[0])[-2:])}",
            fields=fields,
        )

    def _image(self, name: str) -> LazyImage:
        """The picture at a path that may begin in another folder than the copy."""
        return self.image("/".join(_last_parts(name)), name)


def _last_parts(name: str) -> list[str]:
    """Split, number and name of a picture: "easy_image", "12", "object1.png"."""
    return name.replace("\\", "/").split("/")[-3:]
