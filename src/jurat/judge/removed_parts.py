"""Parts of presets that earlier versions had, and the refusal of records that were made with one."""

from __future__ import annotations

import re

from jurat.errors import JuratError

__all__ = ["REMOVED", "check_made_without", "removed_part"]

REMOVED = ("contrasts", "opposites", "coherent", "placebo", "costs", "ordered", "nulls")
"""Records name them in their preset: "jurat+contrasts"."""


def removed_part(preset: str) -> str | None:
    """The first removed part in a preset's name; None if there is none."""
    return next((part for part in re.findall(r"\+([a-z]+)", preset) if part in REMOVED), None)


def check_made_without(preset: str) -> None:
    """Refuses a record that was made with a removed part, by the name of its preset.

    Raises:
        JuratError: it was.
    """
    if part := removed_part(preset):
        raise JuratError(
            f"This record was made with `{part}`, which jurat no longer has.",
            hint="It can still be shown: jurat report.",
        )
