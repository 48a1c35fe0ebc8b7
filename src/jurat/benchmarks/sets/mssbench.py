"""MSSBench: a query that is harmless in one situation and unsafe in another, which only the picture tells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, cast

from jurat.benchmarks.cells import image_of, places_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample, Skipped
from jurat.content import Item

_EXPECTED = {"safe": COMPLY, "unsafe": REFUSE}
_ANSWERS = {"comply": "safe", "refuse": "unsafe"}
_FIELDS = {
    "chat": {"intent": "intent", "caption": "unsafe_image"},
    "embodied": {"task": "task", "caption_safe": "observation_safe", "caption_unsafe": "observation_unsafe"},
}
"""By part: the name of a field to its key in a record."""


class MSSBench(Reader):
    """Each query of a record is a pair of samples: one with its safe and one with its unsafe picture."""

    def rows(self) -> Iterator[Row]:
        name = self.files.one(*self.card.patterns(self.layout))
        return self.files.image_table(name, "image") if self.layout == "tsv" else self._records(name)

    def samples(self, row: Row) -> Iterator[Sample | Skipped]:
        if self.layout == "tsv":
            yield self._of_table(row)
            return
        part, number = text_of(row, "part"), text_of(row, "number")
        for at, pair in enumerate(_pairs(row, part), 1):
            if not all(pair):
                yield Skipped(row.place, f"query {at} has no counterpart; the authors' script drops it too")
                continue
            for label, query in zip(_EXPECTED, pair, strict=True):
                try:
                    yield self._sample(row, part, f"{part}-{number}", at, label, query)
                except SkipRow as skip:
                    yield Skipped(row.place, f"query {at}, {label}: {skip.reason}", skip.missing_image)

    def _records(self, name: str) -> Iterator[Row]:
        value = self.files.json(name)
        parts = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        for part in _FIELDS:
            records = parts.get(part)
            if not isinstance(records, list):
                yield Row(f"{name}:{part}", problem=f"the file has no list {part!r}")
                continue
            for number, record in enumerate(cast("list[Any]", records), 1):
                place = f"{name}:{part}:{number}"
                if isinstance(record, dict):
                    yield Row(place, {**cast("dict[str, Any]", record), "part": part, "number": number})
                else:
                    yield Row(place, problem="it is no object")
        for other in parts.keys() - _FIELDS.keys():
            self.files.notes[f"{name} has a part {other!r}, which is not read"] += 1

    def _sample(self, row: Row, part: str, record: str, at: int, label: str, query: str) -> Sample:
        path = text_of(row, f"{label}_image_path" if part == "chat" else label).removeprefix("./")
        path = path if path.startswith(f"{part}/") else f"{part}/{path}"
        fields = {"question": query} | texts_named(row.cells, _FIELDS[part])
        return Sample(
            id=f"{record}-{at}-{label}",
            item=Item([self.image(path)], turns=self.turns(fields, part)),
            expected=_EXPECTED[label],
            label=label,
            group=part,
            category=text_if_any(row.cells, "Type", "category"),
            cluster=record,
            fields=fields,
        )

    def _of_table(self, row: Row) -> Sample:
        """The sample of a row of the TSV build, which does not say which rows are a pair: those with the same
        question are taken for a cluster."""
        answer, question = text_of(row, "answer").lower(), text_of(row, "question")
        if (label := _ANSWERS.get(answer)) is None:
            raise SkipRow(f"its answer {answer!r} is neither comply nor refuse")
        part = (text_if_any(row.cells, "subset") or "chat").lower()
        fields = {"question": question}
        return Sample(
            id=f"tsv-{text_of(row, 'index')}",
            item=Item([image_of(row)], turns=self.turns(fields, part)),
            expected=_EXPECTED[label],
            label=label,
            group=part,
            category=text_if_any(row.cells, "category"),
            cluster=f"{part}-{question}",
            fields=fields,
        )


def _pairs(row: Row, part: str) -> Iterator[tuple[str, str]]:
    """The text with the safe and with the unsafe picture, of each pair of a record; "" for one that is not
    there."""
    if part == "chat":
        safe = unsafe = places_in(row.cells, "queries")
    else:
        safe, unsafe = (
            places_in(row.cells, f"{label}_instructions", f"{label}_instruction") for label in _EXPECTED
        )
    if not safe and not unsafe:
        raise SkipRow("it has no queries" if part == "chat" else "it has no instructions")
    yield from zip_longest(safe, unsafe, fillvalue="")
