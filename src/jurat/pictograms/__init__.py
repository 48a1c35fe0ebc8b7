"""A harmless world of pictograms: scenes with exact truth, statements about them, a model trained on them."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
