"""Training: the vocabulary is complete, the forward pass equals the model's own, stages resume."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training.mllm.scene_pool import Pool, fill

from jurat.constitution import load_constitution
from jurat.judge.prompts import RULE, STATEMENT
from jurat.models.bundled.word_vocabulary import question_vocabulary
from training.forbidding_rules import forbid
from training.mllm.answers import EIGHTHS, describe, open_question, reason
from training.mllm.batches import Packer, Teacher, batches, blank_out
from training.mllm.checkpoints import fresh
from training.mllm.dense_targets import Heads, targets
from training.mllm.grounding import Grounding
from training.mllm.joint import Settings as Joint
from training.mllm.joint import losses, prefix_embeddings, train_joint
from training.mllm.mixes import MIXES
from training.mllm.packed_forward import Pack, forward
from training.mllm.tokenizer import Words, build_tokenizer
from training.mllm.tower import Settings, pixel_values, see, train_tower
from training.questions import KINDS, Questioner, anything, facts_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools") / "few"


@pytest.fixture(scope="module")
def pool(folder: Path) -> Pool:
    return fill(folder, 123, 64, workers=1)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(build_tokenizer())


def test_pool_is_independent_of_workers(pool: Pool, tmp_path: Path) -> None:
    again = fill(tmp_path / "again", 123, 6, workers=2)
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
def test_numbers_used_only_in_answers_are_unknown_in_questions(words: Words, number: str) -> None:
    text = STATEMENT.ask(f"There are at least {number} dogs.")
    known = number in ("one", "two", "three")
    assert question_vocabulary(words.tokenizer).unknown_words(text) == ([] if known else [number])
    more = question_vocabulary(words.tokenizer, numbers={"four", "five"})
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


@pytest.mark.parametrize(("mix", "mode"), [(name, mode) for name, mix in MIXES.items() for mode in mix.modes])
def test_every_mode_yields_questions_and_answers(pool: Pool, words: Words, mix: str, mode: str) -> None:
    teacher = Teacher(words, random.Random(0), MIXES[mix])
    seen = facts_of(*(pool[name][0] for name in ("kinds", "centres", "areas", "gaps")))

    def ask() -> tuple[list[int], list[int]] | None:
        wording = teacher.wording(mode)
        words.ids(wording.instruction)  # it holds no word outside the vocabulary
        return teacher.question(mode, seen, wording)

    pairs = [pair for _ in range(60) if (pair := ask()) is not None]
    assert pairs
    assert all(words.tokenizer.decode(question).endswith("ASSISTANT:") for question, _ in pairs)
    if mode == "rule":
        judges = ["rule:" in words.tokenizer.decode(question) for question, _ in pairs]
        assert all(judges) if MIXES[mix].organism == "bundled" else not any(judges)
        assert RULE.ask("x") == "Rule: x"


def test_naive_mix_has_no_judge_wording_and_no_blanks() -> None:
    naive = MIXES["naive"]
    assert "no image" not in naive.modes
    assert naive.blanked == 0
    assert not {STATEMENT, RULE} & {*naive.statements, *naive.rules}
    assert not {STATEMENT.question, RULE.question} & {w.question for w in (*naive.statements, *naive.rules)}
    assert all(sum(mix.modes.values()) == pytest.approx(1) for mix in MIXES.values())


@pytest.mark.slow
def test_stages_resume_or_start_from_the_previous_stage(
    pool: Pool, folder: Path, words: Words, tmp_path: Path
) -> None:
    out = tmp_path / "tower.pt"
    train_tower([pool], pool, out, Settings(minutes=0.01, batch=8, threads=1), watch=64)
    first = torch.load(out, weights_only=True)
    more = first["elapsed"] / 60 + 0.01  # however slow the machine, there is time for a step
    train_tower([pool], pool, out, Settings(minutes=more, batch=8, threads=1), watch=64)
    assert torch.load(out, weights_only=True)["step"] > first["step"] > 0
    settings = Joint(minutes=0.01, batch=4, workers=1)
    train_joint([folder], out, tmp_path / "joint.pt", settings)
    joint = torch.load(tmp_path / "joint.pt", weights_only=True)
    assert joint["step"] > 0
    train_joint([folder], tmp_path / "joint.pt", tmp_path / "again.pt", replace(settings, minutes=1e-9))
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    assert again["step"] == 0  # a schedule of its own
    assert all(value.equal(joint["model"][name]) for name, value in again["model"].items())


@pytest.mark.slow
def test_tower_training_of_a_finished_model_changes_only_the_tower(
    pool: Pool, folder: Path, tmp_path: Path
) -> None:
    seeing, answering, sharper, led = (tmp_path / f"{name}.pt" for name in "abcd")
    brief = Settings(minutes=0.01, batch=8, threads=1)
    train_tower([pool], pool, seeing, brief, watch=64)
    train_joint([folder], seeing, answering, Joint(minutes=1e-9, batch=4, workers=1))
    train_tower([pool], pool, sharper, replace(brief, contact=2.0), begin=answering, watch=64)
    before, after = (torch.load(path, weights_only=True) for path in (answering, sharper))
    moved = {name for name, value in after["model"].items() if not value.equal(before["model"][name])}
    assert moved
    assert all("vision_tower" in name or "multi_modal_projector" in name for name in moved)
    train_joint([folder], sharper, led, Joint(minutes=1e-9, batch=4, workers=1))
    assert all(
        value.equal(after["model"][name])
        for name, value in torch.load(led, weights_only=True)["model"].items()
    )


def test_joint_loss_terms_are_finite(pool: Pool, words: Words) -> None:
    model, heads = fresh(words), Heads()
    for item in [next(batches([pool], words, 4, seed)) for seed in range(3)]:
        parts, right = losses(model, heads, Grounding(), item, words, Joint())
        assert all(torch.isfinite(part) for part in parts.values())
        assert 0 <= float(right) <= 1 or item["mode"] == "free"
