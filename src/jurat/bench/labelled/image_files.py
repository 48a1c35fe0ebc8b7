"""Finds the images that a file of labels names, below one folder."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from jurat.sources.openers import same_names
from jurat.text import one_line

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""Prefix that Label Studio adds to the name of an uploaded file."""


class NotFound(Exception):
    """No file, or more than one, matches a name; the message says which."""


class ImageFiles:
    """Index of the files of a folder by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder.resolve()

    def find(self, name: str) -> Path:
        """The file that a label names: a path below the folder, else a file name that only one file has.

        Tools name images by URLs and upload paths: what follows `?d=` is taken as the path, and eight
        hexadecimal digits before a name may be the tool's.

        Raises:
            NotFound: there is none, there are several, or the path leaves the folder.
        """
        plain = unquote(name.partition("?d=")[2]) if "?d=" in name else name
        path = Path(os.path.normpath(self._root / plain.replace("\\", "/")))
        if path.is_relative_to(self._root):
            same = [] if path.is_file() else same_names(str(path))
            path = Path(same[0]) if len(same) == 1 else path  # the name in another Unicode form
            if path.is_file() and path.resolve().is_relative_to(self._root):
                return path
        elif "://" not in plain and not plain.startswith("/"):
            raise NotFound(f"{one_line(name)} leaves {self.folder}")
        last = PurePosixPath(plain.replace("\\", "/").partition("?")[0]).name
        for wanted in dict.fromkeys((last, unquote(last), _UPLOADED.sub("", unquote(last)))):
            files = self._by_name.get(wanted, [])
            if len(files) == 1:
                return files[0]
            if files:
                raise NotFound(f"{len(files)} files below {self.folder} are named {one_line(wanted)}")
        raise NotFound(f"{one_line(name)} is not below {self.folder}")

    def name_of(self, file: Path) -> str:
        """The path below the folder, with slashes."""
        return file.relative_to(self._root).as_posix()

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for folder, _, files in os.walk(self._root):
            for name in sorted(files):
                found[name].append(Path(folder, name))
        return found
