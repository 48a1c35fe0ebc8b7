"""Checks TIFF files before Pillow opens them: the number of pages and directory entries.

Directories may lie over each other, so that a small file has any number of them.
"""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from

from jurat.content import ImageError
from jurat.media.limits import Limits

MAX_ENTRIES = 200_000
"""Entries of all directories together; a page has about 20."""
_MOST = f"{MAX_ENTRIES:,}"

_SUBFILE, _DNG_VERSION, _SUB_DIRECTORIES = 254, 50706, 330
_REDUCED = 1


def check_tiff(data: bytes, limits: Limits) -> None:
    """Raises ImageError where it has too many pages or directory entries, or is a camera's raw file, whose
    first page is a small preview."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    count_form, count_size, entry_size, offset_form = ("Q", 8, 20, "Q") if big else ("H", 2, 12, "I")
    entries = 0
    seen: set[int] = set()
    try:
        (at,) = unpack_from(order + offset_form, data, 8 if big else 4)
        while at and at not in seen:
            seen.add(at)
            limits.check_count(len(seen))
            (count,) = unpack_from(order + count_form, data, at)
            entries += count
            if entries > MAX_ENTRIES:
                raise ImageError(
                    f"the TIFF image has more directory entries than the limit of {MAX_ENTRIES:,}"
                )
            if len(seen) == 1:
                _check_not_raw(data, order, at + count_size, count, entry_size)
            (at,) = unpack_from(order + offset_form, data, at + count_size + count * entry_size)
    except StructError:  # it ends within a directory; the decoder says so
        return


def _check_not_raw(data: bytes, order: str, at: int, count: int, size: int) -> None:
    tags = dict[int, int]()
    for entry in range(at, at + count * size, size):
        tag, kind = unpack_from(order + "HH", data, entry)
        value = entry + size - (8 if size == 20 else 4)
        tags[tag] = unpack_from(order + ("H" if kind == 3 else "I"), data, value)[0]
    preview = tags.get(_SUBFILE, 0) & _REDUCED and _SUB_DIRECTORIES in tags
    if _DNG_VERSION in tags or preview or data[8:10] == b"CR":
        raise ImageError("not an image: it looks like a camera's raw file; convert it to JPEG or PNG first")
