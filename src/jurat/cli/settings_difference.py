"""In what the settings of two runs differ, for people to read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from jurat.text import counted, printable

_MOST_LINES = 40
_REMOVED_SETTINGS = (
    "contrasts", "coherent", "temperature", "incoherent_above", "placebos", "placebo_gap", "costs", "ordered",
    "nulls",
)  # fmt: skip
"""Settings of presets that jurat no longer has. `_run.json` of older runs has them, switched off: those that
used one are refused by their preset's name."""


def settings_in(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that `_run.json` holds, as JSON has them: a tuple is a list there."""
    settings = cast("dict[str, Any]", json.loads(json.dumps(facts.get("settings", {}))))
    if isinstance(preset := settings.get("preset_settings"), dict):
        preset.setdefault("presence", False)  # runs of before it was a setting had none
        for name in _REMOVED_SETTINGS:
            preset.pop(name, None)
    return settings


def only_thresholds(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether nothing differs but thresholds, severities and actions."""
    was, now = settings_in(old), settings_in(new)
    return was != now and {**was, "thresholds": None} == {**now, "thresholds": None}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Lines that say in which settings two runs differ."""
    before, after = settings_in(old), settings_in(new)
    lines: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            changed = _changed(cast("dict[str, Any]", was), cast("dict[str, Any]", now))
            lines += [f"  preset: {line}" for line in changed]
        else:
            lines.append(f"  {name.replace('_', ' ')}: {_shown(was)} -> {_shown(now)}")
    there, here = (str(_constitution(facts).get("text", "")).splitlines() for facts in (old, new))
    edits = list(difflib.unified_diff(there, here, "the run's", "this one", lineterm="", n=1))
    lines += [f"    {printable(line)}" for line in edits[:_MOST_LINES]]
    if len(edits) > _MOST_LINES:
        lines.append(f"    and {counted(len(edits) - _MOST_LINES, 'more line')}")
    return lines


def _constitution(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    law = facts.get("constitution")
    return cast("Mapping[str, Any]", law) if isinstance(law, Mapping) else {}


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name) and name not in ("name", "summary"):
            yield f"{name} {_shown(was.get(name))} -> {_shown(now.get(name))}"


def _shown(value: object) -> str:
    return "none" if value is None else printable(str(value))
