"""What a comparison says, as a tidy table of replies and as rows: the success of each cell with its interval,
the difference from noise, the spread over paraphrases, transfer, distances and costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from jurat.bench.attacks.lineup import CONTROL, UNBOUNDED
from jurat.bench.attacks.plan import AttacksPlan
from jurat.bench.attacks.run import Measured, RunProgress
from jurat.bench.bench_run import made_by, runs_of
from jurat.bench.results import rounded
from jurat.bench.table import plain
from jurat.metrics import UNSURE, Comparison, Interval, Table, clustered_rate, holm, judge, rate_difference
from jurat.metrics.claims import STATES
from jurat.registry import name_and_options

__all__ = ["NEARLY_ALL", "claims_of", "comparisons_of", "results_of", "rows_of", "units_of"]

INTERVALS = (
    "95%, Wilson's with the pictures as clusters; differences from noise paired by picture and prompt, "
    "Agresti and Min's, over the pictures"
)
NEARLY_ALL = 0.9
"""The success that an attack without a bound must reach (`goals.yaml`, claim 4)."""
DISTANCES = ("linf", "l2", "ssim")
COSTS = ("forwards", "backwards", "queries", "seconds")
_FACTORS = ("victim", "task", "attack", "level", "passes")


def results_of(plan: AttacksPlan, progress: RunProgress) -> tuple[dict[str, Any], Table]:
    """All that is published, as `attacks.json` holds it, and the replies behind it."""
    table = units_of(progress.measured)
    rows = rows_of(progress.measured, table)
    found = {
        "provenance": _provenance(plan, progress),
        "rows": rows,
        "claims": claims_of(rows, plan),
    }
    return rounded(plain(found)), table


def _provenance(plan: AttacksPlan, progress: RunProgress) -> dict[str, Any]:
    goals = plan.goals
    return {
        **made_by(plan.command),
        "goals": {"title": goals.title, "digest": goals.digest}
        | {"tasks": {task.name: task.summary for task in goals.tasks}},
        "seed": plan.seed,
        "pictures": plan.pictures,
        "budgets": plan.levels,
        "passes": plan.most_passes,
        "victims": [victim.label for victim in plan.victims],
        "transfer": [other.label for other in plan.transfer],
        "models": progress.models,
        "intervals": INTERVALS,
        "runs": runs_of(progress.origins),
        "left_out": [asdict(each) for each in progress.left_out],
    }


# --- replies -------------------------------------------------------------------------------------


def units_of(measured: Sequence[Measured]) -> Table:
    """A row for each picture, test prompt and model that was asked (`jurat.metrics.table`).

    `said` is 1 where the reply is the wanted one, 0 where it is not or where there is none (`state` says
    why), and null where the picture could not be attacked. Costs are those of its picture. Factors, beside
    those of a cell: `asked`, the model; `paraphrase`, the number of the prompt; `clean`, 1 where the clean
    picture had the wanted reply already.
    """
    return Table.of(unit for each in measured for unit in _units(each))


def _units(each: Measured) -> Iterator[dict[str, Any]]:
    cell = asdict(each.cell)
    for goal, rows in each.rows.items():
        for row in rows:
            picture = f"{goal}/{row['id']}"
            shared = {"clusters": [picture], "truth": 1.0, **cell}
            if row["outcome"] == "error":
                yield {**shared, "unit": f"{picture}/error", "asked": each.cell.victim, "state": "error"}
                continue
            costs = {f"cost_{name}": row[name] for name in COSTS}
            for number, reply in enumerate(row["replies"], 1):
                yield {
                    **shared,
                    **costs,
                    "unit": f"{picture}/{number}",
                    "said": int(reply["success"]),
                    "asked": each.cell.victim,
                    "paraphrase": number,
                    "state": _state(reply["failure"]),
                    "clean": int(reply["clean_success"]),
                }
            for label, goals in each.transferred.items():
                for number, (success, failure) in enumerate(goals.get(goal, {}).get(row["id"], ()), 1):
                    yield {
                        **shared,
                        "unit": f"{picture}/{number}",
                        "said": int(success),
                        "asked": label,
                        "paraphrase": number,
                        "state": _state(failure),
                    }


def _state(failure: str | None) -> str:
    return "replied" if failure is None else failure.partition(":")[0]


# --- rows ----------------------------------------------------------------------------------------


def rows_of(measured: Sequence[Measured], table: Table) -> list[dict[str, Any]]:
    """A row a cell; p values are Holm's over all attacks of the table, on all victims."""
    cells = {
        (key["asked"], _key(key)): cell for key, cell in table.cells(*_FACTORS, "asked")
    } if len(table) else {}  # fmt: skip
    rows = [_row(each, cells) for each in measured]
    family = [row for row in rows if "difference" in row]
    for row, p in zip(family, holm([row["difference"]["p"] for row in family]), strict=True):
        row["difference"]["holm"] = p
    return rows


def _key(factors: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(factors[name]) for name in _FACTORS)


def _row(each: Measured, cells: Mapping[tuple[str, tuple[str, ...]], Table]) -> dict[str, Any]:
    cell, key = each.cell, _key(asdict(each.cell))
    whole = cells[cell.victim, key]
    decided = _decided(whole)
    pictures = [row for rows in each.rows.values() for row in rows if row["outcome"] != "error"]
    row: dict[str, Any] = {
        **asdict(cell),
        "title": cell.title,
        "settings": each.full_name,
        "steps": each.steps,
        "pictures": len(pictures),
        "errors": int((whole.factor("state") == "error").sum()),
        **_rate(decided),
        "failed": int((decided.factor("state") != "replied").sum()),
        "clean": int((decided.factor("clean") == "1").sum()),
        **_paraphrases(decided),
        **{name: _mean([one[name] for one in pictures]) for name in (*DISTANCES, *COSTS)},
        "transfer": {label: _rate(cells[label, key]) for label in each.transferred if (label, key) in cells},
    }
    if _is_control(cell.attack):
        return row
    noise = next((t for (asked, at), t in cells.items() if asked == cell.victim and _controls(at, key)), None)
    if noise is not None and len(decided):
        row["difference"] = _difference(decided, _decided(noise))
    return row


def _rate(cell: Table) -> dict[str, Any]:
    interval = clustered_rate(cell.said, _pictures(cell))
    n = len(cell)
    return {
        "n": n,
        "successes": int(cell.said.sum()),
        "success": float(cell.said.mean()) if n else math.nan,
        "interval": [interval.low, interval.high],
    }


def _paraphrases(cell: Table) -> dict[str, Any]:
    """Success with each of the test prompts, and how far they are apart."""
    rates = {key["paraphrase"]: float(some.said.mean()) for key, some in cell.cells("paraphrase")}
    values = list(rates.values())
    spread = {"least": min(values), "most": max(values), "deviation": float(np.std(values))} if values else {}
    return {"paraphrases": rates, "spread": spread}


def _difference(cell: Table, noise: Table) -> dict[str, Any]:
    """Paired with noise of the same size, on the units that both decided."""
    both = sorted({*cell.units.tolist()} & {*noise.units.tolist()})
    mine = cell.take(np.isin(cell.units, both))
    other = mine.beside(noise.take(np.isin(noise.units, both)))
    found = rate_difference(mine.said.astype(float), other.said.astype(float), _pictures(mine))
    low, high = found.interval.low, found.interval.high
    return {"value": found.value, "low": low, "high": high, "p": found.p, "n": found.n}


def _decided(cell: Table) -> Table:
    return cell.take(cell.said != UNSURE)


def _pictures(cell: Table) -> list[str]:
    return cell.clusters[0].tolist() if cell.clusters else []


def _is_control(attack: str) -> bool:
    return name_and_options(attack)[0] == CONTROL


def _controls(noise: tuple[str, ...], cell: tuple[str, ...]) -> bool:
    """Whether a cell, as values of `_FACTORS`, is the control of another."""
    same = [_FACTORS.index(name) for name in ("victim", "task", "level")]
    return _is_control(noise[_FACTORS.index("attack")]) and all(noise[i] == cell[i] for i in same)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


# --- claims --------------------------------------------------------------------------------------


def claims_of(rows: Sequence[Mapping[str, Any]], plan: AttacksPlan) -> list[dict[str, Any]]:
    """What became of the claims of `goals.yaml`: the titles of the cells that say what."""
    found: list[dict[str, Any]] = []
    for claim, judged in judge(plan.goals.claims, list(comparisons_of(rows, plan))):
        if judged:
            states = {
                state: [one.comparison.where["title"] for one in judged if one.state == state]
                for state in STATES
            }
            corrected = sum(one.holds_adjusted for one in judged)
            found.append({"claim": claim.text or claim.id, "corrected": corrected, **states})
    return found


def comparisons_of(rows: Sequence[Mapping[str, Any]], plan: AttacksPlan) -> Iterator[Comparison]:
    """What claims are tested on: attacks with noise, larger budgets with smaller ones, more passes with
    fewer, and attacks without a bound with `NEARLY_ALL`."""
    attacks = [row for row in rows if not _is_control(row["attack"]) and row["n"]]
    for row in attacks:
        if (gap := row.get("difference")) is not None:
            interval, values = (
                Interval(gap["low"], gap["high"]),
                (row["success"], row["success"] - gap["value"]),
            )
            yield Comparison("attack", CONTROL, "success", _where(row), values, interval, p=gap["p"])
        if row["level"] >= UNBOUNDED and row["passes"] == plan.most_passes[-1]:
            yield Comparison("unbounded", "bar", "success", _where(row), _reached(row["success"]))
    for one, other in _steps(attacks, "level"):
        values = (other["success"], one["success"])
        yield Comparison("larger", "smaller", "by budget", _where(other), values)
    for one, other in _steps(attacks, "passes"):
        values = (other["success"], one["success"])
        yield Comparison("more", "fewer", "by passes", _where(other), values)


def _reached(success: float) -> tuple[float, float]:
    """A success beside the bar; more than the bar is enough."""
    return min(success, NEARLY_ALL), NEARLY_ALL


def _where(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(row[name]) for name in (*_FACTORS, "title")}


def _steps(rows: Sequence[Mapping[str, Any]], factor: str) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """Neighbours that differ in one factor only, the lesser first."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = tuple(row[name] for name in _FACTORS if name != factor)
        groups.setdefault(key, []).append(row)
    for group in groups.values():
        yield from pairwise(sorted(group, key=lambda row: row[factor]))
