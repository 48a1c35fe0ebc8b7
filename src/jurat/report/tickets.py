"""A run, or two compared, as text for a ticket: Markdown to read, CSV to sort."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jurat.errors import JuratError
from jurat.files import make_folder, written_aside
from jurat.judge.verdict import Verdict
from jurat.report.compare import Change, Flips, find_flips, flipped, moves, outcomes_of
from jurat.report.explanations import Voice, say
from jurat.report.page import shares
from jurat.report.policy import Policy, policy_of
from jurat.report.read_run import Entry, Run
from jurat.report.run_facts import USER_FACTS, Facts
from jurat.report.safe_cells import cell, inline
from jurat.report.tally import MEANINGS, OUTCOMES, Tally
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.constitution import Constitution

Format = Literal["md", "csv"]
LISTED = 50
"""Items that Markdown lists, the gravest first."""

_COLUMNS = ("id", "uri", "outcome", "broken", "undecided", "reason", "score", "why", "error", "basis")
_PROVENANCE = ("decision", "time", "sha256", "model", "constitution", "thresholds", "preset", "jurat")
_OF_MODELS = ("model", "preset")
"""What a table for a user leaves out."""


def write_ticket(
    record: Path,
    out: Path,
    format: Format,
    *,
    other: Path | None = None,
    voice: Voice = "reviewer",
    limit: int = LISTED,
    overwrite: bool = False,
    constitution: Constitution | None = None,
) -> int:
    """Writes a run, or what flips between `record` and `other`, and says how many items were counted.

    CSV has a row an item, Markdown lists the gravest `limit` of them. Sealed items are counted and left out.

    Raises:
        JuratError: a record cannot be read or holds no verdicts, or `out` is there or cannot be written.
    """
    if out.exists() and not overwrite:
        raise JuratError(f"{out} is there already.", hint="--overwrite replaces it.")
    run = Run.at(record)
    if other is not None:
        then = Run.at(other)
        flips = find_flips(run, then)
        policy = _policy(then, constitution)
        lines = (
            _flips_csv(run, then, flips, voice, policy)
            if format == "csv"
            else _flips_md(run, then, flips, voice, limit, policy)
        )
        _write(out, lines)
        return flips.both
    tally, facts, policy = Tally(), Facts(), _policy(run, constitution)
    lines = (
        _csv(run, voice, tally, policy) if format == "csv" else _md(run, voice, limit, tally, facts, policy)
    )
    _write(out, lines)
    return tally.items


def _policy(run: Run, given: Constitution | None) -> Policy:
    first = next(run.entries(), None)
    if first is None:
        raise JuratError(f"{run.path} holds no verdicts.")
    return policy_of(run.facts, first.verdict, given)


def _write(out: Path, lines: Iterable[str]) -> None:
    try:
        make_folder(out.parent)
        with written_aside(out) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except OSError as error:
        raise JuratError(f"{out} cannot be written: {error.strerror or error}") from error


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([cell(value) for value in values])
    return line.getvalue()


def _csv(run: Run, voice: Voice, tally: Tally, policy: Policy) -> Iterator[str]:
    carried: dict[str, None] = {}
    for entry in run.entries():
        tally.add(entry.verdict)
        if not entry.sealed:
            carried.update(dict.fromkeys(entry.carried))
    provenance = [name for name in _PROVENANCE if voice != "user" or name not in _OF_MODELS]
    yield _csv_line([*_COLUMNS, *provenance, *(f"column {name}" for name in carried)])
    for entry in run.entries():
        if not entry.sealed:
            cells = _cells(entry, voice, policy, provenance)
            yield _csv_line([*cells, *(entry.carried.get(name) for name in carried)])


def _cells(entry: Entry, voice: Voice, policy: Policy, provenance: Sequence[str]) -> Iterator[object]:
    verdict = entry.verdict
    yield verdict.id
    yield verdict.uri
    yield verdict.outcome
    yield "; ".join(verdict.broken)
    yield "; ".join(rule.id for rule in verdict.rules if rule.outcome == "undecided")
    yield verdict.reason
    scores = [rule.score for rule in verdict.rules if rule.score is not None]
    yield f"{max(scores):.4f}" if scores else None
    yield _why(entry, voice, policy)
    yield None if voice == "user" else verdict.error
    yield entry.basis
    yield from (getattr(verdict, name) for name in provenance)


def _why(entry: Entry, voice: Voice, policy: Policy) -> str:
    said = say(entry.verdict, voice, basis=entry.basis, rules=policy.texts(entry.verdict))
    return " ".join(f"{one.heading}: {one.text}" if one.heading else one.text for one in said)


def _md(run: Run, voice: Voice, limit: int, tally: Tally, facts: Facts, policy: Policy) -> Iterator[str]:
    kept: dict[str, list[Entry]] = {outcome: [] for outcome in OUTCOMES if outcome != "safe"}
    sealed = 0
    for entry in run.entries():
        tally.add(entry.verdict)
        facts.add(entry.verdict)
        sealed += entry.sealed
        of_outcome = kept.get(entry.verdict.outcome)
        if not entry.sealed and of_outcome is not None and len(of_outcome) < limit:
            of_outcome.append(entry)
    one = len(facts.values["Constitution"]) == 1
    of = f" of the policy {inline(str(policy))}" if one else ""
    yield f"# {_of(tally.outcomes['unsafe'], 'breaks', 'break', tally.items, 'image')} a rule{of}\n\n"
    yield f"{outcomes_of(tally)}.\n\n"
    if sealed:
        yield f"{sealed:,} sealed: counted, and nowhere shown.\n\n"
    yield from _table(
        ("fact", "value"), [(name, ", ".join(values)) for name, values in facts.shown(voice).items()]
    )
    yield f"Judged {facts.span}.\n\n"
    yield from _rules_md(tally, policy.rules if one else {})
    if tally.reasons:
        yield "## Not decided, and why\n\n"
        rows = [(o, r, MEANINGS.get(r, ""), f"{n:,}") for (o, r), n in tally.reasons.most_common()]
        yield from _table(("outcome", "reason", "meaning", "images"), rows)
    listed = [entry for entries in kept.values() for entry in entries][:limit]
    if listed:
        yield "## Images\n\n"
        for entry in listed:
            why = inline(_why(entry, voice, policy))
            yield f"- **{entry.verdict.outcome}** {inline(entry.verdict.id)}: {why}\n"
        told = tally.items - tally.outcomes["safe"] - len(listed)
        if told > 0:
            yield f"\n{counted(told, 'more is', 'more are')} in the record.\n"


def _of(some: int, one: str, many: str, all_: int, what: str) -> str:
    """ "1 of 12 images breaks"."""
    return f"{some:,} of {counted(all_, what)} {one if some == 1 else many}"


def _rules_md(tally: Tally, sentences: Mapping[str, str]) -> Iterator[str]:
    if not tally.rules:
        return
    known = shares(tally.rules)
    yield "## Rules\n\n"
    rows: list[tuple[str, ...]] = []
    for rule in tally.rules:
        counts = tuple(f"{rule.outcomes[o]:,}" for o in ("broken", "undecided", "kept"))
        share = "" if known is None else "{:.1f}% ({:.1f}–{:.1f})".format(*(100 * x for x in known[rule.id]))
        sentence = (sentences.get(rule.id, ""),) if sentences else ()
        rows.append((rule.id, *sentence, rule.severity or "–", *counts, share))
    head = ("rule", *(("what it says",) if sentences else ()), "severity", "broken", "undecided", "kept")
    head += ("broken, with 95% interval",)
    yield from _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    for row in rows:
        yield f"| {' | '.join(inline(value) for value in row)} |\n"
    yield "\n"


_FLIP_COLUMNS = ("id", "uri", "before", "after", "broken before", "broken after", "why before", "why after")


def _flips_csv(old: Run, new: Run, flips: Flips, voice: Voice, policy: Policy) -> Iterator[str]:
    yield _csv_line(_FLIP_COLUMNS)
    for entry, before in flipped(old, new, flips):
        yield _csv_line(_flip_cells(entry, before, voice, policy))


def _flip_cells(entry: Entry, before: Verdict, voice: Voice, policy: Policy) -> Iterator[object]:
    verdict = entry.verdict
    yield from (verdict.id, verdict.uri, before.outcome, verdict.outcome)
    yield from ("; ".join(before.broken), "; ".join(verdict.broken))
    yield from (_why(Entry(before), voice, policy), _why(entry, voice, policy))


def _known(rule: Change) -> str:
    return f"{rule.id} (only in the {rule.only} run)" if rule.only else rule.id


def _flips_md(old: Run, new: Run, flips: Flips, voice: Voice, limit: int, policy: Policy) -> Iterator[str]:
    yield f"# {_of(flips.flips, 'flips', 'flip', flips.both, 'verdict')}\n\n"
    yield f"First run: {inline(old.name)}: {outcomes_of(flips.old)}.\n"
    yield f"Second run: {inline(new.name)}: {outcomes_of(flips.new)}.\n\n"
    if flips.only_old or flips.only_new:
        yield f"Not compared: {flips.only_old:,} only in the first run, {flips.only_new:,} in the second.\n\n"
    if differing := [row for row in flips.differing if voice != "user" or row[0] in USER_FACTS]:
        yield from _table(("fact", "first run", "second run"), differing)
    rows = [
        (_known(r), r.severity or "–", f"{r.gained:,}", f"{r.lost:,}", f"{r.other:,}") for r in flips.by_rule
    ]
    yield from _table(("rule", "severity", "broken only now", "broken no longer", "other changes"), rows)
    for number, (entry, before) in enumerate(flipped(old, new, flips)):
        if number == limit:
            more = len(flips.keys) - flips.sealed - limit
            yield f"\n{counted(more, 'more is', 'more are')} in the records.\n"
            break
        why = inline(_why(entry, voice, policy))
        moved = "; ".join(f"{inline(id)} {was} → {now}" for id, was, now in moves(before, entry.verdict))
        change = f"{before.outcome} → **{entry.verdict.outcome}**{f' ({moved})' if moved else ''}"
        yield f"- {inline(entry.verdict.id)}: {change}. {why}\n"
