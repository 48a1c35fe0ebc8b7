"""Pictures and videos, decoded within limits.

Imported lazily, so that a command that decodes nothing loads neither Pillow nor numpy.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
