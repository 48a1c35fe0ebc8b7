"""Our scorers as Inspect's: the score of a sample holds the whole judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from inspect import Parameter, signature
from typing import Any
from urllib.parse import parse_qsl, urlencode

from inspect_ai.event import ErrorEvent
from inspect_ai.log import transcript
from inspect_ai.scorer import Metric, Score, Target
from inspect_ai.scorer import Scorer as InspectScorer
from inspect_ai.scorer import scorer as inspect_scorer
from inspect_ai.solver import TaskState

from jurat.errors import JuratError
from jurat.evals.measures import NOT_SCORED, counts, measure, metric_names
from jurat.evals.samples import answered_of
from jurat.evals.waiting import Batches, in_thread
from jurat.scorers import SCORERS, Judgement, Scorer, open_scorer
from jurat.text import reason

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
        opened = open_scorer(name, **options)
        check_labels(opened)
        identity = identity_of(name, options, opened)
        batches: Batches[tuple[TaskState, str | None], Judgement] = Batches(partial(_judge, opened))

        async def score(state: TaskState, target: Target) -> Score:
            judgement = await in_thread(batches.submit((state, _last_error())).result)
            found = score_of(judgement, opened, state.output.completion, state.epoch)
            return found.model_copy(update={"metadata": {**(found.metadata or {}), "identity": identity}})

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
    plain, _, query = name.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
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


def identity_of(name: str, options: Mapping[str, Any], opened: Scorer) -> str:
    """What tells a scorer from another whose judgements may differ: its name, version and options, and what
    it depends on besides, its judge with the revision for example."""
    query = urlencode(sorted(options.items()))
    depends_on: tuple[str, ...] = getattr(opened, "depends_on", ())
    return " ".join((f"{name}?{query}" if query else name, opened.name, *depends_on))


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
        explanation=judgement.reason or None,
        reason=_REASONS.get(state),
        metadata={**facts, "positive": scorer.positive, "labels": list(scorer.labels), "epoch": epoch},
    )


def check_labels(scorer: Scorer) -> None:
    """Refuses a scorer with a label that says of a score that it has none. Raises JuratError."""
    if clash := set(scorer.labels) & set(NOT_SCORED.values()):
        raise JuratError(
            f"The scorer {scorer.name!r} has the label {min(clash)!r}, which marks scores without."
        )


def _judge(scorer: Scorer, states: Sequence[tuple[TaskState, str | None]]) -> Sequence[Judgement]:
    """The judgements of a batch. A scorer that fails leaves an `error` each: the replies stay, and can be
    scored again."""
    try:
        found = scorer.score([answered_of(state, error=error) for state, error in states])
    except Exception as error:  # a judge that is unreachable, or a fault of a third party's scorer
        why = error.message if isinstance(error, JuratError) else f"{type(error).__name__}: {reason(error)}"
        failed = Judgement("error", reason=f"The scorer failed: {why}", scorer=scorer.name)
        return [failed] * len(states)
    if len(found) != len(states):
        why = f"The scorer gave {len(found)} judgements of {len(states)} replies."
        return [Judgement("error", reason=why, scorer=scorer.name)] * len(states)
    return found


def _last_error() -> str | None:
    """Why the sample that is being scored ended with an error, if it did."""
    events = reversed(transcript().events)
    return next((event.error.message for event in events if isinstance(event, ErrorEvent)), None)
