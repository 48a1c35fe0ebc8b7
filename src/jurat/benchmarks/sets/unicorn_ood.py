"""OODCV-VQA and Sketchy-VQA of the "unicorn" benchmark (Tu et al. 2023): questions about unusual pictures."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.cells import texts_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import Sample
from jurat.content import Item

_PARTS = {
    "oodcv-vqa": "oodcv",
    "oodcv-counterfactual": "oodcv-counterfactual",
    "oodcv-vqa-counterfactual": "gpt4v-oodcv-counterfactual",
    "sketchy-vqa": "sketchy",
    "sketchy-challenging": "sketchy-challenging",
    "sketchy-vqa-challenging": "gpt4v-sketchy-challenging",
}
"""Name of a file to the name of its part."""


class UnicornOOD(Reader):
    """One question a row of the files of the parts. Most pictures are downloads of their own."""

    def rows(self) -> Iterator[Row]:
        for base, part in _PARTS.items():
            if not self.files.find(f"{base}.json"):
                continue
            name = self.files.one(f"{base}.json")
            for number, row in enumerate(self.files.records(name), 1):
                yield row.plus(part=part, number=number)

    def samples(self, row: Row) -> Iterator[Sample]:
        part, path = text_of(row, "part"), text_of(row, "image")
        answer = text_of(row, "text_answer", "answer")
        if "sketchy" in part and (answer := answer.capitalize()) not in ("Yes", "No"):
            raise SkipRow(f"its answer {answer!r} is neither Yes nor No")
        texts = {
            "options": "\n".join(texts_in(row.cells, "options")),
            "option": text_if_any(row.cells, "answer") if "text_answer" in row.cells else None,
        }
        fields = {"question": text_of(row, "question")} | {k: v for k, v in texts.items() if v}
        yield Sample(
            id=f"{part}-{text_of(row, 'number')}",
            item=Item([self.image(path, path.rpartition("/")[2], path)], turns=self.turns(fields)),
            expected=(answer,),
            label=answer,
            group=part,
            category=text_if_any(row.cells, "situation"),
            cluster=path,
            fields=fields,
        )
