"""GOAT-Bench: memes of five kinds of abuse, each a yes/no task. Another set of that name is about robots."""

from __future__ import annotations

from collections.abc import Iterator

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import Sample
from jurat.content import Item, LazyImage

TASKS = ("harmfulness", "hatefulness", "misogyny", "offensiveness", "sarcasm")
_ANSWERS = {"1": "yes", "true": "yes", "yes": "yes", "0": "no", "false": "no", "no": "no"}


class Goat(Reader):
    """Reads the `test.jsonl` of each task, in its ZIP or unpacked. The memes of hatefulness are not in the
    release; they are found where the Hateful Memes set lies beside it."""

    def rows(self) -> Iterator[Row]:
        taken: set[str] = set()
        for name in self.files.find("test.jsonl"):
            task = self._task(name)
            if task is None:
                self.files.notes["files test.jsonl that lie in no task's folder were passed over"] += 1
            elif task in taken:  # The ZIP may lie beside what was unpacked from it.
                self.files.notes[f"test.jsonl of {task} is there more than once; one was read"] += 1
            else:
                taken.add(task)
                yield from self.files.records(name)

    def samples(self, row: Row) -> Iterator[Sample]:
        place = row.place.rpartition(":")[0]
        folder, task = place.rpartition("/")[0], self._task(place) or ""
        img, label = text_of(row, "img", "image"), text_of(row, "label")
        if label.lower() not in _ANSWERS:
            raise SkipRow(f"its label {label!r} is neither 0 nor 1")
        name = img.replace("\\", "/").rpartition("/")[2]
        fields = {"text": text_if_any(row.cells, "text", "org_sent") or ""}
        id = text_of(row, "id") if row.cells.get("id") not in (None, "") else name.rpartition(".")[0] or name
        yield Sample(
            id=f"{task}-{id}",
            item=Item(
                [self._image(task, folder, name)], caption=fields["text"], turns=self.turns(fields, task)
            ),
            expected=(_ANSWERS[label.lower()],),
            label=label,
            group=task,
            category=task,
            cluster=f"{task}/{name.lower()}",
            fields=fields,
        )

    def _task(self, name: str) -> str | None:
        """The task whose folder or archive a file lies in; the copy may itself be that folder."""
        folders = [self.files.root.name, *name.split("/")[:-1]]
        return next((part.lower() for part in reversed(folders) if part.lower() in TASKS), None)

    def _image(self, task: str, folder: str, name: str) -> LazyImage:
        own, named = f"images/{name}", f"{task}/images/{name}"
        if task != "hatefulness":
            return self.image(own, under=folder, named=named)
        return self.files.image(own, under=folder) or self.image(f"img/{name}", named=named)
