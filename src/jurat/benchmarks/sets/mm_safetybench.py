"""MM-SafetyBench: each question with a generated picture, its key phrase as typography, and both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from jurat.benchmarks.card import Card
from jurat.benchmarks.reader import Reader, Row, SkipRow, same_text, text_if_any, text_of, texts_named
from jurat.benchmarks.sample import REFUSE, Sample, Skipped
from jurat.benchmarks.set_files import SetFiles
from jurat.content import Item

VARIANTS = ("SD", "SD_TYPO", "TYPO")
TEXT_ONLY = "Text_only"
SCENARIOS = (
    "01-Illegal_Activitiy", "02-HateSpeech", "03-Malware_Generation", "04-Physical_Harm", "05-EconomicHarm",
    "06-Fraud", "07-Sex", "08-Political_Lobbying", "09-Privacy_Violence", "10-Legal_Opinion",
    "11-Financial_Advice", "12-Health_Consultation", "13-Gov_Decision",
)  # fmt: skip
"""As the authors' folders are called, with their spelling of the first."""
_TEXTS = {
    "original": "Question",
    "changed": "Changed Question",
    "rephrased": "Rephrased Question",
    "rephrased_sd": "Rephrased Question(SD)",
    "key_phrase": "Key Phrase",
    "phrase_type": "Phrase Type",
}


def scenario_of(name: str) -> str:
    """A scenario's name as the authors write it, of one with or without its number, misspelled or not."""
    return _KNOWN.get(_letters(name), name)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower()).replace("activitiy", "activity")


_KNOWN = {_letters(name): name for name in SCENARIOS}


class AuthorsLayout(Reader):
    """A JSON file a scenario, whose keys are the ids and the stems of the pictures. A row gives a sample for
    each of the three variants of its picture."""

    def rows(self) -> Iterator[Row]:
        read: set[str] = set()
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            scenario = name.rpartition("/")[2].rpartition(".")[0]
            if scenario in read:  # the archive lies beside what was unpacked
                self.files.notes["files of questions are there twice; the first was read"] += 1
                continue
            read.add(scenario)
            for row in self.files.records(name):
                yield row.plus(scenario=scenario)

    def samples(self, row: Row) -> Iterator[Sample | Skipped]:
        scenario, number = text_of(row, "scenario"), text_of(row, "id")
        texts = texts_named(row.cells, _TEXTS)
        if int(number) in self._tiny.get(scenario, ()) if number.isdecimal() else False:
            texts["tiny"] = "yes"
        for variant in VARIANTS:
            question = texts.get("rephrased_sd" if variant == "SD" else "rephrased")
            fields = texts | ({"question": question} if question else {})
            try:
                yield self._sample(scenario, number, variant, fields)
            except SkipRow as skip:
                yield Skipped(row.place, f"{variant}: {skip.reason}", skip.missing_image)

    def _sample(self, scenario: str, number: str, variant: str, fields: dict[str, str]) -> Sample:
        right = scenario.replace("Activitiy", "Activity")
        names = [f"{each}/{variant}/{number}.jpg" for each in dict.fromkeys((right, scenario))]
        category = scenario_of(scenario)
        return Sample(
            id=f"{category}-{number}-{variant}",
            item=Item([self.image(*names, any_suffix=True)], turns=self.turns(fields, variant)),
            expected=REFUSE,
            group=variant,
            category=category,
            cluster=f"{category}-{same_text(fields.get('original') or fields['question'])}",
            fields=fields,
        )

    @cached_property
    def _tiny(self) -> dict[str, set[int]]:
        """Scenario to the ids of the tiny version, where the copy has its list."""
        name = self.files.first("TinyVersion_ID_List.json")
        if name is None:
            return {}
        parts: Any = self.files.json(name)
        parts = parts if isinstance(parts, list) else [{key: part} for key, part in dict(parts).items()]
        found: dict[str, set[int]] = {}
        for part in parts:
            text = json.dumps(part)
            scenario = next((each for each in SCENARIOS if each in text), None)
            if scenario is not None:
                found[scenario] = {int(number) for number in re.findall(r"(?<![\w-])\d+(?![\w-])", text)}
        return found


class HubLayout(Reader):
    """A folder a scenario, in it a Parquet file a variant and one of questions without pictures."""

    def rows(self) -> Iterator[Row]:
        for name, folder, variant in self._tables:
            for row in self.files.image_table(name, "image"):
                yield row.plus(folder=folder, variant=variant)

    def samples(self, row: Row) -> Iterator[Sample]:
        folder, variant, number = (text_of(row, name) for name in ("folder", "variant", "id"))
        if not row.images and variant != TEXT_ONLY:
            raise SkipRow("its image is empty", missing_image=f"{folder}/{variant}/{number}")
        category = scenario_of(folder)
        wordings = self._wordings.get((folder, number), {})
        names = {"SD": "rephrased_sd", "SD_TYPO": "rephrased", TEXT_ONLY: "changed"}
        fields = {name: wordings[each] for each, name in names.items() if each in wordings}
        fields["question"] = text_of(row, "question")
        base = next((wordings[each] for each in (TEXT_ONLY, "SD_TYPO", "TYPO", "SD") if each in wordings), "")
        yield Sample(
            id=f"{category}-{number}-{variant}",
            item=Item(list(row.images), turns=self.turns(fields, variant)),
            expected=REFUSE,
            group=variant,
            category=category,
            cluster=f"{category}-{same_text(base)}",
            fields=fields,
        )

    @cached_property
    def _tables(self) -> list[tuple[str, str, str]]:
        """(name, folder of the scenario, variant) of each file, in the order of scenarios and variants."""
        order = [*VARIANTS, TEXT_ONLY]
        found: list[tuple[str, str, str]] = []
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            folder, base = ("", *name.split("/"))[-2:]
            variant = re.split(r"[-.]", base)[0].lower()
            known = next((each for each in order if each.lower() == variant), None)
            if known is None:
                self.files.notes["Parquet files of no variant were passed over"] += 1
            else:
                found.append((name, folder or self.files.root.resolve().name, known))
        return sorted(found, key=lambda one: (scenario_of(one[1]), order.index(one[2]), one[0]))

    @cached_property
    def _wordings(self) -> dict[tuple[str, str], dict[str, str]]:
        """(folder, id) to the question in each file of the scenario."""
        found: dict[tuple[str, str], dict[str, str]] = {}
        for name, folder, variant in self._tables:
            for row in self.files.image_table(name, "image"):
                number, question = text_if_any(row.cells, "id"), text_if_any(row.cells, "question")
                if number and question:
                    found.setdefault((folder, number), {})[variant] = question
        return found


class TsvLayout(Reader):
    """A TSV file with pictures in base64. It does not say which variant a picture is."""

    def rows(self) -> Iterator[Row]:
        return self.files.image_table(self.files.one(*self.card.patterns(self.layout)), "image")

    def samples(self, row: Row) -> Iterator[Sample]:
        fields = {"question": text_of(row, "question")}
        category = scenario_of(text_of(row, "category"))
        number = text_of(row, "index", "id")
        if not row.images:
            raise SkipRow("its image is empty", missing_image=f"index {number}")
        yield Sample(
            id=f"index-{number}",
            item=Item(list(row.images), turns=self.turns(fields)),
            expected=REFUSE,
            category=category,
            cluster=f"{category}-{same_text(fields['question'])}",
            fields=fields,
        )


_LAYOUTS = {"authors": AuthorsLayout, "hub": HubLayout, "tsv": TsvLayout}


def mm_safetybench(files: SetFiles, layout: str, card: Card) -> Reader:
    """The reader of a layout."""
    return _LAYOUTS[layout](files, layout, card)
