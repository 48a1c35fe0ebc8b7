"""A judge's verdict: one JSON object in its reply, checked against the schema of its rubric."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from jurat.text import one_line

KEY = "key"
"""The field of a verdict that repeats what the judge was given, which quoted verdicts cannot."""
_TRIED = 256
"""Braces of a reply that are looked at, at most."""


class Unreadable(Exception):
    """A verdict that is missing, cut off, doubled or wrong; the message is a sentence for a person."""


def model_of(schema: Mapping[str, Any]) -> type[BaseModel]:
    """The pydantic model of a JSON schema of one flat object. Its keywords: `enum` of texts, `type` (string,
    integer, number, boolean), `minimum`, `maximum`, `description`, `required`; further fields of a verdict
    are allowed. Values of an `enum` are read without regard to case.

    Raises:
        ValueError: the schema uses another, or describes no field.
    """
    if unknown := set(schema) - {"type", "properties", "required"}:
        raise ValueError(f"the schema has {', '.join(sorted(unknown))}, which is not read")
    if not isinstance(schema.get("properties"), Mapping) or not schema["properties"]:
        raise ValueError("the schema has no properties")
    if KEY in schema["properties"]:
        raise ValueError(f"the field {KEY!r} is jurat's own")
    required = set(schema.get("required", ()))
    if missing := required - set(schema["properties"]):
        raise ValueError(f"the schema requires {', '.join(sorted(missing))}, which it does not describe")
    fields: dict[str, Any] = {
        name: (_type(name, facts), ...) if name in required else (_type(name, facts) | None, None)
        for name, facts in schema["properties"].items()
    }
    return create_model(
        "Verdict", __config__=ConfigDict(strict=True, extra="ignore", allow_inf_nan=False), **fields
    )


def read_verdict(reply: str, model: type[BaseModel], key: str | None = None) -> dict[str, Any]:
    """The verdict in a judge's reply, which may have words or a fence around it.

    Args:
        key: what the verdict's field `key` must be; None asks for none.

    Raises:
        Unreadable: there is none, or more than one, or it does not fit the schema.
    """
    names = set(model.model_fields) | ({KEY} if key is not None else set())
    found = [one for one in _objects(reply, names) if names & {name for name, _ in one}]
    if not found:
        raise Unreadable("The judge's reply has no verdict.")
    if len(found) > 1:
        raise Unreadable(f"The judge's reply has {len(found)} verdicts.")
    pairs = found[0]
    verdict = dict(pairs)
    if len(verdict) < len(pairs):
        raise Unreadable("The judge's verdict has a field twice.")
    if key is not None and str(verdict.get(KEY, "")).strip().lower() != key:
        raise Unreadable("The judge's verdict does not have the key that was asked for.")
    try:
        return model.model_validate(verdict).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unreadable(f"The judge's verdict does not fit: {where}: {one_line(first['msg'])}.") from error


def _objects(reply: str, names: set[str]) -> list[list[tuple[str, Any]]]:
    """The outermost JSON objects of a text, as pairs.

    Raises:
        Unreadable: one that begins like a verdict is broken or cut off, or there are too many braces.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_refuse)
    begins = re.compile(r"\{\s*[\"'“]?(?:" + "|".join(map(re.escape, sorted(names))) + r")[\"'”]?\s*:")
    found: list[list[tuple[str, Any]]] = []
    start, tried = reply.find("{"), 0
    while start >= 0:
        tried += 1
        if tried > _TRIED:
            raise Unreadable(f"The judge's reply has more than {_TRIED} braces.")
        try:
            value, end = decoder.raw_decode(reply, start)
            found.append(cast("list[tuple[str, Any]]", value))
        except (ValueError, RecursionError) as error:
            if begins.match(reply, start):
                raise Unreadable("The judge's verdict is broken or cut off.") from error
            end = start + 1
        start = reply.find("{", end)
    return found


class _Pairs(list[tuple[str, Any]]):
    """The pairs of an object; a field that occurs twice is in it twice."""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _type(name: str, facts: Any) -> Any:
    if not isinstance(facts, Mapping):
        raise ValueError(f"{name} is not described")
    facts = cast("Mapping[str, Any]", facts)
    if unknown := set(facts) - {"type", "enum", "minimum", "maximum", "description"}:
        raise ValueError(f"{name} has {', '.join(sorted(unknown))}, which is not read")
    if "enum" in facts:
        values = cast("list[Any]", facts["enum"])
        named = {_folded(value): value for value in values if isinstance(value, str)}
        if not values or len(named) < len(values):
            raise ValueError(f"the values of {name} are not different texts")

        def spelled(value: object) -> object:
            return named.get(_folded(value), value) if isinstance(value, str) else value

        return Annotated[Literal[tuple(values)], BeforeValidator(spelled)]
    kinds = {"string": str, "integer": int, "number": float, "boolean": bool}
    if facts.get("type") not in kinds:
        raise ValueError(f"{name} has the type {facts.get('type')!r}, which is not read")
    least, most = facts.get("minimum", -math.inf), facts.get("maximum", math.inf)
    if not least <= most:
        raise ValueError(f"{name} cannot lie between {least} and {most}")
    return Annotated[kinds[facts["type"]], Field(ge=facts.get("minimum"), le=facts.get("maximum"))]


def _folded(value: str) -> str:
    return value.strip().lower().replace(" ", "_")
