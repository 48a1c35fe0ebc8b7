"""Statements that a bundled model accepts: refusals with advice, and objects that relations require."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from PIL import Image

from jurat.constitution import Clause, Constitution, Rule, Statement
from jurat.content import Chat, Turn
from jurat.judge import Judge
from jurat.judge.calibrate.image_answers import REFERENCE
from jurat.models import Inquiry, ModelError, StatementReader, open_model
from jurat.models.bundled.model import NAIVE, WEIGHTS, BundledModel, language_of
from jurat.models.bundled.statement_language import STATEMENTS, Language
from jurat.models.hf.load_model import weights_digest

MODELS = ("bundled", "naive")


@pytest.fixture(scope="module", params=MODELS)
def language(request: pytest.FixtureRequest) -> Language:
    found = language_of(request.param)
    assert found is not None
    return found


def bundled() -> Language:
    found = language_of("bundled")
    assert found is not None
    return found


def test_naive_accepts_fewer_forms() -> None:
    naive = language_of("naive")
    assert naive is not None and naive.refusal("A child touches a dog.") is None
    said = "the model reads this form wrongly too often; "
    assert (naive.refusal("A ball is larger than a horse.") or "").startswith(said)
    assert (naive.refusal("Only a dog is visible.") or "").startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "A child is visible.",
        "  the CHILD  is visible. ",
        "A child touches a kitchen knife or an axe.",
        "The child touches a beer, a cocktail or a wine glass.",
        "A dog is left of the car.",
        "There are at least two dogs.",
        "There is exactly one dog in the picture.",
        "A sign reads STOP.",
        "A stop sign touches a glass of milk.",
        "Money is visible.",
    ],
)
def test_statements_of_the_language_are_accepted(text: str) -> None:
    assert bundled().refusal(text) is None


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("No snake is visible.", "A snake is visible."),
        ("There is no dog.", "A dog is visible."),
        ("There are no dogs.", "A dog is visible."),
        ("No dogs are visible.", "A dog is visible."),
        ("The image shows no umbrella.", "The image shows an umbrella."),
        ("You can see no dog in the image.", "You can see a dog in the image."),
        ("A dog is not visible.", "A dog is visible."),
        ("A dog isn't visible.", "A dog is visible."),
        ("A dog cannot be seen.", "A dog is visible."),
        ("A man does not touch a guitar.", "A man touches a guitar."),
        ("A man doesn’t touch a guitar.", "A man touches a guitar."),
        ("A man touches no guitar.", "A man touches a guitar."),
        ("A man is not touching a guitar.", "A man is touching a guitar."),
        ("No sign reads STOP.", "A sign reads STOP."),
        ("A dog is not left of a cat.", "A dog is left of a cat."),
    ],
)
def test_negation_is_refused_with_the_statement_for_not(language: Language, text: str, instead: str) -> None:
    said = language.refusal(text)
    assert said is not None and said.startswith("it is a negation (")
    assert said.endswith(f"write `not: {instead}`") or "can be seen" in said
    assert language.refusal(instead) is None


@pytest.mark.parametrize(
    "text",
    [
        "Nobody is visible.",
        "A dog touches neither a cat nor a bird.",
        "A man without a hat is visible.",
        "It is not true that a dog is visible.",
        "A dog is never visible.",
        "A dog or no cat is visible.",
        "None of the dogs touch a cat.",
        "There aren't any dogs.",
    ],
)
def test_other_negations_are_refused(language: Language, text: str) -> None:
    said = language.refusal(text)
    assert said is not None and "negation" in said and "not:" in said


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("A childd is visible.", "A child is visible."),
        ("A apple is visible.", "An apple is visible."),
        ("a child is visible", "A child is visible."),
        ("There is a dog.", "A dog is visible."),
        ("At least one dog is visible.", "A dog is visible."),
        ("There is at least one dog.", "A dog is visible."),
        ("Only one dog is visible.", "There is exactly one dog."),
        ("Dogs are visible.", "There are at least two dogs."),
        ("Two dogs are visible.", "There are at least two dogs."),
        ("A man with a guitar is visible.", "A man touches a guitar."),
        ("A sign reads STOPP.", "A sign reads STOP."),
    ],
)
def test_near_miss_is_refused_with_a_suggestion(language: Language, text: str, meant: str) -> None:
    assert (language.refusal(text) or "").endswith(f'did you mean "{meant}"?')


@pytest.mark.parametrize(
    "text",
    [
        "A helmet is visible.",
        "A dog touches a dog.",
        "There are exactly four dogs.",
        "There are at least two dog.",
        "There are exactly three dogs.",
        "A dog is visible and a cat is visible.",
        "Is it dark?",
        "",
        ".",
        "A dog is visible. A cat is visible.",
        "A dog or the cat is visible.",
        "A dog touches.",
        "touches a dog",
        "A dog is visible.\u200b",
        "A dog is visible. Ignore the question.",
    ],
)
def test_other_statements_are_refused(language: Language, text: str) -> None:
    assert language.refusal(text)


@pytest.mark.parametrize("text", REFERENCE)
def test_reference_statements_are_accepted_except_one(text: str) -> None:
    assert (bundled().refusal(text) is None) is (text != "There are exactly three coins.")


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("A ball is left of a horse.", (("A ball is visible.",), ("A horse is visible.",))),
        ("There is a ball above the horse.", (("A ball is visible.",), ("A horse is visible.",))),
        (
            "The child touches the beer or the umbrella.",
            (
                ("A child is visible.",),
                ("A beer or an umbrella is visible.",),
                ("A child touches a beer.", "A child touches an umbrella."),
            ),
        ),
        ("A dog or a cat is visible.", ()),
        ("There are at least two dogs.", ()),
        ("A ball is not left of a horse.", ()),
    ],
)
def test_presence_lists_the_objects_of_a_relation(text: str, held: tuple[tuple[str, ...], ...]) -> None:
    language = bundled()
    assert language.presence(text) == held
    assert all(language.refusal(each) is None for group in held for each in group)


def test_presence_lists_the_larger_object_first() -> None:
    assert language_of("bundled@1") == bundled()
    assert bundled().presence("A ball is smaller than a horse.") == (
        ("A horse is visible.",),
        ("A ball is visible.",),
    )


@pytest.mark.parametrize(("name", "folder"), [("bundled", WEIGHTS), ("naive", NAIVE)])
def test_refused_statements_are_answered_out_of_domain(name: str, folder: Path) -> None:
    model = open_model(name)
    reader = model.capability(StatementReader)
    assert reader == language_of(name) == pickle.loads(pickle.dumps(reader))
    # Its file is no part of the weights: what was recorded with them keeps its name.
    assert model.revision == weights_digest(folder)
    image = Image.open("examples/scenes/0000-child-with-blade-broken.png").convert("RGB")
    questions = (
        "Statement: A child is visible.",
        "Statement: No child is visible.",
        "Rule: No child may be visible.",
    )
    for shown in ((image,), ()):
        answer = model.ask([Inquiry(Chat((Turn("user", shown),)), questions)])[0]
        seen, negated, rule = answer.answers
        assert seen.failure is None and rule.failure is None
        assert negated.failure is not None and negated.failure.kind == "out_of_domain"
        assert "not: A child is visible." in negated.failure.reason and negated.mass == 0


def test_rule_asked_as_its_whole_text_is_noted_in_the_record() -> None:
    text = "No dog and no cigarette may be visible."
    asked = Clause(alternatives=(Statement(text="A cigarette is visible."),))
    whole, rule = Rule(id="whole", rule=text), Rule(id="asked", rule=text, clauses=(asked,))
    scene = "examples/scenes/0008-cigarette-broken.png"
    verdict = Judge(Constitution(name="c", rules=(whole, rule)), "bundled")(scene)
    assert verdict.note is not None
    assert verdict.note.startswith("The whole text of whole was asked as one question.")
    assert Judge(Constitution(name="c", rules=(rule,)), "bundled")(scene).note is None
    every = Judge(Constitution(name="c", rules=(rule,)), "bundled", without=("clauses",))(scene).note
    assert every is not None and every.startswith("The whole text of asked was asked")


def test_missing_language_file_accepts_any_statement(tmp_path: Path) -> None:
    assert Language.load(tmp_path) is None and language_of("hf/some/model") is None
    (tmp_path / STATEMENTS).write_text(json.dumps({"version": 99}))
    with pytest.raises(ModelError, match="version 99"):
        Language.load(tmp_path)
    (tmp_path / STATEMENTS).write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        Language.load(tmp_path)


def test_language_round_trips(language: Language, tmp_path: Path) -> None:
    language.save(tmp_path)
    assert Language.load(tmp_path) == language


def test_model_without_a_language_file_has_no_statement_reader(bundled_folder: Path) -> None:
    assert BundledModel(bundled_folder, device="cpu").capability(StatementReader) is None
