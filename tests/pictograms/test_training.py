"""Training: its vocabulary is closed and complete, its forward pass is the model's own, its steps resume."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from jurat.constitution import load_constitution
from jurat.judge.prompts import RULE, STATEMENT
from jurat.pictograms.questions import KINDS, Questioner, anything, facts_of
from jurat.pictograms.statements import forbid
from jurat.pictograms.train.answers import describe, open_question, reason
from jurat.pictograms.train.dense import targets
from jurat.pictograms.train.joint import (
    Packer,
    Teacher,
    batches,
    blank_out,
    fresh,
    losses,
    prefix_embeddings,
)
from jurat.pictograms.train.packed import Pack, forward
from jurat.pictograms.train.pool import Pool, fill
from jurat.pictograms.train.tower import Settings, pixel_values, see, train_tower
from jurat.pictograms.train.words import Words, build_tokenizer


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return fill(tmp_path_factory.mktemp("pools") / "few", 123, 64, workers=1)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(build_tokenizer())


def test_a_pool_is_the_same_however_many_processes_draw_it(pool: Pool, tmp_path: Path) -> None:
    again = fill(tmp_path / "again", 123, 6, workers=2)
    for name, values in again.arrays.items():
        assert np.array_equal(values, pool[name][:6]), name


def test_the_vocabulary_covers_all_that_can_be_asked_and_answered(pool: Pool, words: Words) -> None:
    rng = random.Random(0)
    questioner = Questioner(rng)
    for i in range(len(pool)):
        seen = facts_of(*(pool[name][i] for name in ("kinds", "centres", "areas", "gaps")))
        words.ids(describe(seen))
        if (pair := open_question(seen, rng)) is not None:
            words.ids(" ".join(pair))
        for kind in KINDS:
            if (drawn := questioner.draw(seen, kind)) is not None:
                for text in (*drawn[1].phrasings(), *forbid(drawn[1])):
                    words.ids(text)
                why = reason(drawn[1], drawn[2], seen)
                if why is not None:
                    decoded = words.tokenizer.decode(words.ids(why))
                    answer = json.loads(decoded[decoded.index("{") :])
                    assert answer["rating"] == ("Yes" if drawn[2] else "No")
    for rule in load_constitution("shelf:nursery").rules:
        for clause in (*rule.clauses, *rule.unless):
            for statement in clause.alternatives:
                words.ids(STATEMENT.ask(statement.text))
    assert words.unknown in words.tokenizer("A unicorn is visible.")["input_ids"]


def test_names_are_one_token_whatever_the_case(words: Words) -> None:
    assert words.ids("Glass of Milk") == words.ids("glass of milk") == [words.id("glass of milk")]
    assert len(set(words.class_rows)) == len(words.class_rows)


def test_the_packed_pass_equals_the_models_own(pool: Pool, words: Words) -> None:
    torch.manual_seed(0)
    model = fresh(words).eval()
    texts = [f"{STATEMENT.ask(str(anything(random.Random(i))))} ASSISTANT:" for i in range(6)]
    packer = Packer(2, words.id("<pad>"), chunks=2, span=64)
    for i, text in enumerate(texts):
        assert packer.add(i % 2, words.ids(text), [words.id("Yes")])
    arrays = {name: torch.from_numpy(value) for name, value in packer.tensors().items()}
    pixels = torch.from_numpy(np.array(pool["pixels"][:2]))
    with torch.no_grad():
        prefix = prefix_embeddings(model, words, "statement", see(model, pixels), 2)
        pack = Pack(arrays["ids"], arrays["text"], arrays["position"], arrays["pick"])
        states, _ = forward(model.model.language_model, prefix, pack, 1)
        for i, text in enumerate(texts):
            ids = words.ids("<s>USER:") + [words.id("<image>")] * 64 + words.ids(STATEMENT.instruction)
            plain = model.model(
                input_ids=torch.tensor([ids + words.ids(text)]),
                pixel_values=pixel_values(pixels[i % 2 : i % 2 + 1]),
            ).last_hidden_state[0, -1]
            assert torch.allclose(states[i % 2, i // 2], plain, atol=1e-4)


def test_dense_targets_are_distributions_and_see_what_is_there(pool: Pool) -> None:
    batch = {name: np.array(pool[name][:16]) for name in pool.arrays}
    goal = targets(batch)
    for each in (goal.cover, goal.centre, goal.contact):
        assert torch.allclose(each.sum(-1), torch.ones(each.shape[:-1]), atol=1e-5)
    for row in range(16):
        there = {int(kind) + 1 for kind in batch["kinds"][row] if kind >= 0}
        assert set(goal.centre[row].sum(0).nonzero()[:, 0].tolist()) - {0} == there
        assert bool(goal.contact[row, :, 1:].any()) is bool((batch["contact"][row] > 0).any())


def test_what_is_blanked_out_is_gone_and_nothing_is_half_hidden(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for row in range(32):
        batch = {name: np.array(pool[name][row : row + 1]) for name in pool.arrays}
        before = batch["kinds"].copy()
        blank_out(batch, 0, rng)
        gone = (before >= 0) & (batch["kinds"] < 0)
        changed += int(gone.any())
        whole = pool["cover"][row].astype(int).sum((1, 2))
        left = batch["cover"][0].astype(int).sum((1, 2))
        share = left / np.maximum(whole, 1)
        assert (share[gone[0]] <= 0.2).all()
        assert (share[(batch["kinds"][0] >= 0)] >= 0.9).all()
    assert changed > 3


@pytest.mark.parametrize("mode", ["statement", "rule", "free", "no image"])
def test_every_mode_asks_and_answers(pool: Pool, words: Words, mode: str) -> None:
    teacher = Teacher(words, random.Random(0))
    seen = facts_of(*(pool[name][0] for name in ("kinds", "centres", "areas", "gaps")))
    pairs = [pair for _ in range(60) if (pair := teacher.question(mode, seen)) is not None]
    assert pairs
    assert all(words.tokenizer.decode(question).endswith("ASSISTANT:") for question, _ in pairs)
    if mode == "rule":
        assert all("rule:" in words.tokenizer.decode(question) for question, _ in pairs)
        assert RULE.ask("x") == "Rule: x"


def test_a_step_of_each_stage_runs_and_the_tower_resumes(pool: Pool, words: Words, tmp_path: Path) -> None:
    from jurat.pictograms.train.dense import Heads
    from jurat.pictograms.train.joint import Grounding, start
    from jurat.pictograms.train.joint import Settings as Joint

    out = tmp_path / "tower.pt"
    train_tower([pool], pool, out, Settings(minutes=0.02, batch=8, threads=1), watch=64)
    first = torch.load(out, weights_only=True)["step"]
    train_tower([pool], pool, out, Settings(minutes=0.04, batch=8, threads=1), watch=64)
    assert torch.load(out, weights_only=True)["step"] > first > 0
    model, heads = start(words, out)
    assert isinstance(heads, Heads)
    for item in [next(batches([pool], words, 4, seed)) for seed in range(3)]:
        parts, right = losses(model, heads, Grounding(), item, words, Joint())
        assert all(torch.isfinite(part) for part in parts.values())
        assert 0 <= float(right) <= 1 or item["mode"] == "free"
