"""YAML files that hold one pydantic model each: cards, rubrics, lists of phrases, scripts, batteries."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from jurat.errors import JuratError
from jurat.text import one_line, reason, shown

MOST_BYTES = 1 << 24
"""Largest file that is read: 16 MiB."""
M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path | str, kind: type[M], what: str) -> M:
    """The model in a file.

    Raises:
        JuratError: the file cannot be read, is too large, or does not hold one.
    """
    place = shown(str(path))
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise JuratError(f"{place} has more than {MOST_BYTES:,} bytes.")
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null byte in the path
        raise JuratError(f"{place} cannot be read: {reason(error)}") from error
    return parse_yaml(text, kind, place, what)


def parse_yaml(text: str, kind: type[M], place: str, what: str) -> M:
    """The model in a text.

    Args:
        place: where the text is from, for messages.
        what: what it should hold, for messages: "card of an evaluation set".

    Raises:
        JuratError: it does not hold one.
    """
    try:
        return kind.model_validate(plain_yaml(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        why = one_line(f"{where}: {said}" if where else said)
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        why = reason(error)  # a validator met a value of another kind, or the text is nested too deeply
    raise JuratError(f"{place} is no {what}: {why}")


def plain_yaml(text: str) -> Any:
    """The lists, objects and values in a text."""
    return YAML(typ="safe", pure=True).load(text)
