"""Two runs of the same items: which verdicts flip, by rule, with their pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.judge.verdict import ItemOutcome, RuleOutcome, Verdict
from jurat.report.explanations import Voice
from jurat.report.page import LIMIT, Gathered, Page, context, write_page, written
from jurat.report.page_files import Place, Store
from jurat.report.read_run import Entry, Run
from jurat.report.run_facts import FACTS, USER_FACTS, Facts
from jurat.report.tally import OUTCOMES, SEVERITY_RANK, Tally

if TYPE_CHECKING:
    from jurat.constitution import Constitution

__all__ = ["MOST_FLIPS", "Change", "Flips", "compare_reports", "find_flips", "flipped"]

MOST_FLIPS = 20_000
"""Flips that a page shows; more are counted."""

Key = tuple[str, int]
"""An item: its id, and which of that id it is."""
_Signature = tuple[ItemOutcome, dict[str, RuleOutcome], bool]
"""Outcome, outcomes of the rules, and whether it is sealed."""


@dataclass
class Change:
    """How items moved under one rule."""

    id: str
    severity: str | None
    moves: Counter[tuple[RuleOutcome | None, RuleOutcome | None]] = field(
        default_factory=Counter[tuple[RuleOutcome | None, RuleOutcome | None]]
    )
    """(before, after) -> items, the unchanged ones too; None where that run has no such rule."""

    @property
    def only(self) -> str:
        """Which run alone has the rule: "first" or "second"; empty where both do."""
        for place, other in enumerate(("second", "first")):
            if all(pair[place] is None for pair in self.moves):
                return other
        return ""

    @property
    def gained(self) -> int:
        """Items that break it only now."""
        return sum(n for (before, after), n in self.moves.items() if after == "broken" != before)

    @property
    def lost(self) -> int:
        """Items that break it no longer."""
        return sum(n for (before, after), n in self.moves.items() if before == "broken" != after)

    @property
    def other(self) -> int:
        """Items that went between undecided and kept."""
        return self.moves["undecided", "kept"] + self.moves["kept", "undecided"]


@dataclass
class Flips:
    """What two runs have in common, and where they differ."""

    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    old_facts: Facts = field(default_factory=Facts)
    new_facts: Facts = field(default_factory=Facts)
    moves: Counter[tuple[ItemOutcome, ItemOutcome]] = field(
        default_factory=Counter[tuple[ItemOutcome, ItemOutcome]]
    )
    """Of items that both have: (before, after) -> items, the unchanged ones too."""
    rules: dict[str, Change] = field(default_factory=dict[str, Change])
    keys: dict[Key, None] = field(default_factory=dict[Key, None])
    """Items of which the verdict or a rule that both runs know came out differently, in the new order."""
    only_old: int = 0
    only_new: int = 0
    sealed: int = 0

    @property
    def both(self) -> int:
        return self.moves.total()

    @property
    def flips(self) -> int:
        """Items whose outcome is another."""
        return sum(n for (before, after), n in self.moves.items() if before != after)

    @property
    def by_rule(self) -> list[Change]:
        """What changed most first, then by severity."""
        return sorted(
            self.rules.values(),
            key=lambda rule: (
                -rule.gained - rule.lost,
                -rule.other,
                SEVERITY_RANK.get(rule.severity or "", 4),
            ),
        )

    @property
    def differing(self) -> list[tuple[str, str, str]]:
        """Facts of the two runs that are not the same: (heading, before, after)."""
        pairs = [
            (
                name,
                ", ".join(self.old_facts.values[name]) or "–",
                ", ".join(self.new_facts.values[name]) or "–",
            )
            for name in FACTS
        ]
        return [pair for pair in pairs if pair[1] != pair[2]]


def find_flips(old: Run, new: Run) -> Flips:
    """Compares two runs, item by item. Holds some hundred bytes an item of the old one.

    Raises:
        JuratError: they have no item in common.
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
    """The flips with what was said before, in the new run's order; at most `MOST_FLIPS`, sealed items left
    out."""
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
    voice: Voice = "reviewer",
    constitution: Constitution | None = None,
) -> tuple[Page, Flips]:
    """Writes the page of what flipped between two runs; arguments and errors are those of `write_report`."""
    place = Place.at(out)
    place.check(overwrite=overwrite)
    first, second = Run.at(old), Run.at(new)
    flips = find_flips(first, second)
    with written(place), Store(place) as store:
        gathered = Gathered(second, store, voice, limit, constitution=constitution)
        for entry, before in flipped(first, second, flips):
            gathered.count(entry)
            gathered.show(entry, before)
        pictures = gathered.take_pictures(images_root)
        filling = context(gathered, pictures) | _context(first, second, flips, voice)
        write_page("compare.html", gathered, filling)
        files = place.files if store.apart else None
    return Page(place.page, gathered.tally.items, pictures, files, flips.sealed), flips


def _context(old: Run, new: Run, flips: Flips, voice: Voice) -> dict[str, Any]:
    from jurat.metrics import wilson

    try:
        interval = wilson(flips.flips, flips.both)
    except ImportError:  # scipy comes with the extra `local`
        interval = None
    told = {"old": old.name, "new": new.name, "flips": flips, "interval": interval, "most": MOST_FLIPS}
    return told | {"differing": [row for row in flips.differing if voice != "user" or row[0] in USER_FACTS]}


def _keyed(run: Run) -> Iterator[tuple[Key, Entry]]:
    """The entries with their keys, which hang on the record and not on its order: a run that was gone on
    with, or merged, has its rows in another one. Records without occurrence numbers get them as they come."""
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
            continue  # it could not be judged, so that it has no rules at all
        change = flips.rules.setdefault(rule.id, Change(rule.id, rule.severity))
        change.moves[before, rule.outcome] += 1
        changed = changed or before not in (rule.outcome, None)
    if verdict.rules:
        for id in was[1].keys() - {rule.id for rule in verdict.rules}:
            flips.rules.setdefault(id, Change(id, None)).moves[was[1][id], None] += 1
    return changed


def outcomes_of(tally: Tally) -> str:
    """ "24 unsafe, 2 unsure, 0 error, 14 safe"."""
    return ", ".join(f"{tally.outcomes[outcome]:,} {outcome}" for outcome in OUTCOMES)


def moves(before: Verdict, after: Verdict) -> Iterator[tuple[str, RuleOutcome, RuleOutcome]]:
    """The rules that came out differently: id, before and after."""
    was: dict[str, RuleOutcome] = {rule.id: rule.outcome for rule in before.rules}
    for rule in after.rules:
        if rule.id in was and was[rule.id] != rule.outcome:
            yield rule.id, was[rule.id], rule.outcome
