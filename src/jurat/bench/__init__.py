"""The proving yard: judges and baselines on the same scenes, counted alike.

`pictogram` is the bench itself, `methods` what is put to it (one file one idea, listed in `registry`),
`run` the passes over it, `table` what they come to, and `results` and `figures` how it is shown.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jurat.bench.labelled import read_labelled as read_labelled
    from jurat.bench.methods.base import Ground as Ground
    from jurat.bench.methods.base import Ruling as Ruling
    from jurat.bench.methods.base import Unfit as Unfit
    from jurat.bench.methods.registry import Method as Method
    from jurat.bench.methods.registry import methods as methods
    from jurat.bench.pictogram import BenchItem as BenchItem
    from jurat.bench.pictogram import draw_split as draw_split
    from jurat.bench.plan import Plan as Plan
    from jurat.bench.run import run_bench as run_bench

_WHERE = {
    "BenchItem": "pictogram",
    "Ground": "methods.base",
    "Method": "methods.registry",
    "Plan": "plan",
    "Ruling": "methods.base",
    "Unfit": "methods.base",
    "draw_split": "pictogram",
    "methods": "methods.registry",
    "read_labelled": "labelled",
    "run_bench": "run",
}

__all__ = [
    "BenchItem",
    "Ground",
    "Method",
    "Plan",
    "Ruling",
    "Unfit",
    "draw_split",
    "methods",
    "read_labelled",
    "run_bench",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
