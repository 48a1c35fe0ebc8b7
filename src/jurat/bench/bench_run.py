"""A run of the bench: every method on every split with every model, then the results as one dictionary."""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any

from jurat import __version__
from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.evaluate import Progress, evaluate_model
from jurat.bench.methods.interface import Prediction
from jurat.bench.pictogram.definition import SPLITS
from jurat.bench.pictogram.splits import FORMAT
from jurat.bench.predictions import Origin
from jurat.bench.results import TRIED_ELSEWHERE
from jurat.bench.rulings import read_rulings, write_rulings
from jurat.bench.seeds import pooled, with_ranges
from jurat.bench.table import INTERVALS, LEVELS, EvaluatedMethod, flip_row, paired, row
from jurat.metrics import UNSURE
from jurat.provenance import commit, machine, now, versions

Say = Callable[[str], None]

LEADS = ("jurat", "clue", "quick")
"""Presets that every other row is compared with."""
PAIRED = ("f1", "aurc", "risk", "accuracy", "brier", "forced", "forced_f1")
SLICE_SPLIT, SLICE_SCENES, SLICE_PRESETS = "test", 34, ("jurat", "clue", "direct")
"""What a results file holds scene by scene: the first pair of every rule."""


def run_bench(plan: BenchPlan, say: Say = lambda line: None) -> dict[str, Any]:
    """Runs what is not there yet and gives the whole as `results.json` holds it.

    `say` is given a line for each thing that is done. A method that cannot be run is listed in `left_out`.
    Raises JuratError where a model cannot be opened.
    """
    progress = evaluate_all(plan, say)
    write_rulings(plan.out, progress.evaluated)
    say("working out intervals")
    return results_of(read_rulings(plan.out), _provenance(plan, progress))


def results_of(rulings: Sequence[EvaluatedMethod], provenance: dict[str, Any]) -> dict[str, Any]:
    """The results of what `jurat.bench.rulings` reads: those that are published, and again for anyone."""
    evaluated = [*rulings, *pooled(rulings)]
    return with_ranges(
        {
            "provenance": provenance,
            "rows": _rows(evaluated),
            "paired": _paired(evaluated),
            "slice": _slice(rulings),
        }
    )


def evaluate_all(plan: BenchPlan, say: Say) -> Progress:
    """Every method with every model, on every split. Raises JuratError where a model cannot be opened."""
    if plan.workers > 1 and len(plan.subjects) > 1:
        _evaluate_side_by_side(plan, say)
    progress = Progress()
    for subject in plan.subjects:
        evaluate_model(plan, subject, progress, say)
    return progress


# --- rows ----------------------------------------------------------------------------------------


def _rows(evaluated: Sequence[EvaluatedMethod]) -> list[dict[str, Any]]:
    known = {(each.model, each.key, each.split): each for each in evaluated}
    rows: list[dict[str, Any]] = []
    for each in evaluated:
        test = known.get((each.model, each.key, "test"))
        recall = math.nan if test is None else test.estimates("item").value("recall")
        for level in LEVELS:
            if level == "rule" and not _tells_rules(each):
                continue
            values = row(each, level, recall_on_test=recall)
            if each.split == "flip" and level == "rule" and test is not None:
                values |= flip_row(test, each)
            rows.append(values)
    return rows


def _tells_rules(each: EvaluatedMethod) -> bool:
    told = any(prediction.rules for prediction in each.predictions)
    return told and any(item.rule for item in each.items)


def _paired(evaluated: Sequence[EvaluatedMethod]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    groups: dict[tuple[str, str], dict[str, EvaluatedMethod]] = {}
    for each in evaluated:
        groups.setdefault((each.model, each.split), {})[each.key] = each
    for members in groups.values():
        for number, lead in enumerate(LEADS):
            others = (other for key, other in members.items() if key not in LEADS[: number + 1])
            for other in others if lead in members else ():
                entries = (paired(members[lead], other, metric) for metric in PAIRED)
                found += [entry for entry in entries if entry is not None]
    return found


def _slice(evaluated: Iterable[EvaluatedMethod]) -> list[dict[str, Any]]:
    """One entry a model, preset and scene. They can be drawn again from the seed alone and judged again in
    seconds, so that anyone can see that the tables come from this code and these weights."""
    return [
        {"model": each.model, "preset": each.preset, "scene": item.id} | slice_entry(prediction)
        for each in evaluated
        if each.split == SLICE_SPLIT and each.key in SLICE_PRESETS
        for item, prediction in list(zip(each.items, each.predictions, strict=True))[:SLICE_SCENES]
    ]


def slice_entry(prediction: Prediction) -> dict[str, Any]:
    """What a prediction decided and what it cost, as an entry of the slice holds it."""
    return {
        "outcome": {1: "unsafe", 0: "safe", UNSURE: "unsure"}[prediction.outcome],
        "broken": sorted(name for name, outcome in prediction.rules.items() if outcome == 1),
        "score": None if math.isnan(prediction.score) else prediction.score,
        "images": prediction.spending.images,
        "question_tokens": prediction.spending.question_tokens,
        "generated_tokens": prediction.spending.generated_tokens,
        "detections": prediction.spending.detections,
    }


# --- where they come from ------------------------------------------------------------------------


def _provenance(plan: BenchPlan, progress: Progress) -> dict[str, Any]:
    splits = {
        split: {"constitution": progress.digests.get(split), "summary": SPLITS[split].summary}
        for split in plan.splits
    }
    return {
        **made_by(plan.command),
        "bench": {"format": FORMAT, "seed": plan.seed, "per_rule": plan.per_rule},
        "splits": splits,
        "models": progress.models,
        **progress.vision,
        **_calibration(plan),
        "configurations tried on dev": progress.tried,
        "configurations tried elsewhere": TRIED_ELSEWHERE,
        "intervals": INTERVALS,
        "runs": runs_of(progress.origins),
        "left_out": progress.left_out,
    }


def _calibration(plan: BenchPlan) -> dict[str, Any]:
    """What presets judged with, if a calibration was given."""
    if (given := plan.calibration) is None:
        return {}
    return {"calibration": {"digest": given.digest, "thresholds_from": given.thresholds_from}}


def made_by(command: str) -> dict[str, str | None]:
    """How the results of every bench say what made them: command, commit, version, time and machine."""
    return {
        "command": command,
        "commit": commit(),
        "jurat": __version__,
        "time": now(),
        "machine": _machine(),
    }


def _machine() -> str:
    """The machine, on which rounding and seconds depend."""
    facts = machine()
    libraries = (f"{name} {number}" for name, number in versions("torch", "transformers").items())
    python = f"Python {platform.python_version()}"
    return ", ".join([facts["architecture"], f"{facts['cores']} cores", python, *libraries])


def runs_of(origins: Iterable[Origin]) -> list[dict[str, Any]]:
    """The commands that made the predictions, some perhaps earlier or by other processes."""
    runs: dict[tuple[str, str | None], list[str]] = {}
    for origin in origins:
        runs.setdefault((origin.command, origin.commit), []).append(origin.time)
    return [
        {"command": command, "commit": commit, "from": min(times), "to": max(times), "files": len(times)}
        for (command, commit), times in runs.items()
    ]


# --- several models at once ----------------------------------------------------------------------


def _evaluate_side_by_side(plan: BenchPlan, say: Say) -> None:
    """Evaluates all models, `plan.workers` at a time, each in a process of its own; what they found is then
    on disk. Where one fails, this process evaluates that model again and reports the failure."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(plan.workers, context, _start_worker, (plan.workers,)) as pool:
        wait([pool.submit(_evaluate_in_worker, plan, subject, say) for subject in plan.subjects])


def _start_worker(workers: int) -> None:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent ends, however that happens."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _evaluate_in_worker(plan: BenchPlan, subject: BenchModel, say: Say) -> None:
    evaluate_model(plan, subject, Progress(), say)
