"""Batches of joint training: scenes with packed questions about them, and their answers.

Each batch has one mode: the judge's statements (most batches), the judge's whole rules, free questions
(one word, reasons in JSON, descriptions), or statements without an image, answered Yes as often as they are
true in this world, which gives the model a language prior. Some scenes have a blanked-out rectangle, and some
are resampled as if from another size. Shares and wordings are in `mixes`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from jurat.judge.prompts import REASON, Wording
from jurat.pictograms.scene import SIDE
from jurat.pictograms.statements import HELD_OUT, Facts, Statement
from training.forbidding_rules import forbid
from training.mllm.answers import DESCRIBE, ONE_WORD, YES_NO, describe, open_question, reason
from training.mllm.mixes import MIXES, Mix
from training.mllm.scene_pool import CELLS, Pool
from training.mllm.tokenizer import EOS, PAD, Words
from training.mllm.tower import load_batch
from training.questions import KINDS, Questioner, anything, facts_of

RULE_KINDS = ("visible", "any of", "sign", "touch", "touch", "group touch", "whole rule")
"""Kinds of question that whole rules are made of, each as likely as the others."""
CHUNKS, SPAN = 2, 64
RESAMPLED = 0.25
"""Share of scenes that are scaled down and up again."""


@dataclass
class Packer:
    """Packs question texts and their answers into the chunks of a batch."""

    size: int
    pad: int
    chunks: int = CHUNKS
    span: int = SPAN

    def __post_init__(self) -> None:
        shape = (self.size, self.chunks, self.span)
        self.ids = np.full(shape, self.pad, np.int64)
        self.text = np.full(shape, -1, np.int64)
        self.position = np.zeros(shape, np.int64)
        self.used = np.zeros((self.size, self.chunks), int)
        self.count = np.zeros((self.size, self.chunks), int)
        self.picks: list[list[tuple[int, int]]] = [[] for _ in range(self.size)]

    def add(self, row: int, question: list[int], answer: list[int]) -> bool:
        """Whether there was room; the answer's last token is predicted, never read."""
        ids = question + answer[:-1]
        for chunk in range(self.chunks):
            start = self.used[row, chunk]
            if start + len(ids) <= self.span:
                end = start + len(ids)
                self.ids[row, chunk, start:end] = ids
                self.text[row, chunk, start:end] = self.count[row, chunk]
                self.position[row, chunk, start:end] = np.arange(len(ids))
                first = chunk * self.span + start + len(question) - 1
                self.picks[row] += [(first + i, token) for i, token in enumerate(answer)]
                self.used[row, chunk] = end
                self.count[row, chunk] += 1
                return True
        return False

    def tensors(self) -> dict[str, np.ndarray]:
        most = max(1, *(len(row) for row in self.picks))
        pick, goal = (np.full((self.size, most), -1, np.int64) for _ in range(2))
        for row, picks in enumerate(self.picks):
            for i, (place, token) in enumerate(picks):
                pick[row, i], goal[row, i] = place, token
        return {"ids": self.ids, "text": self.text, "position": self.position, "pick": pick, "goal": goal}


def blank_out(batch: dict[str, np.ndarray], row: int, rng: np.random.Generator) -> None:
    """Covers a rectangle of a scene; what it hides is gone, and nothing may be half hidden."""
    for _ in range(12):
        wide, high = rng.integers(3, 9, 2)
        x, y = rng.integers(0, CELLS - wide + 1), rng.integers(0, CELLS - high + 1)
        cover = batch["cover"][row].astype(int)
        hidden = cover[:, y : y + high, x : x + wide].sum((1, 2)) / np.maximum(cover.sum((1, 2)), 1)
        if ((hidden > 0.05) & (hidden < 0.8)).any():
            continue
        scale = SIDE // CELLS
        window = batch["pixels"][row, y * scale : (y + high) * scale, x * scale : (x + wide) * scale]
        window[:] = (
            rng.choice([window.mean(), 0, 127, 255]) if rng.random() < 0.6 else rng.integers(0, 256, 3)
        )
        batch["kinds"][row][hidden >= 0.8] = -1
        for name in ("cover", "contact", "seam"):
            batch[name][row][..., y : y + high, x : x + wide] = 0
        return


def resample(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scene as if it had come in another size, with another brightness."""
    filters = [
        Image.Resampling.BILINEAR,
        Image.Resampling.BICUBIC,
        Image.Resampling.LANCZOS,
        Image.Resampling.BOX,
    ]
    side = int(rng.integers(88, 224))
    image = Image.fromarray(pixels)
    image = image.resize((side, side), filters[rng.integers(4)]).resize(
        (SIDE, SIDE), filters[rng.integers(3)]
    )
    value = np.asarray(image, np.float32)
    if rng.random() < 0.5:
        value = (value - 128) * rng.uniform(0.8, 1.15) + 128 + rng.uniform(-20, 20)
    return np.clip(value, 0, 255).astype(np.uint8)


@dataclass
class Teacher:
    """Writes the questions and answers of one scene after another."""

    words: Words
    rng: random.Random
    mix: Mix = MIXES["bundled"]

    def __post_init__(self) -> None:
        kinds = {kind: weight * self.mix.kinds.get(kind, 1.0) for kind, weight in KINDS.items()}
        self.questioner = Questioner(self.rng, kinds)
        self.rules = Questioner(self.rng)
        self.yes, self.no, self.eos = self.words.id("Yes"), self.words.id("No"), self.words.id(EOS)

    def _say(self, statement: Statement) -> str:
        phrases = statement.phrasings(definite=self.rng.random() < 0.3)
        trained = phrases[: max(1, len(phrases) - HELD_OUT)]
        return trained[0] if self.rng.random() < 0.35 else self.rng.choice(trained)

    def _closed(self, wording: Wording, text: str, truth: bool) -> tuple[list[int], list[int]]:
        return self.words.ids(f"{wording.ask(text)} ASSISTANT:"), [self.yes if truth else self.no]

    def wording(self, mode: str) -> Wording:
        """How the questions of a batch are put."""
        if mode == "rule":
            return self.rng.choice(self.mix.rules)
        put = self.rng.choice(self.mix.statements)
        return put if mode != "free" else Wording("", put.question)

    def question(self, mode: str, facts: Facts, wording: Wording) -> tuple[list[int], list[int]] | None:
        """Token ids of one question and of its answer."""
        if mode == "no image":
            statement = anything(self.rng)
            truth = statement.truth(facts)
            return None if truth is None else self._closed(wording, self._say(statement), truth)
        if mode == "rule":
            drawn = self.rules.draw(facts, self.rng.choice(RULE_KINDS))
            ways = forbid(drawn[1]) if drawn else []
            return self._closed(wording, self.rng.choice(ways), drawn[2]) if drawn and ways else None
        if mode == "statement":
            drawn = self.questioner.draw(facts)
            return self._closed(wording, self._say(drawn[1]), drawn[2]) if drawn else None
        return self._free(facts, wording)

    def _free(self, facts: Facts, wording: Wording) -> tuple[list[int], list[int]] | None:
        chance = self.rng.random()
        if chance < 0.55:
            pair = open_question(facts, self.rng)
            if pair is None:
                return None
            return self.words.ids(f"{pair[0]} {ONE_WORD} ASSISTANT:"), [*self.words.ids(pair[1]), self.eos]
        if chance < 0.60:
            return self.words.ids(f"{DESCRIBE} ASSISTANT:"), [*self.words.ids(describe(facts)), self.eos]
        drawn = self.questioner.draw(facts)
        if drawn is None:
            return None
        if chance < 0.75:
            text = self._say(drawn[1])
            return self.words.ids(f"{text} {YES_NO} ASSISTANT:"), [self.yes if drawn[2] else self.no]
        why = reason(drawn[1], drawn[2], facts)
        if why is None:
            return None
        question = f"{wording.ask(self._say(drawn[1]))} {REASON} ASSISTANT:"
        return self.words.ids(question), [*self.words.ids(why), self.eos]


def batches(
    pools: list[Pool], words: Words, size: int, seed: int, mix: Mix = MIXES["bundled"]
) -> Iterator[dict[str, Any]]:
    """Endless batches: a mode, the instruction, rows of the pools, and the packed questions about them."""
    rng, teacher = np.random.default_rng(seed), Teacher(words, random.Random(seed), mix)
    total = sum(map(len, pools))
    while True:
        order = rng.permutation(total)
        for first in range(0, total - size, size):
            batch = load_batch(pools, order[first : first + size])
            mode = str(rng.choice(list(mix.modes), p=list(mix.modes.values())))
            wording = teacher.wording(mode)
            packer = Packer(size, words.id(PAD))
            for row in range(size):
                if rng.random() < mix.blanked:
                    blank_out(batch, row, rng)
                if rng.random() < RESAMPLED:
                    batch["pixels"][row] = resample(batch["pixels"][row], rng)
                _fill_row(packer, row, teacher, mode, wording, batch)
            packed = {"batch": batch, "pack": packer.tensors()}
            yield {"mode": mode, "instruction": wording.instruction, **packed}


def _fill_row(
    packer: Packer, row: int, teacher: Teacher, mode: str, wording: Wording, batch: dict[str, np.ndarray]
) -> None:
    facts = facts_of(*(batch[name][row] for name in ("kinds", "centres", "areas", "gaps")))
    if len(facts.kinds) == 0:
        return
    asked: set[tuple[int, ...]] = set()
    misses = 0
    while misses < 4:
        pair = teacher.question(mode, facts, wording)
        if pair is None or tuple(pair[0]) in asked or not packer.add(row, *pair):
            misses += 1
        else:
            asked.add(tuple(pair[0]))


assert set(RULE_KINDS) <= set(KINDS)
