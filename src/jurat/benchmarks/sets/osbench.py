"""Pictures that are labelled by the rules of a constitution. OS Bench itself was not released; this is a
layout of ours for such sets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, text_of
from jurat.benchmarks.sample import Sample
from jurat.constitution import Constitution, parse_constitution
from jurat.content import Item

_CONSTITUTION = "constitution.yaml"
_LABELS = {
    "broken": ("broken", "violating", "violates", "unsafe", "yes", "true", "1"),
    "kept": ("kept", "borderline", "borderline-safe", "safe", "no", "false", "0"),
}
_ANSWERS = {"broken": "yes", "kept": "no"}


class LabelledByRules(Reader):
    """One picture and one rule a row: of a table with the columns `image`, `rule` (its id) and `label`; of
    folders `RULE/broken` and `RULE/kept`; or of the examples that the constitution itself names."""

    def rows(self) -> Iterator[Row]:
        if self.layout == "folders":
            yield from self._in_folders()
        elif self.layout == "examples":
            yield from self._in_constitution()
        else:
            name = self.files.one(self.card.patterns(self.layout)[-1])
            is_csv = name.lower().endswith(".csv")
            yield from self.files.table(name) if is_csv else self.files.records(name)

    def samples(self, row: Row) -> Iterator[Sample]:
        id, said, path = text_of(row, "rule"), text_of(row, "label"), text_of(row, "image")
        rule = next((rule for rule in self.constitution.rules if rule.id == id), None)
        if rule is None:
            raise SkipRow(f"its rule {id!r} is not in the constitution")
        label = next((name for name, words in _LABELS.items() if said.lower() in words), None)
        if label is None:
            raise SkipRow(f"its label {said!r} is none of {', '.join(sum(_LABELS.values(), ()))}")
        split = text_if_any(row.cells, "split")
        fields = {"rule": rule.rule, "rule_id": rule.id}
        yield Sample(
            id=f"{id}/{path}",
            item=Item([self.image(path)], turns=self.turns(fields)),
            expected=(_ANSWERS[label],),
            label=label,
            group=split,
            category=id,
            cluster=path,
            fields=fields,
        )

    @cached_property
    def constitution(self) -> Constitution:
        """The copy's constitution. Raises JuratError where it is none."""
        name = self.files.one(_CONSTITUTION)
        return parse_constitution(self.files.text(name), file=name)

    def _in_folders(self) -> Iterator[Row]:
        for name in self.files.images():
            *_, rule, label, _ = ["", "", *name.split("/")]
            if label.lower() in sum(_LABELS.values(), ()):
                yield Row(name, {"image": name, "rule": rule, "label": label})

    def _in_constitution(self) -> Iterator[Row]:
        name = self.files.one(_CONSTITUTION)
        for rule in self.constitution.rules:
            examples = rule.examples
            for label in _LABELS if examples is not None else ():
                for number, path in enumerate(getattr(examples, label), 1):
                    place = f"{name}:{rule.id}:{label}:{number}"
                    yield Row(place, {"image": path, "rule": rule.id, "label": label})
