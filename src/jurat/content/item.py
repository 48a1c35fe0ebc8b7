"""What is judged, before anything of it was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from jurat.content import ImageError

MOST_BYTES = 2**30
"""Of the files of one item of several, together: 1 GiB."""


@dataclass(frozen=True)
class Member:
    """One image of an item of several."""

    uri: str
    """The absolute path, or the URI; of bytes in a row the row's own, `/` and its place in the list."""
    open: Callable[[], bytes]
    """As `Item.open`."""


@dataclass(frozen=True)
class Members:
    """The images of an item, in their order."""

    listed: tuple[Member, ...]

    def __call__(self) -> tuple[Member, ...]:
        return self.listed


@dataclass(frozen=True)
class Item:
    """What is judged: one image, or several, or a video, that has not been read yet."""

    id: str
    """The path as the user wrote it; inside a folder, that folder's path joined with the rest. Of a table's
    row: its id column, else the path or URI in it, else the table's name with the row's number."""
    uri: str
    """The absolute path, or the URI. Of a row with bytes or a list and of a member of a shard: that of the
    table or shard, `#`, and the row's number or the member's name."""
    open: Callable[[], bytes]
    """Reads the bytes. Raises ImageError with the reason where that fails, and for an item of several
    images, which `read` reads. Can be pickled."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else its source says of it: the other columns of a table, as text."""
    occurrence: int = 0
    """How many items with the same id came before it; 0 where nobody counted."""
    members: Callable[[], tuple[Member, ...]] | None = None
    """Finds the images of an item of several, one at least; raises ImageError with the reason where that
    fails. None for an item of one. Can be pickled."""
    caption: str | None = None
    """The text that goes with it; None where its source has none."""

    def read(self) -> tuple[bytes, ...]:
        """The bytes of each of its images. Raises ImageError with the reason, and which image it is."""
        return (self.open(),) if self.members is None else read_members(self.members())


def read_members(members: tuple[Member, ...]) -> tuple[bytes, ...]:
    """The bytes of each. Raises ImageError with the reason, and which one it is; also where they are more
    than `MOST_BYTES` together."""
    found: list[bytes] = []
    size = 0
    for number, member in enumerate(members, 1):
        try:
            found.append(member.open())
        except ImageError as error:
            raise ImageError(of_several(number, len(members)) + error.message) from error
        size += len(found[-1])
        if len(members) > 1 and size > MOST_BYTES:
            raise ImageError(f"its images have more than {MOST_BYTES:,} bytes together")
    return tuple(found)


def digest_of(digests: Sequence[str]) -> str:
    """The digest of an item, of the hex digests of its images: of several that of a line each."""
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()


def of_several(number: int, count: int) -> str:
    """Before what is wrong with image `number`, from 1, of several."""
    return f"image {number} of {count}: " if count > 1 else ""
