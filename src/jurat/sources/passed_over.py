"""Counts files, archive members and unreadable conversations that are not items."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jurat.sources.uris import name_of
from jurat.text import one_line, shown

_KINDS, _LONGEST = 1000, 24
"""Most suffixes that are counted apart, and characters of one."""
_NAMED = 8
"""Most suffixes in a message."""
OTHERS = "others"

FOLDER = "folder entries"
TEXT = "texts carried with an image"
FACTS = "facts on a data set"
SILENT = (FOLDER, TEXT, FACTS)
"""Reasons that are counted but not reported: what these members hold is used, or they hold nothing."""
APPLE_DOUBLE = "macOS attributes (._NAME)"
LONE_TEXT = "texts of archives without an image of the same name beside them"
NO_FILE = "members of archives that are no regular file"


@dataclass
class PassedOver:
    """What was found on the way and is no item, counted by the reason.

    Items, those that could not be read among them, and what is counted here are together all files below the
    folders and prefixes that were walked, and all members of the archives that were read.
    """

    files: Counter[str] = field(default_factory=Counter[str])
    """Files and objects that have no suffix of an image or a video, by suffix."""
    members: Counter[str] = field(default_factory=Counter[str])
    """Members of archives likewise, by what follows the first dot of their names."""
    others: Counter[str] = field(default_factory=Counter[str])
    """By the reason."""
    examples: dict[str, str] = field(default_factory=dict[str, str])
    """The first file of each suffix."""

    def file(self, place: str) -> None:
        """Counts a file or an object that is passed over by its name."""
        suffix = self._count(self.files, _suffix(place))
        self.examples.setdefault(suffix, place)

    def member(self, suffix: str) -> None:
        """Counts a member of an archive that is passed over by its suffix, which is given without a dot."""
        self._count(self.members, _cut(f".{suffix.lower()}") if suffix else "no suffix")

    def add(self, reason: str, count: int = 1) -> None:
        """Counts files or members that are passed over for another reason."""
        if count:
            self.others[reason] += count

    def update(self, other: PassedOver) -> None:
        """Adds the counts of another counter."""
        self.files += other.files
        self.members += other.members
        self.others += other.others
        self.examples = other.examples | self.examples

    @property
    def total(self) -> int:
        """How many files and members were passed over, without those in `SILENT`."""
        told = sum(count for reason, count in self.others.items() if reason not in SILENT)
        return self.files.total() + self.members.total() + told

    def as_dict(self) -> dict[str, Any]:
        """Counts by suffix and by reason, for the record; without empty ones."""
        named = {"files": self.files, "members": self.members, "others": self.others}
        return {name: dict(counter.most_common()) for name, counter in named.items() if counter}

    def lines(self) -> list[str]:
        """One line per kind for the user; none if nothing was passed over."""
        lines: list[str] = []
        if self.files:
            were = _were(self.files.total(), "file")
            lines.append(f"{were} passed over by the name ({_listed(self.files)}); {self._how()}.")
        if self.members:
            were = _were(self.members.total(), "member")
            suffix = next((name for name in self.members if name.startswith(".")), "")
            how = f"; --column {suffix.removeprefix('.')} takes those with that suffix" if suffix else ""
            where = "of an archive" if self.members.total() == 1 else "of archives"
            listed = _listed(self.members)
            lines.append(f"{were.replace(' w', f' {where} w')} passed over by the suffix ({listed}){how}.")
        told = {reason: count for reason, count in self.others.items() if reason not in SILENT}
        if told:
            lines.append(
                f"Passed over as well: {', '.join(f'{c:,} {reason}' for reason, c in told.items())}."
            )
        return [one_line(line, most=600) for line in lines]

    def _how(self) -> str:
        """What to do to have files judged that were passed over by their names."""
        from jurat.sources.registry import format_of

        for suffix, place in self.examples.items():
            if (format := format_of(place)) is not None:
                count = self.files[suffix]
                what = "is a file" if count == 1 else f"are {count:,} files"
                folder = place.rpartition("/")[0]
                glob = shown(f"{folder}/*{suffix}" if folder else f"*{suffix}")
                return f"there {what} of many items ({format.title}): jurat judge '{glob}'"
        return "to judge them too, name them, by a glob ('*.SUFFIX') or in a list for -"

    @staticmethod
    def _count(counter: Counter[str], suffix: str) -> str:
        suffix = suffix if suffix in counter or len(counter) < _KINDS else OTHERS
        counter[suffix] += 1
        return suffix


def _suffix(place: str) -> str:
    from os.path import basename, splitext

    return _cut(splitext(basename(name_of(place)))[1].lower()) or "no suffix"


def _cut(suffix: str) -> str:
    return one_line(shown(suffix[: 2 * _LONGEST]), most=_LONGEST)


def _were(count: int, what: str) -> str:
    return f"1 {what} was" if count == 1 else f"{count:,} {what}s were"


def _listed(counter: Counter[str]) -> str:
    named = [f"{suffix} {count:,}" for suffix, count in counter.most_common(_NAMED)]
    return ", ".join(named) + (", ..." if len(counter) > _NAMED else "")
