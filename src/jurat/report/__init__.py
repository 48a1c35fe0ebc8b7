"""Verdicts and answers counted, and written as a page to look at, or as text and figures for a ticket.

`gallery` makes pages of any rows with pictures; `verdicts` knows what a verdict is, `answers` what an
evaluated sample is.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
