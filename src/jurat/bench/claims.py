"""The claims of `docs/method.md` as data, and the comparisons in a results file that test them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from jurat.bench.methods.registry import methods
from jurat.bench.pictogram.definition import CLAIMED_SPLITS, CONFIRMING_SPLITS, PAIRED_SPLITS
from jurat.bench.seeds import POOLED
from jurat.metrics.claims import Claim, Comparison, Judged, judge, p_of_interval
from jurat.metrics.estimates import LESS
from jurat.metrics.intervals import Interval

TABLE_2 = ("prior", "prior-cot", "whole", "whole-cot")
"""The paper's baselines."""
LEAST_RECALL = 0.25
"""A baseline with a lower recall tests no claim: beating it says nothing."""
CLUES = ("clue", "clue-no-relevance", "clue-no-reason")
"""Rows of the paper's procedure that claims 2 and 4 compare with, where they exist: with everything, and
without the stages whose errors are the small model's own (what relevance leaves out, how it reasons)."""
AHEAD = "2. `jurat` is ahead of every other row of an MLLM in"
COSTLY = "3. `jurat` takes no more than `clue`"
ACROSS = "all models"
"""The model that is printed for claims about all of them together; further seeds count as models."""
COSTS = ("tokens", "FLOPs")
VALUES = ("forced", *COSTS, "risk")
"""Metrics whose comparisons come from the rows."""


@cache
def claims() -> tuple[Claim, ...]:
    """In the order of `docs/method.md`."""
    asked = (*(name for name, method in methods().items() if method.asks), *CLUES)
    return (
        _claim("1. `clue` is ahead of the paper's baselines in F1", "clue", TABLE_2, "f1",
               testable={"recall": LEAST_RECALL}),
        _claim(f"{AHEAD} AURC", "jurat", asked, "aurc"),
        _claim(f"{AHEAD} forced accuracy (values, no intervals)", "jurat", asked, "forced", test="values"),
        _claim(f"{AHEAD} strict F1", "jurat", asked, "f1"),
        *(_claim(COSTLY, "jurat", ["clue"], cost, test="values", ties="shown") for cost in COSTS),
        _claim("4. at 90% coverage its risk is at most half of the least of `clue`'s (whole, no relevance, "
               "no reasoning)", "jurat", CLUES, "risk", test="ratio", bound=0.5, least=True),
        _claim("5. each part of `jurat` gains strict F1", "jurat", ["jurat-no-*"], "f1"),
    )  # fmt: skip


@cache
def claims_across() -> tuple[Claim, ...]:
    """Claims about all models together: each pair of a model and a split is a comparison of one family.

    Claim 8 is confirmatory. It has families of its own, so that the splits seen before do not weigh on it.
    """
    product, both = ["clause-product"], ["clause-product", "clue"]
    return (
        _claim("6. decided by its score, `jurat` errs less often than `clause-product`", "jurat", product,
               "forced", splits=PAIRED_SPLITS),
        _claim("7. `jurat` is ahead of `clause-product` and `clue` in forced F1", "jurat", both, "forced_f1",
               splits=PAIRED_SPLITS),
        _claim("7. `jurat` is ahead of `clause-product` and `clue` in AURC", "jurat", both, "aurc",
               splits=PAIRED_SPLITS),
        _claim("8. on `vault-2`, `jurat` is ahead of `clause-product` and `clue` in forced F1", "jurat", both,
               "forced_f1", splits=CONFIRMING_SPLITS),
        _claim("8. on `vault-2`, `jurat` is ahead of `clause-product` and `clue` in AURC", "jurat", both,
               "aurc", splits=CONFIRMING_SPLITS),
    )  # fmt: skip


def _claim(text: str, a: str, others: Any, metric: str, splits: Any = CLAIMED_SPLITS, **more: Any) -> Claim:
    return Claim(id=text, a=a, others=others, metric=metric, where={"split": splits}, **more)


def check(results: dict[str, Any]) -> list[tuple[str, str, list[Judged]]]:
    """(claim, model, what its comparisons say) for every claim that the table has comparisons for."""
    comparisons = list(itertools.chain(_differences(results), _values(results), _left_out(results)))
    found: dict[tuple[str, str], list[Judged]] = {}
    for model in dict.fromkeys(each.where["model"] for each in comparisons):
        own = [each for each in comparisons if each.where["model"] == model]
        for claim, judged in judge(claims(), own):
            if judged:
                found.setdefault((claim.id, model), []).extend(judged)
    singles = [each for each in comparisons if not each.where["model"].endswith(POOLED)]
    tested = [each for each in singles if not math.isnan(each.difference.low)]
    found |= {(claim.id, ACROSS): judged for claim, judged in judge(claims_across(), tested) if judged}
    return [(text, model, found[text, model]) for text, model in sorted(found)]


def named(comparison: Comparison, model: str = "") -> str:
    """How a comparison is printed: "whole on test", or with its values where these are compared. Those of
    `ACROSS` have their model too."""
    one, other = comparison.values
    split = comparison.where["split"]
    if model == ACROSS:
        return f"{comparison.b} on {comparison.where['model']} {split}"
    if comparison.metric in COSTS:
        return f"{comparison.metric} on {split}, {one:.3g} to {other:.3g}"
    if comparison.metric == "risk":
        return f"{split}, {one:.3f} to {other:.3f} of {comparison.b}"
    what = f"{comparison.b} on {split}"
    return f"{what}, {one:.3f} to {other:.3f}" if comparison.metric == "forced" else what


def forced_accuracy(row: Mapping[str, Any]) -> float | None:
    """Accuracy if each item is decided by its score; None where it is not known."""
    risk = (row.get("risk_at") or {}).get("1.0")
    return None if risk is None else 1 - risk


def method_of(row: Mapping[str, Any]) -> str:
    """The name of a row's method, without its parts: "jurat-no-views"."""
    return "-no-".join((row["preset"], *row["ablate"]))


def _values(results: dict[str, Any]) -> Iterator[Comparison]:
    """Forced accuracy, costs and risks of `jurat` and every other row of the same model and split."""
    cells: dict[tuple[str, str], dict[str, dict[str, float | None]]] = {}
    for row in results["rows"]:
        if row["level"] == "item":
            cells.setdefault((row["model"], row["split"]), {})[method_of(row)] = _metrics(row)
    paired = {
        (each["model"], each["split"], each["b"], each["metric"]): each
        for each in results["paired"]
        if each["a"] == "jurat" and each["metric"] in VALUES
    }
    for (model, split), rows in cells.items():
        where = {"model": model, "split": split}
        for b, theirs in rows.items() if "jurat" in rows else ():
            for metric in VALUES if b != "jurat" else ():
                one, other = rows["jurat"][metric], theirs[metric]
                if one is not None and other is not None:
                    entry, forced = paired.get((model, split, b, metric), {}), metric == "forced"
                    yield Comparison(
                        "jurat", b, metric, where, (one, other), difference=_interval(entry.get("ci")),
                        ratio=_interval(entry.get("ratio_ci")), p=_p(entry) if forced else math.nan,
                        less=not forced,
                    )  # fmt: skip


def _metrics(row: Mapping[str, Any]) -> dict[str, float | None]:
    read, written = row["question_tokens"], row["generated_tokens"]
    return {
        "forced": forced_accuracy(row),
        "tokens": None if read is None or written is None else read + written,
        "FLOPs": row["flops"],
        "risk": (row.get("risk_at") or {}).get("0.9"),
    }


def _differences(results: dict[str, Any]) -> Iterator[Comparison]:
    """Paired differences; of several training seeds the side that all of them are on, and their largest p."""
    recalls = {(row["model"], row["split"], method_of(row)): row.get("recall")
               for row in results["rows"] if row["level"] == "item"}  # fmt: skip
    single: dict[tuple[str, ...], list[float]] = {}
    pooled: list[tuple[tuple[str, ...], Comparison]] = []
    for each in results["paired"]:
        where = {"model": each["model"], "split": each["split"]}
        interval = _interval(each["ci"])
        p = _p(each)
        recall = {"recall": recalls.get((each["model"], each["split"], each["b"]))}
        less = each["metric"] in LESS
        found = Comparison(
            each["a"], each["b"], each["metric"], where, difference=interval, p=p, less=less, other=recall
        )
        group = (each["a"], each["b"], each["metric"], each["split"], each["model"].partition("#")[0])
        if seeds := each.get("seeds"):
            sign = (seeds["better"] == seeds["of"]) - (seeds["worse"] == seeds["of"])
            side = Interval(sign, sign) if not less else Interval(-sign, -sign)
            pooled.append((group, replace(found, difference=side)))
        elif each["metric"] not in VALUES and not math.isnan(interval.low):
            single.setdefault(group, []).append(p)
            yield found
    for group, found in pooled:
        if found.metric not in VALUES:
            yield replace(found, p=max(single.get(group, [math.nan])))


def _left_out(results: dict[str, Any]) -> Iterator[Comparison]:
    """Baselines that could not be run: nothing is known of them."""
    for each in results.get("provenance", {}).get("left_out", ()):
        if each["preset"] in TABLE_2 and not each["ablate"]:
            yield Comparison("clue", each["preset"], "f1", {"model": each["model"], "split": each["split"]})


def _p(entry: Mapping[str, Any]) -> float:
    """The p of a paired difference; of an earlier version's, which has none, by the width of its interval."""
    if "p" in entry:
        return math.nan if entry["p"] is None else entry["p"]
    return p_of_interval(entry.get("difference", math.nan), _interval(entry.get("ci")))


def _interval(ends: Any) -> Interval:
    low, high = (math.nan if end is None else end for end in ends or (None, None))
    return Interval(low, high)
