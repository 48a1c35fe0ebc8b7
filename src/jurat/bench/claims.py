"""The claims of `docs/method.md` against a table: which comparisons show a claim, leave it open, speak
against it, or cannot test it. No claim is required to hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from jurat.bench.methods.registry import methods
from jurat.bench.pictogram.definition import CLAIMED_SPLITS
from jurat.metrics.estimates import LESS

State = Literal["shown", "open", "against", "not testable"]
STATES: tuple[State, ...] = get_args(State)
TABLE_2 = ("prior", "prior-cot", "whole", "whole-cot")
"""The paper's baselines."""
LEAST_RECALL = 0.25
"""A baseline with a lower recall tests no claim: beating it says nothing."""
COSTS = ("tokens", "FLOPs")
RISK_SHARE = 0.5
"""The risk of `jurat` is to be at most this share of that of `clue`."""
CLUES = ("clue", "clue-no-relevance", "clue-no-reason")
"""Rows of the paper's procedure that claims 2 and 4 compare with, where they exist: with everything, and
without the stages whose errors are the small model's own (what relevance leaves out, how it reasons)."""
BASELINES = "1. `clue` is ahead of the paper's baselines in F1"
FORCED = "2. `jurat` is ahead of every other row of an MLLM in forced accuracy (values, no intervals)"
COSTLY = "3. `jurat` takes no more than `clue`"
RISK = (
    "4. at 90% coverage its risk is at most half of the least of `clue`'s (whole, no relevance, no reasoning)"
)


@dataclass
class Claim:
    """One claim about one model, with the names of its comparisons by what they say."""

    claim: str
    model: str
    comparisons: dict[State, list[str]] = field(default_factory=lambda: {state: [] for state in STATES})


def check(results: dict[str, Any]) -> list[Claim]:
    """Every claim that the table has comparisons for, model by model."""
    found: dict[tuple[str, str], Claim] = {}
    rows = _by_name(results["rows"])
    comparisons = (
        _differences(results["paired"], rows),
        _values(rows, results["paired"]),
        _left_out(results),
    )
    for claim, model, state, name in itertools.chain(*comparisons):
        entry = found.setdefault((claim, model), Claim(claim, model))
        entry.comparisons[state].append(name)
    return [found[key] for key in sorted(found)]


def forced_accuracy(row: dict[str, Any]) -> float | None:
    """Accuracy if each item is decided by its score; None where it is not known."""
    risk = (row.get("risk_at") or {}).get("1.0")
    return None if risk is None else 1 - risk


Comparison = tuple[str, str, State, str]
"""(claim, model, what the comparison says, its name)."""
Rows = Mapping[tuple[str, str, str], dict[str, Any]]
"""Rows of items on the splits that claims are about, by model, split and method."""


def _by_name(rows: Iterable[dict[str, Any]]) -> Rows:
    return {
        (row["model"], row["split"], "-no-".join((row["preset"], *row["ablate"]))): row
        for row in rows
        if row["level"] == "item" and row["split"] in CLAIMED_SPLITS
    }


def _differences(paired: Iterable[dict[str, Any]], rows: Rows) -> Iterator[Comparison]:
    for each in paired:
        a, b, metric = each["a"], each["b"], each["metric"]
        state = _state(each)
        if each["split"] not in CLAIMED_SPLITS or state is None:
            continue
        name = f"{b} on {each['split']}"
        if a == "clue" and b in TABLE_2 and metric == "f1":
            recall = rows.get((each["model"], each["split"], b), {}).get("recall")
            if recall is None or recall < LEAST_RECALL:
                state = "not testable"
            yield BASELINES, each["model"], state, name
        elif a == "jurat" and (_asks(b) or b in CLUES) and metric in ("f1", "aurc"):
            label = "strict F1" if metric == "f1" else "AURC"
            claim = f"2. `jurat` is ahead of every other row of an MLLM in {label}"
            yield claim, each["model"], state, name
        elif a == "jurat" and b.startswith("jurat-no-") and metric == "f1":
            yield "5. each part of `jurat` gains strict F1", each["model"], state, name


def _state(entry: dict[str, Any]) -> State | None:
    """The state that a difference implies; None without an interval or seeds."""
    if seeds := entry.get("seeds"):
        if seeds["better"] == seeds["of"]:
            return "shown"
        return "against" if seeds["worse"] == seeds["of"] else "open"
    low, high = entry["ci"]
    if low is None:
        return None
    if entry["metric"] in LESS:
        low, high = -high, -low
    return "shown" if low > 0 else "against" if high < 0 else "open"


def _left_out(results: dict[str, Any]) -> Iterator[Comparison]:
    for each in results.get("provenance", {}).get("left_out", ()):
        if each["preset"] in TABLE_2 and each["split"] in CLAIMED_SPLITS and not each["ablate"]:
            yield BASELINES, each["model"], "not testable", f"{each['preset']} on {each['split']}"


def _asks(method: str) -> bool:
    known = methods()
    return method in known and known[method].asks


def _values(rows: Rows, paired: Iterable[dict[str, Any]]) -> Iterator[Comparison]:
    ratios = {
        (each["model"], each["split"], each["b"]): each.get("ratio_ci")
        for each in paired
        if each["a"] == "jurat" and each["metric"] == "risk"
    }
    for (model, split, name), ours in rows.items():
        if name != "jurat":
            continue
        yield from _forced(rows, model, split, ours)
        theirs = rows.get((model, split, "clue"))
        if theirs is None:
            continue
        for cost, one, other in zip(COSTS, _costs(ours), _costs(theirs), strict=True):
            if one is not None and other is not None:
                state: State = "shown" if one <= other else "against"
                yield COSTLY, model, state, f"{cost} on {split}, {one:.3g} to {other:.3g}"
        risk = _risk(ours)
        clues = {b: found for b in CLUES if (found := _risk(rows.get((model, split, b)))) is not None}
        if risk is not None and clues:
            least = min(clues, key=lambda b: clues[b])
            name = f"{split}, {risk:.3f} to {clues[least]:.3f} of {least}"
            yield RISK, model, _halved(ratios.get((model, split, least))), name


def _forced(rows: Rows, model: str, split: str, ours: dict[str, Any]) -> Iterator[Comparison]:
    mine = forced_accuracy(ours)
    for (m, s, b), other in rows.items():
        theirs = forced_accuracy(other)
        if (m, s) != (model, split) or b == "jurat" or mine is None or theirs is None:
            continue
        if _asks(b) or b in CLUES:
            state: State = "shown" if mine > theirs else "against" if mine < theirs else "open"
            yield FORCED, model, state, f"{b} on {split}, {mine:.3f} to {theirs:.3f}"


def _halved(ratio: Sequence[float | None] | None) -> State:
    """State by the interval of the ratio of risks; open without one."""
    low, high = ratio or (None, None)
    if high is not None and high <= RISK_SHARE:
        return "shown"
    return "against" if low is not None and low > RISK_SHARE else "open"


def _risk(row: dict[str, Any] | None) -> float | None:
    """Risk at 90% coverage."""
    return None if row is None else (row.get("risk_at") or {}).get("0.9")


def _costs(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """Costs in the order of `COSTS`."""
    read, written = row["question_tokens"], row["generated_tokens"]
    return None if read is None or written is None else read + written, row["flops"]
