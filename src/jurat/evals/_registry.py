"""What Inspect finds of jurat: its model provider, a task for each set, its scorers and its metrics.

Inspect imports this module by its entry point, when a name begins with "jurat/".
"""

from __future__ import annotations

from inspect_ai.model import ModelAPI, modelapi
from inspect_ai.util import registry_info

from jurat.benchmarks import BENCHMARKS
from jurat.evals.measures import counts, measure
from jurat.evals.scoring import scorer_named
from jurat.evals.task import reply, show, task_of
from jurat.metrics.named import METRICS
from jurat.scorers import SCORERS

__all__ = ["counts", "jurat", "metrics", "reply", "scorers", "show", "task_name", "tasks"]


@modelapi(name="jurat")
def jurat() -> type[ModelAPI]:
    """The provider of `--model jurat/SPEC`."""
    from jurat.evals.provider import JuratModel

    return JuratModel


tasks = {entry.name: task_of(entry.name, entry.summary) for entry in BENCHMARKS}
scorers = {entry.name: scorer_named(entry.name) for entry in SCORERS}
metrics = {name: measure(name) for name in METRICS.names()}


def task_name(set_name: str) -> str:
    """The name by which Inspect finds the task of a set: `jurat/SET`, or `SET` alone where jurat is run from
    its source and is not installed."""
    return registry_info(tasks[set_name]).name
