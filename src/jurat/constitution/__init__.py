"""The law: read, write and check constitutions, and the shelf of ready ones.

A constitution is a YAML file of rules (`docs/constitution.md` is its reference). This room knows
nothing of models or images: what the rules are judged on, and by whom, is the judge's business.
"""

from __future__ import annotations

from jurat.constitution.check import check_constitution, check_text
from jurat.constitution.constitution import Constitution
from jurat.constitution.load import load_constitution, parse_constitution, shelf_names
from jurat.constitution.problem import ConstitutionError, Problem
from jurat.constitution.rules import (
    SEVERITIES,
    About,
    Clause,
    Examples,
    Rule,
    Severity,
    Statement,
    make_id,
)
from jurat.constitution.source import Source, read_source
from jurat.constitution.write import to_yaml

__all__ = [
    "SEVERITIES",
    "About",
    "Clause",
    "Constitution",
    "ConstitutionError",
    "Examples",
    "Problem",
    "Rule",
    "Severity",
    "Source",
    "Statement",
    "check_constitution",
    "check_text",
    "load_constitution",
    "make_id",
    "parse_constitution",
    "read_source",
    "shelf_names",
    "to_yaml",
]
