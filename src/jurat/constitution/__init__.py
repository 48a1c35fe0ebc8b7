"""Read, write and check constitutions, and the shelf of ready ones.

A constitution is a YAML file of rules; `docs/constitution.md` is its reference. This package knows nothing
of models or images.
"""

from __future__ import annotations

from jurat.constitution.check import check_constitution, check_text
from jurat.constitution.constitution import Constitution
from jurat.constitution.files import shelf_names
from jurat.constitution.load import load_constitution, parse_constitution, to_yaml
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
