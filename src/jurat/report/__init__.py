"""The record: verdicts counted, and written as a page to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jurat.report.page import Page, write_report
    from jurat.report.tally import Tally

__all__ = ["Page", "Tally", "write_report"]

_FILES = {"Page": "page", "Tally": "tally", "write_report": "page"}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name not in _FILES:
        raise AttributeError(f"module 'jurat.report' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"jurat.report.{_FILES[name]}"), name)
