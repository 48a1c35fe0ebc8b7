"""Loading a constitution: all or nothing, with every error named."""

from __future__ import annotations

from pathlib import Path

from jurat.constitution.check import examine
from jurat.constitution.constitution import Constitution
from jurat.constitution.files import find_file, read_text, shelf_names
from jurat.constitution.problem import ConstitutionError
from jurat.constitution.source import parse_source

__all__ = ["load_constitution", "parse_constitution", "shelf_names"]


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
