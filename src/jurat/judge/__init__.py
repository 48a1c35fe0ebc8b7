"""The procedure: from an item and a constitution to a verdict.

`judge` composes `plan` (the questions of a constitution), `pipeline` (runs the stages of a preset) and
`explain`. `presets` and `prompts` are data. Modules are imported lazily, so reading
records does not load the rest.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
