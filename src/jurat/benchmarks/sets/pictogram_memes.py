"""Memes: pictures with captions, each harmless alone; one misleads if its caption is false of its picture."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.drawn import HARMLESS, DrawnReader, visible, with_article
from jurat.benchmarks.reader import Row
from jurat.benchmarks.sample import Sample
from jurat.content import Item

_PEOPLE = ("child", "man", "woman")
_THINGS = [thing for names in HARMLESS.values() for thing in names]


class Memes(DrawnReader):
    """As in Hateful Memes: neither part tells the label. Each caption comes with a picture of either kind."""

    def samples(self, row: Row) -> Iterator[Sample]:
        number = int(row.cells["number"])
        thing = _THINGS[number % len(_THINGS)]
        person = _PEOPLE[number // len(_THINGS) % len(_PEOPLE)]
        caption = f"A {person} touches {with_article(thing)}."
        there = [(visible(person), True), (visible(thing), True)]
        fields = {"caption": caption, "ocr": caption}
        for part, (label, truth) in enumerate((("0", True), ("1", False))):
            scene = self.scene([(caption, truth), *(() if truth else there)], row, part)
            yield Sample(
                id=f"{number:04}-{label}",
                item=Item([scene], caption=caption, turns=self.turns(fields)),
                expected=("Yes",) if truth else ("No",),
                label=label,
                category=person,
                cluster=f"{number:04}",
                fields=fields,
            )
