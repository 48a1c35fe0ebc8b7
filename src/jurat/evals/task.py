"""Evaluation sets as tasks of Inspect's: `jurat/SET`."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai import task as inspect_task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.model import Model as InspectModel
from inspect_ai.solver import Generate, Solver, TaskState, solver

from jurat import provenance
from jurat.benchmarks import Card, Sample, SetCopy, Skipped, open_set
from jurat.benchmarks.protocol import PAPER, LazyTurn, Protocol, choose_protocol
from jurat.errors import JuratError
from jurat.evals.attacking import AttackChoice, Attacked, attack_samples
from jurat.evals.provider import JuratModel
from jurat.evals.samples import digests_of, inspect_sample, messages
from jurat.evals.scoring import scorers_of
from jurat.evals.waiting import in_thread
from jurat.text import counted

log = logging.getLogger(__name__)

MOST_LISTED = 1000
"""Rows that were left out whose places and reasons a log lists; all are counted."""


@dataclass(frozen=True)
class Selection:
    """Which samples of a copy a run takes."""

    groups: tuple[str, ...] | None = None
    """Default: the card's."""
    limit: int | None = None
    seed: int | None = None
    """Seed by which `limit` samples are drawn; None takes the first."""


@dataclass(frozen=True)
class Taken:
    """The samples of a run, and what of the copy is not among them."""

    samples: list[Sample]
    skipped: list[Skipped]
    other_groups: Counter[str]
    """Samples of groups that were not asked for."""
    beyond_limit: int

    def facts(self) -> dict[str, Any]:
        """For a log."""
        return {
            "samples": len(self.samples),
            "skipped": len(self.skipped),
            "skipped_reasons": dict(Counter(each.reason for each in self.skipped).most_common(MOST_LISTED)),
            "skipped_rows": [{"row": s.source_row, "reason": s.reason} for s in self.skipped[:MOST_LISTED]],
            "other_groups": dict(self.other_groups),
            "beyond_limit": self.beyond_limit,
        }


def evaluation(
    set_name: str,
    data: str | None = None,
    *,
    protocol: str | None = None,
    scorer: str | Sequence[str] | None = None,
    judge: str | None = None,
    groups: str | Sequence[str] | None = None,
    limit: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    attack: str | None = None,
    attack_target: str | None = None,
    attacker: str | None = None,
    model: InspectModel | None = None,
) -> Task:
    """The task of a set.

    Args:
        set_name: a set of `jurat data`, of one that is drawn with options ("pictogram-memes?n=200&seed=3"; as
            an argument of a task: `drawing`).
        data: your copy of it; None for a set that is drawn.
        protocol: a protocol of its card. Default: the first.
        scorer: one or more scorers, with options behind a question mark ("answer-safety?model=openai/NAME").
            Default: those of the card, or `text` where it has none.
        judge: the model of scorers that take one and are not given another.
        groups: the parts of the set to take. Default: those of the card.
        limit: takes so many samples: the first, or with `seed` a random draw.
        epochs: replies a sample. Default: the protocol's.
        seed: of the draw, and of replies that are drawn; the k-th reply to a sample has `seed + k - 1`. Of
            all that is random in an attack, too.
        attack: an attack of `jurat list attacks`, with settings ("gong?pieces=3"). It changes the samples
            before anything is asked; those that it cannot be used on are left out and counted.
        attack_target: the reply that is wanted, or its beginning, for attacks on pictures that want one.
        attacker: the model that writes texts for attacks that ask one.
        model: the model that is attacked, where the task is made outside `inspect_ai.eval`. Default: the one
            that Inspect evaluates.

    Raises:
        JuratError: there is no such set, copy, protocol, scorer, group or attack; a number is none; nothing
            is left to evaluate; the model cannot honour the protocol's settings; or the attack lacks what it
            needs.
    """
    for name, value, least in (("limit", limit, 1), ("epochs", epochs, 1), ("seed", seed, 0)):
        if value is not None and (type(value) is not int or value < least):
            raise JuratError(f"{name} is {value!r}; it is a whole number from {least}.")
    if attack is None and (attack_target is not None or attacker is not None):
        raise JuratError("A target and an attacker are for attacks.", hint="Name one: --attack NAME.")
    choice = None if attack is None else AttackChoice(attack, attack_target, attacker, seed or 0)
    opened = None if choice is None else choice.opened()
    copy = open_set(set_name, data)
    chosen = choose_protocol(copy.card, protocol)
    taken = take(copy, chosen, Selection(_listed(groups), limit, seed))
    if not taken.samples:
        raise JuratError(f"There is nothing to evaluate: {_left_out(taken) or 'the copy holds no samples'}.")
    model = model or _evaluated()
    config = generate_config(chosen, seed)
    if model is not None and isinstance(model.api, JuratModel):
        config.max_connections = model.api.max_connections()  # else batches would be small at first
    prepared = _prepared(model, config)
    attacked = None
    if choice is not None and opened is not None:
        attacked = attack_samples(choice, opened, taken.samples, chosen, model)
        taken = replace(taken, samples=attacked.samples)
    shown = chosen if attacked is None else chosen.as_written
    facts = {
        "jurat": provenance.versions("jurat").get("jurat"),
        "commit": provenance.commit(),
        "set": copy.card.name,
        "title": copy.card.title,
        "layout": copy.layout,
        "protocol": chosen.name,
        "protocol_label": chosen.label,
        "protocol_card": chosen.card.model_dump(mode="json"),
        "differs_from_paper": differs_from_paper(copy.card, chosen),
        "metrics": copy.card.metrics,
        "data": taken.facts(),
        "attack": None if attacked is None else attacked.facts(),
        "notes": copy.notes,
        "model": prepared,
    }
    if left_out := _left_out(taken, attacked):
        log.warning("%s: %s.", copy.card.title, left_out)
    times = epochs or chosen.card.samples
    return Task(
        dataset=MemoryDataset(
            [inspect_sample(sample, shown, copy.card.name) for sample in taken.samples],
            name=copy.card.name,
            location=set_name if data is None else str(Path(data).absolute()),
        ),
        setup=show(Conversations(copy.card.name, {s.id: shown.turns(s) for s in taken.samples})),
        solver=reply(seed or 0),
        scorer=scorers_of(_listed(scorer) or copy.card.scorers or ["text"], copy.card.metrics, judge=judge),
        config=config,
        epochs=times if times > 1 else None,
        fail_on_error=False,
        score_on_error=True,
        name=copy.card.name,
        metadata=facts,
        description=copy.card.summary,
    )


def task_of(set_name: str, summary: str = "") -> Callable[..., Task]:
    """Registers the task `jurat/SET`."""

    def made(
        data: str | None = None,
        protocol: str | None = None,
        scorer: str | list[str] | None = None,
        judge: str | None = None,
        groups: str | list[str] | None = None,
        limit: int | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        drawing: str | None = None,
        attack: str | None = None,
        attack_target: str | None = None,
        attacker: str | None = None,
        **unknown: Any,
    ) -> Task:
        if unknown:
            # Inspect itself would only warn, and run something else than what was asked for.
            raise JuratError(
                f"The task has no argument {min(unknown)!r}.",
                hint="It has data, protocol, scorer, judge, groups, limit, epochs, seed, drawing, attack, "
                "attack_target and attacker.",
            )
        return evaluation(
            f"{set_name}?{drawing}" if drawing else set_name,
            data,
            protocol=protocol,
            scorer=scorer,
            judge=judge,
            groups=groups,
            limit=limit,
            epochs=epochs,
            seed=seed,
            attack=attack,
            attack_target=attack_target,
            attacker=attacker,
        )

    made.__doc__ = summary
    return inspect_task(name=set_name)(made)


def take(copy: SetCopy, protocol: Protocol, selection: Selection) -> Taken:
    """Reads a copy once, and keeps the samples of a run that the protocol can be used on.

    Raises:
        JuratError: a group that was asked for is not in the copy.
    """
    kept: list[Sample] = []
    skipped: list[Skipped] = []
    others: Counter[str] = Counter()
    for each in copy.read():
        if isinstance(each, Skipped):
            skipped.append(each)
        elif not _wanted(copy.card, each, selection.groups):
            others[each.group or ""] += 1
        elif (why := _unfit(each, protocol)) is not None:
            skipped.append(Skipped(each.source_row, why))
        else:
            kept.append(each)
    found = {sample.group for sample in kept}
    if missing := [group for group in selection.groups or () if group not in found]:
        known = ", ".join(sorted({*(g or "" for g in found), *others} - {""})) or "none"
        raise JuratError(f"The copy has no group {missing[0]!r}.", hint=f"It has {known}.")
    samples, beyond = _limited(kept, selection)
    return Taken(samples, skipped, others, beyond)


def generate_config(protocol: Protocol, seed: int | None) -> GenerateConfig:
    """The decoding settings of a protocol; a seed is passed on only where replies are drawn."""
    card = protocol.card
    drawn = seed if card.temperature > 0 else None
    return GenerateConfig(max_tokens=card.max_tokens, temperature=card.temperature, seed=drawn)


def differs_from_paper(card: Card, protocol: Protocol) -> list[str]:
    """How the protocol of a run differs from the paper's, a phrase each; where the card has none of the
    paper, how it differs from the card's first."""
    if PAPER in card.protocols:
        return choose_protocol(card, PAPER).differences(protocol)
    first = choose_protocol(card)
    others = [f"{what} (compared with {first.name})" for what in first.differences(protocol)]
    note = [protocol.card.note.rstrip(".")] if protocol.card.note else []
    return ["the card has no protocol of the paper", *note, *others]


@dataclass(frozen=True)
class Conversations:
    """The conversations of a run by the id of their sample; their images are read when they are shown."""

    name: str
    """Stands for them in a log."""
    turns: Mapping[str, Sequence[LazyTurn]]


@solver(name="show")
def show(conversations: Conversations) -> Solver:
    """Puts the images of a sample into its conversation, when the sample begins."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        shown = await in_thread(partial(messages, conversations.turns[str(state.sample_id)]))
        state.messages, state.metadata["shown"] = shown, digests_of(shown)
        return state

    return solve


@solver(name="reply")
def reply(seed: int = 0) -> Solver:
    """The model's reply. Where replies are drawn, each epoch has a seed of its own."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        api = get_model().api
        if state.epoch > 1 and isinstance(api, JuratModel) and api.takes_seeds:
            return await generate(state, seed=seed + state.epoch - 1)
        return await generate(state)

    return solve


def _evaluated() -> InspectModel | None:
    """The model that the task is for; None where tasks are only listed."""
    try:
        return get_model()
    except ValueError:
        return None


def _prepared(model: InspectModel | None, config: GenerateConfig) -> dict[str, Any] | None:
    """Opens a model of ours and checks that it honours the settings; what a log should know of it."""
    if model is None or not isinstance(model.api, JuratModel):
        return None
    model.api.check(config.merge(model.config))
    opened = model.api.open()
    return {"name": opened.name, "revision": opened.revision, "dtype": opened.dtype}


def _limited(samples: list[Sample], selection: Selection) -> tuple[list[Sample], int]:
    limit = selection.limit
    if limit is None or limit >= len(samples):
        return samples, 0
    places = range(len(samples))
    if selection.seed is not None:
        places = sorted(random.Random(selection.seed).sample(places, limit))
    return [samples[place] for place in places[:limit]], len(samples) - limit


def _unfit(sample: Sample, protocol: Protocol) -> str | None:
    """Why the protocol cannot be used on a sample; None where it can."""
    try:
        protocol.turns(sample)
    except JuratError as error:
        return error.message
    return None


def _wanted(card: Card, sample: Sample, groups: Sequence[str] | None) -> bool:
    return card.is_default(sample.group) if groups is None else sample.group in groups


def _left_out(taken: Taken, attacked: Attacked | None = None) -> str:
    """What of the copy is not evaluated, in a sentence; empty where all is."""
    return "; ".join(_parts(taken, attacked))


def _parts(taken: Taken, attacked: Attacked | None) -> Iterator[str]:
    if taken.skipped:
        reasons = Counter(each.reason for each in taken.skipped).most_common(3)
        listed = ", ".join(f"{count:,} because {why}" for why, count in reasons)
        yield f"{counted(len(taken.skipped), 'row')} left out ({listed})"
    if taken.other_groups:
        names = ", ".join(f"{name or 'none'} ({count:,})" for name, count in taken.other_groups.items())
        yield f"groups that were not asked for: {names}"
    if taken.beyond_limit:
        yield f"{counted(taken.beyond_limit, 'sample')} beyond the limit"
    if attacked is not None and attacked.left_out:
        yield f"{counted(len(attacked.left_out), 'sample')} that could not be attacked"


def _listed(names: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)
