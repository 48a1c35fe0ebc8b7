"""The items that a run has recorded, as hashes: 16 bytes per item, and 12 to 24 to count equal ids.

An item's identity is its id and how many items with that id came before it. Of both only hashes are held.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jurat.content import Item
from jurat.errors import JuratError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def item_key(id: str, occurrence: int) -> bytes:
    """16 bytes that stand for an item: among ten million items two are alike with a chance of 1e-25."""
    text = id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16, key=occurrence.to_bytes(8, "little")).digest()


class Occurrences:
    """Counts how often each id came, in a table of hashes: at most 24 bytes an id, 36 while it grows.

    Should two ids have the same hash of 64 bits, the second one counts as one that came before. Nothing is
    lost by that: an item's identity has its id in it as well.
    """

    def __init__(self) -> None:
        self._bits = 10
        self._keys, self._counts, self._used = _table(self._bits)

    def next(self, id: str) -> int:
        """How many times this id has occurred before."""
        key = int.from_bytes(
            hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
        )
        slot = self._slot(key or 1)
        before = self._counts[slot]
        if before == 0:
            self._keys[slot] = key or 1
            self._used += 1
            if self._used * 10 > len(self._keys) * 7:
                self._grow()
                slot = self._slot(key or 1)
        self._counts[slot] = before + 1
        return before

    def _slot(self, key: int) -> int:
        keys, mask = self._keys, len(self._keys) - 1
        slot = key & mask
        while (found := keys[slot]) != key and found != 0:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, counts = self._keys, self._counts
        self._bits += 1
        self._keys, self._counts, _ = _table(self._bits)
        for key, count in zip(keys, counts, strict=True):
            if key:
                slot = self._slot(key)
                self._keys[slot], self._counts[slot] = key, count


def _table(bits: int) -> tuple[array[int], array[int], int]:
    return array("Q", bytes(8 << bits)), array("L" if array("L").itemsize == 4 else "I", bytes(4 << bits)), 0


class RecordedKeys:
    """An immutable set of item keys: 16 bytes each, sorted."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        import numpy as np

        joined = bytearray()
        for key in keys:
            joined += key
        pairs: NDArray[np.uint64] = np.frombuffer(joined, dtype="<u8").reshape(-1, 2)
        order = np.argsort(pairs[:, 0])
        self._high = pairs[order, 0]
        self._low = pairs[order, 1]

    def __len__(self) -> int:
        return len(self._high)

    def __contains__(self, key: bytes) -> bool:
        import numpy as np

        high = np.uint64(int.from_bytes(key[:8], "little"))
        low = int.from_bytes(key[8:], "little")
        at = int(self._high.searchsorted(high))
        while at < len(self._high) and self._high[at] == high:
            if int(self._low[at]) == low:
                return True
            at += 1
        return False


def numbered(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each numbered among those with its id."""
    seen = Occurrences()
    for item in items:
        before = seen.next(item.id)
        yield replace(item, occurrence=before) if before else item


def in_shard(items: Iterable[Item], number: int, count: int) -> Iterator[Item]:
    """The items of shard `number` (from 1) of `count`; an item's shard depends on id and occurrence alone."""
    for item in items:
        if int.from_bytes(item_key(item.id, item.occurrence)[:8], "big") % count == number - 1:
            yield item


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `count`: what one task of a job array does."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads "2/8"."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise JuratError(f"--shard is I/N with I from 1 to N, not {text!r}.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def unrecorded(items: Iterable[Item], recorded: RecordedKeys) -> Iterator[Item]:
    """The items that are not recorded yet."""
    return (item for item in items if item_key(item.id, item.occurrence) not in recorded)
