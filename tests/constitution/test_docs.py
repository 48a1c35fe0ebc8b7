"""The page about constitutions says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from jurat.constitution import Rule, check_text, load_constitution, shelf_names

PAGE = (Path(__file__).parents[2] / "docs" / "constitution.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_first_constitution_of_the_page_passes_check() -> None:
    assert check_text(blocks("yaml")[0]) == []


def test_clause_kinds_of_the_page_are_valid() -> None:
    clauses = "\n".join(f"      {line}" for line in blocks("yaml")[1].splitlines())
    problems = check_text(f"name: p\nrules:\n  - rule: No dog.\n    clauses:\n{clauses}\n")
    # The page shows a statement and its negation side by side, which no rule could have.
    assert [problem.code for problem in problems] == ["never-broken"]


def test_clauses_with_objects_of_the_page_are_valid() -> None:
    clauses = "\n".join(f"      {line}" for line in blocks("yaml")[2].splitlines())
    assert check_text(f"name: p\nrules:\n  - rule: No dog.\n    clauses:\n{clauses}\n") == []


def test_clauses_about_captions_of_the_page_are_valid() -> None:
    clauses = "\n".join(f"      {line}" for line in blocks("yaml")[3].splitlines())
    assert check_text(f"name: p\nrules:\n  - rule: No dog.\n    clauses:\n{clauses}\n") == []


def test_python_of_the_page_runs() -> None:
    for block in blocks("python"):
        exec(block, {})


def test_every_key_and_every_shelf_name_is_on_the_page() -> None:
    for key in (*Rule.model_fields, *(f"shelf:{name}" for name in shelf_names())):
        assert f"| `{key}` |" in PAGE
    assert load_constitution("shelf:nursery").digest not in PAGE  # it would go stale
