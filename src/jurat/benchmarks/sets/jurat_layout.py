"""Any set in jurat's own layout, which `jurat data build` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel

from jurat.benchmarks.cells import object_in, parsed, texts_in
from jurat.benchmarks.conversation import Message, conversation
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import Sample
from jurat.content import Item
from jurat.errors import JuratError
from jurat.text import counted
from jurat.yaml_files import parse_yaml


class _Card(BaseModel):
    """What is read of a set's own card."""

    samples: int


class JuratLayout(Reader):
    """A row is a sample: id, images, caption, turns, expected, label, group, category, cluster, fields. Of
    `card.yaml`, if it is there, the number of samples is compared."""

    def rows(self) -> Iterator[Row]:
        name = self.files.one(*self.card.patterns(self.layout))
        rows = self.files.parquet(name) if self.layout == "parquet" else self.files.records(name)
        count = 0
        for row in rows:
            count += 1
            yield row
        told = self._samples_of_card()
        if told is not None and told != count:
            self.files.notes[f"its card.yaml says {counted(told, 'sample')}, and there are {count:,}"] = 1

    def samples(self, row: Row) -> Iterator[Sample]:
        cells = row.cells
        turns = parsed(cells.get("turns"))
        if not isinstance(turns, list) or not turns:
            raise SkipRow("it has no turns")
        messages = [_message(each) for each in cast("list[Any]", turns)]
        images = [self.image(name) for name in texts_in(cells, "images")]
        at = next((at for at, each in enumerate(messages) if each.role == "user"), 0)
        messages[at] = Message(messages[at].role, messages[at].texts, images)
        fields = {name: str(text) for name, text in object_in(cells, "fields").items() if text is not None}
        sample = Sample(
            id=text_of(row, "id"),
            item=Item(),
            expected=_expected(cells),
            label=text_if_any(cells, "label"),
            group=text_if_any(cells, "group"),
            category=text_if_any(cells, "category"),
            cluster=text_if_any(cells, "cluster") or "",
            fields=fields,
        )
        sample = conversation(messages, sample, self.files.notes)
        caption = text_if_any(cells, "caption")
        if caption is not None:
            sample = replace(sample, item=replace(sample.item, caption=caption))
        yield sample

    def _samples_of_card(self) -> int | None:
        if (name := self.files.first("card.yaml")) is None:
            return None
        try:
            return parse_yaml(self.files.text(name), _Card, name, "card of a built set").samples
        except JuratError as error:
            self.files.notes[f"its number of samples was not compared: {error.message}"] = 1
            return None


def _message(turn: object) -> Message:
    cells = cast("dict[str, Any]", turn) if isinstance(turn, dict) else {}
    if not isinstance(cells.get("role"), str) or not isinstance(cells.get("text"), str):
        raise SkipRow("a turn lacks `role` or `text`")
    return Message(cells["role"], [cells["text"]])


def _expected(cells: Mapping[str, Any]) -> str | tuple[str, ...] | None:
    """A behaviour, or a list of accepted answers."""
    value = parsed(cells.get("expected"))
    if isinstance(value, list):
        return tuple(texts_in({"": value}, "")) or None
    return text_if_any({"": value}, "")
