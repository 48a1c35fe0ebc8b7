"""The stages of the judge, one a file (`jurat.judge.stages.base` says what a stage is)."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
