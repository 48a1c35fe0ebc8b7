"""Finds images and videos in files, folders, globs, lists, tables, shards and URIs, lazily.

What cannot be read is an item too: reading it raises `ImageError` with the reason, so that a run
continues and the row says what was wrong.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TextIO

from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.media.limits import DEFAULT_MAX_BYTES
from jurat.sources.open_format import open_format
from jurat.sources.openers import (
    LocalFile,
    RemoteObject,
    Unreadable,
    local_path,
    open_regular,
    same_names,
    why_missing,
)
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import SourceOptions, unchanged, unreadable
from jurat.sources.registry import Format, format_of, format_of_folder
from jurat.sources.remote import walk_uri
from jurat.sources.uris import check_uri, scheme_of
from jurat.sources.walk import FoundPath, is_glob, walk_folder, walk_glob
from jurat.text import reason, recorded, shown

_LISTS = (".txt", ".lst", ".list")
_NO_TEXT = re.compile(rb"[\0-\10\13\14\16-\37\x7f]|\A\Z")


def find_items(
    paths: Iterable[str],
    stdin: TextIO | None = None,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    options: SourceOptions | None = None,
    passed_over: PassedOver | None = None,
) -> Iterator[Item]:
    """Items for paths, one after the other, in the order given.

    - A file is an item whatever its suffix; of a table or a shard (`sources.registry.SOURCES`) the rows and
      members are.
    - A folder is walked: files with the suffix of an image or a video (`IMAGE_SUFFIXES`, `VIDEO_SUFFIXES`),
      in byte order of their paths, hidden ones too. Links to folders are followed, each folder behind links
      once, so that loops end. In a folder that `datasets` wrote, the rows of its Arrow files are the items.
    - A glob (`*`, `?`, `[...]`, `**` for folders at any depth) is matched as a shell does, in the same
      order, unless a file has that very name. If its last part names no suffix, only those
      suffixes match; a folder that matches is walked.
    - A URI (`s3://`, `gs://`, `https://`, `hf://`) is an object, a prefix, a glob or a table, likewise.
      Passwords and signatures in it are in no id and no message. Web addresses in tables and lists, and
      redirects of any, lead to no private address unless `options.allow_private_hosts`; one of `paths` in
      which one can see that its host is private (`localhost`, an address, a name without a dot) may.
    - `-` reads paths and URIs from `stdin`, one a line; blank lines are left out, and globs are not expanded.

    Not more than the names in the folders being walked is held in memory. A path that is given twice is
    judged twice.

    Args:
        paths: as written on the command line.
        stdin: the list for `-`; undecodable bytes in names are kept if it has a `buffer`.
        max_bytes: larger files are refused before they are read.
        options: how tables are read; with them goes their own `max_bytes`.
        passed_over: counts files and members that are no items, while the items are taken.

    Raises:
        ImageError: at once, if there is a `-` and no `stdin`.
        JuratError: on the way: a table lacks the column that was named, or changes while it is read; a URI
            needs a package that is not installed.
    """
    given = list(paths)
    if "-" in given and stdin is None:
        raise ImageError("'-' reads a list of paths from standard input, and there is none")
    options = options or SourceOptions(max_bytes=max_bytes)
    return _items(given, stdin, options, PassedOver() if passed_over is None else passed_over)


def count_items(paths: Iterable[str], options: SourceOptions | None = None) -> int | None:
    """How many items `find_items` gives; None where telling takes a pass over files, or the network."""
    options = options or SourceOptions()
    total = 0
    for path in paths:
        path = local_path(path) or path
        if path == "-" or scheme_of(path) is not None:
            return None
        for found in _at(path, PassedOver(), globs=True):
            format = _format(found)
            try:
                number = 1 if format is None else open_format(format, found.path, options).count()
            except (
                ImageError,
                OSError,
                ValueError,
            ):  # a file that is none of its kind gives one row, which says so
                number = 1
            if number is None:
                return None
            total += number
    return total


def _items(
    paths: list[str], stdin: TextIO | None, options: SourceOptions, passed_over: PassedOver
) -> Iterator[Item]:
    for path in paths:
        if path == "-" and stdin is not None:
            for line in _lines(stdin):
                yield from _of(line, options, passed_over, globs=False)
        else:
            named = options.private_hosts.with_host_of(path).named
            yield from _of(path, replace(options, named_hosts=named), passed_over, globs=True)


def _of(path: str, options: SourceOptions, passed_over: PassedOver, *, globs: bool) -> Iterator[Item]:
    path = local_path(path) or path
    if scheme_of(path) is None:
        for found in _at(path, passed_over, globs=globs):
            format = _format(found)
            if format is not None:
                yield from _within(format, found.path, options, passed_over)
            else:
                yield _item(found, options.max_bytes)
        return
    problem = check_uri(path)
    if problem is not None:
        yield Item((Unreadable(problem),), recorded(path), recorded(path))
        return
    try:
        for uri in walk_uri(path, passed_over, globs=globs):
            format = format_of(uri)
            if format is not None:
                yield from _within(format, uri, options, passed_over)
            else:
                opener = RemoteObject(uri, options.max_bytes, options.private_hosts)
                yield Item((opener,), recorded(uri), recorded(uri))
    except ImageError as error:
        yield Item((Unreadable(error.message),), recorded(path), recorded(path))


def _within(format: Format, place: str, options: SourceOptions, passed_over: PassedOver) -> Iterator[Item]:
    """The items in a file of many, and one with the reason if it cannot be read to its end."""
    try:
        yield from unchanged(
            place, open_format(format, place, options).items(passed_over), options.private_hosts
        )
    except ImageError as error:
        yield unreadable(place, error.message)
    except JuratError:
        raise
    except Exception as error:  # a server that fails on the way, say: each backend raises its own
        yield unreadable(place, f"the rest of {shown(place)} cannot be read: {reason(error)}")


def _format(found: FoundPath) -> Format | None:
    if found.problem is not None:
        return None
    return format_of(found.path) or (format_of_folder(found.path) if os.path.isdir(found.path) else None)


def _at(path: str, passed_over: PassedOver, *, globs: bool = False) -> Iterator[FoundPath]:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        same = same_names(path)
        if len(same) == 1 and same[0] != path:
            # The name of a file stays as it was given; what lies in a folder or a table has the name it has.
            is_file = os.path.isfile(same[0]) and format_of(same[0]) is None
            yield from (FoundPath(path),) if is_file else _at(same[0], passed_over)
        elif globs and is_glob(path):
            yield from walk_glob(path, passed_over)
        else:
            yield FoundPath(path, why_missing(path, error))
    else:
        is_folder = stat.S_ISDIR(mode) and format_of_folder(path) is None
        yield from walk_folder(path, passed_over) if is_folder else (FoundPath(path),)


def _item(found: FoundPath, max_bytes: int) -> Item:
    problem = found.problem or _why_list(found.path)
    opener = LocalFile(found.path, max_bytes) if problem is None else Unreadable(problem)
    return Item((opener,), recorded(found.path), recorded(os.path.abspath(found.path)))


def _why_list(path: str) -> str | None:
    """Hint for a file that seems to be a list of paths; None for any other file."""
    if os.path.splitext(path)[1].lower() not in _LISTS:
        return None
    try:
        with open_regular(path) as file:
            is_text = not _NO_TEXT.search(file.read(512))
    except (ImageError, OSError, ValueError):  # whoever reads it says so
        return None
    return f"not an image but text; if it lists paths: jurat judge - < {shown(path)}" if is_text else None


def _lines(stdin: TextIO) -> Iterator[str]:
    # Names of files are bytes; a list of them may be in no encoding at all.
    buffer = getattr(stdin, "buffer", None)
    lines: Iterable[str] = stdin if buffer is None else (os.fsdecode(line) for line in buffer)
    for line in lines:
        path = line.rstrip("\r\n")
        if path.strip():
            yield path
