"""A run, or two compared, as text for a ticket: Markdown to read, CSV to sort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jurat.errors import JuratError
from jurat.files import check_free, file_errors, make_folder, written_aside
from jurat.report.verdicts.columns import verdict_score
from jurat.report.verdicts.compare import Flips, find_flips, flipped, moves
from jurat.report.verdicts.explanations import Reader, explain
from jurat.report.verdicts.policy import Policy, policy_of
from jurat.report.verdicts.read_run import Entry, Run
from jurat.report.verdicts.run_facts import Facts
from jurat.report.verdicts.safe_cells import csv_line, inline, table
from jurat.report.verdicts.tally import MEANINGS, OUTCOMES, Tally, outcomes_in_words
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.constitution import Constitution

Format = Literal["md", "csv"]
LISTED = 50
"""Default number of items that Markdown lists."""

_COLUMNS = ("id", "uri", "outcome", "broken", "undecided", "reason", "score", "why", "error", "basis")
_PROVENANCE = (
    "decision",
    "time",
    "sha256",
    "model",
    "constitution",
    "thresholds",
    "thresholds_from",
    "preset",
    "jurat",
)
_OF_MODELS = ("model", "thresholds_from", "preset")
"""Provenance that a table for a user leaves out."""
_FLIP_COLUMNS = ("id", "uri", "before", "after", "broken before", "broken after", "why before", "why after")


def write_ticket(
    record: Path,
    out: Path,
    format: Format,
    *,
    other: Path | None = None,
    reader: Reader = "reviewer",
    limit: int = LISTED,
    overwrite: bool = False,
    constitution: Constitution | None = None,
) -> int:
    """Writes a run, or what flips between `record` and `other`, and returns how many items were counted.

    CSV has a row for each item, Markdown lists the first `limit`, unsafe ones first. Sealed items are counted
    and left out.

    Raises:
        JuratError: a record cannot be read or holds no verdicts, or `out` exists or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    run = Run.at(record)
    explained = run if other is None else Run.at(other)
    first = next(explained.entries(), None)
    if first is None:
        raise JuratError(f"{explained.path} holds no verdicts.")
    words = _Words(reader, policy_of(explained.facts, first.verdict, constitution))
    if other is None:
        tally = Tally()
        lines = _csv(run, tally, words) if format == "csv" else _markdown(run, limit, tally, words)
        _write(out, lines)
        return tally.items
    flips = find_flips(run, explained)
    flip_lines = _flips_csv if format == "csv" else _flips_markdown
    _write(out, flip_lines(run, explained, flips, limit, words))
    return flips.both


@dataclass(frozen=True)
class _Words:
    """How verdicts are explained in a ticket."""

    reader: Reader
    policy: Policy

    def why(self, entry: Entry) -> str:
        texts = self.policy.texts(entry.verdict)
        paragraphs = explain(entry.verdict, self.reader, basis=entry.basis, rules=texts)
        return " ".join(f"{one.heading}: {one.text}" if one.heading else one.text for one in paragraphs)


def _write(out: Path, lines: Iterator[str]) -> None:
    with file_errors(out):
        make_folder(out.parent)
        with written_aside(out) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)


def _csv(run: Run, tally: Tally, words: _Words) -> Iterator[str]:
    carried: dict[str, None] = {}
    for entry in run.entries():
        tally.add(entry.verdict)
        if not entry.sealed:
            carried.update(dict.fromkeys(entry.carried))
    provenance = [name for name in _PROVENANCE if words.reader != "user" or name not in _OF_MODELS]
    yield csv_line([*_COLUMNS, *provenance, *(f"column {name}" for name in carried)])
    for entry in run.entries():
        if not entry.sealed:
            row = [*_row(entry, words), *(getattr(entry.verdict, name) for name in provenance)]
            yield csv_line([*row, *(entry.carried.get(name) for name in carried)])


def _row(entry: Entry, words: _Words) -> list[object]:
    """Values of `_COLUMNS`."""
    verdict, score = entry.verdict, verdict_score(entry.verdict)
    undecided = "; ".join(rule.id for rule in verdict.rules if rule.outcome == "undecided")
    return [
        verdict.id,
        verdict.uri,
        verdict.outcome,
        "; ".join(verdict.broken),
        undecided,
        verdict.reason,
        None if score is None else f"{score:.4f}",
        words.why(entry),
        None if words.reader == "user" else verdict.error,
        entry.basis,
    ]


def _markdown(run: Run, limit: int, tally: Tally, words: _Words) -> Iterator[str]:
    facts, sealed = Facts(run.passed_over), 0
    kept: dict[str, list[Entry]] = {outcome: [] for outcome in OUTCOMES if outcome != "safe"}
    for entry in run.entries():
        tally.add(entry.verdict)
        facts.add(entry.verdict)
        sealed += entry.sealed
        listed = kept.get(entry.verdict.outcome)
        if not entry.sealed and listed is not None and len(listed) < limit:
            listed.append(entry)
    one = len(facts.values["Constitution"]) == 1
    policy = f" of the policy {inline(str(words.policy))}" if one else ""
    broken = _some_of(tally.outcomes["unsafe"], "breaks", "break", tally.items, "image")
    yield f"# {broken} a rule{policy}\n\n"
    yield f"{outcomes_in_words(tally)}.\n\n"
    yield from (f"{remark}\n\n" for remark in tally.remarks)
    if sealed:
        yield f"{sealed:,} sealed: counted, and nowhere shown.\n\n"
    shown = facts.shown(words.reader)
    yield from table(("fact", "value"), [(name, ", ".join(values)) for name, values in shown.items()])
    yield f"Judged {facts.span}.\n\n"
    yield from _rules(tally, words.policy.rules if one else {})
    if tally.reasons:
        yield "## Not decided, and why\n\n"
        rows = [(o, r, MEANINGS.get(r, ""), f"{n:,}") for (o, r), n in tally.reasons.most_common()]
        yield from table(("outcome", "reason", "meaning", "images"), rows)
    yield from _images([entry for entries in kept.values() for entry in entries][:limit], tally, words)


def _images(listed: list[Entry], tally: Tally, words: _Words) -> Iterator[str]:
    if not listed:
        return
    yield "## Images\n\n"
    for entry in listed:
        yield f"- **{entry.verdict.outcome}** {inline(entry.verdict.id)}: {inline(words.why(entry))}\n"
    more = tally.items - tally.outcomes["safe"] - len(listed)
    if more > 0:
        yield f"\n{counted(more, 'more is', 'more are')} in the record.\n"


def _some_of(some: int, one: str, many: str, total: int, what: str) -> str:
    """ "1 of 12 images breaks"."""
    return f"{some:,} of {counted(total, what)} {one if some == 1 else many}"


def _rules(tally: Tally, sentences: Mapping[str, str]) -> Iterator[str]:
    if not tally.rules:
        return
    yield "## Rules\n\n"
    rows: list[tuple[str, ...]] = []
    for rule in tally.rules:
        counts = tuple(f"{rule.outcomes[o]:,}" for o in ("broken", "undecided", "kept"))
        share = "{:.1f}% ({:.1f}–{:.1f})".format(
            *(100 * x for x in (rule.share, rule.interval.low, rule.interval.high))
        )
        sentence = (sentences.get(rule.id, ""),) if sentences else ()
        rows.append((rule.id, *sentence, rule.severity or "–", *counts, share))
    says = ("what it says",) if sentences else ()
    head = ("rule", *says, "severity", "broken", "undecided", "kept", "broken, with 95% interval")
    yield from table(head, rows)


def _flips_csv(old: Run, new: Run, flips: Flips, _: int, words: _Words) -> Iterator[str]:
    yield csv_line(_FLIP_COLUMNS)
    for entry, before in flipped(old, new, flips):
        verdict = entry.verdict
        outcomes = [before.outcome, verdict.outcome, "; ".join(before.broken), "; ".join(verdict.broken)]
        yield csv_line([verdict.id, verdict.uri, *outcomes, words.why(Entry(before)), words.why(entry)])


def _flips_markdown(old: Run, new: Run, flips: Flips, limit: int, words: _Words) -> Iterator[str]:
    yield f"# {_some_of(flips.flips, 'flips', 'flip', flips.both, 'verdict')}\n\n"
    yield f"First run: {inline(old.name)}: {outcomes_in_words(flips.old)}.\n"
    yield f"Second run: {inline(new.name)}: {outcomes_in_words(flips.new)}.\n\n"
    yield from (f"{remark}\n\n" for remark in flips.remarks)
    if flips.only_old or flips.only_new:
        yield f"Not compared: {flips.only_old:,} only in the first run, {flips.only_new:,} in the second.\n\n"
    if differing := flips.differing(words.reader):
        yield from table(("fact", "first run", "second run"), differing)
    rows = [
        (
            f"{rule.id} (only in the {rule.only} run)" if rule.only else rule.id,
            rule.severity or "–",
            *(f"{count:,}" for count in (rule.gained, rule.lost, rule.other)),
        )
        for rule in flips.by_rule
    ]
    yield from table(("rule", "severity", "broken only now", "broken no longer", "other changes"), rows)
    for number, (entry, before) in enumerate(flipped(old, new, flips)):
        if number == limit:
            more = len(flips.keys) - flips.sealed - limit
            yield f"\n{counted(more, 'more is', 'more are')} in the records.\n"
            break
        changed = [f"{inline(id)} {was} → {now}" for id, was, now in moves(before, entry.verdict)]
        rules = f" ({'; '.join(changed)})" if changed else ""
        outcome = f"{before.outcome} → **{entry.verdict.outcome}**"
        yield f"- {inline(entry.verdict.id)}: {outcome}{rules}. {inline(words.why(entry))}\n"
