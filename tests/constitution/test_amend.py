"""Drafted parts put into a file: what was there stays, and what is put there is read as it was meant."""
# ruff: noqa: E501 (files, as they are)

from __future__ import annotations

import difflib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from jurat.constitution import Clause, ConstitutionError, Rule, Statement, check_text, parse_constitution
from jurat.constitution.amend import Amendment, amend, amended, comment

MARK = "writer@1, 2026-11-21, objectivity 9 of 10"


def clause(*texts: str, objects: tuple[str, ...] = ()) -> Clause:
    """A text that begins with an exclamation mark is negated."""
    statements = tuple(Statement(text=text.lstrip("!"), negated=text.startswith("!")) for text in texts)
    return Clause(alternatives=statements, objects=objects)


CLAUSES = (clause("A dog is visible.", objects=("dog",)), clause("A cat: here.", "!A cow is visible."))

# before, amendment, after (the file's first line is `name: p`, its second `rules:`)
CASES: dict[str, tuple[str, Amendment, str]] = {
    "all parts, between comments": (
        """
  # About dogs.
  - rule: No dog.   # short

  # About cats.
  - rule: No cat.
""",
        Amendment(0, MARK, clauses=CLAUSES, description="a dog"),
        """
  # About dogs.
  - rule: No dog.   # short
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    description: a dog
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    clauses:
      - statement: A dog is visible.
        objects: [dog]
      - any of:
          - 'A cat: here.'
          - not: A cow is visible.

  # About cats.
  - rule: No cat.
""",
    ),
    "clauses stand before exceptions": (
        """
  - rule: >
      No
      dog.

    severity: low
    unless: [A man is visible.]
""",
        Amendment(0, MARK, clauses=CLAUSES[:1], description="a dog"),
        """
  - rule: >
      No
      dog.
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    description: a dog

    severity: low
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    clauses:
      - statement: A dog is visible.
        objects: [dog]
    unless: [A man is visible.]
""",
    ),
    "keys left blank are filled in": (
        """
  - rule: No dog.
    clauses:   # to do
    description:
    keep_below: 0.10
""",
        Amendment(0, MARK, clauses=CLAUSES[:1], description="a dog"),
        """
  - rule: No dog.
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    clauses:   # to do
      - statement: A dog is visible.
        objects: [dog]
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    description: a dog
    keep_below: 0.10
""",
    ),
    "an empty list": (
        "\n  - rule: No dog.\n    clauses: []\n",
        Amendment(0, MARK, clauses=(clause("A dog is visible."),)),
        f"\n  - rule: No dog.\n    # drafted: {MARK}\n    clauses:\n      - A dog is visible.\n",
    ),
    "objects of clauses of every form": (
        """
  - rule: No dog.
    clauses:
      - A dog is visible. # one
      - "A 'cat' is visible."
      - any of:
          - A cow is visible.
          - not: A man is visible.
      # before the next
      - not: A woman is visible.
      - {not: A baby is visible.}
      - A bird
        is visible.
      - not: A fish is visible.
        objects:
    unless: [A fork is visible., not: A spoon is visible., {any of: [A., B.]}]
""",
        Amendment(
            0,
            MARK,
            objects={("clauses", i): ("one thing", "b, c") for i in range(7)}
            | {("unless", i): ("d",) for i in range(3)},
        ),
        """
  - rule: No dog.
    clauses:
      - statement: A dog is visible. # one
        objects: [one thing, 'b, c'] # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      - statement: "A 'cat' is visible."
        objects: [one thing, 'b, c'] # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      - any of:
          - A cow is visible.
          - not: A man is visible.
        objects: [one thing, 'b, c'] # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      # before the next
      - not: A woman is visible.
        objects: [one thing, 'b, c'] # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      - {not: A baby is visible., objects: [one thing, 'b, c']}
      - statement: A bird is visible.
        objects: [one thing, 'b, c'] # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      # drafted: writer@1, 2026-11-21, objectivity 9 of 10
      - not: A fish is visible.
        objects: [one thing, 'b, c']
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    unless: [{statement: A fork is visible., objects: [d]}, {not: A spoon is visible., objects: [d]}, {any of: [A., B.], objects: [d]}]
""",
    ),
    "a rule in braces": (
        "\n  - {rule: No dog., clauses: [ ], }\n  - {rule: No cat.} # last",
        Amendment(0, MARK, clauses=(clause("A, b.", objects=("dog",)),), description="a dog", proposals=("x",)),
        f"\n  # proposed: x\n  # drafted: {MARK}\n"
        "  - {rule: No dog., clauses: [{statement: 'A, b.', objects: [dog]}], description: a dog }\n"
        "  - {rule: No cat.} # last",
    ),
    "a proposal takes the place of an earlier one": (
        "\n  - rule: No dog.\n    # proposed: a\n    # proposed: b\n    # mine\n    severity: low\n",
        Amendment(0, MARK, proposals=('rule: "c"', "d\nd"), description="a dog"),
        "\n  - rule: No dog.\n    # proposed: rule: \"c\"\n    # proposed: d d\n"
        f"    # drafted: {MARK}\n    description: a dog\n    # mine\n    severity: low\n",
    ),
    "by force": (
        """
  # drafted: an earlier one
  - rule: "No dog."
    # drafted: an earlier one
    description: the dog # mine
    # drafted: an earlier one
    clauses: [A.,
      B.] # why
    action: remove
""",
        Amendment(0, MARK, text="No dog: none.", description="a dog", clauses=CLAUSES[:1]),
        """
  # drafted: writer@1, 2026-11-21, objectivity 9 of 10
  - rule: 'No dog: none.'
    id: no-dog
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    description: a dog # mine
    # drafted: writer@1, 2026-11-21, objectivity 9 of 10
    clauses:
      - statement: A dog is visible.
        objects: [dog] # why
    action: remove
""",
    ),
    "at the end of a file without a line break": (
        "\n  - rule: No dog.",
        Amendment(0, MARK, description="a dog"),
        f"\n  - rule: No dog.\n    # drafted: {MARK}\n    description: a dog",
    ),
    "a list that is not indented": (
        "\n- rule: No dog.\n  clauses:\n  - A dog is visible.\n- rule: No cat.\n",
        Amendment(0, MARK, description="a dog", objects={("clauses", 0): ("dog",)}),
        f"\n- rule: No dog.\n  # drafted: {MARK}\n  description: a dog\n  clauses:\n"
        f"  - statement: A dog is visible.\n    objects: [dog] # drafted: {MARK}\n- rule: No cat.\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_amend_writes_each_part_in_its_place(name: str) -> None:
    before, amendment, after = CASES[name]
    text = f"name: p\nrules:{before}"
    assert amend(text, [amendment]) == f"name: p\nrules:{after}"
    windows = text.replace("\n", "\r\n")
    assert amend(windows, [amendment]) == f"name: p\nrules:{after}".replace("\n", "\r\n")


def test_empty_amendment_changes_nothing() -> None:
    text = "name: p   # x\nrules: \n  - {rule: No dog.}\n"
    assert amend(text, []) == text
    assert amend(text, [Amendment(0, MARK)]) == text


def test_a_rule_that_cannot_be_edited_in_place_is_named() -> None:
    text = "name: p\nrules:\n  - {rule: No dog., clauses}\n"
    with pytest.raises(ConstitutionError, match="`clauses` on line 3 has no colon"):
        amend(text, [Amendment(0, MARK, clauses=CLAUSES)], file="p.yaml")
    text = "name: p\nrules: [rule: No dog.]\n"
    with pytest.raises(ConstitutionError, match="cannot be edited in place") as caught:
        amend(text, [Amendment(0, MARK, clauses=CLAUSES)], file="p.yaml")
    assert "a key a line" in str(caught.value)


def test_comments_hold_one_line_without_control_characters() -> None:
    assert comment("a\n# b\x00\u2028c\x1b[2J \u202ed\ufeff") == "a # b c [2J d"
    assert len(comment("x" * 5000)) < 1300


# --- any constitution, in any style -------------------------------------------------------------

SENTENCES = st.sampled_from(
    [
        "A dog is visible.",
        "A sign reads: FREE.",
        "- A cat.",
        "A 'cow', a \"pig\" or {a hen}.",
        "#1.",
        "yes",
        "Ünï 😀.",
    ]
)
WORDS = st.lists(
    st.sampled_from(["dog", "big cat", "a: b", "[x]", "null", "1"]), unique=True, max_size=3
).map(tuple)


@st.composite
def clauses(draw: st.DrawFn, least: int = 0) -> tuple[Clause, ...]:
    texts = draw(st.lists(SENTENCES, unique=True, min_size=least, max_size=4))
    found: list[Clause] = []
    while texts:
        size = draw(st.integers(1, min(3, len(texts))))
        statements = [Statement(text=text, negated=draw(st.booleans())) for text in texts[:size]]
        found.append(Clause(alternatives=tuple(statements), objects=draw(WORDS)))
        texts = texts[size:]
    return tuple(found)


@st.composite
def rules(draw: st.DrawFn, number: int) -> Rule:
    return Rule(
        id=f"r{number}",
        rule=draw(SENTENCES),
        description=draw(st.none() | SENTENCES),
        clauses=draw(clauses()),
        severity=draw(st.none() | st.just("low")),
    )


@st.composite
def amendments(draw: st.DrawFn, number: int, rule: Rule) -> Amendment:
    new = draw(st.just(()) | clauses(1))
    bare = [("clauses", i) for i, clause in enumerate(rule.clauses) if not clause.objects and not new]
    return Amendment(
        number,
        draw(st.sampled_from([MARK, "x # y: {", "line\nbreak"])),
        text=draw(st.none() | SENTENCES),
        description=draw(st.none() | SENTENCES),
        clauses=new,
        objects={place: words for place in bare if (words := draw(WORDS))},
        proposals=tuple(draw(st.lists(st.sampled_from(["rule: x", "- y"]), max_size=2))),
    )


def _written(held: list[Rule], draw: Any) -> str:
    """YAML in any style, with comments and empty lines between the lines."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.default_flow_style = draw(st.sampled_from([False, False, None]))
    mapping = draw(st.integers(2, 4))
    yaml.indent(mapping=mapping, sequence=mapping + 2, offset=draw(st.sampled_from([0, 2])))
    document: dict[str, Any] = {"name": "p", "rules": [rule.model_dump(exclude_none=True) for rule in held]}
    for rule in document["rules"]:
        rule.pop("unless")
    stream = io.StringIO()
    yaml.dump(document, stream)
    remarks = st.sampled_from(["", "", "\n# a remark", "\n   # no: matter", "\n\n#", "  # behind"])
    return "".join(f"{line}{draw(remarks)}\n" for line in stream.getvalue().rstrip("\n").split("\n"))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_constitution_can_be_amended_and_keeps_its_lines(data: st.DataObject) -> None:
    held = [data.draw(rules(i)) for i in range(data.draw(st.integers(1, 3)))]
    text = _written(held, data.draw)
    chosen = [data.draw(amendments(i, rule)) for i, rule in enumerate(held) if data.draw(st.booleans())]
    after = amend(text, chosen)
    wanted = list(held)
    for amendment in chosen:
        wanted[amendment.rule] = amended(held[amendment.rule], amendment)
    assert list(parse_constitution(after).rules) == wanted
    assert not [problem for problem in check_text(after) if problem.severity == "error"]
    if not any(a.text or a.clauses or a.objects or a.description for a in chosen):
        lost = [
            line for line in difflib.ndiff(text.splitlines(), after.splitlines()) if line.startswith("- ")
        ]
        assert lost == []
    remarks = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    if not any(a.clauses for a in chosen):  # comments within clauses go with them
        assert not [remark for remark in set(remarks) if after.count(remark) < text.count(remark)]
