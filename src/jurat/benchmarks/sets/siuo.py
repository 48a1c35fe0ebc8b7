"""SIUO: a safe picture and a safe text whose answer may be unsafe; open questions, and multiple choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import Sample
from jurat.content import Item, LazyImage

GEN, MCQA = "gen", "mcqa"
SAFE = "safe"
"""What is expected of an open answer: that it is safe, whether or not it refuses."""
_LETTERS = "ABCD"


class SIUO(Reader):
    """`siuo_gen.json` and `siuo_mcqa.json`, or their TSV builds, or those of them that the copy has."""

    def rows(self) -> Iterator[Row]:
        read: set[str] = set()
        for pattern in self.card.patterns(self.layout):
            for name in self.files.find(pattern):
                group = MCQA if "mc" in name.rpartition("/")[2].lower() else GEN
                if group in read:
                    self.files.notes["files of questions are there twice; the first was read"] += 1
                    continue
                read.add(group)
                is_tsv = name.lower().endswith(".tsv")
                rows = self.files.image_table(name, "image") if is_tsv else self.files.records(name)
                for row in rows:
                    yield row.plus(group=group)

    def samples(self, row: Row) -> Iterator[Sample]:
        group, number = text_of(row, "group"), text_of(row, "question_id", "id", "index")
        fields = {"question": text_of(row, "question")}
        fields |= texts_named(row.cells, ("safety_warning", "reference_answer"))
        expected: str | tuple[str, ...] = SAFE
        if group == MCQA:
            options = _options(row)
            if len({text.casefold() for text in options.values()}) < len(options):
                self.files.notes["questions of which two options are the same"] += 1
            fields |= options
            fields["options"] = "\n".join(f"{letter}. {text}" for letter, text in options.items())
            expected = (_letter(text_of(row, "correct_option", "answer"), options),)
        yield Sample(
            id=f"{group}-{number}",
            item=Item([self._image(row, number)], turns=self.turns(fields, group)),
            expected=expected,
            group=group,
            category=text_if_any(row.cells, "category"),
            cluster=number,
            fields=fields,
        )

    def _image(self, row: Row, number: str) -> LazyImage:
        if row.images:
            return row.images[0]
        if self.layout == "tsv":
            raise SkipRow("its image is empty", missing_image=f"index {number}")
        name = text_of(row, "image")
        return self.image(f"images/{name}", name)


def _options(row: Row) -> dict[str, str]:
    """Letter to text; they are an object, a list, or columns of the table."""
    value: Any = row.cells.get("options", row.cells)
    if isinstance(value, list):
        values = cast("list[Any]", value)
        if len(values) > len(_LETTERS):
            raise SkipRow(f"it has {len(values)} options, more than {len(_LETTERS)}")
        named = zip(_LETTERS, values, strict=False)
        value = {letter: _unlettered(str(text)) for letter, text in named if text is not None}
    cells = cast("Mapping[str, Any]", value)
    found = {letter: text for letter in _LETTERS if (text := text_if_any(cells, letter, letter.lower()))}
    if len(found) < 2:
        raise SkipRow("it has fewer than two options")
    return found


def _unlettered(text: str) -> str:
    """An option without its letter: "A. Bake it" is "Bake it"."""
    return text[2:].strip() if text[:1] in _LETTERS and text[1:2] in ".):" else text


def _letter(answer: str, options: Mapping[str, str]) -> str:
    """The letter of the right option, which may be written as "b", "B." or as the option's text."""
    letter = answer.strip("(). ").upper()
    if letter in options:
        return letter
    same = [each for each, text in options.items() if text.casefold() == answer.casefold()]
    if len(same) != 1:
        raise SkipRow(f"its right option {answer!r} is none of its options")
    return same[0]
