"""VQAv2: short questions about photographs, each answered by ten people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from jurat.benchmarks.cells import image_of, parsed, texts_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import Sample
from jurat.content import Item

PEOPLE = 10
"""Answers a question."""


class VQAv2(Reader):
    """Reads the release, whose questions and answers are in two files, or the hub's Parquet files."""

    def rows(self) -> Iterator[Row]:
        pattern = self.card.patterns(self.layout)[0]
        if self.layout == "parquet":
            for name in self.files.find(pattern):
                split = name.rpartition("/")[2].partition("-")[0].removesuffix(".parquet")
                for row in self.files.image_table(name, "image"):
                    yield row.plus(split=row.cells.get("split", split))
            return
        answered = self._annotations()
        for name in self.files.find(pattern):
            file = self.files.json(name)
            for number, question in enumerate(self.files.objects(name, file, "questions"), 1):
                known = answered.pop(text_if_any(question, "question_id") or "", {})
                split = {"split": cast("dict[str, Any]", file).get("data_subtype")}
                yield Row(f"{name}:{number}", {**known, **question, **split})
        if answered:
            self.files.notes["annotations without a question"] += len(answered)

    def samples(self, row: Row) -> Iterator[Sample]:
        image_id, split = text_of(row, "image_id"), text_of(row, "split")
        given = parsed(row.cells.get("answers"))
        listed = cast("list[Any]", given) if isinstance(given, list) else []
        answers = [text for each in listed for text in texts_in(_answer(each), "answer")]
        if not answers:
            self.files.notes[f"questions of {split} without answers: accuracy is not available"] += 1
        elif len(answers) != PEOPLE:
            self.files.notes[f"questions of {split} with another number of answers than {PEOPLE}"] += 1
        names = {"question_type": "question_type", "most_common": "multiple_choice_answer"}
        fields = {"question": text_of(row, "question")} | texts_named(row.cells, names)
        yield Sample(
            id=text_of(row, "question_id"),
            item=Item([self._picture(row, image_id, split)], turns=self.turns(fields)),
            expected=tuple(answers) or None,
            group=split,
            category=text_if_any(row.cells, "answer_type"),
            cluster=image_id,
            fields=fields,
        )

    def _picture(self, row: Row, image_id: str, split: str) -> Any:
        if self.layout == "parquet":
            return image_of(row)
        if not image_id.isdigit():
            raise SkipRow(f"its image_id {image_id!r} is no number")
        number = f"{int(image_id):012}"
        # Questions of test-dev are about images of test.
        folder = "test2015" if split.startswith("test") else split
        name = f"COCO_{folder}_{number}.jpg"
        return self.image(name, f"abstract_v002_{folder}_{number}.png", f"{number}.jpg", name)

    def _annotations(self) -> dict[str, dict[str, Any]]:
        """Question to what is known of it."""
        found: dict[str, dict[str, Any]] = {}
        for name in self.files.find("*_annotations.json"):
            for each in self.files.objects(name, self.files.json(name), "annotations"):
                id = text_if_any(each, "question_id") or ""
                if id in found:
                    self.files.notes["annotations of a question that has one already were left out"] += 1
                found.setdefault(id, each)
        return found


def _answer(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"answer": value}
