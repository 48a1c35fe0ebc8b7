"""Defenses: a model is wrapped once, and is a safer model with the same two verbs.

`defend(model, ["jpeg", "ecso"])` wraps it; `jurat list defenses` names those there are. `Defense` is the base
class of one's own. What a defense adds in calls, tokens and seconds is counted (`jurat.models.Defended`).
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
