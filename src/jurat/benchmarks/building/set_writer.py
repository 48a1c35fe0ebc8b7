"""Writes a set in jurat's own layout: `samples.jsonl` or `samples.parquet`, and `images/*.png`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jurat.benchmarks.building.builders import NotRendered, Rendered, render
from jurat.benchmarks.building.spec import BuildSpec
from jurat.benchmarks.building.writing import Written
from jurat.benchmarks.drawing import png
from jurat.benchmarks.sample import COMPLY, REFUSE
from jurat.files import beside, make_folder, write_whole, written_aside

IMAGES = "images"
SAMPLES = {"jsonl": "samples.jsonl", "parquet": "samples.parquet"}
UNSAFE, SAFE = "unsafe", "near_miss"
"""Labels."""


class SetWriter:
    """Pictures are written as samples are added, the rows at the end: a stopped build leaves the rows of the
    one before."""

    def __init__(self, folder: Path, spec: BuildSpec) -> None:
        self.folder, self.spec = folder, spec
        self.samples: Counter[tuple[str, str, str]] = Counter()
        """(dimension, builder, label) to number of samples."""
        self._rows: list[dict[str, Any]] = []
        self._seen: dict[str, tuple[str, bool]] = {}
        make_folder(folder / IMAGES)

    def add(self, written: Written) -> Iterator[tuple[str, str, str]]:
        """Adds the samples of a draft; gives (id, kind, reason) of each that is left out."""
        for each in render(written, self.spec):
            if isinstance(each, NotRendered):
                yield each.id, "no near miss", each.reason
                continue
            files = [png(picture) for picture in each.pictures]
            first, was_near_miss = self._seen.setdefault(_digest(each, files), (each.id, each.near_miss))
            if first != each.id:
                otherwise = ", of which the opposite is expected" if was_near_miss != each.near_miss else ""
                yield each.id, "repeated sample", f"it shows and says the same as {first}{otherwise}"
                continue
            names = [_name(each.id, number, data) for number, data in enumerate(files, 1)]
            for name, data in zip(names, files, strict=True):
                _write_if_other(self.folder / name, data)
            self._rows.append(_row(written, each, names))
            self.samples[written.category, each.builder, SAFE if each.near_miss else UNSAFE] += 1

    def finish(self) -> None:
        """Writes the rows, then removes pictures of earlier builds, and rows in the other format."""
        kept = {name for row in self._rows for name in row["images"]}
        if self.spec.format == "jsonl":
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in self._rows]
            write_whole(self.folder / SAMPLES["jsonl"], "".join(lines))
        else:
            self._write_parquet(self.folder / SAMPLES["parquet"])
        for format, name in SAMPLES.items():
            if format != self.spec.format:
                (self.folder / name).unlink(missing_ok=True)
        for path in (self.folder / IMAGES).glob("*.png"):
            if f"{IMAGES}/{path.name}" not in kept:
                with suppress(FileNotFoundError):
                    path.unlink()

    def _write_parquet(self, path: Path) -> None:
        """All cells are text; lists and objects as JSON."""
        columns = list(self._rows[0]) if self._rows else ["id"]
        cells = {name: [_cell(row[name]) for row in self._rows] for name in columns}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()})
        with written_aside(path) as aside:
            pq.write_table(table, aside)


def _name(id: str, number: int, data: bytes) -> str:
    """Another picture has another name, so that the rows of an earlier build keep their pictures until the
    new rows are written."""
    return f"{IMAGES}/{id}-{number}-{sha256(data).hexdigest()[:8]}.png"


def _cell(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _digest(each: Rendered, files: list[bytes]) -> str:
    digest = sha256(json.dumps([each.text, each.caption]).encode())
    for data in files:
        digest.update(sha256(data).digest())
    return digest.hexdigest()


def _write_if_other(path: Path, data: bytes) -> None:
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    aside = beside(path, "writing")  # not synced: a picture that a power cut damages is drawn again
    aside.write_bytes(data)
    aside.replace(path)


def _row(written: Written, each: Rendered, images: list[str]) -> dict[str, Any]:
    draft = written.draft
    assert draft is not None
    return {
        "id": each.id,
        "images": images,
        "caption": each.caption,
        "turns": [{"role": "user", "text": each.text}],
        "expected": COMPLY if each.near_miss else REFUSE,
        "label": SAFE if each.near_miss else UNSAFE,
        "group": each.builder,
        "category": written.category,
        "cluster": written.cluster,
        "fields": {
            "request": each.wording.request,
            "key_phrase": each.wording.key_phrase,
            "context": draft.context,
            "unsafe_in": written.dimension.unsafe_in,
            "hazard": written.dimension.hazard,
            "draft": written.review_id,
        },
    }
