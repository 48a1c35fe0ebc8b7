"""What a table says of the claims in `docs/method.md`: which comparisons show them, which leave them open and
which speak against them. They are aimed for, not required; this is where it stands if they fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from jurat.bench.methods.registry import methods
from jurat.bench.pictogram.protocol import CLAIMED_SPLITS
from jurat.bench.table import LESS

State = Literal["shown", "open", "against"]
STATES: tuple[State, ...] = get_args(State)
TABLE_2 = ("prior", "prior-cot", "whole", "whole-cot")
"""The paper's baselines."""
COSTS = ("tokens", "FLOPs")
SHARE = 0.5
"""Of the risk of `clue`, what that of `jurat` is to be at most."""


@dataclass
class Found:
    """One claim about one model: each comparison's name, by what it says."""

    claim: str
    model: str
    comparisons: dict[State, list[str]] = field(default_factory=lambda: {state: [] for state in STATES})


def check(results: dict[str, Any]) -> list[Found]:
    """Every claim that the table has comparisons for, model by model."""
    found: dict[tuple[str, str], Found] = {}
    for claim, model, state, name in (*_differences(results["paired"]), *_ratios(results["rows"])):
        entry = found.setdefault((claim, model), Found(claim, model))
        entry.comparisons[state].append(name)
    return [found[key] for key in sorted(found)]


def as_table(results: dict[str, Any]) -> Iterator[str]:
    """For the page of results; nothing where no claim is touched."""
    found = check(results)
    if not found:
        return
    yield ""
    yield "## What became of the claims"
    yield ""
    yield (
        "Those of `docs/method.md`, by the rows of test, habits, flip and vault. A difference is shown, or "
        "speaks against, where its interval leaves out zero; costs and risks are compared as they are."
    )
    yield ""
    yield "| claim | model | shown | open | against |"
    yield "|---|---|---|---|---|"
    for each in found:
        shown, *others = (each.comparisons[state] for state in STATES)
        named = (f"{len(names)}: {'; '.join(names)}" if names else "0" for names in others)
        yield f"| {each.claim} | {each.model} | {len(shown)} | {' | '.join(named)} |"


Comparison = tuple[str, str, State, str]
"""Claim, model, what the comparison says, and its name."""


def _differences(paired: list[dict[str, Any]]) -> Iterator[Comparison]:
    known = methods()
    for each in paired:
        a, b, metric = each["a"], each["b"], each["metric"]
        if each["split"] not in CLAIMED_SPLITS or each["ci"][0] is None:
            continue
        low, high = (-each["ci"][1], -each["ci"][0]) if metric in LESS else each["ci"]
        state: State = "shown" if low > 0 else "against" if high < 0 else "open"
        name = f"{b} on {each['split']}"
        if a == "clue" and b in TABLE_2 and metric == "f1":
            yield "1. `clue` is ahead of the paper's baselines in F1", each["model"], state, name
        elif a == "jurat" and b in known and known[b].asks and metric in ("f1", "aurc"):
            claim = f"2. `jurat` is ahead of every other row of an MLLM in {metric.upper()}"
            yield claim, each["model"], state, name
        elif a == "jurat" and b.startswith("jurat-no-") and metric == "f1":
            yield "5. each part of `jurat` gains F1", each["model"], state, name


def _ratios(rows: list[dict[str, Any]]) -> Iterator[Comparison]:
    known = {
        (row["model"], row["split"], row["preset"], *row["ablate"]): row
        for row in rows
        if row["level"] == "item" and row["split"] in CLAIMED_SPLITS
    }
    for (model, split, *name), ours in known.items():
        theirs = known.get((model, split, "clue"))
        if name != ["jurat"] or theirs is None:
            continue
        for cost, (one, other) in zip(COSTS, zip(_costs(ours), _costs(theirs), strict=True), strict=True):
            if one is not None and other is not None:
                state: State = "shown" if one <= other else "against"
                told = f"{cost} on {split}, {one:.3g} to {other:.3g}"
                yield "3. `jurat` takes no more than `clue`", model, state, told
        # What relevance wrongly leaves out is an error that `clue` is certain of, so that without it
        # abstaining may help more: the lesser risk is taken.
        risk, *risks = map(_risk, (ours, theirs, known.get((model, split, "clue", "relevance"))))
        others = [each for each in risks if each is not None]
        if risk is not None and others:
            state = "shown" if risk <= SHARE * min(others) else "against"
            told = f"{split}, {risk:.3f} to {min(others):.3f}"
            yield "4. at 90% coverage its risk is half of `clue`'s at most", model, state, told


def _risk(row: dict[str, Any] | None) -> float | None:
    """At 90% coverage."""
    return None if row is None else (row.get("risk_at") or {}).get("0.9")


def _costs(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """In the order of `COSTS`."""
    read, written = row["question_tokens"], row["generated_tokens"]
    return None if read is None or written is None else read + written, row["flops"]
