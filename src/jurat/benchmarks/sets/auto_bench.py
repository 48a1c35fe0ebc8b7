"""Auto-Bench: questions about images with answers. No release was found, so this layout is ours."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.cells import texts_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample
from jurat.content import Item


class AutoBench(Reader):
    """Reads an object a question: `image` (a path in the copy), `question`, `answer` (one, or a list of those
    that are accepted), `ability`, and if given `id`, `reasoning`, `sub_ability`, and `expected` ("refuse",
    "comply") in place of an answer to match."""

    def rows(self) -> Iterator[Row]:
        self.files.notes["no release of this set was found: it is read in a layout of jurat's own"] = 1
        return self.files.records(self.files.one(*self.card.patterns(self.layout)))

    def samples(self, row: Row) -> Iterator[Sample]:
        name, answers = text_of(row, "image"), tuple(dict.fromkeys(texts_in(row.cells, "answer")))
        behaviour = text_if_any(row.cells, "expected")
        if not answers:
            raise SkipRow("it has no answer")
        if behaviour not in (None, REFUSE, COMPLY):
            raise SkipRow(f"what it expects is {behaviour!r}, neither {REFUSE} nor {COMPLY}")
        fields = {"question": text_of(row, "question"), "answer": answers[0]}
        fields |= texts_named(row.cells, ("reasoning", "sub_ability"))
        yield Sample(
            id=text_if_any(row.cells, "id") or row.place.rpartition(":")[2],
            item=Item([self.image(name)], turns=self.turns(fields)),
            expected=behaviour or answers,
            group=text_of(row, "ability"),
            category=text_if_any(row.cells, "sub_ability") or text_of(row, "ability"),
            cluster=name.replace("\\", "/").lower(),
            fields=fields,
        )
