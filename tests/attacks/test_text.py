"""Attacks on text on tiny random models: lower losses, texts that survive typing, costs, seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.cases import Case
from jurat.attacks.registry import ATTACKS, open_attack
from jurat.attacks.text import TextGoal, TextProblem, TextStep, submit_text
from jurat.attacks.text_method import TextAttack
from jurat.attacks.text_optimisers import GreedyCoordinate, TokenByToken
from jurat.content import SPAN, Chat, Generation, Reply, Turn, with_span
from jurat.errors import JuratError
from jurat.models import DifferentiableText, PromptScores, open_model
from jurat.models.hf.torchvision_import import prepare_torchvision

from ..models.tiny import make_llava, picture
from ..models.white_box import opened

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

# Attack, with settings that end quickly.
RUNS = (
    "gcg?steps=6&candidates=24&top=12&every=2&start=dog cat child",
    "gcg?steps=6&candidates=24&top=12&every=2&start=null&length=4",
    "qi-text?steps=8&candidates=12&length=4&batch=2&every=4",
    "embedding-search?steps=25&length=4&every=1&rate=0.5",
)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("tiny")
    models = {"tiny": open_model(f"hf/{make_llava(folder / 'llava')}", device="cpu")}
    return lambda name: models.get(name) or opened(name, folder)


def case(question: str, target: str, image: Image.Image | None = None) -> Case:
    parts = (question,) if image is None else (image, question)
    return Case(Chat((Turn("user", parts),), Generation(max_tokens=3)), target)


def goal(**changes: Any) -> TextGoal:
    made = TextGoal(
        train=[case(f"A dog , {SPAN} .", " knife"), case(f"A child is visible . {SPAN} ?", " A dog")],
        validation=[],
        test=[case(f"Statement : {SPAN} .", "knife"), case(f"A cat , {SPAN} .", "knife")],
        succeeded=lambda asked, reply: asked.target in reply.text,
        name="knife",
    )
    return replace(made, **changes)


def of(name: str) -> TextAttack:
    made = open_attack(name)
    assert isinstance(made, TextAttack)
    return made


def scored(model: Any, cases: list[Case], text: str) -> float:
    """The mean loss of a text as `PromptScores` has it: on what is typed, by another path."""
    if not isinstance(model.capability(PromptScores), PromptScores):
        raise AssertionError
    found = model.capability(PromptScores).prompt_scores(
        [with_span(each.chat, text) for each in cases], [each.target for each in cases]
    )
    return sum(-one.total / one.tokens for one in found) / len(found)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("model", ["tiny", "qwen2.5-vl"])
def test_attack_lowers_the_loss_of_the_text_as_it_is_typed(
    name: str, model: str, victim: Callable[[str], Any]
) -> None:
    attack, access, asked = of(name), Access(victim(model)), goal()
    (outcome,) = attack.run([access], [asked])
    (begun,) = replace(attack, steps=0).run([Access(victim(model))], [asked])
    assert outcome.score < begun.score and outcome.step > 0
    assert len(outcome.losses) == attack.steps
    if attack.reduction == "mean":
        assert scored(victim(model), asked.train, outcome.text) == pytest.approx(outcome.score, abs=1e-3)
    text = access.model.capability(DifferentiableText)
    assert [text.span(each.chat, outcome.text) for each in asked.train] == [outcome.span] * 2
    assert outcome.spent == access.spent and outcome.spent.queries == 0
    assert outcome.spent.backwards == attack.steps * len(
        attack.sampler().choose(asked.train, 0, torch.Generator())
    )
    assert outcome.spent.forwards > outcome.spent.backwards and outcome.spent.seconds > 0


@pytest.mark.parametrize("name", RUNS)
def test_outcomes_depend_on_the_seed(name: str, victim: Callable[[str], Any]) -> None:
    short = replace(of(name), steps=3)
    first, again, other = (short.run([Access(victim("tiny"))], [goal()], seed)[0] for seed in (1, 1, 2))
    facts = [{**asdict(each), "spent": None} for each in (first, again, other)]
    assert facts[0] == facts[1]
    assert facts[0] != facts[2] or name.startswith("gcg?steps=6&candidates=24&top=12&every=2&start=dog")


def test_text_is_found_beside_images(victim: Callable[[str], Any]) -> None:
    model = victim("tiny")
    asked = goal(train=[case(f"Is a dog visible , {SPAN} ?", " knife", picture(seed)) for seed in range(2)])
    (outcome,) = of(RUNS[0]).run([Access(model)], [asked])
    assert scored(model, list(asked.train), outcome.text) == pytest.approx(outcome.score, abs=2e-2)


def test_success_is_measured_on_the_text_typed_into_test_prompts(victim: Callable[[str], Any]) -> None:
    model, access = victim("tiny"), Access(victim("tiny"))
    (sent,) = submit_text(access, [goal()], ["dog cat"])
    expected = model.chat([with_span(each.chat, "dog cat") for each in goal().test])
    assert [reply.text for reply in sent.replies] == [reply.text for reply in expected]
    assert sent.successes == sum("knife" in reply.text for reply in expected)
    assert access.spent.queries == 2 and access.spent.forwards == 0


def test_tokens_that_cannot_be_typed_are_left_out_and_counted(victim: Callable[[str], Any]) -> None:
    model = victim("tiny")
    words = model.encoder.tokenizer
    problem = TextProblem(Access(model), goal().train)
    dog, known = (words.convert_tokens_to_ids(one) for one in ("dog", "cat"))
    unknown = words.unk_token_id
    assert problem.typable([(dog, known), (dog, unknown), (unknown, dog)]) == [(dog, known)]
    assert problem.left_out == 2
    assert not problem.allowed[unknown] and not problem.allowed[words.convert_tokens_to_ids("<image>")]
    with pytest.raises(JuratError, match="is not read as the same tokens"):
        problem.read("! ! !")


def test_a_step_of_each_kind_moves_as_it_says(victim: Callable[[str], Any]) -> None:
    problem = TextProblem(Access(victim("tiny")), goal().train)
    span = problem.read("dog cat child")
    for number in range(3):
        at = TextStep(problem, span, problem.cases, number, torch.Generator().manual_seed(number))
        greedy, loss = GreedyCoordinate(16, 8).step(at)
        assert sum(a != b for a, b in zip(greedy, span, strict=True)) == 1
        single, same = TokenByToken(8).step(at)
        assert (
            loss == pytest.approx(same) == pytest.approx(float(problem.losses([span], at.cases)[0]), abs=1e-4)
        )
        changed = [place for place, (a, b) in enumerate(zip(single, span, strict=True)) if a != b]
        assert changed in ([], [number])
        assert float(problem.losses([single], at.cases)[0]) <= loss + 1e-5
        # Where all tokens of a place are tried, the best of them is found.
        every, _ = TokenByToken(10_000).step(at)
        tried = problem.typable(
            [(*span[:number], int(t), *span[number + 1 :]) for t in problem.allowed.nonzero()[:, 0]]
        )
        assert float(problem.losses([every], at.cases)[0]) == pytest.approx(
            float(problem.losses(tried, at.cases).min()), abs=1e-5
        )


def test_one_hot_gradient_is_the_change_of_a_soft_token(victim: Callable[[str], Any]) -> None:
    problem = TextProblem(Access(victim("tiny")), goal().train)
    span = problem.read("dog cat child")
    _, slope = problem.slope(span, problem.cases)
    by_token, small = problem.by_token(slope), 1e-3
    tokens = problem.allowed.nonzero()[:, 0][:3].tolist()
    for place, token in enumerate(tokens):
        towards = torch.zeros_like(slope)
        towards[place] = problem.table[token] - problem.table[span[place]]
        there, back = (problem.slope(span, problem.cases, sign * small * towards)[0] for sign in (1, -1))
        expected = float(by_token[place, token] - by_token[place, span[place]])
        assert (there - back) / (2 * small) == pytest.approx(expected, rel=5e-2, abs=2e-2)


def test_attack_stops_where_validation_prompts_are_answered_as_wanted(victim: Callable[[str], Any]) -> None:
    attack = of("gcg?steps=6&candidates=4&every=2&start=dog cat&stop=true")
    (outcome,) = attack.run([Access(victim("tiny"))], [goal(succeeded=lambda *_: True)])
    assert (outcome.step, outcome.losses, outcome.spent.queries) == (0, (), 2)


def test_texts_are_chosen_on_validation_prompts(victim: Callable[[str], Any]) -> None:
    held = [case(f"A baby , {SPAN} .", " knife")]
    (outcome,) = of(RUNS[0]).run([Access(victim("tiny"))], [goal(validation=held)])
    assert scored(victim("tiny"), held, outcome.text) == pytest.approx(outcome.score, abs=1e-3)


def test_models_without_gradients_of_text_are_named() -> None:
    with pytest.raises(JuratError, match="needs gradients with respect to text, which 'null' does not give"):
        of(RUNS[0]).run([Access(open_model("null"))], [goal()])


def test_registry_says_what_an_attack_changes() -> None:
    changes = {entry.name: entry.changes for entry in ATTACKS}
    assert {name for name, what in changes.items() if what == "text"} == {
        "gcg",
        "qi-text",
        "embedding-search",
    }
    assert all(
        isinstance(open_attack(name), TextAttack) is (what == "text") for name, what in changes.items()
    )


def test_failures_are_no_successes() -> None:
    from jurat.attacks.text import SubmittedText
    from jurat.content import Failure

    asked = goal(succeeded=lambda *_: True)
    replies = (Reply("knife"), Reply(failure=Failure("error", "no")))
    assert SubmittedText(asked, "dog", replies).successes == 1
