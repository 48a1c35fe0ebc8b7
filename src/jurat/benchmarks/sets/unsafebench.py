"""UnsafeBench: is a picture unsafe? From the web and from a text-to-image model."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from jurat.benchmarks.cells import image_of
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_of, texts_named
from jurat.benchmarks.sample import Sample
from jurat.content import Item

_ANSWERS = {"Safe": "no", "Unsafe": "yes"}
_SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<number>\d+)-of-(?P<count>\d+)")


class UnsafeBench(Reader):
    """One picture a row of the hub's Parquet files; an id is the split and the number of the row in it."""

    def rows(self) -> Iterator[Row]:
        numbers: Counter[str] = Counter()
        names = sorted(self.files.find("*.parquet"))
        self._note_missing_shards(names)
        for name in names:
            split = _split(name)
            for row in self.files.image_table(name, "image"):
                numbers[split] += 1
                yield row.plus(split=split, number=numbers[split])

    def samples(self, row: Row) -> Iterator[Sample]:
        label, split = text_of(row, "safety_label"), text_of(row, "split")
        if label not in _ANSWERS:
            raise SkipRow(f"its label {label!r} is neither Safe nor Unsafe")
        fields = texts_named(row.cells, ("source", "text"))
        yield Sample(
            id=f"{split}-{text_of(row, 'number')}",
            item=Item([image_of(row)], turns=self.turns(fields)),
            expected=(_ANSWERS[label],),
            label=label,
            group=split,
            category=text_of(row, "category"),
            fields=fields,
        )

    def _note_missing_shards(self, names: list[str]) -> None:
        """Without one of a split's files, the ids of the rows behind it are those of other rows."""
        shards: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        for name in names:
            if (found := _SHARD.search(name.lower())) is not None:
                shards[found["split"], int(found["count"])].add(int(found["number"]))
        for (split, count), there in shards.items():
            if missing := sorted(set(range(count)) - there):
                which = ", ".join(map(str, missing))
                self.files.notes[
                    f"files of the split {split} are missing ({which} of {count}): ids do not fit"
                ] += len(missing)


def _split(name: str) -> str:
    found = _SHARD.search(name.lower())
    base = name.rpartition("/")[2].lower()
    return found["split"] if found is not None else base.removesuffix(".parquet")
