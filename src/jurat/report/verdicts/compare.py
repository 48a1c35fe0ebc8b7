"""Compares two runs of the same items: which verdicts flip, by rule, and a page of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.files import file_errors
from jurat.judge.verdict import ItemOutcome, RuleOutcome, Verdict
from jurat.report.gallery import Place, Store
from jurat.report.verdicts.explanations import Reader
from jurat.report.verdicts.page import LIMIT, Page, PageBuilder
from jurat.report.verdicts.read_run import Entry, Run
from jurat.report.verdicts.run_facts import FACTS, USER_FACTS, Facts
from jurat.report.verdicts.tally import SEVERITY_RANK, Tally

if TYPE_CHECKING:
    from jurat.constitution import Constitution

__all__ = ["MOST_FLIPS", "Change", "Flips", "compare_reports", "find_flips", "flipped"]

MOST_FLIPS = 20_000
"""Most flips on a page; all are counted."""

Key = tuple[str, int]
"""An item: its id, and its number among the items of that id."""
_Signature = tuple[ItemOutcome, dict[str, RuleOutcome], bool]
"""A verdict's outcome, the outcomes of its rules, and whether the item is sealed."""


@dataclass
class Change:
    """How the outcomes of one rule changed."""

    id: str
    severity: str | None
    moves: Counter[tuple[RuleOutcome | None, RuleOutcome | None]] = field(
        default_factory=Counter[tuple[RuleOutcome | None, RuleOutcome | None]]
    )
    """(before, after) -> items, unchanged ones included; None where that run has no such rule."""

    @property
    def only(self) -> str:
        """The run that alone has the rule, "first" or "second"; empty if both have it."""
        for place, other in enumerate(("second", "first")):
            if all(pair[place] is None for pair in self.moves):
                return other
        return ""

    @property
    def gained(self) -> int:
        """Items that break the rule in the second run only."""
        return sum(n for (before, after), n in self.moves.items() if after == "broken" != before)

    @property
    def lost(self) -> int:
        """Items that break the rule in the first run only."""
        return sum(n for (before, after), n in self.moves.items() if before == "broken" != after)

    @property
    def other(self) -> int:
        """Items that changed between undecided and kept."""
        return self.moves["undecided", "kept"] + self.moves["kept", "undecided"]


@dataclass
class Flips:
    """Differences between two runs."""

    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    old_facts: Facts = field(default_factory=Facts)
    new_facts: Facts = field(default_factory=Facts)
    moves: Counter[tuple[ItemOutcome, ItemOutcome]] = field(
        default_factory=Counter[tuple[ItemOutcome, ItemOutcome]]
    )
    """(before, after) -> items of both runs, unchanged ones included."""
    rules: dict[str, Change] = field(default_factory=dict[str, Change])
    keys: dict[Key, None] = field(default_factory=dict[Key, None])
    """Items whose outcome, or that of a rule of both runs, changed; in the order of the second run."""
    only_old: int = 0
    only_new: int = 0
    sealed: int = 0

    @property
    def both(self) -> int:
        """Number of items that both runs have."""
        return self.moves.total()

    @property
    def flips(self) -> int:
        """Number of items whose outcome changed."""
        return sum(n for (before, after), n in self.moves.items() if before != after)

    @property
    def by_rule(self) -> list[Change]:
        """Rules by how much they changed, then by severity."""
        return sorted(
            self.rules.values(),
            key=lambda rule: (
                -rule.gained - rule.lost,
                -rule.other,
                SEVERITY_RANK.get(rule.severity or "", 4),
            ),
        )

    @property
    def remarks(self) -> list[str]:
        """What has to be said of the verdicts of either run as a whole."""
        runs = (("First", self.old), ("Second", self.new))
        return [f"{name} run: {remark}" for name, tally in runs for remark in tally.remarks]

    def differing(self, reader: Reader) -> list[tuple[str, str, str]]:
        """Facts that differ and that the reader is shown: (heading, before, after)."""
        old, new = self.old_facts.values, self.new_facts.values
        names = USER_FACTS if reader == "user" else FACTS
        rows = [(name, ", ".join(old[name]) or "–", ", ".join(new[name]) or "–") for name in names]
        return [row for row in rows if row[1] != row[2]]


def find_flips(old: Run, new: Run) -> Flips:
    """Compares two runs, item by item. Memory: a few hundred bytes per item of the old one.

    Raises:
        JuratError: the runs have no item in common.
    """
    flips, before = Flips(), dict[Key, _Signature]()
    for key, entry in _keyed(old):
        flips.old.add(entry.verdict)
        flips.old_facts.add(entry.verdict)
        rules: dict[str, RuleOutcome] = {rule.id: rule.outcome for rule in entry.verdict.rules}
        before[key] = entry.verdict.outcome, rules, entry.sealed
    matched = 0
    for key, entry in _keyed(new):
        flips.new.add(entry.verdict)
        flips.new_facts.add(entry.verdict)
        was = before.get(key)
        if was is None:
            flips.only_new += 1
            continue
        matched += 1
        if _compare(flips, was, entry.verdict):
            flips.sealed += entry.sealed or was[2]
            flips.keys[key] = None
    flips.only_old = len(before) - matched
    for rule in flips.old.rules:
        if (change := flips.rules.get(rule.id)) is not None and change.only == "first":
            change.severity = rule.severity
    if not matched:
        raise JuratError(
            f"{old.path} and {new.path} have no item in common.",
            hint="Items are compared by their ids: judge the same images, named in the same way.",
        )
    return flips


def flipped(old: Run, new: Run, flips: Flips) -> Iterator[tuple[Entry, Verdict]]:
    """Changed items with their old verdicts, in the new order: at most `MOST_FLIPS`, without sealed ones."""
    wanted = set(list(flips.keys)[:MOST_FLIPS])
    before = {key: entry for key, entry in _keyed(old) if key in wanted}
    for key, entry in _keyed(new):
        if key in before and not entry.sealed and not before[key].sealed:
            yield entry, before[key].verdict


def compare_reports(
    old: Path,
    new: Path,
    out: Path,
    *,
    images_root: Path | None = None,
    limit: int = LIMIT,
    overwrite: bool = False,
    reader: Reader = "reviewer",
    constitution: Constitution | None = None,
) -> tuple[Page, Flips]:
    """Writes the page of what flipped between two runs. Arguments and errors are those of `write_report`."""
    place = Place.at(out)
    place.check(overwrite=overwrite)
    first, second = Run.at(old), Run.at(new)
    flips = find_flips(first, second)
    with file_errors(place.page), Store(place) as store:
        builder = PageBuilder(second, store, reader, limit, constitution)
        for entry, before in flipped(first, second, flips):
            builder.count(entry)
            builder.show(entry, before)
        filling = _filling(first, second, flips, reader)
        pictures = builder.write("compare.html", images_root, filling)
    files = place.files if store.apart else None
    return Page(place.page, builder.tally.items, pictures, files, flips.sealed), flips


def _filling(old: Run, new: Run, flips: Flips, reader: Reader) -> dict[str, Any]:
    from jurat.metrics import wilson

    return {
        "old": old.name,
        "new": new.name,
        "flips": flips,
        "interval": wilson(flips.flips, flips.both),
        "most": MOST_FLIPS,
        "differing": flips.differing(reader),
    }


def _keyed(run: Run) -> Iterator[tuple[Key, Entry]]:
    """Entries with their keys. Keys do not depend on the order of rows, which resumed and merged runs change.
    Records without occurrence numbers get them in order."""
    seen: set[Key] = set()
    for entry in run.entries():
        key = entry.verdict.id, entry.verdict.occurrence
        while key in seen:
            key = key[0], key[1] + 1
        seen.add(key)
        yield key, entry


def _compare(flips: Flips, was: _Signature, verdict: Verdict) -> bool:
    flips.moves[was[0], verdict.outcome] += 1
    changed = was[0] != verdict.outcome
    for rule in verdict.rules:
        before = was[1].get(rule.id)
        if before is None and not was[1]:
            continue  # it could not be judged, so it has no rules at all
        change = flips.rules.setdefault(rule.id, Change(rule.id, rule.severity))
        change.moves[before, rule.outcome] += 1
        changed = changed or before not in (rule.outcome, None)
    if verdict.rules:
        for id in was[1].keys() - {rule.id for rule in verdict.rules}:
            flips.rules.setdefault(id, Change(id, None)).moves[was[1][id], None] += 1
    return changed


def moves(before: Verdict, after: Verdict) -> Iterator[tuple[str, RuleOutcome, RuleOutcome]]:
    """Rules whose outcome changed: id, before and after."""
    was: dict[str, RuleOutcome] = {rule.id: rule.outcome for rule in before.rules}
    for rule in after.rules:
        if rule.id in was and was[rule.id] != rule.outcome:
            yield rule.id, was[rule.id], rule.outcome
