"""Guidelines in prose and Markdown: what becomes a rule, and what a comment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.constitution import ConstitutionError, check_text, parse_constitution
from jurat.constitution.guidelines import is_guidelines, skeleton

MARKDOWN = """\
---
title: x
---
# Image guidelines

Welcome! We want everybody to feel at home.

## Not allowed

- Weapons pointed at people
- **Nudity**, unless it is a [painting](http://x)
  or a sculpture
- Blood. Except in medical images.
  - Exception: a nosebleed

## What you can post

- Kittens
- Kitchen knives in a kitchen
- No dogs, though

## Other

1. Every worker must wear a helmet.
2. Number plates: blur them
3. No screens with passwords #secret.

Images must not show a dog without a leash. However, puppies are fine. Cats are allowed.

The following are prohibited:

* Cigarettes
* Things that can explode

| what | rule |
|---|---|
| bombs | must not be shown |
"""

RULES = [
    "Weapons pointed at people must not be shown.",
    "Not allowed: Nudity, unless it is a painting or a sculpture.",
    "Not allowed: Blood. Except in medical images. Exception: a nosebleed.",
    "No dogs, though.",
    "Every worker must wear a helmet.",
    "No screens with passwords #secret.",
    "Images must not show a dog without a leash. However, puppies are fine.",
    "Cigarettes must not be shown.",
    "Things that can explode must not be shown.",
    "bombs | must not be shown.",
]
COMMENTS = [
    "line 6: Welcome!",
    "line 6: We want everybody to feel at home.",
    "line 18: allowed, no rule: Kittens",
    "line 19: allowed, no rule: Kitchen knives in a kitchen",
    "line 25: Number plates: blur them (nothing says whether this is forbidden)",
    "line 28: Cats are allowed.",
    "line 30: The following are prohibited:",
]


def test_forbidding_sentences_become_rules_and_others_comments() -> None:
    made = skeleton(MARKDOWN, "guidelines.md")
    constitution = parse_constitution(made.text)
    assert [rule.rule for rule in constitution.rules] == RULES
    assert constitution.name == "guidelines" and made.rules == len(RULES)
    assert not any(rule.clauses for rule in constitution.rules)
    comments = [
        line.strip().removeprefix("# ") for line in made.text.splitlines() if line.lstrip()[:1] == "#"
    ]
    assert not set(COMMENTS) - set(comments)
    assert made.remarks == sum(line.startswith("line ") for line in comments)
    assert {problem.severity for problem in check_text(made.text)} == {"advice"}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("No dogs.", ["No dogs."]),
        ("No dogs. No cats! Never a horse.", ["No dogs.", "No cats!", "Never a horse."]),
        ("Dogs are not allowed, except puppies. Hello.", ["Dogs are not allowed, except puppies."]),
        ("Dogs may only be shown if they are leashed.", ["Dogs may only be shown if they are leashed."]),
        ("No dogs. Is no cat allowed? No horses.", ["No dogs.", "No horses."]),
        ("Not allowed\n===========\n- dogs", ["dogs must not be shown."]),
        ("Do not post:\n\n• dogs\n• cats", ["dogs must not be shown.", "cats must not be shown."]),
        ("1) No dogs: never.\n2) No cats", ["No dogs: never.", "No cats."]),
        ("No dogs.\n\nNo dogs.", ["No dogs."]),
        ("> - [ ] No dogs", ["No dogs."]),
        ("- No so\u00adft \u200bdogs", ["No soft dogs."]),
        ("No \"dogs\" #1 & *cats*: 'x' {a} [b].", ["No \"dogs\" #1 & cats: 'x' {a} [b]."]),
    ],
)
def test_rules_keep_their_wording(text: str, rules: list[str]) -> None:
    assert [rule.rule for rule in parse_constitution(skeleton(text, "g.txt").text).rules] == rules


@pytest.mark.parametrize(
    "text", ["", "Welcome to us.", "## Allowed\n- dogs", "<!DOCTYPE html><p>No dogs.</p>"]
)
def test_a_text_without_rules_is_refused(text: str) -> None:
    with pytest.raises(ConstitutionError, match=r"g\.md"):
        skeleton(text, "g.md")


def test_constitution_is_not_read_as_guidelines() -> None:
    assert is_guidelines(MARKDOWN) and is_guidelines("No dogs.")
    assert not is_guidelines("name: p\nrules:\n  - rule: No dog.\n")
    assert not is_guidelines('{"name": "p", "rules": []}')


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("No dogs.:#-*\n\t|[]{}'\"&!% \u200b\u202eé"), max_size=40),
        max_size=6,
    )
)
def test_any_guidelines_make_a_constitution_or_are_refused(lines: list[str]) -> None:
    try:
        made = skeleton("\n".join(lines), "g.md")
    except ConstitutionError:
        return
    assert len(parse_constitution(made.text).rules) == made.rules
