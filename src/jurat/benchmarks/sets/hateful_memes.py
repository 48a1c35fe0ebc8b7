"""Hateful Memes: memes that are hateful, or not, by picture and text together; and others in its layout."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import Sample
from jurat.content import Item
from jurat.text import shown

SPLITS = ("train", "dev", "test", "dev_seen", "dev_unseen", "test_seen", "test_unseen")
"""`dev` and `test` are those of the challenge's first phase."""
_ANSWERS = {"0": "no", "1": "yes"}


class HatefulMemes(Reader):
    """Reads the splits of the release as groups; in a copy that has none of them every JSONL file."""

    def rows(self) -> Iterator[Row]:
        splits: dict[str, set[str]] = {}
        names = self.files.find("*.jsonl")
        is_release = any(_split(name) in SPLITS for name in names)
        for name in names:
            split = _split(name)
            if split in splits or (is_release and split not in SPLITS):
                self.files.notes[f"{shown(name)} was not read: no split, or one that was read before"] += 1
                continue
            images = splits[split] = set()
            for row in self.files.records(name):
                if (image := text_if_any(row.cells, "img")) is not None:
                    images.add(_stem(image))
                yield row
        self._count_overlap(splits)

    def samples(self, row: Row) -> Iterator[Sample]:
        split, img = _split(row.place.rpartition(":")[0]), text_of(row, "img")
        label = text_if_any(row.cells, "label")
        if label is None:
            self.files.notes[f"rows of {split} that have no label"] += 1
        elif label not in _ANSWERS:
            raise SkipRow(f"its label {label!r} is neither 0 nor 1")
        fields = {"text": text_if_any(row.cells, "text") or ""}
        image = self.image(img, img.rpartition("/")[2], named=img)
        yield Sample(
            # The file's name has the leading zeros that the id lacks in some copies.
            id=f"{split}-{_stem(img)}",
            item=Item([image], caption=fields["text"], turns=self.turns(fields)),
            expected=None if label is None else (_ANSWERS[label],),
            label=label,
            group=split if split in SPLITS else None,
            cluster=_stem(img),
            fields=fields,
        )

    def _count_overlap(self, splits: dict[str, set[str]]) -> None:
        names = sorted(splits)
        for number, first in enumerate(names):
            for second in names[number + 1 :]:
                if common := len(splits[first] & splits[second]):
                    self.files.notes[f"memes of {first} that are in {second} too"] += common


def _split(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0].lower()


def _stem(image: str) -> str:
    base = image.rpartition("/")[2]
    return base.rpartition(".")[0] or base
