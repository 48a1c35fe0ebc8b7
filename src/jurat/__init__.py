"""Judge images under a written constitution, with any multimodal LLM, without labels or training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jurat.constitution import Constitution, load_constitution
    from jurat.judge import Judge, Verdict
    from jurat.models import open_model

__all__ = ["Constitution", "Judge", "Verdict", "__version__", "load_constitution", "open_model"]
__version__ = "0.1.0"

_ROOMS = {
    "Constitution": "jurat.constitution",
    "Judge": "jurat.judge",
    "Verdict": "jurat.judge",
    "load_constitution": "jurat.constitution",
    "open_model": "jurat.models",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `import jurat` stays quick."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'jurat' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return __all__
