"""Text that came from outside, made fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""`text` with control characters, direction overrides and lone surrogates as escapes like `\x1b`.

    File names and clauses are other people's: none may move a cursor, turn a line around or end a run.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )
