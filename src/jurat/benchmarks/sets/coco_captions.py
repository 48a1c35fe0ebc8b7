"""COCO captions: describe a photograph; five people did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

from jurat.benchmarks.cells import texts_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import Sample
from jurat.content import Item

_PREFIX = "captions_"


class CocoCaptions(Reader):
    """One image a row, with all captions of it: of the release's `captions_SPLIT.json`, or of Karpathy's
    `dataset_coco.json`, which splits the images of 2014 anew."""

    def rows(self) -> Iterator[Row]:
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            yield from self._karpathy(name) if self.layout == "karpathy" else self._release(name)

    def samples(self, row: Row) -> Iterator[Sample]:
        id, name = text_of(row, "id"), text_of(row, "file_name")
        captions = texts_in(row.cells, "captions")
        if not captions:
            raise SkipRow("it has no caption")
        # The releases of 2014 and 2017 hold the same photographs under the same numbers, named differently.
        number = f"{int(id):012}" if id.isdigit() else id
        names = (name, f"{number}.jpg", f"COCO_train2014_{number}.jpg", f"COCO_val2014_{number}.jpg", name)
        yield Sample(
            id=id,
            item=Item([self.image(*names)], turns=self.turns({})),
            expected=tuple(captions),
            group=text_of(row, "split"),
        )

    def _release(self, name: str) -> Iterator[Row]:
        value = self.files.json(name)
        split = name.rpartition("/")[2].removeprefix(_PREFIX).removesuffix(".json")
        captions: defaultdict[str, list[str]] = defaultdict(list)
        for each in self.files.objects(name, value, "annotations"):
            captions[text_if_any(each, "image_id") or ""] += texts_in(each, "caption")
        known: set[str] = set()
        for number, image in enumerate(self.files.objects(name, value, "images"), 1):
            known.add(id := text_if_any(image, "id") or "")
            yield Row(f"{name}:{number}", {**image, "captions": captions.get(id, []), "split": split})
        if lost := sum(len(texts) for id, texts in captions.items() if id not in known):
            self.files.notes[f"captions of {name} whose image it does not list"] += lost

    def _karpathy(self, name: str) -> Iterator[Row]:
        for number, image in enumerate(self.files.objects(name, self.files.json(name), "images"), 1):
            captions = [
                text
                for each in cast("list[Any]", image.get("sentences") or [])
                if isinstance(each, dict)
                for text in texts_in(cast("dict[str, Any]", each), "raw")
            ]
            cells = {"id": image.get("cocoid"), "file_name": image.get("filename")}
            yield Row(f"{name}:{number}", {**image, **cells, "captions": captions})
