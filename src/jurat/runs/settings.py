"""Describes the differences between the settings of two runs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from jurat.runs.folder import Facts
from jurat.runs.schema import RowSchema
from jurat.text import counted, printable

_MOST_LINES = 40


def settings_in(facts: Facts, schema: RowSchema) -> dict[str, Any]:
    """The settings that `_run.json` holds, as this version would record them and as JSON has them. Those that
    are not set are left out, so that a run is resumed by a version that has more of them.

    Raises:
        JuratError: the run is of an earlier version, and can be neither resumed nor merged any more.
    """
    settings = cast("dict[str, Any]", json.loads(json.dumps(facts.get("settings", {}))))
    return {name: value for name, value in schema.upgrade(settings).items() if _is_set(value)}


def differences(old: Facts, new: Facts, schema: RowSchema) -> list[str]:
    """Lines that name the settings, and the lines of text, in which two runs differ."""
    before, after = settings_in(old, schema), settings_in(new, schema)
    lines: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        label = name.removesuffix("_settings").replace("_", " ")
        if isinstance(was, dict) and isinstance(now, dict):
            changed = _changed(cast("dict[str, Any]", was), cast("dict[str, Any]", now))
            lines += [f"  {label}: {line}" for line in changed]
        else:
            lines.append(f"  {label}: {_shown(was)} -> {_shown(now)}")
    there, here = (schema.text_of(facts).splitlines() for facts in (old, new))
    edits = list(difflib.unified_diff(there, here, "the run's", "this one", lineterm="", n=1))
    lines += [f"    {printable(line)}" for line in edits[:_MOST_LINES]]
    if len(edits) > _MOST_LINES:
        lines.append(f"    and {counted(len(edits) - _MOST_LINES, 'more line')}")
    return lines


def _is_set(value: object) -> bool:
    return value is not None and not (isinstance(value, list) and all(each is None for each in value))


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name) and name not in ("name", "summary"):
            yield f"{name} {_shown(was.get(name))} -> {_shown(now.get(name))}"


def _shown(value: object) -> str:
    return "none" if value is None else printable(str(value))
