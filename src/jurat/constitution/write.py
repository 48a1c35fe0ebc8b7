"""A constitution as YAML text, in the shorthand that people write."""

from __future__ import annotations

import io
from typing import Any

from jurat.constitution.constitution import Constitution
from jurat.constitution.rules import Rule
from jurat.constitution.source import yaml

_ORDER = (
    "id",
    "rule",
    "description",
    "severity",
    "action",
    "clauses",
    "unless",
    "keep_below",
    "break_above",
    "examples",
)


def to_yaml(constitution: Constitution) -> str:
    """Text that loads as an equal constitution.

    To edit a file and keep its comments, use `read_source` and `Source.dump` instead.
    """
    document: dict[str, Any] = {"name": constitution.name}
    if constitution.version:
        document["version"] = constitution.version
    document["rules"] = [_rule(rule) for rule in constitution.rules]
    stream = io.StringIO()
    yaml().dump(document, stream)
    return stream.getvalue()


def _rule(rule: Rule) -> dict[str, Any]:
    values = rule.model_dump(mode="json", exclude_none=True)
    return {key: values[key] for key in _ORDER if values.get(key) not in (None, [])}
