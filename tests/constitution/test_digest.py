"""Digests: any edit of meaning changes them, no edit of form does."""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from jurat.constitution import Constitution, load_constitution, parse_constitution

Document = dict[str, Any]

NOUNS = st.sampled_from(["dog", "cat", "cow", "horse", "snake"])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Constitutions as plain data: every statement differs from every other, so that nothing repeats."""
    numbers = iter(range(1000))

    def statement() -> Any:
        text = f"A {draw(NOUNS)} number {next(numbers)} is visible."
        return {"not": text} if draw(st.booleans()) else text

    def clauses(least: int) -> list[Any]:
        sizes = draw(st.lists(st.integers(1, 3), min_size=least, max_size=3))
        return [
            statement() if size == 1 else {"any of": [statement() for _ in range(size)]} for size in sizes
        ]

    rules: list[Document] = []
    for i in range(draw(st.integers(1, 3))):
        rule: Document = {"id": f"r{i}", "rule": f"No {draw(NOUNS)} may be visible.", "clauses": clauses(1)}
        if draw(st.booleans()):
            rule["unless"] = clauses(1)
        if draw(st.booleans()):
            rule["severity"] = draw(st.sampled_from(["low", "high"]))
        if draw(st.booleans()):
            rule["keep_below"], rule["break_above"] = 0.1, 0.75
        rules.append(rule)
    return {"name": "p", "version": "1", "rules": rules}


def constitution(document: Document) -> Constitution:
    return Constitution.model_validate(document)


def digests(document: Document) -> tuple[str, str]:
    return constitution(document).digest, constitution(document).thresholds_digest


# --- form ---------------------------------------------------------------------------------------


def _shuffled(node: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """The same data with the keys of every mapping in another order and white space added to texts."""
    match node:
        case dict():
            return {key: _shuffled(node[key], draw) for key in draw(st.permutations(list(node)))}
        case list():
            return [_shuffled(item, draw) for item in node]
        case str() if " " in node:
            return node.replace(" ", draw(st.sampled_from([" ", "  ", "\n  "])), 1)
        case _:
            return node


def _written(document: Document, draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """YAML in any style, with comments and empty lines between the lines."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.default_flow_style = draw(st.sampled_from([False, None]))
    mapping = draw(st.integers(2, 4))
    yaml.indent(mapping=mapping, sequence=mapping + 2, offset=draw(st.sampled_from([0, 2])))
    stream = io.StringIO()
    yaml.dump(document, stream)
    comment = st.sampled_from(["", "# a remark", "   # no: matter", "\n\n#"])
    return "".join(f"{draw(comment)}\n{line}\n" for line in stream.getvalue().split("\n"))


@given(documents(), st.data())
def test_comments_spacing_and_key_order_keep_digests(document: Document, data: st.DataObject) -> None:
    text = _written(_shuffled(document, data.draw), data.draw)
    read = parse_constitution(text)
    assert (read.digest, read.thresholds_digest) == digests(document)


@given(documents())
def test_name_version_and_examples_do_not_enter_digests(document: Document) -> None:
    edited = copy.deepcopy(document) | {"name": "q", "version": "2"}
    edited["rules"][0]["examples"] = {"broken": ["a.png"]}
    assert digests(edited) == digests(document)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"clauses": ["A dog is visible."]}, {"clauses": [{"any of": ["A dog is visible."]}]}),
        (
            {"clauses": [{"not": "A dog is visible."}]},
            {"clauses": [{"any of": [{"not": "A dog is visible."}]}]},
        ),
        ({}, {"id": "no-dog"}),
        ({}, {"clauses": [], "unless": None}),
        ({"keep_below": 0}, {"keep_below": 0.0}),
        (
            {"clauses": ["A dog is visible."]},
            {"clauses": [{"statement": "A dog is visible.", "objects": []}]},
        ),
        ({"description": "a  dog"}, {"description": "a dog"}),
        ({"rule": "No cafe\u0301."}, {"rule": "No caf\u00e9."}),
    ],
)
def test_equivalent_spellings_have_one_digest(one: Document, other: Document) -> None:
    base = {"rule": "No dog."}
    assert digests({"name": "p", "rules": [base | one]}) == digests({"name": "p", "rules": [base | other]})


# --- meaning ------------------------------------------------------------------------------------

NEW = "An elephant is visible."


def _negated(clause: Any) -> Any:
    match clause:
        case str():
            return {"not": clause}
        case {"not": text}:
            return text
        case _:
            return {"any of": [_negated(clause["any of"][0]), *clause["any of"][1:]]}


def _edit_clauses(edit: Callable[[list[Any]], list[Any]]) -> Callable[[list[Document]], list[Document]]:
    return lambda rules: [rules[0] | {"clauses": edit(rules[0]["clauses"])}, *rules[1:]]


MEANING: dict[str, Callable[[list[Document]], list[Document]]] = {
    "another text": _edit_clauses(lambda clauses: [NEW, *clauses[1:]]),
    "a clause more": _edit_clauses(lambda clauses: [*clauses, NEW]),
    "a clause fewer": _edit_clauses(lambda clauses: clauses[1:]),
    "a negation": _edit_clauses(lambda clauses: [_negated(clauses[0]), *clauses[1:]]),
    "an alternative more": _edit_clauses(
        lambda clauses: [{"any of": [*_alternatives(clauses[0]), NEW]}, *clauses[1:]]
    ),
    "alternatives made clauses": _edit_clauses(
        lambda clauses: [*_alternatives({"any of": [*_alternatives(clauses[0]), NEW]}), *clauses[1:]]
    ),
    "an exception": lambda rules: [rules[0] | {"unless": [*rules[0].get("unless", []), NEW]}, *rules[1:]],
    "clauses made exceptions": lambda rules: [
        {key: value for key, value in rules[0].items() if key != "clauses"}
        | {"unless": [*rules[0].get("unless", []), *rules[0]["clauses"]]},
        *rules[1:],
    ],
    "another rule text": lambda rules: [rules[0] | {"rule": "No elephant may be visible."}, *rules[1:]],
    "another id": lambda rules: [rules[0] | {"id": "other"}, *rules[1:]],
    "a rule more": lambda rules: [*rules, {"rule": "No elephant may be visible."}],
    "an object": _edit_clauses(
        lambda clauses: [
            {"any of": _alternatives(clauses[0]), "objects": ["dog"]},
            *clauses[1:],
        ]
    ),
    "what it is about": _edit_clauses(
        lambda clauses: [{"any of": _alternatives(clauses[0]), "about": "caption"}, *clauses[1:]]
    ),
    "a description": lambda rules: [rules[0] | {"description": "a dog"}, *rules[1:]],
    "the rules turned round": lambda rules: [*reversed(rules), {"id": "last", "rule": "No elephant."}],
}


def _alternatives(clause: Any) -> list[Any]:
    return clause["any of"] if isinstance(clause, dict) and "any of" in clause else [clause]


@pytest.mark.parametrize("edit", MEANING)
@settings(max_examples=25)
@given(document=documents())
def test_any_edit_of_meaning_changes_the_digest(edit: str, document: Document) -> None:
    edited = document | {"rules": MEANING[edit](document["rules"])}
    assert constitution(edited).digest != constitution(document).digest


@settings(max_examples=25)
@given(document=documents())
def test_edits_of_clauses_leave_the_thresholds_digest(document: Document) -> None:
    edited = document | {"rules": MEANING["a clause more"](document["rules"])}
    assert constitution(edited).thresholds_digest == constitution(document).thresholds_digest


@pytest.mark.parametrize(
    "edit", [{"keep_below": 0.05}, {"break_above": 0.95}, {"severity": "critical"}, {"action": "remove"}]
)
@settings(max_examples=25)
@given(document=documents())
def test_thresholds_severity_and_action_have_their_own_digest(edit: Document, document: Document) -> None:
    edited = document | {"rules": [document["rules"][0] | edit, *document["rules"][1:]]}
    assert constitution(edited).digest == constitution(document).digest
    assert constitution(edited).thresholds_digest != constitution(document).thresholds_digest


def test_digest_is_the_hash_of_canonical_text() -> None:
    # Records name constitutions by their digests: another layout of this text would break old records.
    document = {
        "name": "p",
        "rules": [
            {
                "rule": "No dog.",
                "severity": "high",
                "clauses": [
                    "A dog is visible.",
                    {"any of": ["A cat is visible.", {"not": "A cow is visible."}]},
                ],
                "unless": ["A man is visible."],
                "keep_below": 0.2,
            }
        ],
    }
    meaning = (
        '{"jurat":"constitution/meaning/1","rules":[{"clauses":[[["A dog is visible.",false]],'
        '[["A cat is visible.",false],["A cow is visible.",true]]],"id":"no-dog","rule":"No dog.",'
        '"unless":[[["A man is visible.",false]]]}]}'
    )
    thresholds = (
        '{"jurat":"constitution/thresholds/1","rules":[{"action":null,"break_above":null,"id":"no-dog",'
        '"keep_below":0.2,"severity":"high"}]}'
    )
    assert digests(document) == tuple(
        hashlib.sha256(text.encode()).hexdigest()[:12] for text in (meaning, thresholds)
    )


def test_about_enters_digest_unless_image() -> None:
    def text(about: str) -> str:
        return (
            '{"jurat":"constitution/meaning/1","rules":[{'
            + about
            + '"clauses":[[["A dog is visible.",false]]],'
            '"id":"no-dog","rule":"No dog.","unless":[[["A man is visible.",false]]]}]}'
        )

    for about, told in (("image", ""), ("caption", '"about":["caption","image"],')):
        clause = {"statement": "A dog is visible.", "about": about}
        document = {
            "name": "p",
            "rules": [{"rule": "No dog.", "clauses": [clause], "unless": ["A man is visible."]}],
        }
        assert constitution(document).digest == hashlib.sha256(text(told).encode()).hexdigest()[:12]


def test_objects_and_descriptions_enter_digest_if_present() -> None:
    document = {
        "name": "p",
        "rules": [
            {
                "rule": "No dog.",
                "description": "a dog",
                "clauses": [{"statement": "A dog is visible.", "objects": ["dog"]}, "A cat is visible."],
            }
        ],
    }
    meaning = (
        '{"jurat":"constitution/meaning/1","rules":[{"clauses":[[["A dog is visible.",false]],'
        '[["A cat is visible.",false]]],"description":"a dog","id":"no-dog","objects":[["dog"],[]],'
        '"rule":"No dog.","unless":[]}]}'
    )
    assert constitution(document).digest == hashlib.sha256(meaning.encode()).hexdigest()[:12]


def test_digests_are_cached_per_rules() -> None:
    whole = load_constitution("shelf:nursery")
    assert whole.digest is whole.digest and whole.thresholds_digest is whole.thresholds_digest
    some = whole.model_copy(update={"rules": whole.rules[:3]})
    assert (some.digest, some.thresholds_digest) != (whole.digest, whole.thresholds_digest)
    assert some.digest == Constitution(name="some", rules=whole.rules[:3]).digest


def test_computed_digests_leave_constitutions_equal_and_hashable() -> None:
    one, other = load_constitution("shelf:nursery"), load_constitution("shelf:nursery")
    assert one.digest
    assert one == other and hash(one) == hash(other)
    assert one != other.model_copy(update={"rules": other.rules[:3]})
