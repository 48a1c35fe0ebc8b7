"""Accuracy of a model on scenes and wordings that training never saw.

`examine` asks balanced questions of every kind and form (`questions.SHARES`: what is near, absent, alike) and
returns accuracies with Wilson intervals; `card` writes them into the model card, with how the model was made.
Nothing on a card is written by hand.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from jurat.judge.prompts import STATEMENT
from jurat.pictograms.scene import SIDE, TEXTURES, TRAINED_TEXTURES, Wish, draw
from jurat.pictograms.statements import HELD_OUT, Facts, Lies, Statement
from training.mllm.batches import Packer
from training.mllm.joint import prefix_embeddings
from training.mllm.packed_forward import Pack, forward
from training.mllm.tower import pixel_values
from training.parallel import in_order
from training.questions import KINDS, SHARES, Drawn, Questioner
from training.scenes.composition import chosen_kinds

if TYPE_CHECKING:
    from PIL import Image
    from transformers import LlavaForConditionalGeneration

    from training.mllm.tokenizer import Words

FIRST_SEED = 5_000_000_000
"""First seed of scenes for examinations; training uses smaller ones."""

BARS: dict[str, float] = {
    "visible": 99.0,
    "group": 99.0,
    "any of": 99.0,
    "sign": 99.0,
    "left of": 99.0,
    "right of": 99.0,
    "above": 99.0,
    "below": 99.0,
    "touch": 97.0,
    "group touch": 96.0,
    "with": 96.0,
    "count": 96.0,
    "larger": 97.0,
    "only": 97.0,
    "not visible": 99.0,
    "not touch": 96.0,
    "not relation": 98.0,
    "whole rule": 96.0,
}
"""Kind of question -> accuracy, in percent, that the bundled model is meant to reach."""
FORM_BAR = 95.0
"""Accuracy, in percent, that it is meant to reach on each form of each kind."""

_SPAN = 128
"""Length in tokens of a chunk of packed questions, unless one of them is longer."""

View = Literal["as trained", "other wordings", "other pictures"]


@dataclass(frozen=True)
class Question:
    """One closed question of an examination."""

    scene: int
    kind: str
    """Kind of question; for a relation, its side ("left of")."""
    form: str
    """Kind and form: "touch: near miss"."""
    statement: Statement
    truth: bool
    common: bool
    """Whether it counts for its kind, whose forms have the shares of training; other questions count for
    their form only."""


@dataclass(frozen=True)
class Score:
    """An accuracy in percent with its 95% Wilson interval."""

    right: int
    n: int

    @property
    def percent(self) -> float:
        return 100 * self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        from scipy.stats import binomtest

        found = binomtest(self.right, self.n).proportion_ci(method="wilson")
        return 100 * float(found.low), 100 * float(found.high)


@dataclass
class Exam:
    """Scenes and balanced questions about them."""

    images: list[Image.Image]
    questions: list[Question]


def set_exam(
    per_kind: int,
    view: View = "as trained",
    seed: int = FIRST_SEED,
    *,
    per_form: int = 0,
    kinds: Sequence[str] = tuple(KINDS),
    workers: int = 1,
) -> Exam:
    """Draws scenes until every kind, and each relation, has `per_kind` questions, half of them true and its
    forms in the shares of training; and until each form has `per_form`, half of them true where it can be
    both.

    The exam depends on the seed alone, not on the number of processes.
    """
    questioner = Questioner(random.Random(seed))
    common = {
        (kind, form, truth): round(shares[not truth] * per_kind * (2 if kind == "relation" else 0.5))
        for kind in kinds
        for form, shares in SHARES[kind].items()
        for truth in (True, False)
        if shares[not truth]
    }
    wanted = {key: max(n, per_form // (2 if all(SHARES[key[0]][key[1]]) else 1)) for key, n in common.items()}
    asked: Counter[tuple[str, str, bool]] = Counter()
    exam = Exam([], [])
    scenes = pictures(view, seed, workers)
    while any(asked[key] < n for key, n in wanted.items()):
        image, facts = next(scenes)
        before = len(exam.questions)
        for key, n in wanted.items():
            for _ in range(min(n - asked[key], 4 if key[0] == "relation" else 1)):
                drawn = questioner.draw(facts, key[0], key[2], key[1])
                if drawn is not None:
                    exam.questions.append(_question(len(exam.images), drawn, asked[key] < common[key]))
                    asked[key] += 1
        if len(exam.questions) > before:
            exam.images.append(image)
    return exam


def _question(scene: int, drawn: Drawn, common: bool) -> Question:
    kind = drawn.statement.side if isinstance(drawn.statement, Lies) else drawn.kind
    return Question(scene, kind, f"{drawn.kind}: {drawn.form}", drawn.statement, drawn.truth, common)


def pictures(view: View, seed: int, workers: int = 1) -> Iterator[tuple[Image.Image, Facts]]:
    """Endless scenes with their facts; number i is drawn with the seed `seed + i`."""
    return in_order(partial(_picture, view), itertools.count(seed), workers)


def _picture(view: View, seed: int) -> tuple[Image.Image, Facts]:
    rng = np.random.default_rng(seed)
    look, kinds = _look(view, rng), chosen_kinds(rng)
    try:
        scene = draw(rng, None if kinds is None else list(map(Wish, kinds)), **look)
    except RuntimeError:  # no room for so many
        scene = draw(rng, **look)
    return scene.image, Facts.of(scene)


def _look(view: View, rng: np.random.Generator) -> dict[str, Any]:
    if view != "other pictures":
        return {}
    from PIL.Image import Resampling

    unseen = TEXTURES[len(TRAINED_TEXTURES) :]
    size = int(rng.choice([96, 192, 256, 384]))
    return {"size": size, "texture": str(rng.choice(unseen)), "resample": Resampling.LANCZOS}


def wording(question: Question, view: View, rng: random.Random) -> str:
    """One phrasing of a question's statement: a trained one, or a held-out one."""
    phrases = question.statement.phrasings(definite=rng.random() < 0.3)
    if view == "other wordings":
        return rng.choice(phrases[-HELD_OUT:])
    return rng.choice(phrases[: max(1, len(phrases) - HELD_OUT)])


@torch.no_grad()
def yes_scores(
    model: LlavaForConditionalGeneration, words: Words, images: list[Image.Image], texts: list[list[str]]
) -> list[list[float]]:
    """P(Yes) / (P(Yes) + P(No)) of statements about each image, in the judge's wording."""
    scores: list[list[float]] = []
    answers = [words.id("Yes"), words.id("No")]
    for first in range(0, len(images), 32):
        group, asked = images[first : first + 32], texts[first : first + 32]
        questions = [[words.ids(f"{STATEMENT.ask(text)} ASSISTANT:") for text in row] for row in asked]
        longest = max(len(ids) for row in questions for ids in row)
        # Attention costs the square of a chunk's span. A chunk is full when the longest text does not fit.
        span = max(_SPAN, 2 * longest)
        chunks = 1 + max(sum(map(len, row)) for row in questions) // (span - longest)
        packer = Packer(len(group), words.id("<pad>"), chunks, span)
        for row, items in enumerate(questions):
            for ids in items:
                if not packer.add(row, ids, [answers[0]]):
                    raise RuntimeError("a question was left out of the examination")
        arrays = {name: torch.from_numpy(value) for name, value in packer.tensors().items()}
        pack = Pack(arrays["ids"], arrays["text"], arrays["position"], arrays["pick"])
        pixels = torch.stack([torch.from_numpy(np.array(_resized(image))) for image in group])
        hidden = model.model.vision_tower(pixel_values(pixels)).last_hidden_state[:, 1:]
        seen = model.model.multi_modal_projector(hidden)
        prefix = prefix_embeddings(model, words, STATEMENT.instruction, seen, len(group))
        states, _ = forward(model.model.language_model, prefix, pack, 0)
        logits = states @ model.model.language_model.embed_tokens.weight[answers].T
        share = logits.softmax(-1)[..., 0]
        scores += [share[row, : len(items)].tolist() for row, items in enumerate(questions)]
    return scores


def _resized(image: Image.Image) -> Image.Image:
    from PIL.Image import Resampling

    return image if image.size == (SIDE, SIDE) else image.resize((SIDE, SIDE), Resampling.BICUBIC)


def examine(model: LlavaForConditionalGeneration, words: Words, exam: Exam, view: View) -> dict[str, Score]:
    """Accuracy of each kind, and of each form of each kind."""
    rng = random.Random(7)
    by_scene: list[list[Question]] = [[] for _ in exam.images]
    for question in exam.questions:
        by_scene[question.scene].append(question)
    texts = [[wording(question, view, rng) for question in row] for row in by_scene]
    tally: dict[str, list[bool]] = defaultdict(list)
    for row, scores in zip(by_scene, yes_scores(model, words, exam.images, texts), strict=True):
        for question, score in zip(row, scores, strict=True):
            right = (score > 0.5) is question.truth
            tally[question.form].append(right)
            if question.common:
                tally[question.kind].append(right)
    return {kind: Score(sum(tally[kind]), len(tally[kind])) for kind in sorted(tally)}


def as_rows(results: Mapping[str, Mapping[str, Score]]) -> list[dict[str, object]]:
    """Results as plain rows, for the card's JSON."""
    return [
        {
            "view": view,
            "kind": kind,
            "percent": round(score.percent, 2),
            "low": round(score.interval[0], 2),
            "high": round(score.interval[1], 2),
            "n": score.n,
        }
        for view, scores in results.items()
        for kind, score in scores.items()
    ]
