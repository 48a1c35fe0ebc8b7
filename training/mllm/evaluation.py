"""Accuracy of a model on scenes and wordings that training never saw.

`examine` asks balanced questions of every kind and returns accuracies with Wilson intervals; `card` writes
them into the model card, with how the model was made. Nothing on a card is written by hand.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from jurat.judge.prompts import STATEMENT
from jurat.pictograms.scene import NEAR, SIDE, TEXTURES, TRAINED_TEXTURES, draw
from jurat.pictograms.statements import HELD_OUT, Facts, Lies, Side, Statement, Touches
from training.mllm.batches import Packer
from training.mllm.joint import prefix_embeddings
from training.mllm.packed_forward import Pack, forward
from training.mllm.tower import pixel_values
from training.parallel import in_order
from training.questions import KINDS, Questioner

if TYPE_CHECKING:
    from PIL import Image
    from transformers import LlavaForConditionalGeneration

    from training.mllm.tokenizer import Words

FIRST_SEED = 5_000_000_000
"""Scenes from here on are for examinations; training draws from below."""

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
    "touch, near misses": 95.0,
    "count": 96.0,
    "whole rule": 96.0,
}
"""Accuracies, in percent, that the bundled model is meant to reach."""

View = Literal["as trained", "other wordings", "other pictures"]


@dataclass(frozen=True)
class Question:
    """One closed question of an examination."""

    scene: int
    kind: str
    statement: Statement
    truth: bool
    near: bool
    """Whether it is about a touch that nearly happens."""


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
    kinds: Sequence[str] = tuple(KINDS),
    workers: int = 1,
) -> Exam:
    """Draws scenes until every kind, and each relation, has `per_kind` questions, half of them true.

    The exam of a seed is the same however many processes draw its scenes.
    """
    questioner = Questioner(random.Random(seed))
    wanted = {(kind, truth): per_kind // 2 for kind in _names(kinds) for truth in (True, False)}
    exam = Exam([], [])
    scenes = pictures(view, seed, workers)
    while any(wanted.values()):
        image, facts = next(scenes)
        asked = [
            q
            for q in _about(len(exam.images), facts, questioner, kinds)
            if wanted.get((q.kind, q.truth), 0) > 0
        ]
        kept: list[Question] = []
        for question in asked:
            if wanted[question.kind, question.truth] > 0:
                wanted[question.kind, question.truth] -= 1
                kept.append(question)
        if kept:
            exam.images.append(image)
            exam.questions += kept
    return exam


def pictures(view: View, seed: int, workers: int = 1) -> Iterator[tuple[Image.Image, Facts]]:
    """Scenes without end, and what is true of them; number i is drawn with the seed `seed + i`."""
    return in_order(partial(_picture, view), itertools.count(seed), workers)


def _picture(view: View, seed: int) -> tuple[Image.Image, Facts]:
    rng = np.random.default_rng(seed)
    scene = draw(rng, **_look(view, rng))
    return scene.image, Facts.of(scene)


def _look(view: View, rng: np.random.Generator) -> dict[str, Any]:
    if view != "other pictures":
        return {}
    from PIL.Image import Resampling

    unseen = TEXTURES[len(TRAINED_TEXTURES) :]
    size = int(rng.choice([96, 192, 256, 384]))
    return {"size": size, "texture": str(rng.choice(unseen)), "resample": Resampling.LANCZOS}


def _names(kinds: Sequence[str]) -> list[str]:
    """Kinds as they are counted: each side is one of its own."""
    sides = get_args(Side) if "relation" in kinds else ()
    return [*(kind for kind in kinds if kind != "relation"), *sides]


def _about(scene: int, facts: Facts, questioner: Questioner, kinds: Sequence[str]) -> Iterator[Question]:
    for kind in kinds:
        for truth in (True, False):
            for _ in range(4 if kind == "relation" else 1):
                drawn = questioner.draw(facts, kind, truth)
                if drawn is None:
                    continue
                statement = drawn[1]
                name = statement.side if isinstance(statement, Lies) else kind
                yield Question(scene, name, statement, truth, not truth and _nearly(statement, facts))


def _nearly(statement: Statement, facts: Facts) -> bool:
    if not isinstance(statement, Touches):
        return False
    gaps = [facts.gaps[i, j] for i, j in facts.pairs([statement.first], statement.others)]
    return bool(gaps) and min(gaps) < NEAR


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
        longest = max(sum(map(len, row)) for row in questions)
        packer = Packer(len(group), words.id("<pad>"), 1, longest)
        for row, items in enumerate(questions):
            for ids in items:
                packer.add(row, ids, [answers[0]])
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
    """Accuracy a kind; near misses of touches also on their own."""
    rng = random.Random(7)
    by_scene: list[list[Question]] = [[] for _ in exam.images]
    for question in exam.questions:
        by_scene[question.scene].append(question)
    texts = [[wording(question, view, rng) for question in row] for row in by_scene]
    tally: dict[str, list[bool]] = defaultdict(list)
    for row, scores in zip(by_scene, yes_scores(model, words, exam.images, texts), strict=True):
        for question, score in zip(row, scores, strict=True):
            right = (score > 0.5) is question.truth
            tally[question.kind].append(right)
            if question.near and question.kind == "touch":
                tally["touch, near misses"].append(right)
    return {kind: Score(sum(tally[kind]), len(tally[kind])) for kind in sorted(tally)}


def as_rows(results: Mapping[str, Mapping[str, Score]]) -> list[dict[str, object]]:
    """The results as plain rows, for the card's JSON."""
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
