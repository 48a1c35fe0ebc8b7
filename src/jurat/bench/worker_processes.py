"""Several models judged side by side, each by a process of its own, so that a small machine is busy.

What they judged is on disk then, where the process that makes the table finds it. Whatever becomes of one of
them, that process judges what is missing itself, and meets the same trouble where it can be told.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from jurat.bench.plan import Outcome, Plan, Subject

    Say: TypeAlias = Callable[[str], None]
    JudgeModel: TypeAlias = Callable[[Plan, Subject, Outcome, Say], None]


def side_by_side(judge_model: JudgeModel, plan: Plan, say: Say) -> None:
    """Judges all models of a plan, `plan.workers` at a time, in their order. Both functions must be known by
    name, since the processes are new ones."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(plan.workers, context, _start, (plan.workers,)) as pool:
        wait([pool.submit(_judge, judge_model, plan, subject, say) for subject in plan.subjects])


def _start(workers: int) -> None:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """However that ends: nobody would know of a process that judges on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _judge(judge_model: JudgeModel, plan: Plan, subject: Subject, say: Say) -> None:
    from jurat.bench.plan import Outcome

    judge_model(plan, subject, Outcome(), say)
