"""The results of a battery: a table of judgements, and a table of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from inspect_ai.log import EvalLog, EvalSample

from jurat.evals.batteries.logs import defense_costs
from jurat.evals.batteries.running import Outcome
from jurat.evals.measures import truth_and_said
from jurat.evals.results import ScorerResults, models_of, not_computed, replies_of, results_of, rows_of
from jurat.models import ModelSpec
from jurat.models.model_spec import DEFENDED_BY
from jurat.text import counted

COLUMNS = ("set", "model", "scorer", "metric", "value", "95% interval", "n", "left out")
"""Columns of the table of numbers."""
FAILED, STOPPED = "failed", "stopped"
"""The states of the row that stands for a cell without judgements."""


@dataclass
class Results:
    """The results of the cells that were added."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Judgements as `jurat.metrics.table.Table` takes them."""
    lines: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """Lines of the table of numbers; one cell for each of `COLUMNS`."""
    notes: dict[str, None] = field(default_factory=dict[str, None])
    """What a reader of the numbers must know, a sentence each."""
    cells: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """For JSON."""
    failed: int = 0
    incomplete: int = 0
    """Cells from whose sets rows were left out, or with replies that have no judgement."""
    stopped: bool = False

    def add(self, outcome: Outcome) -> None:
        """Adds what became of a cell."""
        facts: dict[str, Any] = {"cell": outcome.plan.cell.label, **(outcome.plan.determinants or {})}
        if outcome.stopped:
            self.stopped = True
            self._add_without(outcome, facts, STOPPED, "the run was stopped before it was done")
        elif outcome.failure:
            self.failed += 1
            self._add_without(outcome, facts, FAILED, outcome.failure)
        else:
            self.cells.append({**facts, "status": "done"})
        if outcome.log is not None:
            self._add_log(outcome, outcome.log, _results(outcome))

    def _add_without(self, outcome: Outcome, facts: dict[str, Any], state: str, reason: str) -> None:
        """Adds the row of a cell that has no numbers."""
        self.lines.append(_line(outcome, f"{state}: {reason}"))
        self.rows.append(
            {"unit": "", "clusters": [""], **_factors(outcome), "state": state, "reason": reason}
        )
        self.cells.append({**facts, "status": state, "reason": reason})

    def _add_log(self, outcome: Outcome, log: EvalLog, results: Sequence[ScorerResults]) -> None:
        self.cells[-1] |= {"scorers": [each.facts() for each in results], "log": log.location}
        self.cells[-1] |= {"defenses": [asdict(cost) for cost in defense_costs(log)]}
        self.rows += judgements(outcome, log)
        for each in results:
            head = (*_head(outcome, log), _scorer(each))
            self.lines += [(*head, *number.cells()) for number in each.numbers]
            if not each.numbers:
                self.lines.append(_without_numbers(outcome, log, each))
        for name, why in not_computed(log, results).items():
            self.lines.append(_line(outcome, f"not computed: {why}", log=log, metric=name))
        notes = list(_notes(outcome, log, results))
        self.notes |= dict.fromkeys(notes)
        facts = log.eval.metadata or {}
        skipped = (facts.get("data") or {}).get("skipped") or (facts.get("attack") or {}).get("not_attacked")
        self.incomplete += bool(skipped or any(each.without for each in results))

    def markdown(self) -> str:
        """The table of numbers, and its notes."""
        rows = [COLUMNS, *self.lines]
        widths = [max(len(_cell(row[at])) for row in rows) for at in range(len(COLUMNS))]
        shown = [
            "| " + " | ".join(_cell(c).ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows
        ]
        shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([*shown, *(["", *notes] if notes else [])]) + "\n"


def judgements(outcome: Outcome, log: EvalLog) -> Iterator[dict[str, Any]]:
    """The judgements of a cell as rows of a table: a row for each reply and scorer.

    `truth` is 1 where the scorer's positive label is right (a refusal where one is expected), 0 where another
    is, and missing where that is not known of the sample.
    """
    place = row_set(log) + outcome.plan.cell.copy
    for identity, name in outcome.scores.items():
        for sample, row in zip(log.samples or [], rows_of(log, name), strict=True):
            truth, said = truth_and_said(row)
            yield {
                "unit": f"{place}/{sample.id}",
                "clusters": [f"{place}/{row['cluster']}"],
                "truth": truth,
                "said": said,
                "score": row["score"],
                **_costs(sample),
                **_factors(outcome),
                "revision": models_of(log),
                "scorer": row["scorer"],
                "scored_with": identity.split()[0],
                "judge": row.get("judge"),
                "positive": row["positive"],
                "state": row["state"],
                "label": row["label"],
                "reason": sample.error.message if sample.error else None,
                "category": row["category"],
                "group": row["group"],
                "epoch": sample.epoch,
            }


def row_set(log: EvalLog) -> str:
    """The set of a log."""
    return str((log.eval.metadata or {}).get("set", log.eval.task))


def _costs(sample: EvalSample) -> dict[str, Any]:
    usage = sample.output.usage
    tokens = (
        {} if usage is None else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    )
    return {f"cost_{name}": value for name, value in {**tokens, "seconds": sample.total_time}.items()}


def _factors(outcome: Outcome) -> dict[str, Any]:
    facts = outcome.plan.determinants or {}
    cell = outcome.plan.cell
    return {
        "set": facts.get("set", cell.entry.set),
        "protocol": facts.get("protocol", cell.protocol),
        "variant": cell.variant,
        "model": cell.model.model,
        "attack": cell.attack.attack if cell.attack else "",
        "defense": DEFENDED_BY.join(ModelSpec(cell.model.model).defenses),
        "seed": facts.get("seed"),
        "cell": outcome.plan.digest if outcome.plan.determinants else "",
    }


def _results(outcome: Outcome) -> list[ScorerResults]:
    """The results of the cell's own scorers; a log may hold those of earlier ones."""
    names = outcome.scores.values()
    return [each for each in results_of(outcome.log) if each.name in names] if outcome.log else []


def _head(outcome: Outcome, log: EvalLog | None = None) -> tuple[str, str]:
    facts, cell = outcome.plan.determinants or {}, outcome.plan.cell
    protocol = facts.get("protocol") or cell.protocol
    title = facts.get("set", cell.entry.set) + (f" ({protocol})" if protocol else "")
    title += f", {cell.variant}" if cell.variant else ""
    title += f", {cell.attack.attack}" if cell.attack else ""
    return title, (models_of(log) if log else "") or cell.model.model


def _line(outcome: Outcome, value: str, *, log: EvalLog | None = None, metric: str = "") -> tuple[str, ...]:
    return *_head(outcome, log), "", metric, value, "", "", ""


def _scorer(results: ScorerResults) -> str:
    return f"{results.scorer}, judged by {', '.join(results.judges)}" if results.judges else results.scorer


def _without_numbers(outcome: Outcome, log: EvalLog, results: ScorerResults) -> tuple[str, ...]:
    left_out = ", ".join(f"{why} {count:,}" for why, count in results.without.items())
    n = f"{sum(results.labels.values()):,}"
    return *_head(outcome, log), _scorer(results), "", "not available", "", n, left_out or "0"


def _notes(outcome: Outcome, log: EvalLog, results: Sequence[ScorerResults]) -> Iterator[str]:
    facts = log.eval.metadata or {}
    name = row_set(log)
    for why, count in ((facts.get("data") or {}).get("skipped_reasons") or {}).items():
        yield f"{name}: {counted(count, 'row')} left out: {why}"
    for why, count in ((facts.get("attack") or {}).get("not_attacked_reasons") or {}).items():
        yield f"{outcome.plan.cell.label}: {counted(count, 'sample')} not attacked: {why}"
    if differs := facts.get("differs_from_paper"):
        yield f"{name} ({facts.get('protocol_label')}): {'; '.join(differs)}"
    if failed := replies_of(log)["error"]:
        replies = counted(failed, "reply", "replies")
        yield f"{outcome.plan.cell.label}: {replies} failed; the next run asks for them again"
    for cost in defense_costs(log):
        yield f"{outcome.plan.cell.label}: {cost.summary}"
    for each in results:
        for number in each.numbers:
            if number.found.value is None and number.found.reason:
                yield f"{number.metric}: {number.found.reason}"


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())
