"""Which drafts say what the rule says, and which a person has to look at."""

from __future__ import annotations

import pytest

from jurat.constitution import Clause, Statement
from jurat.content import Failure
from jurat.judge.drafting.reading_back import doubts, render
from jurat.models import RuleDraft, RuleWriter, open_model


def clauses(*lines: str) -> tuple[Clause, ...]:
    """ "dog | cat", "not: ball", "not: ball | horse": clauses of things that are visible; else as written."""

    def said(word: str) -> Statement:
        negated, word = word.startswith("not: "), word.removeprefix("not: ").strip()
        text = word if word.endswith(".") else f"A {word} is visible."
        return Statement(text=text, negated=negated)

    return tuple(Clause(alternatives=tuple(said(each.strip()) for each in line.split("|"))) for line in lines)


RIGHT: list[tuple[str, tuple[str, ...]]] = [
    ("No dog may be visible.", ("dog",)),
    ("No dog or cat may be visible.", ("dog | cat",)),
    ("No dog, no cat and no horse may be shown.", ("dog | cat | horse",)),
    ("No dog and no cat may be visible.", ("dog | cat",)),
    ("There must be no dog and no cat.", ("dog | cat",)),
    ("Neither a dog nor a cat may be visible.", ("dog | cat",)),
    ("Dogs and cats are not allowed.", ("dog | cat",)),
    ("A dog and a cat must not be shown together.", ("dog", "cat")),
    ("A dog may be visible only if no cat is visible.", ("dog", "cat")),
    ("Dogs are allowed only when a cat is visible.", ("dog", "not: cat")),
    ("No dog may be visible unless there is no cat.", ("dog", "cat")),
    ("No dog may be visible unless a cat is visible.", ("dog", "not: cat")),
    ("Unless a cat is visible, no dog may be shown.", ("dog", "not: cat")),
    ("No dog may be visible unless a cat or a ball is visible.", ("dog", "not: cat", "not: ball")),
    ("No dog may be visible unless a cat and a ball are visible.", ("dog", "not: cat | not: ball")),
    ("No dog may be shown if no cat is visible.", ("dog", "not: cat")),
    ("If a child is visible, no dog may be shown.", ("dog", "child")),
    ("No dog may be visible without a leash.", ("dog", "not: leash")),
    ("Dogs without a leash are forbidden.", ("dog", "not: leash")),
    ("Nothing but a dog may be shown.", ("not: Nothing but a dog is visible.",)),
    ("Never show nothing but a dog.", ("Nothing but a dog is visible.",)),
    ("There must be a helmet.", ("not: helmet",)),
    ("Every dog must wear a leash.", ("dog", "not: leash")),
    ("There must not be more than two dogs.", ("There are at least three dogs.",)),
    ("No child may be shown touching a dagger or an axe.", (
        "child", "dagger | axe", "A child touches a dagger. | A child touches an axe.")),
    ("No child may be shown touching a dagger or an axe.", (
        "child", "dagger | axe", "A child touches a dagger or an axe.")),
    ("No two bombs may be visible.", ("There are at least two bombs.",)),
    ("No open wound and no severed leg may be shown, except where a nurse is visible.", (
        "open wound | severed leg", "not: nurse")),
]  # fmt: skip

WRONG: list[tuple[str, tuple[str, ...]]] = [
    ("A dog may be visible only if no cat is visible.", ("dog", "not: cat")),
    ("Dogs are allowed only when a cat is visible.", ("dog", "cat")),
    ("A dog may be visible only if no cat is visible.", ("dog",)),
    ("No dog may be visible unless there is no cat.", ("dog", "not: cat")),
    ("No dog may be visible unless a cat is visible.", ("dog", "cat")),
    ("No dog may be visible unless a cat is visible.", ("dog",)),
    ("No dog may be visible unless a cat is not visible.", ("dog", "not: cat")),
    ("No dog may be visible unless neither a cat nor a ball is visible.", ("dog", "not: cat", "not: ball")),
    ("Nothing but a dog may be shown.", ("Nothing but a dog is visible.",)),
    ("Nothing but a dog may be shown.", ("dog",)),
    ("Only a dog may be shown.", ("dog",)),
    ("Nothing but a dog or a cat may be visible.", ("dog | cat",)),
    ("No dog and no cat may be visible.", ("dog", "cat")),
    ("There must be no dog and no cat.", ("dog", "cat")),
    ("No dog, no cat and no horse may be shown.", ("dog", "cat", "horse")),
    ("Neither a dog nor a cat may be visible.", ("dog", "cat")),
    ("No dog or cat may be visible.", ("dog",)),
    ("No dog, cat or horse may be visible.", ("dog | horse",)),
    ("A dog and a cat must not be shown together.", ("dog | cat",)),
    ("No dog may be visible without a leash.", ("dog", "leash")),
    ("No dog may be visible without a leash.", ("dog",)),
    ("No dog may be visible unless a cat or a ball is visible.", ("dog", "not: cat")),
    ("No dog may be visible unless a cat or a ball is visible.", ("dog", "not: cat | not: ball")),
    ("No dog may be visible unless a cat and a ball are visible.", ("dog", "not: cat", "not: ball")),
    ("There must be a helmet.", ("helmet",)),
    ("Every dog must wear a leash.", ("dog", "leash")),
    ("It is not forbidden to show a dog.", ("dog",)),
    ("No dog must not be visible.", ("dog",)),
    ("A picture that shows no dog is not allowed.", ("dog",)),
    ("Dogs are allowed.", ("dog",)),
    ("No dog may be visible. Cats are fine.", ("dog",)),
    ("There must not be more than two dogs.", ("There are at least two dogs.",)),
    ("No dog may be visible.", ("dog", "not: man")),
    ("Dogs are forbidden and cats are allowed.", ("dog", "cat")),
    ("A dog and a cat are forbidden.", ("dog", "cat")),
    ("No dog may touch a cat unless it touches a ball.", ("dog", "cat", "not: A ball touches a ball.")),
    ("No dog may be visible.", ("dog", "man")),
    ("No dog may be visible.", ("dog | wolf",)),
    ("No dog may be visible.", ("Nothing but a dog is visible.",)),
    ("No dog may be visible.", ("There are at least two dogs.",)),
    ("No dog may be visible.", ("not: dog",)),
    ("Not all dogs may be visible.", ("dog",)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "lines"), RIGHT)
def test_draft_with_same_logic_has_no_doubts(rule: str, lines: tuple[str, ...]) -> None:
    assert doubts(rule, clauses(*lines)) == ()


@pytest.mark.parametrize(("rule", "lines"), WRONG)
def test_draft_with_other_logic_is_doubted(rule: str, lines: tuple[str, ...]) -> None:
    assert doubts(rule, clauses(*lines))


@pytest.mark.parametrize(("rule", "lines"), RIGHT)
def test_reversed_or_dropped_statement_is_doubted(rule: str, lines: tuple[str, ...]) -> None:
    whole = clauses(*lines)
    for at, clause in enumerate(whole):
        for turned in range(len(clause.alternatives)):
            statements = list(clause.alternatives)
            one = statements[turned]
            statements[turned] = Statement(text=one.text, negated=not one.negated)
            changed = Clause(alternatives=tuple(statements))
            if "touches" not in one.text and "dagger" not in rule:
                assert doubts(rule, (*whole[:at], changed, *whole[at + 1 :]))
            left = tuple(each for each in clause.alternatives if each != one)
            if left and "touches" not in one.text and "dagger" not in rule:
                assert doubts(rule, (*whole[:at], Clause(alternatives=left), *whole[at + 1 :]))


def test_existing_exception_of_the_file_counts() -> None:
    rule = "No dog may be visible unless a cat is visible."
    assert doubts(rule, clauses("dog"), clauses("cat")) == ()
    assert doubts(rule, clauses("dog"), clauses("not: cat"))


def test_draft_is_rendered_as_a_sentence() -> None:
    said = render(clauses("dog | not: cat", "A sign reads OPEN."), clauses("ball"))
    assert said == (
        "An image breaks it if a dog is visible or it is not so that a cat is visible, and a sign reads OPEN;"
        " unless a ball is visible."
    )


def test_doubts_name_the_difference() -> None:
    (said,) = doubts("No dog may be visible unless there is no cat.", clauses("dog", "not: cat"))
    assert said == (
        'With "dog" and without "cat" an image keeps the rule as it is written, and breaks it as it is '
        "drafted."
    )


# --- logical traps, as a person writes them, for the bundled writer

PAIRS = (("dog", "cat"), ("child", "axe"), ("horse", "ball"))
# A rule with the slots {a} and {b}, and when it is broken: by (a is visible, b is visible).
TRAPS: list[tuple[str, str]] = [
    ("A {a} may be visible only if no {b} is visible.", "a and b"),
    ("A {a} may be shown only when there is no {b}.", "a and b"),
    ("No {a} may be visible unless there is no {b}.", "a and b"),
    ("No {a} may be shown, unless no {b} is visible.", "a and b"),
    ("Do not show a {a} unless a {b} is not visible.", "a and b"),
    ("No {a} may be shown, except if no {b} is visible.", "a and b"),
    ("Nothing but a {a} may be shown.", "not only a"),
    ("Nothing but a {a} may be visible.", "not only a"),
    ("No {a} and no {b} may be visible.", "a or b"),
    ("There must be no {a} and no {b}.", "a or b"),
    ("No {a} may be visible and no {b} may be visible.", "a or b"),
    ("Neither a {a} nor a {b} may be visible.", "a or b"),
    ("No {a} may be visible if no {b} is visible.", "a and not b"),
    ("It is not forbidden to show a {a} with a {b}.", "never"),
    ("A picture that shows no {a} is not allowed.", "not a"),
]


@pytest.fixture(scope="module")
def writer() -> RuleWriter:
    found = open_model("bundled-writer").capability(RuleWriter)
    assert found is not None
    return found


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize(("template", "broken"), TRAPS)
def test_tricky_rules_are_doubted_or_right(
    writer: RuleWriter, template: str, broken: str, a: str, b: str
) -> None:
    rule = template.format(a=a, b=b).replace("a axe", "an axe").replace("A axe", "An axe")
    made = writer.draft_rule(rule)
    if isinstance(made, Failure):
        return  # turned down, and told
    drafted = _clauses(made)
    if doubts(rule, drafted):
        return  # marked for a person
    for x in (False, True):
        for y in (False, True):
            for alone in {False, x and not y}:
                names = {"a": x, "b": y, "only": alone}
                wanted = {
                    "a and b": x and y,
                    "a or b": x or y,
                    "a and not b": x and not y,
                    "not a": not x,
                    "not only a": not alone,
                    "never": False,
                }[broken]
                assert _drafted(drafted, a, b, names) == wanted, (rule, render(drafted), names)


def _clauses(made: RuleDraft) -> tuple[Clause, ...]:
    return tuple(
        Clause(alternatives=tuple(Statement(text=text, negated=negated) for text, negated in alternatives))
        for alternatives in made.clauses
    )


def _drafted(drafted: tuple[Clause, ...], a: str, b: str, seen: dict[str, bool]) -> bool:
    def holds(statement: Statement) -> bool:
        text = statement.text.lower()
        if "nothing but" in text:
            so = seen["only"]
        else:
            so = (a not in text or seen["a"]) and (b not in text or seen["b"])
        return so != statement.negated

    return all(any(holds(each) for each in clause.alternatives) for clause in drafted)
