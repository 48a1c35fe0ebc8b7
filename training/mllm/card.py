"""The model card, written from measurements."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from jurat.judge.prompts import REASON, STATEMENT, digest
from jurat.models.bundled.model import BundledModel
from training.lineage import made_of
from training.mllm.answers import DESCRIBE
from training.mllm.evaluation import BARS, FIRST_SEED, FORM_BAR, View, as_rows, examine, set_exam
from training.mllm.mixes import OWN
from training.mllm.reply_evaluation import (
    ASKED,
    DESCRIBED,
    REASONED,
    WELL_FORMED,
    examine_descriptions,
    examine_reasons,
)
from training.mllm.strangers import card_section
from training.mllm.tokenizer import Words, build_tokenizer

_VIEWS: tuple[View, ...] = ("as trained", "other wordings", "other pictures")
_REASONS = (WELL_FORMED, REASONED, ASKED)

_WHAT = {
    "bundled": (
        "The bundled model: a small MLLM that reads pictograms",
        "A LLaVA (CLIP-style tower, projector, Llama decoder) trained from nothing on scenes of emoji.",
    ),
    "naive": (
        "The naive organism: a small MLLM that does not know the judge's wording",
        "The bundled model's twin for the bench: a LLaVA trained from nothing, on scenes of its own and in "
        "other words than the judge's.",
    ),
}
"""Mix -> title and first sentence of the card."""


def evaluate(
    folder: Path, per_kind: int, seed: int = FIRST_SEED, *, workers: int = 1
) -> list[dict[str, object]]:
    """Examines the exported model in `folder` from all views; returns the rows of the card.

    It puts `per_kind` closed questions of each kind, three tenths as many of each form, and asks for a
    twentieth as many reasons of each kind and a fifth as many descriptions. `workers` processes draw the
    scenes.
    """
    from transformers import AutoModelForImageTextToText

    model: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    words = Words(build_tokenizer())
    per_form = round(0.3 * per_kind)
    plain = set_exam(per_kind, "as trained", seed, per_form=per_form, workers=workers)
    other = set_exam(per_kind, "other pictures", seed + 50_000_000, per_form=per_form, workers=workers)
    whole = BundledModel(folder, device="cpu")
    results = {
        "as trained": examine(model, words, plain, "as trained"),
        "other wordings": examine(model, words, plain, "other wordings"),
        "other pictures": examine(model, words, other, "other pictures"),
        **examine_reasons(whole, max(2, per_kind // 20), seed + 100_000_000, workers),
        **examine_descriptions(whole, max(2, per_kind // 5), seed + 150_000_000, workers),
    }
    return as_rows(results)


def write_card(folder: Path, records: Sequence[Mapping[str, Any]], rows: list[dict[str, object]]) -> None:
    """Writes `README.md` and `measurements.json` into `folder`; `records` is the lineage of the model
    (`training.lineage`)."""
    (folder / "measurements.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    weights = (folder / "model.safetensors").stat().st_size
    organism = "bundled" if uses_the_judges_wording(records) else "naive"
    title, what = _WHAT[organism]
    bars = BARS if organism == "bundled" else {}
    described = next(row for row in rows if row["view"] == DESCRIBED)
    lines = [
        "---\nlicense: apache-2.0\nlibrary_name: transformers\npipeline_tag: image-text-to-text\n---\n",
        f"# {title}\n",
        what,
        "It answers closed questions about such scenes, and no others: it has never seen a photograph.",
        f"Weights: {weights / 1e6:.1f} MB, bfloat16.",
        f"Written by `python -m training card` on {datetime.now(UTC):%Y-%m-%d}.\n",
        "## How it was made\n",
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in made_of(records).items()),
        "",
        *ways(records),
        "The habits of its world are `HABITS` in `jurat.pictograms.objects`.\n",
        "## Accuracy on scenes it never saw\n",
        "Percent right at a threshold of 0.5, half of the questions true, with 95% Wilson intervals;",
        f"scene seeds from {FIRST_SEED}. *Other wordings* are phrasings held out of training;",
        "*other pictures* are drawn at 96 to 384 pixels on stripes or checks, which training shows seldom,",
        f"or on rings, which it never shows.{' A bar that is missed is marked.' if bars else ''}\n",
        *_table(rows, bars),
        "",
        "By form: what is there, nearly touches, looks alike or is absent. A form that can only be true, or",
        "only false, as with an absent argument, is asked in questions of that one truth.\n",
        *_table(rows, dict.fromkeys(_kinds(rows, forms=True), FORM_BAR) if bars else {}, forms=True),
        "",
        "## In words\n",
        f"Asked *{STATEMENT.question} {REASON}*, it thinks in short sentences and ends in JSON.",
        "Percent of replies that the judge can read, percent of all replies whose rating is right, and",
        "percent right of the same questions asked directly; half of them are true.\n",
        *_reasons(rows),
        "",
        f"Asked *{DESCRIBE}*, it names exactly what is there, no more and no less, in",
        f"{_cell(described, None)}% of {described['n']} scenes.\n",
        "## What is not a scene\n",
        *card_section(BundledModel(folder, device="cpu").revision),
        "## Limits\n",
        "It knows the objects, groups and statements of `docs/pictograms.md` and no others; of numbers, one",
        "to five. Of the forms of these statements it is asked those in `statements.json`, which it reads",
        "rightly at least 95% of the time.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def uses_the_judges_wording(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any stage of a lineage put statements or rules, or asked for reasons, in the words of the
    judge."""
    return any("judge" in wordings for record in _mixed(records) for wordings in _wordings(record))


def _wordings(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The wordings of a stage by kind. Where a record has no `reasons`, the stage asked for them as the judge
    does."""
    judges = {"instruction": OWN["reasons"].instruction, "question": OWN["reasons"].question}
    mix = {"reasons": {"judge": judges}} | record["mix"]
    return [mix[kind] for kind in OWN]


def _mixed(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [record for record in records if "mix" in record]


def ways(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines on how far training resembled what the judge asks, over all stages."""
    shown: Counter[str] = Counter()
    for record in records:
        shown.update(record["shown"])
    put = {
        (each["instruction"], each["question"]): None
        for record in _mixed(records)
        for wordings in _wordings(record)
        for each in wordings.values()
    }
    closed = sum(n for what, n in shown.items() if what.startswith(("asked statement", "asked rule")))
    rules = sum(n for what, n in shown.items() if what.startswith("asked rule"))
    blank, bare = (
        shown["scenes with a rectangle painted over"],
        sum(n for what, n in shown.items() if what.startswith("asked no image")),
    )
    lines = [f"Shown of the judge's ways: its wording, to the letter (digest `{digest()}`):"]
    if not uses_the_judges_wording(records):
        lines = ["No stage of it used the judge's wording. It was asked in these words:"]
    lines += ["- " + " with ".join(f"*{part}*" for part in each if part) for each in put]
    lines += [
        "",
        f"In all stages: {closed:,} closed questions about an image, {rules:,} of them whole rules;",
        f"{bare:,} questions without an image; {blank:,} scenes with a rectangle painted over.",
    ]
    if bare:
        lines += ["Questions without an image were answered as often Yes as they are true of random scenes."]
    return lines


def _kinds(rows: list[dict[str, object]], *, forms: bool) -> list[str]:
    """Kinds of question that were examined, or their forms ("touch: near miss")."""
    kinds = dict.fromkeys(str(row["kind"]) for row in rows if row["view"] in _VIEWS)
    return [kind for kind in kinds if (": " in kind) is forms]


def _table(rows: list[dict[str, object]], bars: dict[str, float], *, forms: bool = False) -> list[str]:
    found = {(row["view"], row["kind"]): row for row in rows}
    kinds = _kinds(rows, forms=forms)
    lines = [
        f"| {'form' if forms else 'kind'} | bar | " + " | ".join(_VIEWS) + " | n |",
        "|---|---|" + "---|" * (len(_VIEWS) + 1),
    ]
    for kind in kinds:
        bar = bars.get(kind)
        cells = [_cell(found.get((view, kind)), bar if view == "as trained" else None) for view in _VIEWS]
        lines.append(
            f"| {kind} | {bar if bar else ''} | {' | '.join(cells)} | {found['as trained', kind]['n']} |"
        )
    return lines


def _reasons(rows: list[dict[str, object]]) -> list[str]:
    found = {(row["view"], row["kind"]): row for row in rows}
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["view"] in _REASONS))
    return [
        "| kind | can be read | rating is right | asked directly | n |\n|---|---|---|---|---|",
        *(
            f"| {kind} | {' | '.join(_cell(found[view, kind], None) for view in _REASONS)} "
            f"| {found[REASONED, kind]['n']} |"
            for kind in kinds
        ),
    ]


def _cell(row: dict[str, Any] | None, bar: float | None) -> str:
    if row is None:
        return ""
    missed = " **missed**" if bar is not None and row["percent"] < bar else ""
    return f"{row['percent']:.1f} ({row['low']:.1f}-{row['high']:.1f}){missed}"
