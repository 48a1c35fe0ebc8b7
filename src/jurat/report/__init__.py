"""The record: verdicts counted, and written as a page to look at, or as text and figures for a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jurat.report.compare import Flips, compare_reports, find_flips
    from jurat.report.figures import write_figures
    from jurat.report.page import Page, write_report
    from jurat.report.tally import Tally
    from jurat.report.tickets import write_ticket
    from jurat.report.voices import VOICES, Said, Voice, say

__all__ = [
    "VOICES",
    "Flips",
    "Page",
    "Said",
    "Tally",
    "Voice",
    "compare_reports",
    "find_flips",
    "say",
    "write_figures",
    "write_report",
    "write_ticket",
]

_FILES = {
    "VOICES": "voices",
    "Flips": "compare",
    "Page": "page",
    "Said": "voices",
    "Tally": "tally",
    "Voice": "voices",
    "compare_reports": "compare",
    "find_flips": "compare",
    "say": "voices",
    "write_figures": "figures",
    "write_report": "page",
    "write_ticket": "tickets",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name not in _FILES:
        raise AttributeError(f"module 'jurat.report' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"jurat.report.{_FILES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
