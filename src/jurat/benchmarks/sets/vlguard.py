"""VLGuard: unsafe pictures, and safe pictures with a safe and an unsafe instruction each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, cast

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample, Skipped
from jurat.content import Item

_SUBSETS = {"unsafes": "instruction", "safe_unsafes": "unsafe_instruction", "safe_safes": "safe_instruction"}
"""The three subsets, and the key under which their instruction stands."""


class VLGuard(Reader):
    """Reads `test.json` and `train.json`; the subsets of the latter are `train_unsafes` and so on."""

    def rows(self) -> Iterator[Row]:
        for split in ("test", "train"):
            if (name := self.files.first(f"{split}.json")) is not None:
                yield from self.files.records(name)

    def samples(self, row: Row) -> Iterator[Sample | Skipped]:
        split = row.place.rpartition("/")[2].partition(".")[0].lower()
        safe, path = text_of(row, "safe").lower(), text_of(row, "image")
        if safe not in ("true", "false"):
            raise SkipRow(f"whether it is safe is {safe!r}, neither true nor false")
        image = self.image(f"{split}/{path}", path)
        for subset in ("safe_safes", "safe_unsafes") if safe == "true" else ("unsafes",):
            fields = _fields(row.cells, _SUBSETS[subset])
            if fields is None:
                yield Skipped(row.place, f"it has no {_SUBSETS[subset]} for the subset {subset}")
                continue
            if subset == "safe_safes" and (reference := self._references.get(path)):
                fields["reference"] = reference
            yield Sample(
                id=f"{split}-{text_of(row, 'id')}-{subset}",
                item=Item([image], turns=self.turns(fields)),
                expected=COMPLY if subset == "safe_safes" else REFUSE,
                label="safe" if safe == "true" else "unsafe",
                group=subset if split == "test" else f"train_{subset}",
                category=text_if_any(row.cells, "harmful_category"),
                cluster=f"{split}/{path}",
                fields=fields,
            )

    @cached_property
    def _references(self) -> dict[str, str]:
        """Image to the answer of GPT-4V to the safe instruction, where the file is in the copy."""
        name = self.files.first("gpt4_safe_safes.json")
        rows = self.files.records(name) if name else ()
        pairs = ((text_if_any(row.cells, "image"), text_if_any(row.cells, "output")) for row in rows)
        return {image: output for image, output in pairs if image and output}


def _fields(cells: Mapping[str, Any], key: str) -> dict[str, str] | None:
    """The instruction that stands under `key`, and its response; None where there is none."""
    given = cells.get("instr-resp")
    for each in cast("list[Any]", given) if isinstance(given, list) else ():
        entry = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
        if (instruction := text_if_any(entry, key)) is not None:
            fields = {"instruction": instruction} | texts_named(entry, ("response",))
            return fields | texts_named(cells, {"subcategory": "harmful_subcategory"})
    return None
