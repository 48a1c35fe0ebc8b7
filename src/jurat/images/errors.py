"""Why an image could not be read or decoded: one line for a person and for the record."""

from __future__ import annotations

from jurat.errors import JuratError

_LONGEST = 200


class ImageError(JuratError):
    """An image that cannot be judged. Its message is one line, and goes into the item's `error` row."""


def reason(error: BaseException) -> str:
    """An exception's message as one printable line, or its type's name where it has none.

    What a decoder says may quote bytes of a hostile file, so that control characters are replaced
    and long messages are cut.
    """
    if isinstance(error, MemoryError):
        return "out of memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or type(error).__name__


def one_line(text: str) -> str:
    """`text` with runs of white space as one space, control characters as `?`, and at most 200 characters."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def printable(path: str) -> str:
    r"""The path with bytes that are not UTF-8 written as `\xNN`, so that any file format can hold it."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair, which no file system gives
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(path: str) -> str:
    """The path as a part of a message of one line."""
    return "".join(c if c.isprintable() else "?" for c in printable(path))
