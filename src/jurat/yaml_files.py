"""YAML files that hold one pydantic model each: cards, rubrics, lists of phrases, scripts, batteries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from jurat.errors import JuratError
from jurat.text import one_line, reason, shown

MOST_BYTES = 1 << 24
"""Largest file that is read: 16 MiB."""
M = TypeVar("M", bound=BaseModel)

_PLAINLY: Mapping[str, str] = {
    "extra_forbidden": "there is no such key",
    "missing": "it is missing",
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type"), "it is not made of keys and values"
    ),
    **dict.fromkeys(("tuple_type", "list_type"), "it is not a list"),
}
"""Type of a pydantic error to what is wrong, for people."""


def read_yaml(path: Path | str, kind: type[M], what: str) -> M:
    """The model in a file.

    Raises:
        JuratError: the file cannot be read, is too large, or does not hold one.
    """
    return parse_yaml(yaml_text(path), kind, shown(str(path)), what)


def yaml_text(path: Path | str) -> str:
    """The text of a file. Raises JuratError where it cannot be read or is too large."""
    place = shown(str(path))
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise JuratError(f"{place} has more than {MOST_BYTES:,} bytes.")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null byte in the path
        raise JuratError(f"{place} cannot be read: {reason(error)}") from error


def parse_yaml(text: str, kind: type[M], place: str, what: str) -> M:
    """The model in a text.

    Args:
        place: where the text is from, for messages.
        what: what it should hold, for messages: "card of an evaluation set".

    Raises:
        JuratError: it does not hold one; the message names the line.
    """
    try:
        return kind.model_validate(plain_yaml(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        line, where = _located(text, first["loc"])
        said = _PLAINLY.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        why = one_line(line + (f"{where}: {said}" if where else said))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        why = one_line(line + ", ".join(filter(None, (error.context, error.problem))))
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        why = reason(error)  # a validator met a value of another kind, or the text is nested too deeply
    raise JuratError(f"{place} is no {what}: {why}")


def plain_yaml(text: str) -> Any:
    """The lists, objects and values in a text."""
    return YAML(typ="safe", pure=True).load(text)


def _located(text: str, loc: Sequence[int | str]) -> tuple[str, str]:
    """The line of a place ("line 3: ") and its path ("sets.0.limit"), without the parts that the model added
    to what the text has. A key that is missing has the line of what it is missing in."""
    node: Node | None = YAML(typ="safe", pure=True).compose(text)
    mark, path = None, list[str]()
    for at, part in enumerate(loc):
        found = _inside(node, part)
        if found is not None:
            mark, node = found
        if found is not None or at == len(loc) - 1:
            path.append(str(part))
    return "" if mark is None else f"line {mark.line + 1}: ", ".".join(path)


def _inside(node: Node | None, part: int | str) -> tuple[Any, Node] | None:
    """Where a part of a node begins, and that part; None where there is no such part."""
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    for key, value in node.value if isinstance(node, MappingNode) else ():
        if key.value == str(part):
            return key.start_mark, value
    return None
