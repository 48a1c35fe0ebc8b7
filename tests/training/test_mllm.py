"""Training: the vocabulary is complete, the forward pass equals the model's own, stages resume."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jurat.constitution import load_constitution
from jurat.judge.prompts import RULE, STATEMENT
from jurat.models.bundled.word_vocabulary import question_vocabulary
from jurat.pictograms.statements import UNKNOWN
from training.forbidding_rules import forbid
from training.mllm.answers import EIGHTHS, describe, open_question, reason
from training.mllm.batches import Packer, Scenes, Teacher, blank_out, make_batch
from training.mllm.checkpoints import fresh
from training.mllm.dense_targets import (
    ANSWERS,
    FOREIGN_GROUND,
    NOTHING,
    UNKNOWN_THING,
    all_known,
    strange_images,
    strange_loss,
    targets,
)
from training.mllm.joint import JointLesson, prefix_embeddings
from training.mllm.mixes import OWN, mixes, wordings
from training.mllm.packed_forward import Pack, forward
from training.mllm.tokenizer import Words, build_tokenizer
from training.mllm.tower import pixel_values, see
from training.questions import KINDS, Questioner, anything
from training.scenes.pool import Pool, facts_of, fill
from training.stages import WEIGHTS, Task, stages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools") / "few"


@pytest.fixture(scope="module")
def pool(folder: Path) -> Pool:
    return fill(folder, 123, 64, workers=1, known=True)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(build_tokenizer())


def test_pool_is_independent_of_workers(pool: Pool, tmp_path: Path) -> None:
    again = fill(tmp_path / "again", 123, 6, workers=2, known=True)
    for name, values in again.arrays.items():
        assert np.array_equal(values, pool[name][:6]), name


def test_vocabulary_covers_all_questions_and_answers(pool: Pool, words: Words) -> None:
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
                decoded = words.tokenizer.decode(words.ids(reason(drawn.statement, drawn.truth, seen)))
                answer = json.loads(decoded[decoded.index("{") :])
                assert answer["rating"] == ("Yes" if drawn.truth else "No")
    for rule in load_constitution("shelf:nursery").rules:
        for clause in (*rule.clauses, *rule.unless):
            for statement in clause.alternatives:
                words.ids(STATEMENT.ask(statement.text))
    assert words.unknown in words.tokenizer("A unicorn is visible.")["input_ids"]


@pytest.mark.parametrize("number", ["zero", *EIGHTHS, "Four", "2", "5"])
def test_numbers_used_only_in_answers_are_unknown_in_questions(number: str) -> None:
    tokenizer = build_tokenizer(judge=True)
    text = STATEMENT.ask(f"There are at least {number} dogs.")
    known = number in ("one", "two", "three")
    assert question_vocabulary(tokenizer).unknown_words(text) == ([] if known else [number])
    more = question_vocabulary(tokenizer, numbers={"four", "five"})
    assert (more.unknown_words(text) == []) is (known or number.lower() in ("four", "five"))


def test_object_names_are_one_token_in_any_case(words: Words) -> None:
    assert words.ids("Glass of Milk") == words.ids("glass of milk") == [words.id("glass of milk")]
    assert len(set(words.class_rows)) == len(words.class_rows)


def test_packed_pass_equals_the_model_forward_pass(pool: Pool, words: Words) -> None:
    torch.manual_seed(0)
    model = fresh(words).eval()
    texts = [f"{STATEMENT.ask(str(anything(random.Random(i))))} ASSISTANT:" for i in range(6)]
    packer = Packer(2, words.id("<pad>"), chunks=2, span=64)
    for i, text in enumerate(texts):
        assert packer.add(i % 2, words.ids(text), [words.id("Yes")])
    arrays = {name: torch.from_numpy(value) for name, value in packer.tensors().items()}
    pixels = torch.from_numpy(np.array(pool["pixels"][:2]))
    with torch.no_grad():
        prefix = prefix_embeddings(model, words, STATEMENT.instruction, see(model, pixels), 2)
        pack = Pack(arrays["ids"], arrays["text"], arrays["position"], arrays["pick"])
        states, _ = forward(model.model.language_model, prefix, pack, 1)
        for i, text in enumerate(texts):
            ids = words.ids("<s>USER:") + [words.id("<image>")] * 64 + words.ids(STATEMENT.instruction)
            plain = model.model(
                input_ids=torch.tensor([ids + words.ids(text)]),
                pixel_values=pixel_values(pixels[i % 2 : i % 2 + 1]),
            ).last_hidden_state[0, -1]
            assert torch.allclose(states[i % 2, i // 2], plain, atol=1e-4)


def test_dense_targets_are_distributions_over_present_objects(pool: Pool) -> None:
    batch = {name: np.array(pool[name][:16]) for name in pool.arrays}
    goal = targets(batch)
    for each in (goal.cover, goal.centre, goal.contact):
        assert torch.allclose(each.sum(-1), torch.ones(each.shape[:-1]), atol=1e-5)
    for row in range(16):
        there = {int(kind) + 1 for kind in batch["kinds"][row] if kind >= 0}
        assert set(goal.centre[row].sum(0).nonzero()[:, 0].tolist()) - {0} == there
        assert bool(goal.contact[row, :, 1:].any()) is bool((batch["contact"][row] > 0).any())


def test_dense_targets_tell_what_is_unknown(pool: Pool) -> None:
    batch = {name: np.array(pool[name][:16]) for name in pool.arrays}
    before = targets(batch).cover
    batch["kinds"][0, 0], batch["foreign"][1] = UNKNOWN, 64
    after = targets(batch).cover
    assert before[..., UNKNOWN_THING:].sum() == 0
    assert after[0, ..., UNKNOWN_THING].sum() > 0 and after[0, ..., FOREIGN_GROUND].sum() == 0
    assert after[1, ..., NOTHING].sum() == 0 and after[1, ..., FOREIGN_GROUND].max() == 1
    assert after[2:].equal(before[2:])


def test_blanked_objects_are_fully_hidden(pool: Pool) -> None:
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


@pytest.mark.parametrize(
    ("mix", "mode"), [(name, mode) for name, mix in mixes().items() for mode in mix.modes]
)
def test_every_mode_yields_questions_and_answers(pool: Pool, words: Words, mix: str, mode: str) -> None:
    teacher = Teacher(words, random.Random(0), mixes()[mix])
    seen = facts_of(*(pool[name][0] for name in ("kinds", "centres", "areas", "gaps")))

    def ask() -> tuple[list[int], list[int]] | None:
        wording = teacher.wording(mode)
        words.ids(wording.instruction)  # it holds no word outside the vocabulary
        return teacher.question(mode, seen, wording)

    pairs = [pair for _ in range(60) if (pair := ask()) is not None]
    assert pairs
    assert all(words.tokenizer.decode(question).endswith("ASSISTANT:") for question, _ in pairs)
    asked = sum(n for what, n in teacher.counts.items() if what.startswith("asked"))
    assert asked == len(pairs)
    if mode == "rule":
        judges = ["rule:" in words.tokenizer.decode(question) for question, _ in pairs]
        share = mixes()[mix].rules.get("judge", 0)
        assert (any(judges), all(judges)) == (share > 0, share == 1)
        assert RULE.ask("x") == "Rule: x"


def test_naive_mix_has_no_judge_wording_no_blanks_and_no_questions_without_an_image() -> None:
    naive = mixes()["naive"]
    assert "no image" not in naive.modes and naive.blanked == 0
    put = [wordings(kind)[name] for kind in OWN for name in getattr(naive, kind)]
    assert not {own.question for own in OWN.values()} & {wording.question for wording in put}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modes": {"statement": 0.5}}, "the shares {'statement': 0.5} do not sum to 1."),
        ({"modes": {"song": 1.0}}, "there is no mode 'song'; they are statement, rule, free, no image."),
    ],
)
def test_mix_with_wrong_shares_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        replace(mixes()["naive"], **change)


def test_nothing_is_asked_about_scenes_with_something_unknown(pool: Pool, words: Words) -> None:
    rows = {name: np.array(pool[name][:8]) for name in pool.arrays}
    rows["kinds"][:4, 0] = UNKNOWN
    strange = Scenes([Pool(rows)], unknown=0.4)
    counts = Counter[str]()
    for seed in range(6):
        batch = make_batch(strange, words, 8, np.random.default_rng(seed), mixes()["bundled"], counts)
        here = (batch.rows["kinds"] == UNKNOWN).any(1)
        assert (batch.pack["goal"][here] == -1).all()
    assert counts["scenes"] == 48
    assert 10 < counts["scenes with something unknown"] < 28


def test_cells_are_multiplied_to_the_probability_that_all_is_known() -> None:
    torch.manual_seed(0)
    cover = torch.randn(3, 4, 4, ANSWERS)
    unknown = cover.double().softmax(-1)[..., UNKNOWN_THING:].sum(-1)
    expected = (1 - unknown).prod(-1).prod(-1)
    assert all_known(cover).exp().tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_small_unknown_thing_counts_as_much_as_a_large_one(pool: Pool) -> None:
    rows = {name: np.array(pool[name][:3]) for name in pool.arrays}
    goal = targets(rows)
    for row, cells in ((0, 1), (1, 40)):
        goal.cover[row, :cells] = 0
        goal.cover[row, :cells, :, UNKNOWN_THING] = 1
    strange, told = strange_images(goal)
    assert strange.tolist() == [True, True, False] and told.all()

    def loss(sure: float) -> float:
        """Where all unknown cells, and no others, are said to be unknown with log odds `sure`."""
        cover = torch.full_like(goal.cover, -30.0)
        cover[..., NOTHING] = 0
        cover[..., UNKNOWN_THING] = torch.where(goal.cover[..., UNKNOWN_THING] > 0, sure, -30.0)
        assert all_known(cover)[2] == pytest.approx(0, abs=1e-6)
        return float(strange_loss(cover, goal))

    missed, halfway = loss(-10.0), loss(0.0)
    # Of each strange image the probability that all is known: 1 - 4e^-10 and 1 - 160e^-10; 2^-4 and 2^-160.
    assert missed == pytest.approx((10 - math.log(4) + 10 - math.log(160)) / 3, rel=1e-2)
    assert halfway == pytest.approx(-math.log1p(-(2**-4)) / 3, rel=1e-3)


def test_image_with_something_unknown_in_part_of_a_cell_is_not_told_of(pool: Pool) -> None:
    goal = targets({name: np.array(pool[name][:1]) for name in pool.arrays})
    goal.cover[0, 0, 0] = 0
    goal.cover[0, 0, 0, [NOTHING, UNKNOWN_THING]] = torch.tensor([0.7, 0.3])
    strange, told = strange_images(goal)
    assert (strange.item(), told.item()) == (False, False)
    assert strange_loss(torch.zeros_like(goal.cover), goal) == 0


def test_scenes_without_questions_change_no_answer(pool: Pool, words: Words, tmp_path: Path) -> None:
    for part in ("train-000", "watch"):
        fill(tmp_path / "pools" / "bundled" / part, 5, 8, workers=1)
    lesson = JointLesson(Task(stages()["joint-3"], tmp_path, WEIGHTS))
    rows = {name: np.array(pool[name][:6]) for name in pool.arrays}
    rows["kinds"][:2, 0] = UNKNOWN
    batch = make_batch(Scenes([Pool(rows)], 0.5), words, 6, np.random.default_rng(1), lesson._mix, Counter())
    asked = (batch.pack["goal"] >= 0).any(1)
    assert 0 < asked.sum() < 6
    alone = replace(
        batch,
        rows={name: value[asked] for name, value in batch.rows.items()},
        pack={name: value[asked] for name, value in batch.pack.items()},
    )
    with torch.no_grad():
        (both, right), (few, same) = lesson._parts(batch), lesson._parts(alone)
    assert both["answer"] == pytest.approx(float(few["answer"]), rel=1e-4)
    assert both["ground"] == pytest.approx(float(few["ground"]), rel=1e-4)
    assert right == same and both["dense"] != few["dense"]


def test_batch_depends_on_its_seed_alone(pool: Pool, words: Words) -> None:
    first, again, other = (
        make_batch(Scenes([pool]), words, 4, np.random.default_rng(seed), mixes()["bundled"], Counter())
        for seed in (3, 3, 4)
    )
    assert first.mode == again.mode and np.array_equal(first.pack["ids"], again.pack["ids"])
    assert not np.array_equal(first.rows["pixels"], other.rows["pixels"])
