"""One pass over the items: verdicts are judged, written and counted, and summarised at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from jurat.cli import endpoint_options as serving
from jurat.cli import engine_options as engines
from jurat.cli.interrupts import StopRequest, stopping
from jurat.cli.out_options import is_stdout
from jurat.cli.progress import Advance, progress
from jurat.cli.summary import ItemListing, print_items, print_summary
from jurat.errors import JuratError
from jurat.report.verdicts.tally import Tally
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.cli.source_options import ItemSelection
    from jurat.content import Item
    from jurat.judge import Judge, Verdict
    from jurat.judge.verdict import ItemOutcome
    from jurat.models import Model
    from jurat.runs import Run, Sink
    from jurat.runs.engines.ray_engine import RayEngine


_BE = ("is", "are")


class AllFailed(JuratError):
    """Not one item could be judged."""

    exit_code = 3

    def __init__(self, first: str) -> None:
        why = f"The first reason: {printable(first)}" if first else "All rows are errors, from before."
        super().__init__(
            f"Nothing could be judged. {why}", hint=None if first else "--retry-errors judges them anew."
        )


@dataclass
class JudgingPass:
    """One pass: where verdicts are written, and what is printed about them."""

    source: ItemSelection
    out: Path | None
    quiet: bool
    tally: Tally
    listing: ItemListing
    run: Run | None
    """The run that the verdicts go to; None for a file or none."""
    workers: RayEngine | None = None
    """What judges, if this process does not."""
    before: Counter[str] = field(default_factory=Counter[str])
    """Outcomes of earlier sessions."""
    seconds: float = 0.0
    first_error: str = ""
    written: str = ""
    """Where the verdicts are, for a person."""

    def go(self, bench: Judge, items: Iterator[Item], sink: Sink) -> bool:
        """Judges all items; True if Ctrl-C ended it, with every verdict up to then counted and written."""
        run, start = self.run, time.monotonic()
        self.before = Counter() if run is None else run.before
        try:
            with (
                sink,
                stopping(quiet=self.quiet) as stop,
                progress(Console(stderr=True), self._left, shown=not self.quiet) as advance,
            ):
                if run is not None and self.workers is not None:
                    self._collect(run, self.workers, bench, stop, advance)
                else:
                    chosen = self.source.chosen(items) if run is None else run.pending(items)
                    read = self.source.read(chosen, lambda: stop.asked)
                    self._judge(bench, stop.before(read), sink, advance)
                if run is not None and (counts := self.source.passed_over.as_dict()):
                    run.note(passed_over=counts)
                return stop.asked
        except KeyboardInterrupt:
            return True
        finally:
            if run is not None:
                self.before = run.before + run.restored
            self.seconds = time.monotonic() - start
            self.written = sink.summary

    def report(self, model: Model, *, whole: bool) -> None:
        """Prints the closing tables: on standard output, unless the verdicts are there."""
        console = Console(highlight=False, stderr=is_stdout(self.out))
        if self.tally.items:
            print_items(console, self.listing, self.tally)
            print_summary(console, self.tally, self.seconds)
            serving.print_spent(console, model)
            _tell_low_mass(console, self.tally, model)
        if whole and self.out is not None and not is_stdout(self.out):
            before = f", beside {self.before.total():,} from before" if self.before else ""
            console.print(
                Text(
                    f"{self.written}{before}. To look at them: jurat report {self.out} --out page.html"
                    if self.tally.items or self.run is None
                    else f"Nothing was left to judge: {_all_of(self.before.total())} in {self.out}."
                ),
                soft_wrap=True,
            )

    def tell_in_part(self) -> None:
        """Prints how many items had frames or pages that were not judged, if any."""
        if count := self.tally.in_part:
            typer.echo(
                f"jurat: Not all frames or pages were looked at of {counted(count, 'item')} that "
                f"{_BE[count != 1]} not unsafe; --max-frames N looks at more.",
                err=True,
            )

    def check_some(self) -> None:
        """Raises AllFailed where every item, of this pass and before, is an error."""
        items = self.tally.items + self.before.total()
        if self.tally.outcomes["error"] + self.before["error"] == items > 0:
            raise AllFailed(self.first_error)

    def has(self, outcomes: Iterable[ItemOutcome]) -> bool:
        """Whether an item, of this pass or before, came out as one of these."""
        return any(self.tally.outcomes[outcome] + self.before[outcome] for outcome in outcomes)

    def undecided(self, but: Iterable[ItemOutcome]) -> str:
        """How many items, of this pass and before, came out as neither safe nor unsafe, in words; those that
        are one of `but` left out."""
        counts = self.tally.outcomes + self.before
        left = [name for name in ("unsure", "error") if counts[name] and name not in but]
        return " and ".join(f"{counts[name]:,} that {_BE[counts[name] != 1]} {name}" for name in left)

    def _judge(self, bench: Judge, items: Iterator[Item], sink: Sink, advance: Advance) -> None:
        from jurat.judge import verdict_to_row
        from jurat.judge.concurrency import undisturbed

        def record(verdict: Verdict) -> None:
            sink.write(verdict_to_row(verdict))
            self._count(verdict, advance)

        with undisturbed():
            for verdict in bench.stream(self.source.undecided(items, bench, record)):
                record(verdict)
                self.source.judged(verdict)

    def _collect(
        self, run: Run, workers: RayEngine, bench: Judge, stop: StopRequest, advance: Advance
    ) -> None:
        """Collects verdicts from workers instead."""
        from jurat.judge import row_to_verdict

        try:
            with closing(run.collect(workers, engines.job_of(bench, self.source))) as groups:
                for rows in groups:
                    for row in rows:
                        self._count(row_to_verdict(row), advance)
                    if stop.asked:
                        break
        finally:
            self.source.passed_over.update(workers.passed_over)

    def _count(self, verdict: Verdict, advance: Advance) -> None:
        self.tally.add(verdict)
        self.listing.add(verdict)
        self.first_error = self.first_error or verdict.error or ""
        advance()

    def _left(self) -> int | None:
        """Number of items to judge, if it can be counted quickly."""
        from jurat.sources import count_items

        total = None if self.source.shard else count_items(self.source.paths, self.source.options)
        return None if total is None else max(0, total - self.before.total())


def _all_of(rows: int) -> str:
    return "its 1 row is" if rows == 1 else f"all of {rows:,} rows are"


def _tell_low_mass(console: Console, tally: Tally, model: Model) -> None:
    """Prints the likeliest first tokens if most items are undecided because the model said neither Yes nor
    No.
    """
    from jurat.models.hf.diagnosis import Diagnosable, first_tokens

    count = tally.reasons["unsure", "low_mass"]
    if 2 * count <= tally.items:
        return
    lines = [f"{count:,} of {counted(tally.items, 'item')}: {model.name} answers with neither Yes nor No."]
    explained = model.capability(Diagnosable)
    if explained is None:
        lines.append("Models that think before they answer do this; turn thinking off on the server.")
    else:
        lines += [f"Its answers begin, {begun}." for begun in first_tokens(explained)]
        lines.append(f"How it is asked: jurat models --explain {model.name}")
    console.print(Text("\n".join(lines), "yellow"), soft_wrap=True)
