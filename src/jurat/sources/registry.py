"""Files that hold many items.

A format is one file beside this one with a function from a path or URI and `SourceOptions` to a `Source`,
and one entry of `SOURCES`. A third party's is an entry point of the group `jurat.sources` that is named like
the files' suffix: `acme = acme_jurat:open_source` reads `*.acme`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from jurat.content import ImageError
from jurat.registry import Entry, Registry
from jurat.sources.uris import name_of


@dataclass(frozen=True, kw_only=True)
class Format(Entry):
    """A file format."""

    error: ClassVar = ImageError  # becomes the row of the file

    title: str
    """Its name in messages."""
    suffixes: tuple[str, ...] = ()
    """In lower case; none for what is recognised by its content."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "usage", ", ".join(self.suffixes) or self.name)


def _plug_in(**known: Any) -> Format:
    return Format(**known, title=known["name"], suffixes=(f".{known['name'].lower()}",))


SOURCES = Registry(
    "sources",
    "source",
    _plug_in,
    [
        Format(
            "csv",
            "rows of a CSV or TSV file",
            "jurat.sources.delimited:DelimitedTable",
            title="CSV",
            suffixes=(".csv", ".tsv"),
        ),
        Format(
            "json",
            "rows of JSON lines, or of a JSON list",
            "jurat.sources.json_tables:JsonTable",
            title="JSON",
            suffixes=(".jsonl", ".ndjson", ".json"),
        ),
        Format(
            "parquet",
            "rows of a Parquet file",
            "jurat.sources.parquet_tables:ParquetTable",
            title="Parquet",
            suffixes=(".parquet", ".pq"),
        ),
        Format(
            "arrow",
            "rows of an Arrow file",
            "jurat.sources.arrow_files:ArrowFile",
            title="Arrow",
            suffixes=(".arrow",),
        ),
        Format(
            "shard",
            "members of a WebDataset shard",
            "jurat.sources.shards:TarShard",
            title="WebDataset shard",
            suffixes=(".tar", ".tar.gz", ".tgz"),
        ),
        Format(
            "dataset",
            "rows of a folder that save_to_disk of `datasets` wrote",
            "jurat.sources.arrow_files:DatasetFolder",
            title="datasets folder",
        ),
    ],
)
_MARKS = ("dataset_dict.json", "dataset_info.json")


def format_of(place: str) -> Format | None:
    """The format of a file by its name; None for a file that is one image."""
    name = name_of(place).lower()
    return next((each for each in SOURCES if each.suffixes and name.endswith(each.suffixes)), None)


def format_of_folder(folder: str) -> Format | None:
    """The format of a folder that `datasets` wrote; None for any other."""
    is_dataset = any(os.path.isfile(os.path.join(folder, mark)) for mark in _MARKS)
    return SOURCES.find("dataset") if is_dataset else None
