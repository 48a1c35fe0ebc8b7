"""Reads presets back from recorded settings, and finds the preset of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from jurat.errors import JuratError
from jurat.judge.decision import Clue, LogOdds
from jurat.judge.presets import Preset, find_preset
from jurat.judge.removed_parts import REMOVED, check_made_without
from jurat.judge.stages.base import Stage
from jurat.judge.stages.registry import STAGES

__all__ = ["preset_named", "preset_of_record", "read_preset"]


def read_preset(settings: Mapping[str, Any]) -> Preset:
    """The preset of recorded settings, as `Preset.settings` or an earlier version wrote them.

    Raises:
        JuratError: one of its stages is not installed, or has other settings in this version.
    """
    if "stages" not in settings:
        settings = _upgraded(settings)
    try:
        kind = {"log-odds": LogOdds, "clue": Clue}[settings["decides"]]
        return Preset(
            str(settings["name"]),
            str(settings.get("summary", "")),
            tuple(
                cast(Stage, STAGES.find(name).load()(**_own(name, settings))) for name in settings["stages"]
            ),
            kind(**_own("decision", settings)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JuratError(
            f"The settings of the preset {settings.get('name')!r} are not those of this version: {error}."
        ) from error


def _own(part: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one part."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in settings.items() if name.startswith(prefix)}


def preset_named(name: str) -> Preset:
    """The preset that a record names, without the parts that the name leaves out.

    Raises:
        JuratError: there is none of that name any more, or it had a part that jurat no longer has.
    """
    check_made_without(name)
    base, *left_out = name.split("-no-")
    return find_preset(base).without(part for part in left_out if part not in REMOVED)


def preset_of_record(
    name: str,
    digest: str | None,
    *,
    presence: bool | None = True,
    settings: Mapping[str, Any] | None = None,
) -> Preset:
    """The preset that a record was made under.

    Args:
        name: as recorded.
        digest: as recorded; None in records of schema 3 and below, which are taken by their name.
        presence: as recorded; None or False for older verdicts of the same name, which were decided without.
        settings: those of its run, if they are known.

    Raises:
        JuratError: its settings are not known: no preset of that name has that digest.
    """
    if settings is not None:
        check_made_without(name)
        recorded = read_preset(settings)
        if digest in (None, recorded.digest) and recorded.name == name:
            return recorded
    preset = preset_named(name)
    if not presence:
        preset = preset.replace(presence=False)
    if digest not in (None, preset.digest):
        raise JuratError(
            f"The record was made under a preset {name!r} with the digest {digest}, and the one of that name "
            f"has {preset.digest}: its settings are not known.",
            hint="Name the run's folder, which holds its settings, or judge again.",
        )
    return preset


_BEFORE_STAGES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("relevance", "relevance", {}),
    ("quick", "", {"asks": "asks", "presence": "presence"}),
    ("crop", "crop_below", {"crop_below": "crop_below", "confidence": "confidence"}),
    ("views", "views", {"margin": "views"}),
    ("regions", "regions", {"drop": "drop", "confidence": "confidence"}),
    ("reason", "reason", {}),
    ("points", "points", {"confidence": "confidence"}),
)
"""Flat settings of earlier versions: for each stage, in order, the setting that switched it on and the old
names of its settings."""


def _upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """Flat settings of an earlier version in today's form."""
    stages = [each for each in _BEFORE_STAGES if not each[1] or old.get(each[1])]
    kind = Clue if old.get("decides") == "clue" else LogOdds
    decision = {each.name: old[each.name] for each in fields(kind) if each.name in old}
    if kind is Clue:
        decision["uses_prior"] = old.get("debias", 0.0) > 0
    return {
        "name": old.get("name"),
        "summary": old.get("summary", ""),
        "decides": kind.kind,
        "stages": [name for name, _, _ in stages],
        **{f"decision.{name}": value for name, value in decision.items()},
        **{
            f"{stage}.{name}": old[before]
            for stage, _, names in stages
            for name, before in names.items()
            if before in old
        },
    }
