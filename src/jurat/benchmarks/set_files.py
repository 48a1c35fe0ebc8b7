"""The files of a downloaded set: those of a folder and the members of its archives, found by name.

Archives are read in place: ZIP, and tar that is not compressed. `images.zip` counts as a folder `images`, so
that a reader need not know whether its user unpacked it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast
from unicodedata import normalize
from urllib.parse import unquote

from jurat.benchmarks.set_listing import ARCHIVES, Listing, ZipMember, is_image, list_files
from jurat.benchmarks.set_tables import (
    Row,
    arrow_image_rows,
    json_records,
    parquet_rows,
    parse_json,
    table_rows,
    text_image_rows,
)
from jurat.content import ImageError, LazyImage
from jurat.errors import JuratError
from jurat.sources.openers import LocalFile
from jurat.text import shown

__all__ = ["Row", "SetFiles", "ZipMember"]

_WILD = re.compile(r"[*?\[]")
_SNAPSHOT = re.compile(r"/snapshots/([0-9a-f]{40})/")
_ABSOLUTE = re.compile(r"(/|[A-Za-z]:[/\\]|\w+://)")


class SetFiles:
    """The files of a set, found by the last parts of their names without regard to case.

    A name is the path below the folder with "/" between its parts; that of an archive's member goes on behind
    the archive's own name without its suffix.
    """

    def __init__(self, path: Path | str) -> None:
        """
        Args:
            path: the folder; an archive; or one of the folder's files, which is then the only one of its
                kind that `find` gives.

        Raises:
            JuratError: it does not exist.
        """
        self.path = Path(path)
        if not self.path.exists():
            raise JuratError(f"There is no file or folder {shown(str(path))}.")
        listing: Listing = list_files(self.path)
        self.root = listing.root
        self.openers = listing.openers
        """Name to what reads the file."""
        self.unusable = listing.unusable
        """Name of a file that cannot be read to the reason, as "is empty (0 bytes)"."""
        self.notes = listing.notes
        """What a user should know of the copy, and how often it was met."""
        self.used: set[str] = set()
        """The names of the images that `image` found."""
        is_archive = self.path.name.lower().endswith(ARCHIVES)
        self.given = self.path.name if self.path.is_file() and not is_archive else ""
        """The file that the user named, if it was one and no archive."""
        self._places = listing.places
        self._parts = {name: _parts(name) for name in (*self.openers, *self.unusable)}
        self._by_base: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for name, parts in self._parts.items():
            self._by_base[parts[-1]].append(name)
            self._by_stem[_stem(parts[-1])].append(name)

    @property
    def revision(self) -> str | None:
        """The commit of a copy in the hub's cache; None elsewhere."""
        place = f"{os.path.abspath(self.root)}/{next(iter(self.openers), '')}"
        found = _SNAPSHOT.search(place.replace(os.sep, "/"))
        return found[1] if found else None

    def find(self, pattern: str) -> list[str]:
        """The names whose last parts match a pattern ("question/*.csv"), fewest parts first; with "**" at its
        end ("violence/**") all those at any depth below such a folder. A "|" stands between alternatives."""
        found = {name for each in pattern.split("|") for name in self._matching(_parts(each))}
        return sorted(filter(self._is_meant, found), key=lambda name: (name.count("/"), name))

    def one(self, *patterns: str) -> str:
        """As `first`.

        Raises:
            JuratError: the patterns find none.
        """
        if (found := self.first(*patterns)) is not None:
            return found
        raise JuratError(f"{shown(str(self.path))} has no file {' or '.join(patterns)}.")

    def first(self, *patterns: str) -> str | None:
        """The first name that the patterns find, in their order; None where they find none. `notes` counts
        the others of its pattern."""
        for pattern in patterns:
            if found := self.find(pattern):
                if len(found) > 1:
                    self.notes[f"other files that match {pattern} were not read; {shown(found[0])} was"] = (
                        len(found) - 1
                    )
                return found[0]
        return None

    def image(self, *names: str, any_suffix: bool = False, under: str = "") -> LazyImage | None:
        """The image whose path ends with the first of these names that one has, in any case; None where there
        is none. Of several the one with the fewest parts is taken, and `notes` counts that.

        Args:
            names: each of one or more parts: "1.png", "01-Scenario/SD/1.jpg". Of a path from another
                machine ("/home/someone/imgs/1.png") as many of the last parts as can be found are.
            any_suffix: takes an image of the same stem with another suffix, if there is none with this.
            under: only images at any depth below this folder, as `find` names it; default: below the copy's.
        """
        found, name = next(((f, n) for n in names if (f := self._images(n, any_suffix, under))), ([], ""))
        if not found:
            return None
        if len(found) > 1:
            self.notes["images are there more than once under the same name; the first was taken"] += 1
        # Of names that differ in case only, the one as it is written.
        best = min(found, key=lambda each: (not each.endswith(name), each.count("/"), each))
        asked = re.split(r"[/\\]", name)[-1]
        if best not in self.used and "." in asked and not best.endswith((asked, unquote(asked))):
            self.notes["images have a name of another case or suffix than their rows say"] += 1
        self.used.update(found)
        return LazyImage(self.place(best), self.openers[best])

    def image_at(self, name: str) -> LazyImage:
        """The image of exactly this name, one of `images`."""
        self.used.add(name)
        return LazyImage(self.place(name), self.openers[name])

    def why_no_image(self, *names: str) -> str:
        """Why `image` finds none: "is not in the copy", "is empty (0 bytes)"."""
        for wanted in filter(None, map(_wanted, names)):
            tail = [*wanted[:-1], _stem(wanted[-1])]
            for each in self._by_stem.get(tail[-1], ()):
                if each in self.unusable and [*self._parts[each][:-1], tail[-1]][-len(tail) :] == tail:
                    return self.unusable[each]
        return "is not in the copy"

    def place(self, name: str) -> str:
        """The absolute path of a file, or of an archive with `#` and the member's name."""
        return self._places.get(name) or os.path.abspath(self.root / name)

    def images(self) -> list[str]:
        """The names of all images."""
        return sorted(filter(is_image, self.openers))

    def unused_images(self, patterns: Sequence[str] = ()) -> list[str]:
        """The names of images that no row asked for; none where the user named a file, since the folder in
        which it lies may hold anything.

        Args:
            patterns: of the images that are looked at; all where there is none, or where they find none.
        """
        if self.given:
            return []
        among = {name for pattern in patterns for name in self.find(pattern)}
        unused = [name for name in self.images() if name not in self.used]
        return [name for name in unused if name in among] if among else unused

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises JuratError where it cannot be read."""
        try:
            return self.openers[name]()
        except ImageError as error:
            raise JuratError(f"{shown(name)}: {error.message}") from error

    def text(self, name: str) -> str:
        """The text of a file in UTF-8, or in UTF-16 with a byte order mark, which is left out; `notes` counts
        characters of neither."""
        data = self.read(name)
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            text = data.decode(encoding, "replace")
            self.notes[f"characters of {shown(name)} that are not UTF-8 were replaced"] += text.count(
                "\ufffd"
            )
            return text

    def json(self, name: str) -> Any:
        """The value in a JSON file. Raises JuratError where it is none."""
        return parse_json(self.text(name), name, self.notes)

    def objects(self, name: str, value: object, key: str) -> list[dict[str, Any]]:
        """The objects in the list under `key` of a JSON file's object; `notes` counts what is none.

        Args:
            value: the object, of the file `name`.

        Raises:
            JuratError: there is no such list.
        """
        found = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
        if not isinstance(found, list):
            raise JuratError(f"{shown(name)} has no list {key!r}.")
        listed = cast("list[Any]", found)
        objects = [cast("dict[str, Any]", each) for each in listed if isinstance(each, dict)]
        if len(objects) < len(listed):
            self.notes[f"parts of {key!r} in {shown(name)} that are no objects were left out"] += len(
                listed
            ) - len(objects)
        return objects

    def records(self, name: str, *, id_key: str = "id") -> Iterator[Row]:
        """The objects of a JSON file: a list of them; an object of objects, whose keys become `id_key`; or an
        object a line. Raises JuratError where it holds none of these."""
        return json_records(self.text(name), name, self.notes, id_key)

    def table(
        self, name: str, *, columns: Sequence[str] = (), delimiter: str | None = None, blank: bool = False
    ) -> Iterator[Row]:
        """The rows of a CSV or TSV file. Where quotes are not closed, that row is one with a problem, and
        those behind it are read.

        Args:
            columns: their names, where the file has no header; further cells are named by their number,
                from 1.
            delimiter: default: a tab where the name ends with `.tsv`, else a comma.
            blank: gives empty lines too, as rows without cells.
        """
        delimiter = delimiter or _delimiter(name)
        return table_rows(self.text(name), name, self.notes, columns, delimiter, blank)

    def parquet(self, name: str) -> Iterator[Row]:
        """The rows of a Parquet file that holds no images; cells are text, lists as JSON. Raises JuratError
        where it is none, or damaged."""
        return parquet_rows(self.read(name), name)

    def image_table(self, name: str, column: str, *, index: str = "index") -> Iterator[Row]:
        """The rows of a Parquet, Arrow, TSV or CSV file whose images are in its cells, as bytes or base64.
        Other cells are text. A row without an image has none in `images`.

        Args:
            column: of the images.
            index: in TSV and CSV the column by which a cell refers to another row's image.

        Raises:
            JuratError: the file is in an archive, or has no such column.
        """
        if not isinstance(self.openers[name], LocalFile):
            raise JuratError(f"{shown(name)} is in an archive; unpack it first.")
        path = os.path.abspath(self.root / name)
        if name.lower().endswith((".tsv", ".csv")):
            return text_image_rows(path, name, column, index, _delimiter(name))
        return arrow_image_rows(path, name, column)

    def _images(self, name: str, any_suffix: bool, under: str) -> list[str]:
        """The names of images below a folder that end with `name`."""
        inside = f"{under}/".lower() if under else ""
        for form in (name, unquote(name)) if "%" in name else (name,):
            wanted = _wanted(form)
            while wanted:
                if found := self._ending_with(wanted, any_suffix, inside):
                    return found
                wanted = wanted[1:] if _ABSOLUTE.match(name) else []
        return []

    def _ending_with(self, wanted: list[str], any_suffix: bool, inside: str) -> list[str]:
        found = [
            name
            for name in self._by_base.get(wanted[-1], ())
            if name in self.openers
            and name.lower().startswith(inside)
            and self._matches(name, wanted, exact=True)
        ]
        if found or not any_suffix:
            return found
        tail = [*wanted[:-1], _stem(wanted[-1])]
        return [
            name
            for name in self._by_stem.get(tail[-1], ())
            if name in self.openers
            and name.lower().startswith(inside)
            and is_image(name)
            and [*self._parts[name][:-1], tail[-1]][-len(tail) :] == tail
        ]

    def _matching(self, wanted: list[str]) -> list[str]:
        """The names that match the parts of a pattern."""
        if wanted[-1] == "**":
            return [name for name in self.openers if self._is_below(name, wanted[:-1])]
        among = self._parts if _WILD.search(wanted[-1]) else self._by_base.get(wanted[-1], ())
        return [name for name in among if name in self.openers and self._matches(name, wanted)]

    def _is_below(self, name: str, folder: list[str]) -> bool:
        parts, size = self._parts[name], len(folder)
        starts = range(len(parts) - size)
        return any(all(map(fnmatchcase, parts[at : at + size], folder)) for at in starts)

    def _matches(self, name: str, wanted: list[str], *, exact: bool = False) -> bool:
        """Whether the last parts of a name are these, or match them as patterns."""
        last = self._parts[name][-len(wanted) :]
        if exact or len(last) < len(wanted):
            return last == wanted
        return all(map(fnmatchcase, last, wanted))

    def _is_meant(self, name: str) -> bool:
        """Whether a file may be read though the user named a single one."""
        suffix = os.path.splitext(self.given)[1].lower()
        return not self.given or name == self.given or not name.lower().endswith(suffix)


def _wanted(name: str) -> list[str]:
    """The parts by which an image is looked for."""
    return [part for part in _parts(name.strip()) if part not in (".", "..", "")]


def _parts(name: str) -> list[str]:
    """The parts of a path as they are compared: composed, in lower case."""
    return normalize("NFC", name).lower().replace("\\", "/").strip("/").split("/")


def _stem(base: str) -> str:
    return base.rpartition(".")[0] or base


def _delimiter(name: str) -> str:
    return "\t" if name.lower().endswith(".tsv") else ","
