"""Parses URIs: scheme, support by jurat, file name."""

from __future__ import annotations

import os
import re
from importlib import import_module

from jurat.errors import MissingExtra
from jurat.text import shown

SCHEMES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "https": ("aiohttp", "https"),
    "http": ("aiohttp", "https"),
    "hf": ("huggingface_hub", "hf"),
}
"""Scheme -> the module that it needs, and the extra that brings it."""

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme_of(text: str) -> str | None:
    """The scheme of a URI, in lower case; None for what is no URI."""
    found = SCHEME.match(text)
    return found[1].lower() if found else None


def is_http(uri: str) -> bool:
    return scheme_of(uri) in ("http", "https")


def absolute(place: str) -> str:
    """A URI as it is, a path from the root."""
    return place if scheme_of(place) else os.path.abspath(place)


def name_of(place: str) -> str:
    """A path or URI that ends in the name of its file: without the query that a web address may have."""
    return re.split(r"[?#]", place, maxsplit=1)[0] if is_http(place) else place


def check_uri(uri: str) -> str | None:
    """Why jurat does not read a URI, in one line; None if it does.

    Raises:
        MissingExtra: its backend is not installed: no item of it could ever be read.
    """
    scheme = scheme_of(uri)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        return f"jurat reads no {scheme}:// URIs (there are {known}): {shown(uri)}"
    module, extra = SCHEMES[scheme]
    try:
        import_module(module)
    except ImportError as error:
        raise MissingExtra(f"Reading {scheme}:// URIs", extra) from error
    return None
