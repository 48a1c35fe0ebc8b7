"""Every problem that `check` finds: its place, its words, and what it suggests."""
# ruff: noqa: E501 (a table reads best with a case a line)

from __future__ import annotations

import io
import json
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from jurat.constitution import Problem, Rule, check_constitution, check_text
from jurat.constitution.check import examine
from jurat.constitution.rules import MAX_TEXT
from jurat.constitution.source import parse_source

DOCS = Path(__file__).parents[2] / "docs" / "constitution.md"


def policy(rule: str, head: str = "name: p") -> str:
    """A constitution of one rule, whose keys after `rule:` begin on line 4, in column 5."""
    body = textwrap.indent(textwrap.dedent(rule).strip("\n"), "    ")
    return f"{head}\nrules:\n  - rule: No dog may be visible.\n{body}\n"


DOG = "clauses: [A dog is visible.]"

# yaml, severity, code, line, column, in the message, in the suggestion
CASES: list[tuple[str, str, str, int, int, str, str | None]] = [
    # --- what is not YAML, or more YAML than a policy needs
    ("name: p\nrules: [", "error", "syntax", 2, 9, "not YAML", None),
    ("name: p\n\trules: []", "error", "syntax", 2, 1, "not YAML", "Indent with spaces"),
    ("name: p: q\n", "error", "syntax", 1, 8, "mapping values are not allowed", "in quotes"),
    ("name: p\n---\nname: q\n", "error", "syntax", 2, 1, "a second document", "a file of its own"),
    ("name: p\nrules: '\x01'\n", "error", "syntax", 2, 9, "a control character", None),
    ("name: p\n[a]: q\n", "error", "syntax", 2, 1, "a key must be text", "in quotes"),
    ("name: p\nname: q\n", "error", "duplicate-key", 2, 1, "`name` was already given on line 1", "Keep one"),
    ("name: &a p\nrules: []", "error", "alias", 1, 7, "anchors and aliases are not read (`a`)", "asked only once"),
    ("name: p\n<<: {}\n", "error", "alias", 2, 1, "merge keys are not read", "Write the keys out."),
    ("name: !x p\n", "error", "tag", 1, 7, "tags are not read (`!x`)", "Leave the tag out."),
    ("name: " + "[" * 20, "error", "too-deep", 1, 18, "nested more than 12 deep", None),
    ('name: p\nrules: "a\n', "error", "syntax", 2, 8, "the quotes that open here are never closed", None),
    (policy('clauses:\n  - "STOP" is written on a sign.'), "error", "syntax", 5, 16, "not YAML", """put the whole of it in quotes: '"STOP" is written on a sign.'"""),
    (policy("clauses:\n  - 'It's a dog.'"), "error", "syntax", 5, 13, "not YAML", """in quotes: "It's a dog.\""""),
    (policy("clauses:\n  - @jo is named."), "error", "syntax", 5, 9, "not YAML", 'in quotes: "@jo is named."'),
    (policy("clauses:\n  - A: b: c"), "error", "syntax", 5, 13, "mapping values", 'in quotes: "A: b: c", and check'),
    (policy("clauses:\n  - &b is visible."), "error", "alias", 5, 9, "are not read (`b`)", 'in quotes: "&b is visible."'),
    (policy("clauses:\n  - !x is visible."), "error", "tag", 5, 9, "are not read (`!x`)", 'in quotes: "!x is visible."'),
    # --- a ` #` that cuts a text
    (policy("clauses:\n  - A shirt with the text #1 Dad is visible."), "error", "cut-text", 5, 9, "YAML takes `#1 Dad is visible.` for a remark", 'in quotes: "A shirt with the text #1 Dad is visible."'),
    ("name: p\nrules:\n  - rule: No picture may carry #ad.\n", "error", "cut-text", 3, 11, "`#ad.`", '"No picture may carry #ad."'),
    (policy("description: a post #ad"), "error", "cut-text", 4, 18, "`#ad`", '"a post #ad"'),
    (policy("clauses:\n  - A shirt\n    with #1"), "error", "cut-text", 5, 9, "`#1`", '"A shirt with #1"'),
    (policy("clauses:\n  - A shirt with\n    #1 Dad"), "error", "cut-text", 5, 9, "`#1 Dad`", '"A shirt with #1 Dad"'),
    (policy('clauses:\n  - A "big" shirt #1'), "error", "cut-text", 5, 9, "`#1`", """'A "big" shirt #1'"""),
    (policy("clauses:\n  - {statement: A shirt #1, objects: [a]}"), "error", "cut-text", 5, 21, "`#1, objects", "in quotes"),
    (policy("clauses:\n  - not: #1 Dad is visible."), "error", "cut-text", 5, 12, "`#1 Dad is visible.`", '"#1 Dad is visible."'),
    ("name: p #1\nrules: []\n", "error", "cut-text", 1, 7, "`#1`", '"p #1"'),
    (policy("clauses:\n  - A shirt with # 1 on it"), "advice", "sentence", 5, 9, "is not written as a sentence", "If `# 1 on it` belongs to it, put the whole text in quotes."),
    # --- what is no constitution
    ("", "error", "not-a-constitution", 1, 1, "the file is empty", "`name:` and `rules:`"),
    ("# only this\n", "error", "not-a-constitution", 1, 1, "the file is empty", "`name:` and `rules:`"),
    ("- a\n- b\n", "error", "not-a-constitution", 1, 1, "does not hold a constitution", "`name:`"),
    ("name: p\n", "error", "missing-key", 1, 1, "the constitution has no `rules`", "Add `rules:`."),
    ("# Guide\n\nNo dogs: never.\n", "error", "missing-key", 3, 1, "the constitution has no `name`", "jurat constitution draft FILE"),
    ("# Guide\n\n- No dogs.\n", "error", "not-a-constitution", 3, 1, "does not hold", "jurat constitution draft FILE"),
    ("# Guide\n\n* No dogs.\n", "error", "syntax", 3, 2, "not YAML", "jurat constitution draft FILE"),
    ("name: p\nrules:\n  - id: a\n", "error", "missing-key", 3, 5, "rule 1 has no `rule`", "Add `rule:`."),
    ("name: p\nrules: []\n", "error", "empty", 2, 8, "`rules` lists no rule", "Fill it in"),
    ("name: ''\nrules:\n  - rule: A.\n", "error", "empty", 1, 7, "`name` is empty", "Fill it in"),
    (policy("severity: low", "nmae: p"), "error", "unknown-key", 1, 1, "unknown key `nmae`", "Did you mean `name`?"),
    (policy("clause: [A dog is visible.]"), "error", "unknown-key", 4, 5, "`clause`", "Did you mean `clauses`?"),
    (policy("break-above: 0.5"), "error", "unknown-key", 4, 5, "`break-above`", "Did you mean `break_above`?"),
    (policy("exceptions: [A cat is visible.]"), "error", "unknown-key", 4, 5, "`exceptions`", "Did you mean `unless`?"),
    (policy("except: [A cat is visible.]"), "error", "unknown-key", 4, 5, "`except`", "Did you mean `unless`?"),
    (policy("conditions: [A cat is visible.]"), "error", "unknown-key", 4, 5, "`conditions`", "Did you mean `clauses`?"),
    (policy("clauses:\n  - or: [A., B.]"), "error", "type", 5, 9, "clause 1", "Did you mean `any of`?"),
    (policy("clauses:\n  - The sign: FREE"), "error", "type", 5, 9, "clause 1", 'in quotes: "The sign: FREE"'),
    (policy("clauses:\n  - This is visible:"), "error", "type", 5, 9, "clause 1", 'in quotes: "This is visible:"'),
    (policy('clauses:\n  - A sign reads "a: b".'), "error", "type", 5, 9, "clause 1", """in quotes: 'A sign reads "a: b".'"""),
    (policy("clauses:\n  - 5"), "error", "type", 5, 9, "clause 1", "Put it in quotes."),
    (policy("clauses:\n  - ~"), "error", "type", 5, 9, "clause 1: a clause is a sentence", None),
    (policy("colour: red"), "error", "unknown-key", 4, 5, "`colour`", "Known here: `rule`, `id`, `severity`"),
    (policy("examples: {brokn: [a.png]}"), "error", "unknown-key", 4, 16, "`brokn`", "Did you mean `broken`?"),
    # --- of the wrong type
    (policy(DOG, "name: p\nversion: 2.0"), "error", "type", 2, 10, "`version` must be text, not the number 2.0", "in quotes"),
    (policy(DOG, "name:"), "error", "type", 1, 1, "`name` must be text, not empty", None),
    ("name: p\nrules:\n  - No dogs.\n", "error", "type", 3, 5, "rule 1 must be a mapping", 'Write `rule: "No dogs."`.'),
    ("name: p\nrules: {}\n", "error", "type", 2, 8, "`rules` must be a list, not a mapping", "`- `"),
    (policy("clauses: A dog is visible."), "error", "type", 4, 14, "`clauses` must be a list", "Start each item with `- `"),
    (policy("clauses:\n  - A sign reads: FREE"), "error", "type", 5, 9, "clause 1", '"A sign reads: FREE"'),
    (policy("clauses:\n  - anyof: [A., B.]"), "error", "type", 5, 9, "clause 1", "Did you mean `any of`?"),
    (policy("clauses:\n  - any of: A dog is visible."), "error", "type", 5, 9, "`any of` must be a list", None),
    (policy("clauses:\n  - {not: A., any of: [B.]}"), "error", "type", 5, 9, "stand alone", None),
    (policy("clauses:\n  - {statement: A., about: captoin}"), "error", "bad-about", 5, 32, "`about` must be one of image, caption, pair, text_in_image", "Did you mean `caption`?"),
    (policy("clauses:\n  - {statement: A., about: caption, objects: [dog]}"), "error", "objects-unseen", 5, 32, "is about the caption alone", "`about: pair`"),
    (policy("clauses:\n  - any of:\n      - {statement: A., about: pair}"), "error", "type", 5, 9, "`about` stands beside `any of`", None),
    (policy("clauses:\n  - {about: pair, statment: A.}"), "error", "type", 5, 9, "clause 1", "Did you mean `statement`?"),
    (policy("clauses:\n  - statement: 3"), "error", "type", 5, 20, "clause 1 must be text, not the number 3", "in quotes"),
    (policy("clauses:\n  - {statement: A., any of: [B.]}"), "error", "type", 5, 9, "a clause has one of them", None),
    (policy("clauses:\n  - {statment: A., objects: [a]}"), "error", "type", 5, 9, "clause 1", "Did you mean `statement`?"),
    (policy("clauses:\n  - any of: [{not: A., objects: [a]}]"), "error", "type", 5, 9, "beside `any of`", None),
    (policy("clauses:\n  - {statement: A., object: [a]}"), "error", "unknown-key", 5, 25, "`object`", "Did you mean `objects`?"),
    (policy("unless:\n  - not: A dog is visible.\n    color: red"), "error", "unknown-key", 6, 9, "`color`", "Known here: `statement`"),
    (policy("clauses:\n  - {not: A., objects: dog}"), "error", "type", 5, 28, "`objects` must be a list", "`- `"),
    (policy("clauses:\n  - any of: [A., B.]\n    objects: [dog, 3]"), "error", "type", 6, 24, "item 2 of `objects` must be text, not the number 3", "in quotes"),
    (policy("clauses:\n  - any of: [A., B.]\n    objects: [dog, ' ']"), "error", "empty", 6, 24, "item 2 of `objects` is empty", "Fill it in"),
    (policy("clauses:\n  - {not: A., objects: [dog, cat, Dog]}"), "error", "duplicate-object", 5, 39, "item 3 of `objects` is listed already", "Remove one"),
    (policy("description: [a dog]"), "error", "type", 4, 18, "`description` must be text, not a list", None),
    (policy("descripton: a dog"), "error", "unknown-key", 4, 5, "`descripton`", "Did you mean `description`?"),
    (policy("clauses:\n  - any of:\n      - not: {a: b}"), "error", "type", 6, 18, "clause 1 must be text", None),
    (policy("examples: {broken: a.png}"), "error", "type", 4, 24, "`broken` must be a list", "`- `"),
    (policy("keep_below: low"), "error", "type", 4, 17, '`keep_below` must be a number, not "low"', None),
    (policy("keep_below: true"), "error", "type", 4, 17, "must be a number, not `true`", None),
    # --- values
    (policy("severity: hihg"), "error", "bad-severity", 4, 15, "one of low, medium, high, critical", "Did you mean `high`?"),
    (policy("id: a b"), "error", "bad-id", 4, 9, "may hold only letters", "Leave `id` out"),
    (policy("keep_below: 1.5"), "error", "threshold-range", 4, 17, "must be from 0 to 1, not the number 1.5", None),
    (policy("break_above: -1"), "error", "threshold-range", 4, 18, "must be from 0 to 1, not the number -1", None),
    (policy("break_above: .nan"), "error", "threshold-range", 4, 18, "must be from 0 to 1, not the number nan", None),
    (
        policy("keep_below: 0.8\nbreak_above: 0.2"),
        "error", "thresholds-order", 5, 18, "`break_above` (0.2) is smaller than `keep_below` (0.8)", "undecided between",
    ),
    (policy("keep_below: 0.6"), "advice", "lone-threshold", 4, 17, "`break_above` is left to the preset", "Give `break_above`"),
    (policy("break_above: 0.4"), "advice", "lone-threshold", 4, 18, "`keep_below` is left to the preset", "Give `keep_below`"),
    (policy(f"action: {'x' * (MAX_TEXT + 1)}"), "error", "too-long", 4, 13, f"longer than {MAX_TEXT}", "Split it"),
    (policy('action: "a\\x1b[2J"'), "error", "control-character", 4, 13, "a control character", "Type it anew"),
    (policy('action: "a\\u202eb"'), "error", "control-character", 4, 13, "a control character", "Type it anew"),
    (policy(f"keep_below: 0x{'f' * 5000}"), "error", "type", 4, 17, "must be a number, not a text", None),
    (policy("clauses: ['A c\u200bat is visible.']"), "error", "invisible-character", 4, 15, 'clause 1 holds the invisible character U+200B (ZERO WIDTH SPACE) after "A c"', "Type the text anew"),
    (policy("unless: ['A cat\U000e0061 is visible.']"), "error", "invisible-character", 4, 14, "exception 1 holds the invisible character U+E0061", "Type the text anew"),
    (policy("action: a\u00adb"), "error", "invisible-character", 4, 13, "U+00AD (SOFT HYPHEN)", "Type the text anew"),
    (policy("clauses:\n  - {statement: A cat., objects: [ca\u2060t]}"), "error", "invisible-character", 5, 39, "item 1 of `objects` holds the invisible character U+2060", "Type the text anew"),
    # --- what repeats or contradicts
    (
        policy("id: a\nclauses: [A dog is visible.]") + "  - {id: a, rule: No cat., clauses: [A cat is visible.]}\n",
        "error", "duplicate-id", 6, 10, "the id `a` is that of the rule on line 3 already", "another `id`",
    ),
    (
        policy(DOG) + "  - rule: No dog may be visible!\n",
        "error", "duplicate-id", 5, 11, "`no-dog-may-be-visible` is that of the rule on line 3", "Give the rule an `id` of its own.",
    ),
    (
        policy("clauses:\n  - A dog is visible.\n  - a dog is  visible"),
        "error", "duplicate-clause", 6, 9, "clause 2 says the same as clause 1", "Remove one",
    ),
    (
        policy("unless: [A cat is visible., A cat is visible.]"),
        "error", "duplicate-clause", 4, 33, "exception 2 says the same as exception 1", "Remove one",
    ),
    (
        policy("clauses:\n  - any of: [A dog is visible., A dog is visible.]"),
        "error", "duplicate-alternative", 5, 37, "clause 1 lists the same alternative twice", "Remove one",
    ),
    (
        policy("clauses:\n  - any of: [A dog is visible., not: A dog is visible.]"),
        "error", "always-holds", 5, 37, "clause 1 always holds", "Remove one",
    ),
    (
        policy("clauses:\n  - A dog is visible.\n  - not: A dog is visible."),
        "error", "never-broken", 6, 9, "clause 2 contradicts clause 1", "Correct one",
    ),
    (
        policy("clauses: [A dog is visible.]\nunless: [A dog is visible.]"),
        "error", "never-broken", 5, 13, "`unless` asks only for what the clauses ask for", "Correct one",
    ),
    (
        policy("unless:\n  - A dog is visible.\n  - not: A dog is visible."),
        "error", "never-excepted", 6, 9, "exception 2 contradicts exception 1", "Correct one",
    ),
    (
        policy("examples: {broken: [a.png], kept: [b.png, a.png]}"),
        "error", "example-twice", 4, 47, "item 2 of `kept` is listed under `broken` as well", "cannot both",
    ),
    (policy("clauses:\n  - any of: []"), "error", "empty", 5, 17, "lists no alternative", "Fill it in"),
    (policy("clauses:\n  - ''"), "error", "empty", 5, 9, "clause 1 is empty", "Fill it in"),
    (policy("severity: low"), "advice", "no-clauses", 3, 11, "the rule has no clauses yet", "Add `clauses:`"),
    (
        policy("clauses:\n  - A dog is visible.\n  - {statement: A dog is visible., objects: [dog]}"),
        "error", "duplicate-clause", 6, 9, "clause 2 says the same as clause 1", "Remove one",
    ),
    (policy("clauses:\n  - A dog touches a cat."), "advice", "no-presence", 5, 9, 'clause 1 relates "a dog" to "a cat"', 'Add "A dog is visible."'),
    # --- wording (the rest is in test_wording.py)
    (policy("clauses:\n  - Is a dog visible?"), "error", "question", 5, 9, "clause 1 is a question", "A child is visible."),
    (policy("clauses:\n  - {statement: Is a dog visible?, objects: [dog]}"), "error", "question", 5, 21, "clause 1 is a question", "A child is visible."),
    (policy("clauses: [A man holds it.]"), "advice", "pronoun", 4, 15, 'clause 1 says "it" with nothing to refer to', "Name the thing"),
    (policy("unless:\n  - The dog is safe to touch."), "advice", "subjective", 5, 9, 'exception 1 asks for an opinion: "safe to"', "can be seen"),
    (policy("clauses:\n  - A dog is about to bite."), "advice", "intent", 5, 9, 'clause 1 speaks of intent or likelihood', "is done"),
    (
        policy("clauses:\n  - any of:\n      - A cat is visible.\n      - No dog is visible."),
        "advice", "negation", 7, 13, 'clause 1 negates ("no")', "Write `not: A dog is visible.`",
    ),
    (policy("clauses: [A dog is visible.]\ndescription: no dog"), "advice", "negation", 5, 18, '`description` negates ("no")', "Name what is there"),
    (policy("clauses:\n  - not: No dog is visible."), "advice", "negation", 5, 14, "under `not:`", "counted in"),
    (
        policy("clauses:\n  - any of: [A child touches a dagger, an axe or a dog.]"),
        "advice", "sentence", 5, 18, "clause 1 is not written as a sentence", "put a statement with commas in quotes",
    ),
    (
        policy("clauses:\n  - A dog is visible. A cat is visible."),
        "advice", "several-sentences", 5, 9, "holds more than one sentence", "a clause of its own",
    ),
    (policy("clauses: [“A dog is visible.”]"), "advice", "quotes", 4, 15, "clause 1 stands in quotation marks", "Leave them out"),
    (policy("clauses: [A d\u043eg is visible.]"), "advice", "mixed-alphabets", 4, 15, "clause 1 mixes letters", "Type the word anew"),
    # --- the rule's text, where that is what is asked
    ("name: p\nrules:\n  - rule: No inappropriate gesture.\n", "advice", "subjective", 3, 11, '`rule` asks for an opinion: "inappropriate"', "can be seen"),
    ("name: p\nrules:\n  - rule: No dog meant to scare.\n", "advice", "intent", 3, 11, "`rule` speaks of intent", "is done"),
    ("name: p\nrules:\n  - rule: Is a dog visible?\n", "error", "question", 3, 11, "`rule` is a question", "State what"),
    ("name: p\nrules:\n  - rule: No dog. # mine\n  - rule: No cat # mine\n", "advice", "sentence", 4, 11, "`rule` is not written as a sentence", "If `# mine` belongs to it"),
]  # fmt: skip


def _name(case: tuple[str, str, str, int, int, str, str | None]) -> str:
    return f"{case[2]}: {case[5]}"


@pytest.mark.parametrize(
    ("text", "severity", "code", "line", "column", "message", "suggestion"), CASES, ids=map(_name, CASES)
)
def test_problem_has_line_and_column(
    text: str, severity: str, code: str, line: int, column: int, message: str, suggestion: str | None
) -> None:
    problems = check_text(text, file="p.yaml")
    found = [
        problem
        for problem in problems
        if problem.code == code and (problem.line, problem.column) == (line, column)
    ]
    assert found, f"not among {[str(problem) for problem in problems]}"
    assert found[0].severity == severity
    assert message in found[0].message
    assert found[0].suggestion is None if suggestion is None else suggestion in str(found[0].suggestion)
    assert str(found[0]).startswith(f"p.yaml:{line}:{column}: {severity}: ")


def test_all_codes_are_documented_and_tested() -> None:
    documented = re.findall(
        r"^\| `([a-z-]+)` \| (error|advice) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE
    )
    by_model = {("unread", "error")}  # takes `--model`: tests/cli/test_constitution.py
    assert sorted(set(documented) - by_model) == sorted({(code, severity) for _, severity, code, *_ in CASES})


def test_all_problems_are_listed_in_file_order() -> None:
    text = policy(
        """
        severity: hihg
        clause: []
        clauses:
          - Is a dog visible?
          - A nice dog is visible.
        keep_below: 2
        """,
        head="name: p\nversion: 1",
    )
    found = [(problem.line, problem.code) for problem in check_text(text)]
    assert found == [
        (2, "type"),
        (5, "bad-severity"),
        (6, "unknown-key"),
        (8, "question"),
        (9, "subjective"),
        (10, "threshold-range"),
    ]


def test_broken_rule_does_not_hide_problems_of_others() -> None:
    text = "name: p\nrules:\n  - No dogs.\n  - {id: a, rule: No cat., severity: x}\n  - {id: a, rule: No cow., clauses: [Is it?]}\n"
    assert {(problem.line, problem.code) for problem in check_text(text) if problem.severity == "error"} == {
        (3, "type"),
        (4, "bad-severity"),
        (5, "duplicate-id"),
        (5, "question"),
    }


@pytest.mark.parametrize(
    "text",
    [
        policy(DOG),
        policy(
            "clauses:\n  - any of: [A dog is visible., not: A cat is visible.]\nunless: [A man is visible.]"
        ),
        policy(DOG + "\nkeep_below: 0.5\nbreak_above: 0.5"),
        policy(DOG + "\nkeep_below: 0\nbreak_above: 1"),
        policy(DOG + "\nunless:\nexamples: {broken: , kept: [a.png]}", "name: p\nversion: 2026-11-03"),
        policy(DOG + "\nid: R-1.2_b"),
        policy(
            """
            description: a dog beside a cat
            clauses:
              - {statement: A dog is visible., objects: [dog]}
              - any of: [A cat is visible., not: A cow is visible.]
                objects: [cat, cow]
            unless:
              - not: A man is visible.
                objects:
              - statement: A sign is visible.
            """
        ),
        # Remarks, with a blank behind their # or behind a text that is none.
        policy(
            "severity: low #todo\nclauses:  # all\n  #- A cat is visible.\n  - A dog is visible.  # a remark\n  ## b\n  #---"
        ),
        policy(
            "clauses:\n  - 'A shirt with the text #1 Dad is visible.'\n  - A shirt with#1 is visible.\n  - >\n    A #1 is\n    visible.",
            "name: p",
        ),
        # What people see as one sign, or their script spells with joiners.
        policy(
            "clauses: ['\U0001f468\u200d\U0001f469\u200d\U0001f467 or \u2764\ufe0f is visible.', '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.']"
        ),
        # An exception that asks for more than the clauses can apply.
        policy("clauses: [A dog is visible.]\nunless: [A dog is visible., A man is visible.]"),
    ],
)
def test_sound_constitutions_have_no_problems(text: str) -> None:
    assert check_text(text) == []


def test_misspelt_clauses_key_gives_no_advice_on_missing_clauses() -> None:
    assert [problem.code for problem in check_text(policy("clause: [A dog is visible.]"))] == ["unknown-key"]


def test_problems_name_the_checked_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(policy("severity: huge"), encoding="utf-8")
    assert {problem.file for problem in check_constitution(path)} == {str(path)}


@pytest.mark.parametrize(
    "rules",
    [
        # One text in composed and in decomposed letters is one rule.
        "  - rule: No café.\n    clauses: [A.]\n  - rule: No cafe\u0301.\n    clauses: [A.]\n",
        f"  - rule: No dog.\n    keep_below: {'9' * 400}\n",
        f"  - rule: No dog.\n    keep_below: {'9' * 5000}\n",
    ],
)
def test_odd_values_are_errors_of_the_file(rules: str) -> None:
    assert any(problem.severity == "error" for problem in check_text(f"name: p\nrules:\n{rules}"))


def test_aliases_are_refused_before_expansion() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
    )
    problems = check_text(bomb)
    assert {problem.code for problem in problems} == {"alias"}


def _within(problem: Problem, text: str) -> bool:
    lines = text.splitlines() or [""]
    return 1 <= problem.line <= len(lines) + 1 and problem.column >= 1


@given(st.text(alphabet=st.sampled_from("ab: -[]{}#&*!|>'\"?%\n\t0.é\x07"), max_size=60))
def test_no_text_makes_the_check_fail(text: str) -> None:
    assert all(_within(problem, text) for problem in check_text(text))


LONG = "No dog may be shown anywhere near a cat, on a sofa or below it, "


@pytest.mark.parametrize("escape", ["\\ud83d\\ude00", "\\ud83d", "\\ude00\\ud83d"])
@pytest.mark.parametrize("key", ["rule", "description", "statement"])
def test_json_escapes_are_read_and_lone_surrogates_reported(escape: str, key: str) -> None:
    rule = f'rule: "{LONG}{escape}"' if key == "rule" else f'rule: {LONG}"x"'
    clauses = [f'{{statement: "A dog {escape}."}}' if key == "statement" else "A dog is visible."]
    more = f'\n    description: "A dog {escape}"' if key == "description" else ""
    text = f"name: p\nrules:\n  - {rule}{more}\n    clauses: [{', '.join(clauses)}]\n"
    problems = [problem for problem in check_text(text) if problem.severity == "error"]
    assert (problems == []) == (escape == "\\ud83d\\ude00")
    assert all("control character" in problem.message for problem in problems)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["A dog is visible.", "", "x", "?"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["any of", "not", "statement", "objects", "rule", "text", "alternatives", "1"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(Rule.model_fields)),
        VALUES,
    )
)
def test_no_value_of_any_type_makes_the_check_fail(rule: dict[str, object]) -> None:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump({"name": "p", "rules": [rule]}, stream)
    constitution, problems = examine(parse_source(stream.getvalue(), "p.yaml"))
    assert all(_within(problem, stream.getvalue()) for problem in problems)
    assert (constitution is None) == any(problem.severity == "error" for problem in problems)


def test_intent_words_are_allowed_in_clauses_about_text() -> None:
    clause = "clauses:\n  - statement: It is intended to hurt a man.\n    about: "
    codes = {
        about: [p.code for p in check_text(policy(clause + about))] for about in ("image", "caption", "pair")
    }
    assert "intent" in codes["image"]
    assert "intent" not in codes["caption"] + codes["pair"]


@pytest.mark.parametrize("clauses", ["", "\n    clauses: [A dog is visible.]"])
def test_rule_text_is_checked_only_without_clauses(clauses: str) -> None:
    codes = {p.code for p in check_text(f"name: p\nrules:\n  - rule: No ugly dog, no cat{clauses}\n")}
    assert codes == (set() if clauses else {"subjective", "sentence", "no-clauses"})


HIDDEN = "\u200b\u200c\u200d\u200e\u2060\u2064\ufeff\u00ad\u034f\u061c\u115f\u1160\u180e\u2800\u3164\uffa0\ufe0f\U000e0001\U000e0041\U000e01ef\U0001d173"


@pytest.mark.parametrize("character", HIDDEN, ids=lambda c: f"U+{ord(c):04X}")
@pytest.mark.parametrize("key", ["name", "version", "rule", "action", "description", "clauses", "unless"])
def test_invisible_characters_are_reported_in_every_text(character: str, key: str) -> None:
    texts = dict.fromkeys(["name", "version", "rule", "action", "description", "clauses", "unless"], "A dog.")
    texts["unless"], texts[key] = "A cat.", f"A ca{character}r."
    head, rule = (
        ", ".join(f"{k}: {json.dumps(texts[k])}" for k in keys)
        for keys in (("name", "version"), ("rule", "action", "description"))
    )
    text = f"{{{head}, rules: [{{{rule}, clauses: [{json.dumps(texts['clauses'])}], unless: [{json.dumps(texts['unless'])}]}}]}}"
    (problem,) = [problem for problem in check_text(text) if problem.severity == "error"]
    assert problem.code == "invisible-character" and f"U+{ord(character):04X}" in problem.message


@pytest.mark.parametrize("blank", "\u00a0\u2003\u2009\u202f\u3000")
def test_wide_and_narrow_spaces_count_as_spaces(blank: str) -> None:
    text = (
        f"name: p\nrules:\n  - rule: No dog.\n    clauses: ['A{blank}dog is visible.', A dog is visible.]\n"
    )
    assert [problem.code for problem in check_text(text)] == ["duplicate-clause"]


RULE = "name: p\nrules:\n  - rule: No dog.\n"
MANY: dict[str, tuple[str, Callable[[int], str]]] = {
    "unknown keys": (RULE, lambda i: f"    k{i}: 1\n"),
    "keys that are numbers": (RULE, lambda i: f"    {i}: 1\n"),
    "alternatives": (f"{RULE}    clauses:\n      - any of:\n", lambda i: f"          - A {i}.\n"),
    "examples": (
        f"{RULE}    examples: {{broken: [{', '.join(f'b{i}' for i in range(2000))}], kept: [\n",
        lambda i: f"k{i},\n",
    ),
}


@pytest.mark.parametrize("what", MANY)
def test_check_time_is_linear(what: str) -> None:
    head, line = MANY[what]

    def seconds(count: int) -> float:
        text = head + "".join(map(line, range(count))) + ("]}" if what == "examples" else "")
        start = time.process_time()
        check_text(text)
        return time.process_time() - start

    seconds(10)
    assert seconds(3000) < 18 * max(0.02, min(seconds(500) for _ in range(2)))
