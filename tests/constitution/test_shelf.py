"""The constitutions that ship with jurat."""

from __future__ import annotations

import re

import pytest

from jurat.constitution import check_constitution, load_constitution, shelf_names

TOPICS = {
    "community": [
        "graphic-injury",
        "exposed-genitals",
        "weapon-aimed-at-person",
        "self-harm",
        "hate-symbols",
    ],
    "privacy": ["face", "number-plate", "identity-document", "credentials-on-screen"],
    "workplace": ["bare-head-on-site", "no-harness-at-height", "open-flame-near-fuel"],
    "street-crossing": ["red-light", "vehicle-on-crossing"],
    "nursery": ["child-with-blade"],
}

# The pictogram world's own wording: what the bundled model was trained on.
NAME = r"(?:an? )(?:\w+ ?){1,3}"
NURSERY = [
    rf"{NAME} is visible\.",
    rf"{NAME} touches {NAME}(?:(?:, {NAME})* or {NAME})?\.",
    rf"{NAME} is (?:left of|right of|above|below) {NAME}\.",
    r"There are at least two \w+\.",
    r"A sign reads (?:STOP|FREE|SALE|EXIT|OPEN|HELP)\.",
]


# Digests in records name these constitutions: a change of the format must not change them. A change of what a
# constitution says changes its own, with its `version`.
DIGESTS = {
    "community": ("8e47b0e8f500", "8e8f49fa3a62"),
    "nursery": ("9909391536cc", "2401623a0986"),
    "privacy": ("6bde57be7ecd", "a732bd5547a2"),
    "street-crossing": ("f92f8cfd608f", "180f5fb61e30"),
    "workplace": ("9e8e94855ecd", "9261adbd033f"),
}


def test_shelf_digests_are_unchanged() -> None:
    shelf = {name: load_constitution(f"shelf:{name}") for name in shelf_names()}
    assert {name: (each.digest, each.thresholds_digest) for name, each in shelf.items()} == DIGESTS


@pytest.mark.parametrize("name", shelf_names())
def test_shelf_passes_check_without_advice(name: str) -> None:
    assert [str(problem) for problem in check_constitution(f"shelf:{name}")] == []


def test_shelf_holds_documented_constitutions() -> None:
    assert set(shelf_names()) == set(TOPICS)
    for name, ids in TOPICS.items():
        constitution = load_constitution(f"shelf:{name}")
        assert constitution.name == name
        assert set(ids) <= {rule.id for rule in constitution.rules}
        assert all(rule.clauses and rule.severity for rule in constitution.rules)


def test_nursery_speaks_the_language_of_the_pictogram_world() -> None:
    constitution = load_constitution("shelf:nursery")
    assert len(constitution.rules) == 14
    clauses = [clause for rule in constitution.rules for clause in (*rule.clauses, *rule.unless)]
    assert 33 <= len(clauses) <= 38
    strange = [
        text
        for text in constitution.statements()
        if not any(re.fullmatch(p, text, re.IGNORECASE) for p in NURSERY)
    ]
    assert strange == []


def test_nursery_uses_every_feature_of_the_format() -> None:
    constitution = load_constitution("shelf:nursery")
    text = " ".join(constitution.statements())
    for phrase in ("touches", "left of", "right of", "above", "below", "at least two", "reads FREE"):
        assert phrase in text
    clauses = [clause for rule in constitution.rules for clause in rule.clauses]
    assert any(len(clause.alternatives) > 1 for clause in clauses)
    assert any(clause.alternatives[0].negated for clause in clauses)
    assert any(rule.unless for rule in constitution.rules)


def test_nursery_asks_for_presence_before_touch() -> None:
    for rule in load_constitution("shelf:nursery").rules:
        touching = [i for i, clause in enumerate(rule.clauses) if " touches " in clause.text]
        assert all(i >= 2 for i in touching)
