"""The proving yard: judges and baselines on the same scenes, counted alike.

`pictogram` is the bench itself, `methods` what is put to it (one file one idea, listed in `registry`),
`run` the passes over it, `table` what they come to, and `results` and `figures` how it is shown.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
