"""Loads a script of perf/ as a module."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

PERF = Path(__file__).parents[2] / "perf"


def script(name: str) -> ModuleType:
    """The scripts import their neighbours as Python does when one is run."""
    sys.path.insert(0, str(PERF))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(PERF))
