"""What `jurat judge` prints when it is done: counts, rules, reasons, and items if they went to no file."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jurat.judge.verdict import ItemOutcome, RuleOutcome, Verdict
from jurat.report.verdicts.tally import MEANINGS, OUTCOMES, Tally
from jurat.text import printable

STYLES: dict[ItemOutcome | RuleOutcome | str, str] = {
    "unsafe": "bold red",
    "broken": "bold red",
    "unsure": "yellow",
    "undecided": "yellow",
    "error": "magenta",
    "safe": "green",
    "kept": "green",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "dim",
}

_WIDEST = 72
"""Cells that names are lined up to; longer ones push what follows."""


@dataclass
class ItemListing:
    """The items to print one by one: the first `limit` of each outcome, whatever their number."""

    limit: int
    kept: dict[ItemOutcome, list[Verdict]] = field(default_factory=dict[ItemOutcome, list[Verdict]])

    def add(self, verdict: Verdict) -> None:
        """Keeps a verdict if there is room for it."""
        of_outcome = self.kept.setdefault(verdict.outcome, [])
        if len(of_outcome) < self.limit:
            of_outcome.append(verdict)

    def first(self) -> list[Verdict]:
        """At most `limit` verdicts, unsafe ones before unsure, error and safe ones."""
        return [verdict for outcome in OUTCOMES for verdict in self.kept.get(outcome, [])][: self.limit]


def print_summary(console: Console, tally: Tally, seconds: float) -> None:
    """Prints items by outcome, rules by count and severity, and the reasons of unsure and error items."""
    for table in (_outcomes(tally, seconds), _rules(tally), _reasons(tally)):
        if table.row_count:
            console.print(table)
            console.print()
    for note in (*tally.notes, *tally.remarks):
        console.print(Text(f"Note: {printable(note)}", style="yellow"))


def print_items(console: Console, listing: ItemListing, tally: Tally) -> None:
    """Prints a line an item: its outcome, its name, and what it breaks or why it is undecided.

    Lines are not folded, so that one item stays one line for `grep`.
    """
    shown = [(verdict, printable(verdict.id)) for verdict in listing.first()]
    width = min(max((cell_len(name) for _, name in shown), default=0), _WIDEST)
    for verdict, name in shown:
        gap = " " * max(2, 2 + width - cell_len(name))
        line = Text.assemble((f"{verdict.outcome:<8}", STYLES[verdict.outcome]), name, gap, because(verdict))
        line.rstrip()
        console.print(line, soft_wrap=True)
    if shown:
        if (more := tally.items - len(shown)) > 0:
            every = f"--show {tally.items} prints them, --out FILE.jsonl writes them all."
            console.print(Text(f"and {more:,} more; {every}", "dim"), soft_wrap=True)
        console.print()


def because(verdict: Verdict) -> Text:
    """What decided an item, on one line: the rules it broke, or those undecided and why, or the error."""
    if verdict.outcome == "error":
        return _plain(verdict.error or "no reason was given")
    broken = [rule for rule in verdict.rules if rule.outcome == "broken"]
    if broken:
        return _plain(", ".join(r.id if r.score is None else f"{r.id} {r.score:.2f}" for r in broken))
    undecided = [rule for rule in verdict.rules if rule.outcome == "undecided"]
    parts: list[str] = []
    for reason in dict.fromkeys(rule.reason for rule in undecided):
        ids = [rule.id for rule in undecided if rule.reason == reason]
        more = [f"{len(ids) - 2} more"] if len(ids) > 2 else []
        parts.append(f"{reason}: {', '.join(ids[:2] + more)}")
    return _plain("; ".join(parts))


def _outcomes(tally: Tally, seconds: float) -> Table:
    table = _table("items")
    table.add_column("", justify="right")
    table.add_column("", justify="right")
    for outcome in OUTCOMES:
        if count := tally.outcomes[outcome]:
            table.add_row(_styled(outcome), f"{count:,}", f"{count / tally.items:.1%}")
    rate = tally.items / seconds if seconds > 0 else 0.0
    table.add_section()
    table.add_row("all", f"{tally.items:,}", f"{rate:,.1f} images/s")
    return table


def _rules(tally: Tally) -> Table:
    table = _table("rule")
    table.add_column("severity")
    for outcome in ("broken", "undecided", "kept"):
        table.add_column(outcome, justify="right")
    for rule in tally.rules:
        numbers = [_number(rule.outcomes[outcome], outcome) for outcome in ("broken", "undecided", "kept")]
        table.add_row(_plain(rule.id), _styled(printable(rule.severity or "")), *numbers)
    return table


def _reasons(tally: Tally) -> Table:
    table = _table("undecided because")
    table.add_column("items")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    for (outcome, reason), count in tally.reasons.most_common():
        table.add_row(_plain(reason), _styled(outcome), f"{count:,}", MEANINGS.get(reason, ""))
    return table


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")
    return table


def _number(count: int, outcome: RuleOutcome) -> RenderableType:
    return Text(f"{count:,}", STYLES[outcome]) if count else Text("0", "dim")


def _styled(word: str) -> Text:
    return Text(word, STYLES.get(word, ""))


def _plain(text: str) -> Text:
    return Text(printable(text))
