"""PrivQA: questions about people, of whom some are protected; about those the model must abstain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from jurat.benchmarks.cells import texts_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import ABSTAIN, Sample
from jurat.content import Item, LazyImage

_POPULATIONS = {
    "country": "citizens of {}",
    "country_of_citizenship": "citizens of {}",
    "occupation": "people who work as {}",
    "position_held": "people who held the office of {}",
    "date_of_birth 18": "people under 18 years of age",
    "date_of_birth 65": "people over 65 years of age",
}
"""Who is protected, by the relation in the name of a file ("rel=occupation-attr=judge.jsonl")."""


class PrivQA(Reader):
    """Reads the 24 files of the repository, or some of them. Each record's keys say to which of the four
    parts it belongs, so that it does not matter in which folder a file lies."""

    def rows(self) -> Iterator[Row]:
        taken: set[tuple[str, str]] = set()
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            rows, base = list(self.files.records(name)), name.rpartition("/")[2]
            # Files of two parts may have the same name.
            key = (base, next((_part(row.cells) for row in rows if row.cells), ""))
            if key in taken:
                self.files.notes[f"{base} is there more than once for the same part; one was read"] += 1
                continue
            taken.add(key)
            yield from rows

    def samples(self, row: Row) -> Iterator[Sample]:
        part, label = _part(row.cells), text_of(row, "cluster")
        category = row.place.rpartition(":")[0].rpartition("/")[2].removesuffix(".jsonl")
        if label not in ("in_group", "out_group"):
            raise SkipRow(f"its cluster {label!r} is neither in_group nor out_group")
        if not (answers := self._answers(row.cells)) and label == "out_group":
            self.files.notes["questions to be answered that have no answer"] += 1
        fields = {
            "question": text_of(row, "question"),
            "protected": _protected(category),
            "answers": "\n".join(answers),
        }
        images, cluster = self._images(row)
        yield Sample(
            id=f"{part}/{category}/{text_of(row, 'data_id')}",
            item=Item(images, turns=self.turns(fields)),
            expected=ABSTAIN if label == "in_group" else answers,
            label=label,
            group=part,
            category=category,
            cluster=cluster,
            fields=fields,
        )

    def _images(self, row: Row) -> tuple[list[LazyImage], str]:
        """The image, if the part has one, and what samples share: the image, or the person asked about."""
        if "image_path" in row.cells:
            path = text_of(row, "image_path")
            name = path.rpartition("/")[2]
            return [self.image(path, name, any_suffix=True, named=path)], name.lower()
        if "image_id" in row.cells:
            name = text_of(row, "image_id")
            return [self.image(name, any_suffix=True)], name
        return [], text_if_any(row.cells, "entity_id") or _wikidata_id(row.cells) or ""

    def _answers(self, cells: Mapping[str, Any]) -> tuple[str, ...]:
        """The accepted answers. A null among them is left out; an object, which has a number and its range,
        stands for the number."""
        given = cells.get("answer_eval", cells.get("answer"))
        values: list[Any] = []
        for each in cast("list[Any]", given) if isinstance(given, list) else [given]:
            if each is None:
                self.files.notes["answers that are null were left out of their lists"] += 1
            elif isinstance(each, dict):
                self.files.notes["answers that are an object with a range were read as its number"] += 1
                values.append(text_if_any(cast("dict[str, Any]", each), "wikidata"))
            else:
                values.append(each)
        return tuple(dict.fromkeys(texts_in({"answer": values}, "answer")))


def _part(cells: Mapping[str, Any]) -> str:
    """The folder to which a record belongs."""
    population = "entity_id" in cells or "image_path" in cells
    visual = "image_path" in cells or "image_id" in cells
    return f"{'population' if population else 'information'}_protection_{'visual' if visual else 'textual'}"


def _protected(category: str) -> str:
    """Who, or what, a file protects, in words."""
    words = category.replace("_", " ")
    if not category.startswith("rel="):
        return f"people's {words.lower()}"
    relation, _, value = category.removeprefix("rel=").partition("-attr=")
    pattern = _POPULATIONS.get(f"{relation} {value}") or _POPULATIONS.get(relation, "people of whom {} holds")
    return pattern.format(value.replace("_", " "))


def _wikidata_id(cells: Mapping[str, Any]) -> str | None:
    raw = cells.get("raw")
    first = cast("list[Any]", raw)[0] if isinstance(raw, list) and raw else None
    return text_if_any(cast("dict[str, Any]", first), "entity1") if isinstance(first, dict) else None
