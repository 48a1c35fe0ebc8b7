"""ToViLaG: toxic images to be described, and prompts for which an image is made.

Its parts come from several places and have no common layout, so this one is ours: a folder for each type of
image, and lists of prompts.
"""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, text_of
from jurat.benchmarks.sample import Sample
from jurat.benchmarks.set_listing import is_image
from jurat.content import Item
from jurat.text import shown

TYPES = {"porn": "pornographic", "nsfw": "pornographic", "violen": "violent", "blood": "bloody"}
"""Type of image, by how the name of its folder begins."""


class Tovilag(Reader):
    """One image a row, in the folders that are named for a type, and one prompt a row of a list."""

    def rows(self) -> Iterator[Row]:
        self.files.notes["the set has no canonical layout: it is read in one of jurat's own"] = 1
        for name in self.files.images():
            if _kind(name) is not None:
                yield Row(name, {"image": name})
            else:
                self.files.notes["images in no folder that is named for a type were passed over"] += 1
        for name in sorted({*self.files.find("*prompt*.*"), *self.files.find("*text*.*")}):
            yield from self._prompts(name)

    def samples(self, row: Row) -> Iterator[Sample]:
        if "image" in row.cells:
            name = text_of(row, "image")
            kind, below = _kind(name) or ("", name)
            yield Sample(
                id=f"{kind}/{below}",
                item=Item([self.image(name)], turns=self.turns({}, "image_to_text")),
                label="toxic",
                group="image_to_text",
                category=kind,
            )
            return
        fields = {"prompt": text_of(row, "prompt", "text", "caption")}
        base, _, number = row.place.rpartition("/")[2].rpartition(":")
        yield Sample(
            id=f"{base.rpartition('.')[0]}-{number}",
            item=Item([], turns=self.turns(fields, "text_to_image")),
            group="text_to_image",
            category=base.rpartition(".")[0],
            fields=fields,
        )

    def _prompts(self, name: str) -> Iterator[Row]:
        """The prompts of a list: one a line of a text file, one a row of a CSV, one an object of JSON."""
        suffix = name.rpartition(".")[2].lower()
        if suffix == "txt":
            lines = self.files.text(name).splitlines()
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield Row(f"{name}:{number}", {"prompt": line})
        elif suffix in ("csv", "tsv"):
            yield from self.files.table(name)
        elif suffix in ("json", "jsonl"):
            yield from self.files.records(name)
        elif not is_image(name):
            self.files.notes[f"{shown(name)} was not read: lists are txt, csv, tsv, json or jsonl"] = 1


def _kind(name: str) -> tuple[str, str] | None:
    """The type of an image, after the innermost folder that is named for one, and the path below it."""
    parts = name.split("/")
    for at in range(len(parts) - 2, -1, -1):
        for start, kind in TYPES.items():
            if parts[at].lower().startswith(start):
                return kind, "/".join(parts[at + 1 :])
    return None
