"""`jurat bench injection` as a function: judges what was not judged yet, and measures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jurat.bench.bench_run import evaluate_all, made_by, runs_of
from jurat.bench.evaluate import Progress
from jurat.bench.injection.measures import READ, UNREAD, measured
from jurat.bench.injection.plan import UNSHOWN, InjectionPlan, shows
from jurat.bench.injection.suite import Suite
from jurat.bench.injection.summary import as_markdown
from jurat.bench.results import rounded
from jurat.bench.rulings import read_rulings, write_rulings
from jurat.bench.table import EvaluatedMethod, plain
from jurat.errors import JuratError, require
from jurat.files import write_whole
from jurat.metrics import Comparison, Interval, judge
from jurat.metrics.claims import STATES


def run_injection(plan: InjectionPlan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Judges what is missing, writes the rulings into `plan.out`, and gives what `injection.json` holds.

    `say` receives lines of progress. Methods that cannot be run are listed in `left_out`.

    Raises:
        JuratError: a model cannot be opened, or nothing could be judged.
        MissingExtra: scipy is not installed.
    """
    require("jurat bench injection", "local", "scipy")
    progress = evaluate_all(plan, say)
    if not progress.evaluated:
        why = progress.left_out[0]["reason"] if progress.left_out else "no method was named"
        raise JuratError(f"Nothing could be judged: {why}.")
    write_rulings(plan.out, progress.evaluated)
    say("working out intervals")
    return results_of(read_rulings(plan.out), plan.suite, _provenance(plan, progress))


def results_of(
    rulings: Sequence[EvaluatedMethod], suite: Suite, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """The results of what `jurat.bench.rulings` reads: those of a run, and again for anyone."""
    groups: dict[tuple[str, str], dict[str, EvaluatedMethod]] = {}
    for each in rulings:
        groups.setdefault((each.model, each.key), {})[each.split] = each
    rows = [
        {"model": model, "method": method, **measured(said, suite)}
        for (model, method), said in groups.items()
    ]
    channels = {name: channel.summary for name, channel in suite.channels.items()}
    found = {
        "suite": {"title": suite.title, "digest": suite.digest, "channels": channels},
        "provenance": provenance,
        "rows": rows,
    }
    found = rounded(plain(found))
    return found | {"claims": list(claims_of(found["rows"], suite))}


def claims_of(rows: Sequence[Mapping[str, Any]], suite: Suite) -> Iterator[dict[str, Any]]:
    """What becomes of the suite's claims, for each model and method: the channels that say what."""
    for row in rows:
        for claim, judged in judge(suite.claims, list(_comparisons(row))):
            if judged:
                states = {
                    state: [f"{one.comparison.where['channel']} ({one.comparison.where['wants']})"
                            for one in judged if one.state == state]
                    for state in STATES
                }  # fmt: skip
                yield {"claim": claim.id, "model": row["model"], "method": row["method"], **states}


def _comparisons(row: Mapping[str, Any]) -> Iterator[Comparison]:
    for each in row["channels"]:
        if each["channel"] in (READ, UNREAD):
            continue
        where = {"channel": each["channel"], "wants": each["wants"]}
        low, high = (math.nan if end is None else end for end in each["over_neutral"]["ci"])
        p = each["over_neutral"]["p"]
        yield Comparison(
            "neutral", "order", "turned", where, (each["average_of_neutral"], each["average"]),
            Interval(-high, -low), p=math.nan if p is None else p, less=True,
        )  # fmt: skip
        yield Comparison("order", "none", "changed", where, (each["changed"], 0.0), less=True)


def write_injection(out: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes `injection.json` and `injection.md`; returns their paths."""
    written = [out / "injection.json", out / "injection.md"]
    write_whole(written[0], json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_whole(written[1], as_markdown(results))
    return written


def _provenance(plan: InjectionPlan, progress: Progress) -> dict[str, Any]:
    suite = plan.suite
    return {
        **made_by(plan.command),
        "seed": plan.seed,
        "scenes": plan.scenes,
        "constitution": suite.constitution.digest,
        "models": progress.models,
        **progress.vision,
        "runs": runs_of(progress.origins),
        "left_out": list(_left_out(plan, progress)),
    }


def _left_out(plan: InjectionPlan, progress: Progress) -> Iterator[dict[str, Any]]:
    """Channels that were not run, and what methods could not be asked; one entry a reason."""
    suite = plan.suite
    unchosen = [name for name in suite.channels if suite.chosen and name not in suite.chosen]
    if unchosen:
        yield {"what": "channels", "splits": unchosen, "reason": "they were not named with --channel"}
    for method in plan.methods:
        unshown = [split for split in suite.splits if not shows(method, suite, split)]
        if channels := list(dict.fromkeys(suite.splits[split].channel.name for split in unshown)):
            yield {"what": method.key, "splits": channels, "reason": UNSHOWN}
    failed: dict[tuple[str, str, str], list[str]] = {}
    for each in progress.left_out:
        key = each["model"], "-no-".join((each["preset"], *each["ablate"])), each["reason"]
        failed.setdefault(key, []).append(each["split"])
    for (model, method, reason), splits in failed.items():
        yield {"what": f"{method} with {model}", "splits": _shortened(suite, splits), "reason": reason}


def _shortened(suite: Suite, splits: Sequence[str]) -> list[str]:
    """Names of splits, with a channel's name in the place of all of its splits."""
    of_channel: dict[str, list[str]] = {}
    for split, shown in suite.splits.items():
        of_channel.setdefault(shown.channel.name, []).append(split)
    whole = {name for name, its in of_channel.items() if set(its) <= set(splits)}
    names = [suite.splits[split].channel.name for split in splits]
    return list(dict.fromkeys(n if n in whole else split for n, split in zip(names, splits, strict=True)))
