"""Batches of joint training: scenes with packed questions about them, and their answers.

Each batch has one mode (`mixes.MODES`): statements, whole rules, answers in words (one word, reasons in JSON,
descriptions), or statements without an image, answered Yes as often as they are true in this world, which
gives the model a language prior. Scenes with anything unknown are shown, and nothing is asked about them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jurat.judge.prompts import Wording
from jurat.pictograms.scene import SIDE
from jurat.pictograms.statements import HELD_OUT, UNKNOWN, Facts, Statement
from training.forbidding_rules import forbid
from training.mllm.answers import DESCRIBE, ONE_WORD, YES_NO, describe, open_question, reason
from training.mllm.mixes import Mix, wordings
from training.mllm.tokenizer import EOS, PAD, Words
from training.questions import KINDS, Drawn, Questioner, anything
from training.scenes.pool import CELLS, Pool, facts_of, known_rows, load_batch
from training.scenes.variation import vary

RULE_KINDS = {
    "visible": 1,
    "any of": 1,
    "sign": 1,
    "touch": 2,
    "group touch": 1,
    "whole rule": 1,
    "relation": 0.4,
    "larger": 0.4,
    "only": 0.4,
    "count": 0.6,
    "not visible": 0.4,
}
"""Kind of question -> its weight among whole rules."""
YES, NO = "Yes", "No"
CHUNKS, SPAN = 2, 64
UNKNOWN_SHARE = 0.05
"""Share of scenes that hold something unknown, unless a stage says otherwise."""


@dataclass(frozen=True)
class Batch:
    """Scenes and the questions about them."""

    mode: str
    instruction: str
    rows: dict[str, np.ndarray]
    """Field of `pool.FIELDS` -> array over the scenes."""
    pack: dict[str, np.ndarray]
    """Fields of `packed_forward.Pack`, and `goal`: (B, Q) token ids to be predicted at `pick`."""


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
        """Adds a question with its answer if there is room, and returns whether there was. The answer's last
        token is predicted, never read."""
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


def blank_out(batch: dict[str, np.ndarray], row: int, rng: np.random.Generator) -> bool:
    """Covers a rectangle of a scene that hides some objects entirely and none in part; hidden objects are
    removed from the truth. Returns False where no such rectangle was found in a few tries."""
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
        return True
    return False


def _drawn(shares: Mapping[str, float], rng: random.Random) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


@dataclass
class Teacher:
    """Writes the questions and answers about one scene after another, and counts them."""

    words: Words
    rng: random.Random
    mix: Mix
    counts: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        kinds = {kind: weight * self.mix.kinds.get(kind, 1.0) for kind, weight in KINDS.items()}
        self.questioner = Questioner(self.rng, kinds)
        self.rules = Questioner(self.rng, dict(RULE_KINDS))
        self.yes, self.no, self.eos = self.words.id(YES), self.words.id(NO), self.words.id(EOS)

    def wording(self, mode: str) -> Wording:
        """A wording for the questions of a batch."""
        self.counts[f"batches {mode}"] += 1
        wording = self._drawn_wording("rules" if mode == "rule" else "statements", "batches")
        return wording if mode != "free" else Wording("", wording.question)

    def _drawn_wording(self, kind: str, of: str) -> Wording:
        name = _drawn(getattr(self.mix, kind), self.rng)
        self.counts[f"{of} of {kind} wording {name}"] += 1
        return wordings(kind)[name]

    def question(self, mode: str, facts: Facts, wording: Wording) -> tuple[list[int], list[int]] | None:
        """Token ids of one question and of its answer; None where the scene offered none."""
        if mode == "no image":
            statement = anything(self.rng)
            truth = statement.truth(facts)
            if truth is None:
                return None
            self.counts[f"asked no image: {YES if truth else NO}"] += 1
            return self._pair(wording.ask(self._say(statement)), truth)
        if mode == "rule":
            drawn = self.rules.draw(facts)
            ways = forbid(drawn.statement) if drawn else []
            return self._closed("rule", drawn, wording, self.rng.choice(ways)) if drawn and ways else None
        if mode == "statement":
            drawn = self.questioner.draw(facts)
            return self._closed("statement", drawn, wording, self._say(drawn.statement)) if drawn else None
        return self._free(facts, wording)

    def _say(self, statement: Statement) -> str:
        phrases = statement.phrasings(definite=self.rng.random() < 0.3)
        trained = phrases[: max(1, len(phrases) - HELD_OUT)]
        return trained[0] if self.rng.random() < 0.35 else self.rng.choice(trained)

    def _closed(self, mode: str, drawn: Drawn, wording: Wording, text: str) -> tuple[list[int], list[int]]:
        self.counts[f"asked {mode}, {drawn.kind}, {drawn.form}: {YES if drawn.truth else NO}"] += 1
        return self._pair(wording.ask(text), drawn.truth)

    def _pair(self, question: str, truth: bool) -> tuple[list[int], list[int]]:
        return self.words.ids(f"{question} ASSISTANT:"), [self.yes if truth else self.no]

    def _free(self, facts: Facts, wording: Wording) -> tuple[list[int], list[int]] | None:
        chance = self.rng.random()
        if chance < 0.50:
            pair = open_question(facts, self.rng)
            if pair is None:
                return None
            return self._worded("one word", f"{pair[0]} {ONE_WORD}", pair[1])
        if chance < 0.55:
            return self._worded("description", DESCRIBE, describe(facts))
        drawn = self.questioner.draw(facts)
        if drawn is None:
            return None
        if chance < 0.65:
            self.counts["asked in words: Yes or No"] += 1
            return self._pair(f"{self._say(drawn.statement)} {YES_NO}", drawn.truth)
        why = reason(drawn.statement, drawn.truth, facts)
        asked = self._drawn_wording("reasons", "questions").ask(wording.ask(self._say(drawn.statement)))
        return self._worded("reasons", asked, why)

    def _worded(self, form: str, question: str, answer: str) -> tuple[list[int], list[int]]:
        self.counts[f"asked in words: {form}"] += 1
        return self.words.ids(f"{question} ASSISTANT:"), [*self.words.ids(answer), self.eos]


@dataclass
class Scenes:
    """Rows of several pools, of which a share holds something unknown, where any do."""

    pools: Sequence[Pool]
    unknown: float = UNKNOWN_SHARE

    def __post_init__(self) -> None:
        self._known = known_rows(self.pools)
        self._strange = np.setdiff1d(np.arange(sum(map(len, self.pools))), self._known)

    def draw(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        """Random rows, by field."""
        index = self._known[rng.integers(len(self._known), size=size)]
        strange = rng.random(size) < (self.unknown if len(self._strange) else 0)
        if strange.any():
            index[strange] = self._strange[rng.integers(len(self._strange), size=int(strange.sum()))]
        return load_batch(self.pools, index)


def make_batch(
    scenes: Scenes, words: Words, size: int, rng: np.random.Generator, mix: Mix, counts: Counter[str]
) -> Batch:
    """A batch drawn with `rng`; its contents are added to `counts`."""
    teacher = Teacher(words, random.Random(int(rng.integers(2**62))), mix, counts)
    rows = scenes.draw(rng, size)
    mode = str(rng.choice(list(mix.modes), p=list(mix.modes.values())))
    wording = teacher.wording(mode)
    packer = Packer(size, words.id(PAD))
    counts["scenes"] += size
    for row in range(size):
        vary(rows, row, rng)
        if rng.random() < mix.blanked:
            counts["scenes with a rectangle painted over"] += blank_out(rows, row, rng)
        _fill_row(packer, row, teacher, mode, wording, rows)
    return Batch(mode, wording.instruction, rows, packer.tensors())


def _fill_row(
    packer: Packer, row: int, teacher: Teacher, mode: str, wording: Wording, rows: dict[str, np.ndarray]
) -> None:
    if rows["foreign"][row].any() or (rows["kinds"][row] == UNKNOWN).any():
        teacher.counts["scenes with something unknown"] += 1
        return
    facts = facts_of(*(rows[name][row] for name in ("kinds", "centres", "areas", "gaps")))
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
