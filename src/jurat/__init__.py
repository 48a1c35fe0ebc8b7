"""Judge images under a written constitution, with any multimodal LLM, without labels or training."""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"
__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __dir__() -> list[str]:
    return __all__
