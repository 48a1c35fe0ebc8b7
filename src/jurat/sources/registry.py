"""Files that hold many items. A format is one file beside this one with `open_source`, and one line here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from jurat.sources.base import Source, SourceOptions
from jurat.sources.remote import name_of


@dataclass(frozen=True)
class Kind:
    """A format."""

    name: str
    """For people."""
    suffixes: tuple[str, ...]
    """In lower case."""
    module: str
    """In this folder."""

    def open(self, place: str, options: SourceOptions) -> Source:
        """The source at a path or URI; nothing is read yet."""
        module = import_module(f"jurat.sources.{self.module}")
        return cast("Callable[[str, SourceOptions], Source]", module.open_source)(place, options)


KINDS = (
    Kind("CSV", (".csv", ".tsv"), "delimited"),
    Kind("JSON", (".jsonl", ".ndjson", ".json"), "json_tables"),
    Kind("Parquet", (".parquet", ".pq"), "parquet_tables"),
    Kind("Arrow", (".arrow",), "arrow_files"),
    Kind("WebDataset shard", (".tar", ".tar.gz", ".tgz"), "shards"),
)
_DATASET = Kind("datasets folder", (), "arrow_files")
_MARKS = ("dataset_dict.json", "dataset_info.json")


def kind_of(place: str) -> Kind | None:
    """The format of a file by its name; None for a file that is one image."""
    name = name_of(place).lower()
    return next((kind for kind in KINDS if name.endswith(kind.suffixes)), None)


def kind_of_folder(folder: str) -> Kind | None:
    """The format of a folder that `datasets` wrote; None for any other."""
    return _DATASET if any(os.path.isfile(os.path.join(folder, mark)) for mark in _MARKS) else None
