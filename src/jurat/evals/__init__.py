"""Evaluation of any MLLM on Inspect AI: the sets of `jurat.benchmarks` as tasks, models as a provider, and
scorers and metrics as Inspect's. Needs the extra `eval`.

Inspect finds all of it by the entry point `jurat.evals._registry`: `inspect eval jurat/SET -T data=PATH
--model jurat/SPEC`. The same in Python is `inspect_ai.eval(evaluation("SET", data="PATH"), model=...)`.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
