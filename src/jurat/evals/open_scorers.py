"""Scorers as evaluations open them: each once, with judges that are closed in the end."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any, get_args
from urllib.parse import urlencode

from inspect_ai.solver import TaskState

from jurat.errors import JuratError
from jurat.evals.measures import NOT_SCORED
from jurat.evals.samples import answered_of
from jurat.evals.waiting import Batches
from jurat.models import Model, open_model
from jurat.scorers import SCORERS, Judgement, Scorer, open_scorer
from jurat.text import reason

Ended = tuple[TaskState, str | None]
"""A sample that ended, and why it has no reply, if it has none."""


@dataclass(frozen=True)
class OpenScorer:
    """A scorer, and the queue of what it judges: it is never called by two threads at once."""

    scorer: Scorer
    identity: str
    """Tells it from another whose judgements may differ: its name, version and options, and what it depends
    on besides, its judge with the revision for example."""
    batches: Batches[Ended, Judgement]


@dataclass
class _Block:
    """What was opened in a block of `closing_scorers`."""

    scorers: dict[str, OpenScorer] = field(default_factory=dict[str, OpenScorer])
    judges: list[Model] = field(default_factory=list[Model])


_block: _Block | None = None


@contextmanager
def closing_scorers() -> Generator[None]:
    """A block in which a scorer is opened once, however often it is asked for with the same options, and
    after which the models of its judges are closed. A block within another is a part of that."""
    global _block
    if _block is not None:
        yield
        return
    _block = block = _Block()
    try:
        yield
    finally:
        _block = None
        for judge in block.judges:
            with suppress(Exception):  # a third party's; the others are closed all the same
                judge.close()


def opened(name: str, options: Mapping[str, Any]) -> OpenScorer:
    """The scorer of that name with these options; in a block of `closing_scorers` the one that is open there.

    Raises:
        JuratError: there is no such scorer; it or its judge cannot be opened; or it has a label that says of
            a score that it has none.
    """
    block = _block or _Block()
    known = f"{name}?{urlencode(sorted(options.items()))}" if options else name
    if known not in block.scorers:
        scorer = open_scorer(name, **_with_open_judge(name, options, block))
        if clash := set(scorer.labels) & set(NOT_SCORED.values()):
            raise JuratError(
                f"The scorer {scorer.name!r} has the label {min(clash)!r}, which marks scores without."
            )
        identity = " ".join((known, scorer.name, *getattr(scorer, "depends_on", ())))
        block.scorers[known] = OpenScorer(scorer, identity, Batches(partial(_judgements, scorer)))
    return block.scorers[known]


def _with_open_judge(name: str, options: Mapping[str, Any], block: _Block) -> dict[str, Any]:
    """The options with the judge's model opened, where the scorer takes one that is: the block closes it."""
    parameters = signature(SCORERS.find(name).load(), eval_str=True).parameters
    model = options.get("model")
    takes_open = "model" in parameters and Model in get_args(parameters["model"].annotation)
    if not takes_open or not isinstance(model, str) or not options.keys() <= parameters.keys():
        return dict(options)
    judge = open_model(model)
    block.judges.append(judge)
    return {**options, "model": judge}


def _judgements(scorer: Scorer, ended: Sequence[Ended]) -> Sequence[Judgement]:
    """The judgements of a batch. A scorer that fails leaves an `error` each: the replies stay, and can be
    scored again."""
    try:
        found = scorer.score([answered_of(state, error=error) for state, error in ended])
    except Exception as error:  # a judge that is unreachable, or a fault of a third party's scorer
        why = error.message if isinstance(error, JuratError) else f"{type(error).__name__}: {reason(error)}"
        failed = Judgement("error", reason=f"The scorer failed: {why}", scorer=scorer.name)
        return [failed] * len(ended)
    if len(found) != len(ended):
        why = f"The scorer gave {len(found)} judgements of {len(ended)} replies."
        return [Judgement("error", reason=why, scorer=scorer.name)] * len(ended)
    return found
