"""Keeps Pillow and the C library behind its TIFF reader from writing to standard error.

Pillow reports an odd header by `warnings.warn` and a few oddities by `logging`; libtiff prints. In a run
over millions of files these are noise: what matters is in the row. What libtiff's decoders complain of is
kept, since a strip that ends too soon is a warning there, and no error.
"""

from __future__ import annotations

import ctypes
import logging
import re
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache

from PIL import Image

# Shaped like the entries that `warnings.filterwarnings` makes. It silences Pillow's own modules only.
_FILTER = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_LIBTIFF = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")

_DECODERS = (b"JPEGLib", b"Fax3Decode", b"Fax4Decode")
"""Where libtiff says that a warning comes from, of those that are about pixels."""

_lock = threading.Lock()
_inside = 0
_libtiff_handlers: list[int | None] = []
_complaints: list[str] = []


def complaints() -> list[str]:
    """Which of libtiff's decoders warned of missing or broken data since this was asked last."""
    found = list(_complaints)
    _complaints.clear()
    return found


@ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
def _keep(module: bytes | None, text: bytes | None, values: int | None) -> None:
    if module is not None and module.startswith(_DECODERS):
        _complaints.append(module.decode("ascii", "replace"))


_KEEP = ctypes.cast(_keep, ctypes.c_void_p).value

# The usual courtesy of a library: without any handler, Python itself prints errors of the logger "PIL".
logging.getLogger("PIL").addHandler(logging.NullHandler())


@contextmanager
def quiet() -> Generator[None]:
    """Inside, Pillow's warnings and libtiff's messages go nowhere; other modules' warnings are untouched.

    Everything is as before when the last thread has left. `warnings.catch_warnings` would not do: it puts
    back a copy of all filters, and is not safe with threads.
    """
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _filters().insert(0, _FILTER)
            _libtiff_handlers[:] = _set_libtiff_handlers([_KEEP, _KEEP])
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                # Someone's catch_warnings may have put back a list without it.
                with suppress(ValueError):
                    _filters().remove(_FILTER)
                _set_libtiff_handlers(_libtiff_handlers)


def _filters() -> list[object]:
    # The list is documented only as what the `warnings` functions edit; those cannot take one entry out.
    return warnings.filters  # pyright: ignore[reportReturnType]


def _set_libtiff_handlers(handlers: list[int | None]) -> list[int | None]:
    """Sets what libtiff calls for errors and warnings (None: nothing); returns what was set before."""
    library = _libtiff()
    if library is None:
        return handlers
    return [getattr(library, name)(handler) for name, handler in zip(_LIBTIFF, handlers, strict=True)]


@cache
def _libtiff() -> ctypes.CDLL | None:
    """The libtiff that Pillow uses, found by its symbols in the libraries that its extension is linked to."""
    try:
        library = ctypes.CDLL(Image.core.__file__)
        for name in _LIBTIFF:
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
    except (AttributeError, OSError):  # linked in statically, or not at all: it prints, then
        return None
    return library
