"""Pages with a gallery of rows: pictures, filters, cards, and an item that opens. Knows nothing of verdicts.

A package that shows rows of its own fills `Columns` and a `Store`, and calls `write_page` with a `Layout`.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
