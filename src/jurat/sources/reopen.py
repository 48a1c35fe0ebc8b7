"""Opens images in tables and tar shards again, by the URIs that records hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os.path import isfile
from pathlib import Path

from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.sources.find import find_items
from jurat.sources.protocol import SourceOptions
from jurat.sources.uris import scheme_of

Openers = Mapping[str, Callable[[], bytes]]
"""URI of an image inside a table or shard -> how it is read."""


@dataclass
class Reopener:
    """Finds images in tables and shards on this machine.

    None of them is read beyond this machine, whatever a table names. Each table is passed over once where
    uris are asked for in its order, however many calls that takes.
    """

    column: str | None = None
    """The column of the images, as `SourceOptions.column`."""
    root: Path | None = None
    """Where the tables and shards lie now, if not where they were."""
    _under_way: dict[str, Iterator[Item]] = field(default_factory=dict[str, "Iterator[Item]"])

    def find(self, uris: Iterable[str]) -> Openers:
        """How to read those of `uris` that are there. What is in a compressed shard is held in memory."""
        wanted: dict[str, set[str]] = {}
        for uri in uris:
            holder, mark, _ = uri.partition("#")
            if mark and scheme_of(holder) is None and "\0" not in uri:
                wanted.setdefault(holder, set()).add(uri)
        return {uri: opener for holder, some in wanted.items() for uri, opener in self._in(holder, some)}

    def _in(self, holder: str, wanted: set[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        left = set(wanted)
        for items in (self._under_way.pop(holder, iter(())), self._items(holder)):
            for item in items:
                for uri, opener in _parts(item, holder, left):
                    left.discard(uri)
                    yield uri, opener
                if not left:
                    self._under_way[holder] = items
                    return

    def _items(self, holder: str) -> Iterator[Item]:
        path = holder if self.root is None else str(self.root / Path(holder).name)
        if not isfile(path):
            return
        try:
            yield from find_items([path], options=SourceOptions(column=self.column, local=True))
        except JuratError:  # it is no table any more, say
            return


def _parts(item: Item, holder: str, wanted: set[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The wanted part of an item; its uri may start with the current location of its table or shard."""
    uri = f"{holder}#{item.uri.partition('#')[2]}"
    try:
        if not {uri, f"{uri}/0"} & wanted:
            return
        images = item.lazy_images()
        if uri in wanted and len(images) == 1:  # more of them have been written there since
            yield uri, images[0].open
        elif f"{uri}/0" in wanted:  # all images of an item are wanted, or none
            for at, image in enumerate(images):
                yield f"{uri}/{at}", image.open
    except ImageError:
        return
