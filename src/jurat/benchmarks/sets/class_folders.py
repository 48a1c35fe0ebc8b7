"""A folder of pictures for each class, perhaps below a folder for each split."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, SkipRow
from jurat.benchmarks.sample import Sample
from jurat.content import Item

_SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


class ClassFolders(Reader):
    """One picture a file; its class is the folder that it lies in."""

    def rows(self) -> Iterator[Row]:
        names = self.files.images()
        self._classes = sorted({name.split("/")[-2] for name in names if "/" in name})
        for name in names:
            yield Row(name, {"name": name})
        others = len(self.files.openers) - len(names)
        if others:
            self.files.notes["files that are no pictures were not read"] += others

    def samples(self, row: Row) -> Iterator[Sample]:
        *folders, base = row.place.split("/")
        if not folders:
            raise SkipRow("it lies in no folder, so that it has no class")
        label = folders[-1]
        split = next((each for each in folders[:-1] if each.lower() in _SPLITS), None)
        fields = {"classes": ", ".join(self._classes)}
        yield Sample(
            id="/".join([*([split] if split else []), label, base]),
            item=Item([self.files.image_at(row.place)], turns=self.turns(fields)),
            expected=(label,),
            label=label,
            group=split,
            category=label,
            fields=fields,
        )
