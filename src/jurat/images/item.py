"""What is judged, before anything of it was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """What is judged: one image that has not been read yet."""

    id: str
    """The path as the user wrote it; inside a folder, that folder's path joined with the rest. Of a table's
    row: its id column, else the path or URI in it, else the table's name with the row's number."""
    uri: str
    """The absolute path, or the URI. Of a row with bytes and of a member of a shard: that of the table or
    shard, `#`, and the row's number or the member's name."""
    open: Callable[[], bytes]
    """Reads the bytes. Raises ImageError with the reason where that fails. Can be pickled."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else its source says of it: the other columns of a table, as text."""
    occurrence: int = 0
    """How many items with the same id came before it; 0 where nobody counted."""
