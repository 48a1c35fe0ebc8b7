"""The procedure: from an item and a constitution to a verdict.

`judge` composes pure steps: `plan` (what is to be asked), `quick` (asks it), `decide` (what the
answers establish) and `explain`. `presets` and `prompts` are data. Imported lazily, so that
the record can be read without loading the rest.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
