"""Text that came from outside, made fit to be shown; numbers with what they count."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""`text` with control characters, direction overrides and lone surrogates as escapes like `\x1b`.

    File names and clauses are other people's: none may move a cursor, turn a line around or end a run.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )


def counted(count: int, one: str, many: str | None = None) -> str:
    """ "1 verdict", "1,024 verdicts"; `many` where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
