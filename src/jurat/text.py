"""Text from outside (file names, addresses, models, exceptions) made safe to show and to record.

| function | for |
|---|---|
| `shown` | a path or URI in a message: no secrets, one line, `?` for what is not printable |
| `recorded` | a path or URI in a record: no secrets, valid UTF-8 |
| `storable` | any other text in a record: valid UTF-8 |
| `printable` | a text on a terminal, whole: escapes for what is not printable |
| `one_line` | a long or hostile text in a message: one line, cut |
| `reason` | an exception in a message: its text by `one_line` |
| `counted` | a number with what it counts |

`is_unicode` tells a text that UTF-8 can hold.
"""

from __future__ import annotations

import re

_LONGEST = 200
_USER = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]+@")
_SECRET = re.compile(
    r"([?&](?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|googleaccessid"
    r"|signature|sig|token|access_token|api_key|apikey|password)=)[^&#\s'\"]+",
    re.IGNORECASE,
)
"""Parameters of signed addresses."""


def printable(text: str) -> str:
    r"""`text` with control characters, direction overrides and lone surrogates as escapes like `\x1b`.

    File names and clauses are other people's: none may move a cursor, turn a line around or end a run.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: it has no lone surrogates."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def counted(count: int, one: str, many: str | None = None) -> str:
    """ "1 verdict", "1,024 verdicts"; `many` where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def reason(error: BaseException) -> str:
    """An exception's message as one printable line, or its type's name where it has none.

    What a decoder says may quote bytes of a hostile file, so that control characters are replaced
    and long messages are cut.
    """
    if isinstance(error, MemoryError):
        return "out of memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or type(error).__name__


def one_line(text: str, *, most: int = _LONGEST) -> str:
    """`text` with runs of white space as one space, control characters as `?`, cut to `most` characters."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text[: 8 * most].split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def storable(path: str) -> str:
    r"""The path with bytes that are not UTF-8 written as `\xNN`, so that any file format can hold it."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair, which no file system gives
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


def recorded(place: str) -> str:
    """The path or URI as records hold it: printable, and without what lets in whoever has the address.

    Of a URI that is the user and password before the host, and the signature of a signed address.
    """
    if "://" in place:
        place = _SECRET.sub(r"\1***", _USER.sub(r"\1***@", place))
    return storable(place)


def shown(place: str) -> str:
    """The path or URI as a part of a message of one line; without secrets, as `recorded`."""
    return "".join(c if c.isprintable() else "?" for c in recorded(place))
