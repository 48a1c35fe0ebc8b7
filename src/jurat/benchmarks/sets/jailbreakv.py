"""JailBreakV-28K: jailbreak texts and pictures made from 2,000 harmful base queries."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, same_text, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import REFUSE, Sample
from jurat.content import Item

_KEPT = ("from", "selected_mini", "transfer_from_llm")


class JailBreakV(Reader):
    """A row of the full table, or of the mini one where the copy has only that. Rows of one base query are a
    cluster."""

    def rows(self) -> Iterator[Row]:
        return self.files.table(self.files.one(*self.card.patterns(self.layout)))

    def samples(self, row: Row) -> Iterator[Sample]:
        base = text_of(row, "redteam_query", "jailbreak_query")
        fields = {"question": text_of(row, "jailbreak_query"), "request": base}
        fields |= texts_named(row.cells, _KEPT)
        yield Sample(
            id=text_of(row, "id"),
            item=Item([self.image(text_of(row, "image_path"))], turns=self.turns(fields)),
            expected=REFUSE,
            group=text_if_any(row.cells, "format"),
            category=text_if_any(row.cells, "policy"),
            cluster=same_text(base),
            fields=fields,
        )
