"""Comparisons of judges and baselines on the same scenes, counted alike.

`pictogram` draws the scenes, `methods` has what is compared (one file a method, listed in `registry`),
`bench_run` runs a `BenchPlan`, `table` computes the rows, `results` and `figures` show them.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
