"""VLSafe: harmful questions about photographs of COCO, and the feedback conversations beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item, Turn

_FILES = {
    "examine": "*harml*ss*_examine.jsonl",
    "alignment": "*harml*ss*_alignment.jsonl",
    "harmlessness_nlf": "*harml*ss*_nlf.jsonl",
    "helpfulness_nlf": "*helpfulness_nlf.jsonl",
    "hallucination_nlf": "*hallucination_nlf.jsonl",
}
"""The groups, and the patterns of their files, of which one is misspelled ("harmlessnss") in the release."""


class VLSafe(Reader):
    """Finds the files by their names at any depth, and the images by theirs in a folder of COCO train2017."""

    def rows(self) -> Iterator[Row]:
        for group, pattern in _FILES.items():
            name = self.files.first(pattern)
            for row in self.files.records(name) if name else ():
                yield row.plus(group=group)

    def samples(self, row: Row) -> Iterator[Sample]:
        group, name = text_of(row, "group"), text_of(row, "image_id")
        talk, fields = _talk(row) if group.endswith("_nlf") else ([], {"query": text_of(row, "query")})
        fields |= texts_named(row.cells, ("reference", "caption"))
        yield Sample(
            id=f"{group}-{row.place.rpartition(':')[2]}",
            item=Item([self.image(f"{name}.jpg", name)], turns=[*talk, *self.turns(fields)]),
            expected=REFUSE if group in ("examine", "alignment", "harmlessness_nlf") else None,
            group=group,
            cluster=name,
            fields=fields,
        )


def _talk(row: Row) -> tuple[list[Turn], dict[str, str]]:
    """The turns before the last of a conversation, and the last one's texts with how it was rated."""
    given = row.cells.get("interaction")
    listed = cast("list[Any]", given) if isinstance(given, list) else []
    turns = [cast("dict[str, Any]", each) for each in listed if isinstance(each, dict)]
    if not turns:
        raise SkipRow("it has no interaction")
    texts = [(text_if_any(turn, "user"), text_if_any(turn, "model")) for turn in turns]
    if any(user is None for user, _ in texts) or any(model is None for _, model in texts[:-1]):
        raise SkipRow("a turn of its interaction has no text")
    talk = [
        Turn(role, (text or "",))
        for turn in texts[:-1]
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    names = {"query": "user", "response": "model", "rating": "rating", "critique": "critique NLF"}
    return talk, texts_named({"critique NLF": turns[-1].get("critique"), **turns[-1]}, names)
