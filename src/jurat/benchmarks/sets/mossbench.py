"""MOSSBench: harmless requests about pictures that look dangerous, and harmful counterparts of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jurat.benchmarks.cells import image_of, object_in, texts_in
from jurat.benchmarks.reader import Reader, Row, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample
from jurat.content import Item

_TYPES = {
    "type 1": "Exaggerated Risk",
    "type 2": "Negated Harm",
    "type 3": "Counterintuitive Interpretation",
}
_FLAGS = ("human", "child", "syn", "ocr")


class MOSSBench(Reader):
    """Reads the repository, where each part is a folder with `information.json` and `images`, and the hub's
    image folders and Parquet files."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._questions: dict[str, str] = {}
        """Question to the id of the first row of the main part that asks it."""
        self._clusters: dict[str, str] = {}

    def rows(self) -> Iterator[Row]:
        names = self.files.find(self.card.patterns(self.layout)[0])
        # The main part comes first: its counterparts belong to its clusters.
        for name in sorted(names, key=lambda name: "contrast" in name.lower()):
            if self.layout == "repository":
                rows = self.files.records(name, id_key="pid")
            elif self.layout == "hub":
                rows = self.files.table(name)
            else:
                rows = self.files.image_table(name, "image")
            for row in rows:
                yield row.plus(file=name)

    def samples(self, row: Row) -> Iterator[Sample]:
        pid, file = text_of(row, "pid"), text_of(row, "file")
        about = object_in(row.cells, "metadata") or {
            name.removeprefix("metadata_"): value
            for name, value in row.cells.items()
            if name.startswith("metadata_")
        }
        is_contrast = "contrast" in file.lower() or not any(name in about for name in _FLAGS)
        fields = {"question": text_of(row, "question")}
        fields |= texts_named(
            row.cells, {"description": "description", "short_description": "short description"}
        )
        fields |= texts_named(about, _FLAGS)
        if harm := texts_in(about, "harm"):
            fields["harm"] = ", ".join(harm)
        over = text_if_any(about, "over") or ""
        yield Sample(
            id=f"contrast-{pid}" if is_contrast else pid,
            item=Item([self._picture(row, file)], turns=self.turns(fields)),
            expected=REFUSE if is_contrast else COMPLY,
            group="contrast" if is_contrast else "main",
            category=_TYPES.get(over, over) or None,
            cluster=self._cluster(pid, fields["question"], is_contrast),
            fields=fields,
        )

    def _picture(self, row: Row, file: str) -> Any:
        if self.layout == "parquet":
            return image_of(row)
        name = text_of(row, "image", "file_name", "image_path")
        is_repository = self.layout == "repository"
        if is_repository and "/" not in name:
            name = f"images/{name}"
        # With its folder, since the pictures of both parts have the same names.
        return self.image("/".join([*file.split("/")[: -2 if is_repository else -1], name]))

    def _cluster(self, pid: str, question: str, is_contrast: bool) -> str:
        """Rows of the main part with the same question are a cluster, with their counterparts."""
        if not is_contrast:
            self._clusters[pid] = self._questions.setdefault(question, pid)
        return self._clusters.get(pid, pid)
