"""One answer of an evaluated model to one judgement of it: phrase lists, options, judges, people.

A scorer says `unparsed`, `refused` or `error` where it has no judgement, and never counts that as one. They
are opened by name: `open_scorer("refusal", model="openai/NAME")`. See `docs/scorers.md`.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
