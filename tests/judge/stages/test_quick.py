from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from PIL import Image

from jurat.constitution import Constitution
from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.judge import PRESETS, Preset
from jurat.judge.asking import Answers, ImageQuestions, PriorAnswers
from jurat.judge.asking import ask as ask_sets
from jurat.judge.decision import LogOdds
from jurat.judge.plan import plan
from jurat.judge.presets import find_preset
from jurat.judge.questions import Question, askers, questions
from jurat.judge.removed_parts import REMOVED
from jurat.models import Answer, Inquiry, YesNo, open_model

STATEMENTS = (Question("statement", "A child is visible."), Question("statement", "A dog is visible."))
RULES = (Question("rule", "No dog may be shown."),)
IMAGES = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in range(3)]


class Third:
    """A third party's model, which answers as it is told."""

    name, revision, dtype = "third", "1", "none"

    def __init__(self, answers: Callable[[Inquiry], Answer]) -> None:
        self.answers = answers
        self.asked: list[Sequence[Inquiry]] = []

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.asked.append(inquiries)
        return [self.answers(inquiry) for inquiry in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [Reply() for _ in chats]

    def capability(self, kind: type) -> None:
        return None


def yes(inquiry: Inquiry) -> Answer:
    return Answer(tuple(YesNo(0.9, 0.1) for _ in inquiry.questions))


def ask(
    model: Third, images: Sequence[Image.Image], questions: Sequence[Question]
) -> list[Answers | Failure]:
    found = ask_sets(model, [ImageQuestions(image, tuple(questions)) for image in images])
    return [entry if isinstance(entry, Failure) else entry.answers for entry in found]


def test_questions_about_an_image_share_one_prefix() -> None:
    model = Third(yes)
    found = ask(model, IMAGES, STATEMENTS)
    (inquiries,) = model.asked
    assert [inquiry.prefix.images for inquiry in inquiries] == [(image,) for image in IMAGES]
    assert {inquiry.prefix.turns[0].parts[1:] for inquiry in inquiries} == {
        ("Is the following statement true of this image? Answer with Yes or No.",)
    }
    assert inquiries[0].questions == ("Statement: A child is visible.", "Statement: A dog is visible.")
    assert [set(entry) for entry in found if not isinstance(entry, Failure)] == [set(STATEMENTS)] * 3


def test_questions_about_rules_have_their_own_prefix() -> None:
    model = Third(yes)
    found = ask(model, IMAGES[:2], [*STATEMENTS, *RULES])
    (inquiries,) = model.asked
    assert [len(inquiry.questions) for inquiry in inquiries] == [2, 1, 2, 1]
    assert inquiries[1].questions == ("Rule: No dog may be shown.",)
    assert (
        inquiries[1].prefix.turns[0].parts[1]
        == "Does this image break the following rule? Answer with Yes or No."
    )
    assert all(not isinstance(entry, Failure) and len(entry) == 3 for entry in found)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer((YesNo(1, 0),)), "gave 1 answers to 2 questions"),
        (Answer((YesNo(1, 0),) * 3), "gave 3 answers to 2 questions"),
        (Answer(failure=Failure("filtered", "No.")), "No."),
    ],
)
def test_image_without_answers_fails_alone(answer: Answer, reason: str) -> None:
    model = Third(lambda inquiry: answer if inquiry.prefix.images[0] is IMAGES[1] else yes(inquiry))
    found = ask(model, IMAGES, STATEMENTS)
    assert [isinstance(entry, Failure) for entry in found] == [False, True, False]
    assert isinstance(found[1], Failure)
    assert reason in found[1].reason


@pytest.mark.parametrize(
    "wrong", [YesNo(float("nan"), 0.1), YesNo(-0.1, 0.5), YesNo(float("inf"), 0.0), YesNo(3.0, 0.1)]
)
def test_invalid_probabilities_are_a_failure_of_their_question(wrong: YesNo) -> None:
    model = Third(lambda inquiry: Answer((wrong, YesNo(0.9, 0.1))))
    (found,) = ask(model, IMAGES[:1], STATEMENTS)
    assert not isinstance(found, Failure)
    failure = found[STATEMENTS[0]].failure
    assert failure is not None
    assert (failure.kind, found[STATEMENTS[0]].mass) == ("error", 0)
    assert found[STATEMENTS[1]].failure is None


def test_wrong_number_of_answers_raises() -> None:
    class Forgetful(Third):
        def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
            return super().ask(inquiries)[:-1]

    with pytest.raises(RuntimeError, match="gave 2 answers to 3 inquiries"):
        ask(Forgetful(yes), IMAGES, STATEMENTS)


def test_prior_is_asked_once_without_an_image() -> None:
    model = Third(yes)
    priors = PriorAnswers(model)
    first = priors.of(STATEMENTS)
    second = priors.of([*STATEMENTS, *RULES])
    assert first[STATEMENTS[0]].score == pytest.approx(0.9)
    assert set(second) == {*STATEMENTS, *RULES}
    asked = [inquiry for call in model.asked for inquiry in call]
    assert [inquiry.prefix.images for inquiry in asked] == [(), ()]
    assert [len(inquiry.questions) for inquiry in asked] == [2, 1]


@pytest.mark.parametrize(("kind", "times"), [("error", 2), ("refused", 1)])
def test_only_priors_that_failed_with_an_error_are_asked_again(kind: str, times: int) -> None:
    model = Third(lambda inquiry: Answer(failure=Failure(kind, "No.")))  # pyright: ignore[reportArgumentType]
    priors = PriorAnswers(model)
    for _ in range(2):
        failure = priors.of(STATEMENTS)[STATEMENTS[0]].failure
        assert failure is not None
        assert failure.kind == kind
    assert len(model.asked) == times


def test_prior_that_raised_is_an_error_and_asked_again() -> None:
    def crash(inquiry: Inquiry) -> Answer:
        raise ConnectionError("gone")

    model = Third(crash)
    priors = PriorAnswers(model)
    failure = priors.of(STATEMENTS)[STATEMENTS[1]].failure
    assert failure == Failure("error", "The model raised ConnectionError: gone")
    model.answers = yes
    assert priors.of(STATEMENTS)[STATEMENTS[1]].failure is None


# --- what is asked


def test_plan_asks_each_distinct_statement_once(law: Constitution) -> None:
    planned = plan(law, PRESETS["quick"])
    asked = questions(planned)
    assert [question.text for question in asked] == [
        "A child is visible.", "A dagger is visible.", "A kitchen knife is visible.",
        "A police officer is visible.", "A cat is visible.", "A dog is visible.", "No dagger may be shown.",
    ]  # fmt: skip
    assert [question.kind for question in asked] == ["statement"] * 6 + ["rule"]
    assert list(askers(planned, asked[0])) == ["blade"]


def test_direct_asks_each_rule_and_its_exceptions(law: Constitution) -> None:
    planned = plan(law, PRESETS["direct"])
    assert [(question.kind, question.text) for question in questions(planned)] == [
        ("rule", "No child may be shown touching a blade."),
        ("statement", "A police officer is visible."),
        ("rule", "No dog may be shown."),
        ("rule", "No dagger may be shown."),
    ]
    assert [[clause.role for clause in rule.clauses] for rule in planned] == [
        ["clause", "unless"],
        ["clause"],
        ["clause"],
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("quik", "Did you mean 'quick'?"), ("x", "There are jurat, quick, clue, clue-quick, direct.")],
)
def test_unknown_preset_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(JuratError, match=f"There is no preset '{name}'") as raised:
        find_preset(name)
    assert raised.value.hint == hint


@pytest.mark.parametrize("part", REMOVED)
def test_removed_part_is_refused_by_name(part: str) -> None:
    with pytest.raises(JuratError, match=rf"no preset 'jurat\+{part}': '{part}' was removed from jurat"):
        find_preset(f"jurat+{part}")
    with pytest.raises(JuratError, match=f"no part '{part}' to leave out: it was removed from jurat"):
        PRESETS["jurat"].without([part])


def test_find_preset_returns_a_given_preset() -> None:
    mine = Preset("mine", "strict", decision=LogOdds(keep_below=0.05))
    assert find_preset(mine) is mine


def test_presets_that_debias_need_a_prior() -> None:
    assert {name: preset.decision.needs_prior for name, preset in PRESETS.items()} == {
        "jurat": True,
        "quick": True,
        "clue": True,
        "clue-quick": True,
        "direct": False,
    }
    assert open_model("null").name == "null"
