"""Constitutions from YAML text, all or nothing with every error named, and back to YAML text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jurat.constitution.check import examine
from jurat.constitution.constitution import Constitution
from jurat.constitution.files import find_file, read_text
from jurat.constitution.problem import ConstitutionError
from jurat.constitution.rules import Rule
from jurat.constitution.source import parse_source, to_text

_ORDER = (
    *("id", "rule", "description", "severity", "action"),
    *("clauses", "unless", "keep_below", "break_above", "examples"),
)
"""The order in which a rule's keys are written."""


def load_constitution(ref: str | Path) -> Constitution:
    """The constitution in the file `ref`, or on the shelf if `ref` is "shelf:NAME".

    Raises ConstitutionError where the file is not there or has errors; advice does not keep it from
    loading. Its `problems` hold the line, column and suggestion of each.
    """
    path = find_file(ref)
    return parse_constitution(read_text(path), file=str(path)).read_from(path)


def parse_constitution(text: str, *, file: str = "<text>") -> Constitution:
    """The same from YAML text; `file` is how problems name it."""
    constitution, problems = examine(parse_source(text, file))
    if constitution is None:
        raise ConstitutionError.of_problems(file, problems)
    return constitution


def to_yaml(constitution: Constitution) -> str:
    """Text that loads as an equal constitution.

    To edit a file and keep its comments, use `read_source` and `Source.dump` instead.
    """
    document: dict[str, Any] = {"name": constitution.name}
    if constitution.version:
        document["version"] = constitution.version
    document["rules"] = [_rule(rule) for rule in constitution.rules]
    return to_text(document)


def _rule(rule: Rule) -> dict[str, Any]:
    values = rule.model_dump(mode="json", exclude_none=True)
    return {key: values[key] for key in _ORDER if values.get(key) not in (None, [])}
