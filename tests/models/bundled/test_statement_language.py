"""Statements that a bundled model accepts: refusals with advice, and objects that relations require."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from PIL import Image

from jurat.constitution import Clause, Constitution, Rule, Statement
from jurat.content import Chat, Turn
from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.judge.calibrate.image_answers import REFERENCE
from jurat.models import DomainGate, Inquiry, ModelError, StatementReader, open_model
from jurat.models.bundled.model import NAIVE, WEIGHTS, BundledModel, language_of
from jurat.models.bundled.statement_language import STATEMENTS, Language
from jurat.models.hf.load_model import weights_digest
from jurat.pictograms.reading import parse
from training.mllm.statement_forms import language as language_of_forms

MODELS = ("bundled", "naive")
POSITIVE = {
    **dict.fromkeys(("visible", "touches"), ("one", "list")),
    **dict.fromkeys(("left of", "right of", "above", "below"), ("one",)),
    "count": ("exactly two", "at least two"),
    "one": ("exactly one",),
    "reads": ("sign",),
}
"""Kind -> ways to name things of a language without negations and the rarer forms."""


@pytest.fixture(scope="module", params=MODELS)
def language(request: pytest.FixtureRequest) -> Language:
    found = language_of(request.param)
    assert found is not None
    return found


def bundled() -> Language:
    found = language_of("bundled")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def positive() -> Language:
    """The language of a model that was taught `POSITIVE` alone, and never "there is a dog"."""
    return language_of_forms(
        lambda kind, template, variant: template != "there is {a}." and variant in POSITIVE.get(kind, ())
    )


def test_a_folder_is_named_as_the_model_that_ships() -> None:
    assert language_of(f"bundled/{WEIGHTS}@1") == bundled()
    assert open_model(f"bundled/{WEIGHTS}", device="cpu").capability(DomainGate) is not None
    with pytest.raises(ModelError, match="are not there: gone") as raised:
        open_model("bundled/gone")
    assert raised.value.hint == "Name a folder that `python -m training export` wrote."


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
        "There is a dog.",
        "There is no dog.",
        "A man does not touch a guitar.",
        "A man with a guitar is visible.",
        "There is only one dog.",
        "There is at least one dog.",
        "A ball is larger than a horse.",
        "Only a dog is visible.",
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
def test_negation_is_refused_with_the_statement_for_not(positive: Language, text: str, instead: str) -> None:
    said = positive.refusal(text)
    assert said is not None and said.startswith("it is a negation (")
    assert said.endswith(f"write `not: {instead}`") or "can be seen" in said
    assert positive.refusal(instead) is None


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
        ("Two dogs are visible.", "There are at least two dogs."),
        ("A man with a guitar is visible.", "A man touches a guitar."),
        ("A sign reads STOPP.", "A sign reads STOP."),
    ],
)
def test_near_miss_is_refused_with_a_suggestion(positive: Language, text: str, meant: str) -> None:
    assert (positive.refusal(text) or "").endswith(f'did you mean "{meant}"?')


def test_plural_without_a_number_is_refused_with_both_meanings(positive: Language) -> None:
    for text in ("Dogs are visible.", "Some dogs are visible."):
        said = positive.refusal(text)
        assert said is not None
        assert said.endswith(
            'write "A dog is visible." where one is enough, or "There are at least two dogs."'
        )


@pytest.fixture(scope="module")
def every_form() -> Language:
    """The language with all of its forms accepted, as of a model that answers each of them correctly."""
    return language_of_forms(lambda kind, template, variant: True)


@pytest.mark.parametrize(
    ("text", "kind", "variant"),
    [
        ("There is no dog.", "not visible", "one"),
        ("No dogs are visible.", "not visible", "one"),
        ("The dog is not visible.", "not visible", "one"),
        ("No money is visible.", "not visible", "one"),
        ("There is no wine glass in the picture.", "not visible", "one"),
        ("Neither a dog nor the cat is visible.", "neither", "one"),
        ("The dog does not touch the cat.", "not touches", "one"),
        ("No dog touches a cat or a bird.", "not touches", "list"),
        ("A man touches no money.", "not touches", "one"),
        ("No dog is left of a cat.", "not left of", "one"),
        ("A dog is not larger than a cat.", "not larger", "one"),
        ("No sign reads STOP.", "not reads", "sign"),
        ("A man with a guitar is visible.", "with", "one"),
        ("Two or more dogs are visible.", "count", "two or more"),
        ("There are fewer than three dogs.", "count", "fewer than three"),
        ("There are more than two dogs.", "count", "more than two"),
        ("More than one dog is visible.", "one", "more than one"),
        ("Only one dog is visible.", "one", "only one"),
        ("There is at least one dog.", "one", "at least one"),
        ("There are exactly five dogs.", "count", "exactly five"),
        ("Only dogs are visible.", "only", "one"),
        ("Only a dog is visible.", "only", "one"),
        ("There is a dog.", "visible", "one"),
    ],
)
def test_forms_of_the_full_grammar(every_form: Language, text: str, kind: str, variant: str) -> None:
    read = every_form.read(text)
    assert read is not None and (read.kind, read.variant) == (kind, variant)
    assert parse(text).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "Dogs are visible.",
        "There are two dogs.",
        "More than one dogs are visible.",
        "There are more than one dog.",
        "Only two dogs are visible.",
        "Fewer than one dog is visible.",
        "There are at least six dogs.",
        "No dog or cat is visible.",
        "A dog touches neither a cat nor a bird.",
        "No dog touches no cat.",
        "No dog is visible and no cat is visible.",
        "A dog with a dog is visible.",
        "Nobody is visible.",
    ],
)
def test_forms_that_are_not_taught_are_refused_by_the_full_grammar(every_form: Language, text: str) -> None:
    assert every_form.refusal(text)


def test_negated_relations_need_no_presence(every_form: Language) -> None:
    assert every_form.presence("The dog does not touch the cat.") == ()
    assert every_form.presence("A man with a guitar is visible.") == (
        ("A man is visible.",),
        ("A guitar is visible.",),
    )
    assert every_form.numbers == {"one", "two", "three", "four", "five"}


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


def test_refused_statements_are_answered_out_of_domain() -> None:
    model = open_model("naive")
    reader = model.capability(StatementReader)
    assert reader == language_of("naive") == pickle.loads(pickle.dumps(reader))
    # Its file is no part of the weights: what was recorded with them keeps its name.
    assert model.revision == weights_digest(NAIVE)
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


def test_name_with_nothing_behind_the_slash_has_no_language() -> None:
    with pytest.raises(JuratError, match="'bundled/' names no model"):
        language_of("bundled/")


def test_language_round_trips(language: Language, tmp_path: Path) -> None:
    language.save(tmp_path)
    assert Language.load(tmp_path) == language


def test_model_without_a_language_file_has_no_statement_reader(bundled_folder: Path) -> None:
    assert BundledModel(bundled_folder, device="cpu").capability(StatementReader) is None
