"""Opens a file of items by its format; exceptions of third-party code become an error row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import Source, SourceOptions
from jurat.sources.registry import Format


def open_format(format: Format, place: str, options: SourceOptions) -> Source:
    """The source at a path or URI; nothing is read yet.

    Raises:
        ImageError: a third party's code failed; the message names it.
    """
    opener = format.load()
    source = cast(Source, format.attempt("could not open it", lambda: opener(place, options)))
    if not format.is_plug_in:
        return source
    return _PlugInSource(format, format.check(source, "source", methods=("items", "count")))


@dataclass(frozen=True)
class _PlugInSource:
    """A third party's source."""

    format: Format
    source: Source

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        try:
            for item in self.source.items(passed_over):
                if not isinstance(cast(object, item), Item):
                    raise self.format.fault(f"gave something that is no Item, but {type(item).__name__}")
                yield item
        except JuratError:
            raise
        except Exception as error:
            raise ImageError(self.format.reason(error)) from error

    def count(self) -> int | None:
        return self.format.attempt("could not count its items", self.source.count)
