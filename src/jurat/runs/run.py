"""A run: a job over many items whose rows are kept in a folder, so that it can be stopped and resumed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, cast

from jurat.content import Item
from jurat.errors import JuratError
from jurat.runs.engines.steps import Engine, Job
from jurat.runs.folder import (
    Facts,
    check_run_folder,
    is_run,
    read_facts,
    run_rows,
    set_aside,
    write_facts,
)
from jurat.runs.part_writer import PartWriter
from jurat.runs.recorded_items import RecordedKeys, Shard, in_shard, numbered, unrecorded
from jurat.runs.schema import Row, RowSchema
from jurat.runs.session import session
from jurat.runs.settings import differences, settings_in

SCHEMA = 1
"""Version of `_run.json`."""


class Rewriter(Protocol):
    """Converts rows recorded under earlier settings to the current settings."""

    def __call__(self, row: dict[str, Any]) -> Row | None:
        """The converted row; None if its item must be recomputed."""
        ...

    def note(self) -> Mapping[str, Any]:
        """Facts for the session record; called when all rows have been converted."""
        ...


@dataclass(frozen=True)
class Progress:
    """Progress of a run."""

    step: Literal["rewriting", "computing"]
    done: int
    """Rows in this session, of this step."""
    total: int | None
    """All rows of this step, where their number is known."""
    outcomes: Mapping[str, int]
    """All rows of the run by outcome, those of earlier sessions included."""
    seconds: float
    """Since the run was opened."""

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0


class Run:
    """A job over many items, in a folder; resumable, and a `jurat.runs.Sink`.

        with Run("answers", ANSWERS, {"model": "bundled", "prompt": "What is this?"}) as run:
            for item in run.pending(find_items(["examples/scenes"])):
                run.write({"id": item.id, "outcome": "answered", "answer": ...})

    The same lines resume it: items that have a row are skipped, whenever the process was killed.
    """

    def __init__(
        self,
        folder: Path | str,
        schema: RowSchema,
        settings: Mapping[str, Any],
        *,
        facts: Mapping[str, Any] | None = None,
        shard: Shard | None = None,
        fresh: bool = False,
        retry_errors: bool = False,
        adapt: Callable[[Facts, Facts], Rewriter | None] | None = None,
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        """Opens a folder: a new one, or that of a run that is resumed.

        Args:
            schema: of the rows.
            settings: all that rows depend on, as JSON. A run is resumed only under the settings that it began
                with.
            facts: what else `_run.json` is to hold.
            shard: which part of the items this run is for.
            fresh: renames the run that is in the folder to `NAME.before-1`, and begins anew.
            retry_errors: computes items that failed anew. One whose item is gone by then keeps its row.
            adapt: given the facts of a run under other settings and those of now, says how its rows can be
                changed to what they are now; None if they cannot.
            watch: is given the progress after every row.

        Raises:
            JuratError: the run was made under other settings (the message shows the difference), another
                process is writing to it, or the folder cannot be written or is not that of a run.
        """
        self.folder = Path(folder)
        check_run_folder(self.folder, fresh=fresh, retry_errors=retry_errors)
        self.schema = schema
        self.shard = shard
        self.moved_to = set_aside(self.folder) if fresh and is_run(self.folder) else None
        """Where `fresh` moved the run that was in the folder."""
        self.rewriter: Rewriter | None = None
        """What changed the rows of a run under other settings."""
        self.retried: int | None = None
        """How many failed items are computed anew; None unless `retry_errors`."""
        self.restored: Counter[str] = Counter()
        """Rows that were taken out to be computed anew and were put back, since their items are gone, by
        outcome; set by the end of the block."""
        self.before: Counter[str] = Counter()
        """Rows of earlier sessions by outcome."""
        self.outcomes: Counter[str] = Counter()
        """All rows by outcome."""
        self._taken, self._exhausted = 0, False
        self._watch, self._start = watch, time.monotonic()
        self._parts = PartWriter(self.folder, schema)
        try:
            shard_name = None if shard is None else str(shard)
            given = {"schema": SCHEMA, "settings": {**settings, "shard": shard_name}, **(facts or {})}
            self._begin(given, adapt)
            if retry_errors:
                self.retried = self._parts.take_out_errors()
            self._recorded = index(self.folder, schema, self.before)
            self.outcomes.update(self.before)
        except BaseException as error:
            self._parts.__exit__(type(error), error, None)
            raise

    @property
    def rows(self) -> int:
        """Rows written in this session."""
        return self._parts.rows

    @property
    def summary(self) -> str:
        """How many rows are new and where, without a full stop."""
        return self._parts.summary

    @property
    def progress(self) -> Progress:
        """Progress of this session; may be read from another thread."""
        seconds = time.monotonic() - self._start
        return Progress("computing", self.rows, None, dict(self.outcomes), seconds)

    def pending(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of this run's shard that have no row yet, each numbered among those with its id.

        When all of them have got their rows, the pass is complete: failed items that are gone get the rows
        back that they had.
        """
        every = numbered(items)
        shard = self.shard
        for item in unrecorded(
            every if shard is None else in_shard(every, shard.number, shard.count), self._recorded_now()
        ):
            self._taken += 1
            yield item
        self._exhausted = True

    def write(self, row: Any) -> None:
        """Records one row: a mapping, or what the schema can encode.

        Raises:
            JuratError: it cannot be written, and nothing more can be; or it names no item or no outcome.
        """
        row = cast("Row", row) if isinstance(row, Mapping) else self.schema.encode(row)
        for column in (self.schema.id, self.schema.outcome):
            if not isinstance(row.get(column), str):
                raise JuratError(f"row {self.rows + 1} has no text in the column {column!r}.")
        self._parts.write(row)
        self.outcomes[row[self.schema.outcome]] += 1
        if self._watch is not None:
            self._watch(self.progress)

    def collect(self, engine: Engine, job: Job) -> Generator[tuple[dict[str, Any], ...]]:
        """Has the workers of an engine compute all items of a job that have no row yet, and records their
        rows as they come; yields them in groups, in any order."""
        groups = engine.rows(job, self._recorded_now, self.schema.key)
        try:
            for rows in groups:
                for row in rows:
                    self.write(row)
                yield rows
            self._taken, self._exhausted = self.rows, True
        finally:
            groups.close()

    def note(self, **values: Any) -> None:
        """Adds values to what `_run.json` records of this session."""
        facts = read_facts(self.folder)
        facts["sessions"][-1] |= values
        write_facts(self.folder, facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if error is None and self._exhausted and self.rows >= self._taken:
                self.restored = self._parts.put_back()
                self.outcomes.update(self.restored)
        except BaseException as problem:
            self._parts.__exit__(type(problem), problem, None)
            raise
        self._parts.__exit__(kind, error, trace)

    def _recorded_now(self) -> RecordedKeys:
        """The items that have a row by now."""
        return index(self.folder, self.schema) if self.rows else self._recorded

    def _begin(self, new: dict[str, Any], adapt: Callable[[Facts, Facts], Rewriter | None] | None) -> None:
        """Writes `_run.json` with a new session; checks that a run that is there may be resumed."""
        new["sessions"] = []
        old = read_facts(self.folder) if is_run(self.folder) else new
        this = session()
        if settings_in(old, self.schema) != settings_in(new, self.schema):
            self.rewriter = None if adapt is None else adapt(old, new)
            if self.rewriter is None:
                lines = "\n".join(differences(old, new, self.schema))
                raise JuratError(
                    f"{self.folder} holds a run under other settings:\n{lines}",
                    hint="Name another --out, or use --fresh to set that run aside and start a new one.",
                )
            self._rewrite(self.rewriter, old, new, this)
        else:
            write_facts(self.folder, {**old, "sessions": [*old.get("sessions", []), this]})

    def _rewrite(self, rewriter: Rewriter, old: Facts, new: Facts, this: dict[str, Any]) -> None:
        count = sum(1 for _ in run_rows(self.folder, self.schema.keys[-1:]))
        done = 0

        def change(row: dict[str, Any]) -> Row | None:
            nonlocal done
            done += 1
            changed = rewriter(row)
            if self._watch is not None:
                self._watch(Progress("rewriting", done, count, {}, time.monotonic() - self._start))
            return changed

        def facts() -> Facts:
            return {**new, "sessions": [*old.get("sessions", []), {**this, **rewriter.note()}]}

        self._parts.rewrite(change, facts)


def index(
    folder: Path, schema: RowSchema, outcomes: Counter[str] | None = None, *, but_errors: bool = False
) -> RecordedKeys:
    """The items that a run has recorded, or those that did not fail; counts their outcomes."""

    def keys() -> Iterator[bytes]:
        for row in run_rows(folder, [*schema.keys, schema.outcome]):
            if outcomes is not None:
                outcomes[row[schema.outcome]] += 1
            if not (but_errors and row[schema.outcome] == schema.failed):
                yield schema.key(row)

    return RecordedKeys(keys())
