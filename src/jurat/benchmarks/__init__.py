"""Published evaluation sets, read in the layouts in which their users have them.

A set is a reader (`sets/NAME.py`) and a card (`sets/NAME.yaml`) with its paper, licence, layouts and
published counts. Nothing is downloaded, and no item of any set is shipped.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
