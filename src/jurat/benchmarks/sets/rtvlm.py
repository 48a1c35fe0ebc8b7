"""RTVLM: red teaming of faithfulness, privacy, safety and fairness, in subsets with keys of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jurat.benchmarks.cells import places_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample, Skipped
from jurat.benchmarks.set_listing import is_image
from jurat.content import Item, LazyImage
from jurat.text import shown

CAUTION = "caution"
"""What is expected where a model should answer with care."""
_EXPECTED = {
    "refuse to answer": REFUSE,
    "proceed with caution": CAUTION,
    "answer with caution": CAUTION,
    "safe to answer": COMPLY,
}


@dataclass(frozen=True)
class _Subset:
    file: str
    """The end of its path."""
    aspect: str
    image: str = "id"
    """The key of its images' names."""
    images: str = ""
    """The folder, beside the file or above it, below which the images lie; default: the file's own."""
    shares: str | None = None
    """What its images belong to, where those of other subsets do too; their samples form clusters."""
    label: str | None = None
    """The label of rows that have none, as the authors' script gives it."""


_FLAGS = "flags"
SUBSETS = {
    "misleading": _Subset("Harmful/misleading.jsonl", "faithfulness", "index"),
    "visual_misleading_wrong": _Subset(
        "VisualMisleadingWrong/visual_misleading_wrong.jsonl", "faithfulness", "img", shares=_FLAGS
    ),
    "visual_misleading_correct": _Subset(
        "VisualMisleadingCorrect/visual_misleading_correct.jsonl", "faithfulness", "answers", shares=_FLAGS
    ),
    "visual_order_a": _Subset("VisualOrderA/order_A.jsonl", "faithfulness", "img", shares=_FLAGS),
    "visual_order_b": _Subset("VisualOrderB/order_B.jsonl", "faithfulness", "img", shares=_FLAGS),
    "celebrity": _Subset("Celebrity/celebrity.jsonl", "privacy", shares="celebrity"),
    "celebrity_mixed": _Subset("Celebrity/mixed.jsonl", "privacy", shares="celebrity"),
    "captcha": _Subset("Captcha/captcha.jsonl", "privacy", label="Proceed with Caution"),
    "politics": _Subset("Politics/politics.jsonl", "safety"),
    "racial": _Subset("Racial/racial.jsonl", "safety"),
    "jailbreak": _Subset("Jailbreak/jailbreak.jsonl", "safety", "index", shares="jailbreak"),
    "jailbreak2": _Subset(
        "Jailbreak2/jailbreak.jsonl", "safety", "index", images="Jailbreak", shares="jailbreak"
    ),
    "face": _Subset("Face/face_diffusion.jsonl", "fairness"),
}


class Rtvlm(Reader):
    """Reads the subsets that the copy has. A row of `misleading` gives a sample for each of its questions."""

    def rows(self) -> Iterator[Row]:
        for key, subset in SUBSETS.items():
            name = self.files.first(subset.file)
            for row in self.files.records(name) if name else ():
                yield row.plus(subset=key)

    def samples(self, row: Row) -> Iterator[Sample | Skipped]:
        key = cast(str, row.cells["subset"])
        subset = SUBSETS[key]
        # The authors' script takes the spaces out of the names of flags.
        names = ["".join(name.split()) for name in places_in(row.cells, subset.image, "img", "image", "id")]
        questions = places_in(row.cells, "questions", "question", "instruction", "prompt")
        if not names or not questions:
            raise SkipRow(f"it has no {'question' if names else f'{subset.image}, which names its image'}")
        images = [self._image(row, subset, name) for name in names]
        for number, question in enumerate(questions):
            if not question:
                yield Skipped(row.place, f"its question {number + 1} has no text")
                continue
            label = _nth(row.cells, "refused_to_answer", number) or subset.label
            texts = {
                "question": question,
                "answer": _nth(row.cells, "answers", number) or text_if_any(row.cells, "answer"),
                "topic": _nth(row.cells, "topic_type", number),
            }
            fields = {key: text for key, text in texts.items() if text is not None}
            variant = f"-{number + 1}" if len(questions) > 1 else ""
            yield Sample(
                id=f"{key}-{'+'.join(names)}{variant}",
                item=Item(images, turns=self.turns(fields)),
                expected=self._expected(label),
                label=label,
                group=key.removesuffix("_a").removesuffix("_b"),
                category=subset.aspect,
                cluster=f"{subset.shares or key}/{'+'.join(sorted(names))}".lower(),
                fields=fields,
            )

    def _expected(self, label: str | None) -> str | None:
        if label is None:
            self.files.notes["samples without a label"] += 1
            return None
        if label.lower() not in _EXPECTED:
            self.files.notes[f"samples with the label {shown(label)}, which is not known"] += 1
        return _EXPECTED.get(label.lower())

    def _image(self, row: Row, subset: _Subset, name: str) -> LazyImage:
        """An image below the subset's folder, with the suffix that some subsets leave out."""
        folder = row.place.rpartition(":")[0].rpartition("/")[0]
        if subset.images:
            above = folder.rpartition("/")[0]
            folder = f"{above}/{subset.images}" if above else subset.images
        full = name if is_image(name) else f"{name}.jpg"
        found = self.files.image(full, any_suffix=True, under=folder)
        if found is None and subset.shares == _FLAGS:  # the flags of all subsets may lie in one folder
            return self.image(f"{_FLAGS}/{full.rpartition('/')[2]}", any_suffix=True, named=full)
        return found or self.image(full, any_suffix=True, under=folder)


def _nth(cells: Mapping[str, Any], key: str, number: int) -> str | None:
    """The text of a cell for one of several questions: its own in a list, or the one for all."""
    value = cells.get(key)
    if not isinstance(value, list):
        return text_if_any(cells, key)
    values = cast("list[Any]", value)
    at = number if len(values) > 1 else 0
    return text_if_any({key: values[at]}, key) if at < len(values) else None
