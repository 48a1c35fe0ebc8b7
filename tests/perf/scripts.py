"""Loads a script of perf/ as a module."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

PERF = Path(__file__).parents[2] / "perf"


def script(name: str) -> ModuleType:
    """The scripts import their neighbours as Python does when one is run, some of them within functions."""
    if str(PERF) not in sys.path:
        sys.path.append(str(PERF))
    # pytest may know a folder of tests by the same name.
    if getattr(sys.modules.get(name), "__file__", None) != str(PERF / f"{name}.py"):
        sys.modules.pop(name, None)
    return import_module(name)
