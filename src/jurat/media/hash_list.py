"""Hash lists of known content, which decide items before any model is asked."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jurat.content import ImageError
from jurat.errors import JuratError
from jurat.text import one_line, reason

if TYPE_CHECKING:
    from jurat.media.frames import Sampling

COLUMNS = ("sha256", "pdq", "label", "action", "handling", "distance")
"""Columns of the list. `label`, `action` and at least one hash are needed in each row."""
DISTANCE = 31
"""Bits, of 256, in which PDQ hashes of the same picture may differ, as PDQ's authors recommend."""
MIN_QUALITY = 50
"""A PDQ hash of lower quality, in [0, 100], says nothing: the picture is nearly without features."""

Action = Literal["block", "allow"]
Handling = Literal["sealed"]

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HashEntry:
    """One row of a list."""

    label: str
    action: Action
    handling: Handling | None
    distance: int
    """Most differing bits of a PDQ hash that matches."""


@dataclass(frozen=True)
class HashMatch:
    """A row that an image matches."""

    entry: HashEntry
    distance: int
    """Differing bits; 0 for the very same file."""


class HashList:
    """A list of known content."""

    def __init__(
        self, digest: str, files: dict[str, HashEntry], pdq: Sequence[tuple[str, HashEntry]]
    ) -> None:
        import numpy as np

        self.digest = digest
        """12 hex digits of the list's bytes."""
        self._files = files
        self._entries = [entry for _, entry in pdq]
        self._distances: Any = np.array([entry.distance for entry in self._entries], np.int64)
        self._allows: Any = np.array([entry.action == "allow" for entry in self._entries], np.int64)
        joined = bytes.fromhex("".join(hash for hash, _ in pdq))
        self._hashes: Any = np.frombuffer(joined, np.uint8).reshape(-1, 32)

    @property
    def compares_pictures(self) -> bool:
        """Whether it has perceptual hashes, so that images have to be decoded to be looked up."""
        return bool(self._entries)

    def __len__(self) -> int:
        return len(self._files) + len(self._entries)

    def match(self, data: bytes, sampling: Sampling | None = None) -> HashMatch | None:
        """What is known of a file: of each frame that is judged the nearest entry, one that blocks before one
        that allows; of several frames as of several images.

        Args:
            sampling: which frames of a video are judged.
        """
        if (entry := self._files.get(sha256(data).hexdigest())) is not None:
            return HashMatch(entry, 0)
        if not self._entries:
            return None
        hashes = picture_hashes(data, sampling)
        return _together([None if hash is None else self._nearest(hash) for hash in hashes])

    def match_all(self, images: Sequence[bytes], sampling: Sampling | None = None) -> HashMatch | None:
        """The match of an item: one blocked image is enough, but all must be allowed."""
        return _together([self.match(data, sampling) for data in images])

    def _nearest(self, hash: Any) -> HashMatch | None:
        """The nearest of the entries that are within their own distances, of equals one that blocks."""
        distances = differing_bits(self._hashes, hash)
        (within,) = (distances <= self._distances).nonzero()
        if not within.size:
            return None
        at = within[(2 * distances[within] + self._allows[within]).argmin()]
        return HashMatch(self._entries[at], int(distances[at]))


def _together(found: Sequence[HashMatch | None]) -> HashMatch | None:
    """The match of several pictures: one blocked picture is enough, but all must be allowed."""
    matches = [match for match in found if match is not None]
    blocked = [match for match in matches if match.entry.action == "block"]
    if not blocked and len(matches) < len(found):
        return None
    # Of several the one that must not be shown comes first.
    return min(
        blocked or matches, key=lambda match: (match.entry.handling is None, match.distance), default=None
    )


def load_hash_list(path: Path | str) -> HashList:
    """Reads a list: a CSV file with a header line of `COLUMNS`.

    Raises:
        JuratError: it cannot be read, or a row is not right; with the line.
    """
    path = Path(path)
    files: dict[str, HashEntry] = {}
    pdq: list[tuple[str, HashEntry]] = []
    try:
        data = path.read_bytes()
        rows = csv.DictReader(data.decode("utf-8-sig").splitlines(), restkey="", strict=True)
        names = rows.fieldnames or ()
        unknown = [name for name in names if name not in COLUMNS]
        if unknown or not {"label", "action"} <= set(names) or not {"sha256", "pdq"} & set(names):
            raise JuratError(
                f"{path} is no list of known content: its columns are {', '.join(names) or 'none'}.",
                hint=f"The first line names them: {', '.join(COLUMNS)}; a hash, label and action are needed.",
            )
        for row in rows:
            where = f"{path}:{rows.line_num}"
            entry = _entry(row, where)
            hashes = {kind: (row.get(kind) or "").strip().lower() for kind in ("sha256", "pdq")}
            if not any(hashes.values()) or any(
                hash and not _HASH.fullmatch(hash) for hash in hashes.values()
            ):
                raise JuratError(f"{where}: a hash of 64 hex digits is expected, in sha256 or in pdq.")
            if hashes["sha256"]:
                _add(files, hashes["sha256"], entry)
            if hashes["pdq"]:
                pdq.append((hashes["pdq"], entry))
    except (OSError, UnicodeError, csv.Error) as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error
    return HashList(sha256(data).hexdigest()[:12], files, pdq)


def _add(files: dict[str, HashEntry], hash: str, entry: HashEntry) -> None:
    # Of two that contradict each other the more careful one holds.
    there = files.get(hash)
    if there is None or (there.action == "allow" and entry.action == "block"):
        files[hash] = entry


def _entry(row: dict[str, Any], where: str) -> HashEntry:
    action, handling = ((row.get(name) or "").strip() for name in ("action", "handling"))
    if row.get("") is not None:
        raise JuratError(f"{where}: more cells than the first line has.")
    if action not in ("block", "allow"):
        raise JuratError(f"{where}: the action is {action!r}; there are block and allow.")
    if handling not in ("", "sealed"):
        raise JuratError(f"{where}: the handling is {handling!r}; there is sealed, or nothing.")
    label = one_line(row.get("label") or "")
    if not label:
        raise JuratError(f"{where}: a label is missing.")
    told = (row.get("distance") or "").strip()
    if told and not (told.isascii() and told.isdigit() and int(told) <= 128):
        raise JuratError(f"{where}: the distance is {told!r}; a number of bits from 0 to 128 is expected.")
    distance = int(told) if told else DISTANCE
    return HashEntry(label, action, "sealed" if handling else None, distance)


class NearDuplicates:
    """Results of a run's latest pictures, retrieved by perceptual similarity."""

    def __init__(self, distance: int, *, size: int = 50_000) -> None:
        """`distance`: most differing bits. `size`: most pictures that are remembered."""
        import numpy as np

        self.distance = distance
        self._hashes: Any = np.zeros((size, 32), np.uint8)
        self._made: list[Any] = []
        self._next = 0

    def find(self, hash: Any) -> Any | None:
        """The result of the nearest picture; None if none is within the distance."""
        if not self._made:
            return None
        distances = differing_bits(self._hashes[: len(self._made)], hash)
        at = int(distances.argmin())
        return self._made[at] if distances[at] <= self.distance else None

    def keep(self, hash: Any, made: Any) -> None:
        """Stores the result of a picture in place of the oldest one."""
        if len(self._made) < len(self._hashes):
            self._made.append(made)
        else:
            self._made[self._next] = made
        self._hashes[self._next] = hash
        self._next = (self._next + 1) % len(self._hashes)


def picture_hashes(data: bytes, sampling: Sampling | None = None) -> list[Any | None]:
    """The PDQ hash, 32 bytes, of each frame that is judged, None for one without features; nothing where it
    is no picture."""
    import numpy as np

    from jurat.media.decoding import decode

    try:
        frames = decode(data, sampling=sampling).frames
    except ImageError:
        return []
    return [picture_hash(np.asarray(frame)) for frame in frames]


def picture_hash(pixels: Any) -> Any | None:
    """The PDQ hash of RGB pixels, 32 bytes; None if its quality is too low."""
    from jurat.media.pdq import pdq

    hash, quality = pdq(pixels)
    return hash if quality >= MIN_QUALITY else None


def differing_bits(hashes: Any, hash: Any) -> Any:
    """Hamming distances from many hashes to one."""
    import numpy as np

    different = np.bitwise_xor(hashes, hash)
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(different).sum(axis=1, dtype=np.int64)
    return np.unpackbits(different, axis=1).sum(axis=1, dtype=np.int64)
