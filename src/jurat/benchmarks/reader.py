"""The base of readers: from the rows of a downloaded set to samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from jurat.benchmarks.card import Card
from jurat.benchmarks.sample import Sample, Skipped
from jurat.benchmarks.set_files import SetFiles
from jurat.benchmarks.set_tables import Row
from jurat.content import LazyImage, Turn
from jurat.text import one_line, storable

__all__ = ["Reader", "Row", "SkipRow"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that an id has as escapes: a log's archive would end the name of its sample at a null."""


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

    Its card, `riddles.yaml`, names it under `reader` and says by which file each layout is recognised. A
    third party's reader has its card as an attribute: `card = read_card("riddles.yaml")`.
    """

    card: Card

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
        taken: set[str] = set()
        for row in self.rows():
            for sample in self._samples(row):
                if isinstance(sample, Skipped):
                    yield sample
                    continue
                own = id = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", storable(sample.id))
                while id in taken:
                    times[own] += 1
                    id = f"{own}#{times[own] + 1}"
                taken.add(id)
                if id != own:
                    self.files.notes["samples have the id of an earlier one: #2, #3 ... is added to it"] += 1
                item = replace(sample.item, id=id, uri=sample.item.uri or sample.source_row or row.place)
                cluster = sample.cluster or id
                yield replace(
                    sample, id=id, item=item, cluster=cluster, source_row=sample.source_row or row.place
                )

    def image(self, *names: str, any_suffix: bool = False, under: str = "", named: str = "") -> LazyImage:
        """The image of the first of these names that is there (see `SetFiles.image`). Raises SkipRow where
        none is, which is reported as the image `named`, by default the last of these names."""
        found = self.files.image(*names, any_suffix=any_suffix, under=under)
        if found is None:
            why, named = self.files.why_no_image(*names), named or names[-1]
            raise SkipRow(f"its image {named!r} {why}", missing_image=named)
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
        is_empty = True
        try:
            for sample in self.samples(row):
                is_empty = False
                yield sample
        except SkipRow as skip:
            yield Skipped(row.place, skip.reason, skip.missing_image)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            # A cell of another kind than the set's: a list where a text should be, say.
            yield Skipped(row.place, one_line(f"it is not as expected: {type(error).__name__}: {error}"))
        else:
            if is_empty:
                yield Skipped(row.place, "it gives no sample")


def text_of(row: Row, *names: str) -> str:
    """The text of the first of the cells that is there and not empty, without space around it. Numbers are
    written as text. Raises SkipRow where none is."""
    found = text_if_any(row.cells, *names)
    if found is None:
        raise SkipRow(f"it has no {' or '.join(names)}")
    return found


def same_text(text: str) -> str:
    """A name for a text that is equal for texts which differ in case and white space only: the cluster of a
    base question."""
    return sha256(" ".join(text.split()).casefold().encode("utf-8", "replace")).hexdigest()[:12]


def text_if_any(cells: Mapping[str, Any], *names: str) -> str | None:
    """As `text_of`, for cells; None where none is there."""
    return next((text for name in names if (text := _text(cells.get(name))) is not None), None)


def texts_named(cells: Mapping[str, Any], names: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Name to text, of the cells that have one.

    Args:
        names: of the cells; or names to those of the cells.
    """
    keys = names if isinstance(names, Mapping) else {name: name for name in names}
    return {name: text for name, key in keys.items() if (text := text_if_any(cells, key)) is not None}


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and value == value:  # not NaN, as pandas writes empty cells
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if isinstance(value, str) and value.strip():
        return storable(value.strip())
    return None
