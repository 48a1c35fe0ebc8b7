"""The evidence: where items come from, how images are decoded, and where rows go.

Imported lazily, so that a command that touches no image loads neither Pillow nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jurat.images.arrow import ArrowSchema as ArrowSchema
    from jurat.images.decoding import Decoded as Decoded
    from jurat.images.decoding import decode as decode
    from jurat.images.errors import ImageError as ImageError
    from jurat.images.formats import IMAGE_SUFFIXES as IMAGE_SUFFIXES
    from jurat.images.formats import VIDEO_SUFFIXES as VIDEO_SUFFIXES
    from jurat.images.frames import Sampling as Sampling
    from jurat.images.item import Item as Item
    from jurat.images.item import Member as Member
    from jurat.images.item import Members as Members
    from jurat.images.items import count_items as count_items
    from jurat.images.items import find_items as find_items
    from jurat.images.limits import DEFAULT_MAX_BYTES as DEFAULT_MAX_BYTES
    from jurat.images.limits import DEFAULT_MAX_FRAMES as DEFAULT_MAX_FRAMES
    from jurat.images.limits import DEFAULT_MAX_PIXELS as DEFAULT_MAX_PIXELS
    from jurat.images.memory import from_array as from_array
    from jurat.images.memory import from_pil as from_pil
    from jurat.images.openers import read_file as read_file
    from jurat.images.passed_over import PassedOver as PassedOver
    from jurat.images.rows import read_rows as read_rows
    from jurat.images.sinks import Sink as Sink
    from jurat.images.sinks import check_sink as check_sink
    from jurat.images.sinks import open_sink as open_sink
    from jurat.images.sources.base import SourceChanged as SourceChanged
    from jurat.images.sources.base import SourceOptions as SourceOptions

_WHERE = {
    "DEFAULT_MAX_BYTES": "limits",
    "DEFAULT_MAX_FRAMES": "limits",
    "DEFAULT_MAX_PIXELS": "limits",
    "IMAGE_SUFFIXES": "formats",
    "ArrowSchema": "arrow",
    "Decoded": "decoding",
    "ImageError": "errors",
    "Item": "item",
    "Member": "item",
    "Members": "item",
    "PassedOver": "passed_over",
    "Sampling": "frames",
    "Sink": "sinks",
    "VIDEO_SUFFIXES": "formats",
    "SourceChanged": "sources.base",
    "SourceOptions": "sources.base",
    "check_sink": "sinks",
    "count_items": "items",
    "decode": "decoding",
    "find_items": "items",
    "from_array": "memory",
    "from_pil": "memory",
    "open_sink": "sinks",
    "read_file": "openers",
    "read_rows": "rows",
}

__all__ = [
    "DEFAULT_MAX_BYTES",
    "DEFAULT_MAX_FRAMES",
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ArrowSchema",
    "Decoded",
    "ImageError",
    "Item",
    "Member",
    "Members",
    "PassedOver",
    "Sampling",
    "Sink",
    "SourceChanged",
    "SourceOptions",
    "check_sink",
    "count_items",
    "decode",
    "find_items",
    "from_array",
    "from_pil",
    "open_sink",
    "read_file",
    "read_rows",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
