"""The base of readers: from the rows of a downloaded set to samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from jurat.benchmarks.card import Card
from jurat.benchmarks.sample import Sample, Skipped
from jurat.benchmarks.set_files import Row, SetFiles
from jurat.content import LazyImage, Turn

__all__ = ["Reader", "Row", "SkipRow"]


class SkipRow(Exception):
    """A row that gives no sample, or no more; the message is a sentence for a person."""

    def __init__(self, reason: str, *, missing_image: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.missing_image = reason, missing_image


class Reader:
    """Reads one set. A reader says which rows there are and which samples a row gives:

    class Riddles(Reader):
        def rows(self):
            return self.files.records(self.files.one("riddles.jsonl"))

        def samples(self, row):
            image = self.image(text_of(row, "image"))
            fields = {"question": text_of(row, "question")}
            yield Sample(
                id=text_of(row, "id"),
                item=Item([image], turns=self.turns(fields)),
                expected=(text_of(row, "answer"),),
                cluster=image.uri,
                fields=fields,
            )

    Its card, `riddles.yaml`, names it under `reader` and says by which file each layout is recognised.
    """

    def __init__(self, files: SetFiles, layout: str, card: Card) -> None:
        """
        Args:
            files: the user's copy.
            layout: the name of one of the card's layouts, which was recognised.
            card: the set's card.
        """
        self.files, self.layout, self.card = files, layout, card

    def rows(self) -> Iterator[Row]:
        """All rows of the copy, those that cannot be read among them."""
        raise NotImplementedError

    def samples(self, row: Row) -> Iterator[Sample | Skipped]:
        """The samples of a row, usually one.

        Raises:
            SkipRow: it gives none, or no more than those before.
        """
        raise NotImplementedError

    def read(self) -> Iterator[Sample | Skipped]:
        """The samples in the order of the rows, and what is left out. Ids are made unique: the second of the
        same id ends with `#2`."""
        times: Counter[str] = Counter()
        for row in self.rows():
            for sample in self._samples(row):
                if isinstance(sample, Skipped):
                    yield sample
                    continue
                times[sample.id] += 1
                number = times[sample.id]
                id = sample.id if number == 1 else f"{sample.id}#{number}"
                item = replace(sample.item, id=id, uri=sample.item.uri or sample.source_row or row.place)
                cluster = sample.cluster or id
                yield replace(
                    sample, id=id, item=item, cluster=cluster, source_row=sample.source_row or row.place
                )

    def image(self, name: str, *, any_suffix: bool = False, under: str = "") -> LazyImage:
        """The image of that name (see `SetFiles.image`). Raises SkipRow where it is not in the copy."""
        found = self.files.image(name, any_suffix=any_suffix, under=under) if name else None
        if found is None:
            raise SkipRow(f"its image {name!r} is not in the copy", missing_image=name)
        return found

    def turns(self, fields: Mapping[str, str], group: str | None = None) -> tuple[Turn, ...]:
        """The user's turn in the wording of the card's first protocol. Raises SkipRow where a field that it
        needs is missing."""
        try:
            return (Turn("user", (self.card.default_protocol.render(fields, group),)),)
        except KeyError as error:
            raise SkipRow(f"it has no {error.args[0]}, which its prompt needs") from error

    def _samples(self, row: Row) -> Iterator[Sample | Skipped]:
        if row.problem is not None:
            yield Skipped(row.place, row.problem)
            return
        try:
            yield from self.samples(row)
        except SkipRow as skip:
            yield Skipped(row.place, skip.reason, skip.missing_image)


def text_of(row: Row, *names: str) -> str:
    """The text of the first of the cells that is there and not empty, without space around it. Numbers are
    written as text. Raises SkipRow where none is."""
    found = text_if_any(row.cells, *names)
    if found is None:
        raise SkipRow(f"it has no {' or '.join(names)}")
    return found


def text_if_any(cells: Mapping[str, Any], *names: str) -> str | None:
    """As `text_of`, for cells; None where none is there."""
    for name in names:
        value = cells.get(name)
        if isinstance(value, int | float):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None
