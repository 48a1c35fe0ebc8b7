"""Our scorers as Inspect's: the score of a sample holds the whole judgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from inspect import Parameter, signature
from typing import Any

from inspect_ai.event import ErrorEvent
from inspect_ai.log import transcript
from inspect_ai.scorer import Metric, Score, Target
from inspect_ai.scorer import Scorer as InspectScorer
from inspect_ai.scorer import scorer as inspect_scorer
from inspect_ai.solver import TaskState

from jurat.errors import JuratError
from jurat.evals.measures import NOT_SCORED, counts, measure, metric_names
from jurat.evals.open_scorers import opened
from jurat.evals.samples import written
from jurat.evals.waiting import in_thread
from jurat.registry import name_and_options
from jurat.scorers import SCORERS, Judgement, Scorer

_REASONS = {"refused": "grader_failed", "unparsed": "invalid_response_format", "error": "scoring_failed"}
"""Inspect's own codes for them."""


def scorer_named(name: str, metrics: Sequence[str] = ()) -> Callable[..., InspectScorer]:
    """The factory of a scorer for Inspect, which takes the scorer's options as keyword arguments.

    Args:
        name: as `jurat list scorers` has it, without options.
        metrics: metrics of its judgements (`jurat metrics`), besides the usual ones and the counts of labels
            and states. Those that are not about such judgements give nothing.

    Raises:
        JuratError: there is no such scorer or metric.
    """
    SCORERS.find(name)
    computed: list[Metric] = [counts(), *map(measure, metric_names(metrics))]

    @inspect_scorer(metrics=computed, name=name)
    def judged(**options: Any) -> InspectScorer:
        found = opened(name, options)

        async def score(state: TaskState, target: Target) -> Score:
            judgement = await in_thread(found.batches.submit((state, _last_error())).result)
            one = score_of(judgement, found.scorer, state.output.completion, state.epoch)
            return one.model_copy(update={"metadata": {**(one.metadata or {}), "identity": found.identity}})

        return score

    return judged


def scorers_of(
    names: Sequence[str], metrics: Sequence[str] = (), *, judge: str | None = None
) -> list[InspectScorer]:
    """Scorers by name, with options behind a question mark ("refusal?version=2"), and their metrics.

    Args:
        judge: the model of those that take one (`model`) and are not given another.

    Raises:
        JuratError: there is no such scorer, it cannot be opened, or it needs a judge.
    """
    return [
        scorer_named(plain, metrics)(**options)
        for plain, options in map(partial(with_options, judge=judge), names)
    ]


def with_options(name: str, *, judge: str | None = None) -> tuple[str, dict[str, str]]:
    """A scorer's plain name and its options; see `scorers_of`."""
    plain, options = name_and_options(name)
    model = signature(SCORERS.find(plain).load()).parameters.get("model")
    if model is not None and "model" not in options:
        if judge is not None:
            options["model"] = judge
        elif model.default is Parameter.empty:
            raise JuratError(
                f"The scorer {plain!r} needs a model that judges.",
                hint=f"Name one for all scorers (--judge MODEL, -T judge=MODEL), or {plain}?model=MODEL.",
            )
    return plain, options


def score_of(judgement: Judgement, scorer: Scorer, reply: str = "", epoch: int = 1) -> Score:
    """The judgement of a reply as a score. Its value is the label, or what `NOT_SCORED` says of the state."""
    state = judgement.state
    facts = {
        **asdict(judgement),
        "details": dict(judgement.details),
        "scorer": judgement.scorer or scorer.name,
    }
    return Score(
        value=judgement.label if judgement.label is not None else NOT_SCORED[state],
        answer=reply,
        explanation=written(judgement.reason) or None,
        reason=_REASONS.get(state),
        metadata={
            **written(facts),
            "positive": scorer.positive,
            "labels": list(scorer.labels),
            "epoch": epoch,
        },
    )


def _last_error() -> str | None:
    """Why the sample that is being scored ended with an error, if it did."""
    events = reversed(transcript().events)
    return next((event.error.message for event in events if isinstance(event, ErrorEvent)), None)
