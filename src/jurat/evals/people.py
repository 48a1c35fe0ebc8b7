"""What people said of the replies in logs, for comparison with judges."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalSample

from jurat.benchmarks import Sample
from jurat.content import Item
from jurat.errors import JuratError
from jurat.evals.log_files import Evaluated, content_of
from jurat.evals.measures import event_columns
from jurat.evals.replies import reply_of
from jurat.metrics.metric_value import MetricValue
from jurat.metrics.named import METRICS
from jurat.scorers import Answered, Judgement
from jurat.scorers.human_labels import HumanLabels
from jurat.text import counted, shown

PEOPLE = "people"
"""Stands for them among the raters."""
Key = tuple[str, str, int]
"""Name of the log, id of the sample, epoch."""


@dataclass(frozen=True)
class Labelled:
    """The labels of some replies."""

    name: str
    """The scorer's, with a digest of the file."""
    positive: str
    events: Mapping[Key, float]
    """1 or 0 by the majority of the annotators; nan without a label."""
    votes: Mapping[str, int]
    """Rows of the file by label."""
    without: Mapping[str, int]
    """Why replies have no label, to how many."""
    unmatched: Sequence[str]
    """Ids of the file that no sample has."""
    agreement: MetricValue | None
    """Krippendorff's alpha of the annotators; None where no reply has two."""

    def event(self, log: str, id: str, epoch: int) -> float:
        """Whether people said the event of a reply; nan without a label."""
        return self.events.get((log, id, epoch), math.nan)

    @property
    def n(self) -> int:
        """Replies with a label."""
        return sum(not math.isnan(event) for event in self.events.values())

    @property
    def positives(self) -> int:
        """Replies that are labelled as the event."""
        return sum(event == 1 for event in self.events.values())

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.name,
            "event": self.positive,
            "replies": self.n,
            "events": self.positives,
            "votes": dict(self.votes),
            "without_label": dict(self.without),
            "unmatched_ids": list(self.unmatched),
            "annotators_alpha": None if self.agreement is None else self.agreement.facts(),
        }


def read_labels(
    logs: Sequence[Evaluated], file: Path, judges: Mapping[str, set[str]], people: Sequence[str] = ()
) -> Labelled:
    """The labels of a file as the scorer `human` reads it, for the replies of some logs.

    Args:
        judges: the labels of the judges, "event" and "other".
        people: the labels of the file, that of the event first; those of the judges if empty.

    Raises:
        JuratError: the file cannot be read, has a label that is not known, none of the event's name, or no
            label of any reply; or its labels fit several samples or replies and do not say which.
    """
    positive, names = _vocabulary(file, judges, people)
    scorer = HumanLabels(file=str(file), positive=positive, labels=",".join(names))
    keys = [(log.name, str(sample.id), sample.epoch) for log in logs for sample in log.samples]
    answered = [_answered(sample) for log in logs for sample in log.samples]
    found = scorer.score(answered)
    _check_questions(logs, found, file)
    _check_replies(answered, found, file)
    if not any(judgement.label for judgement in found):
        raise JuratError(
            f"No reply has a label: {scorer.note or 'the labels are about other replies'}",
            hint="The ids are those of the samples: jurat data NAME PATH --samples --json.",
        )
    return Labelled(
        name=scorer.name,
        positive=scorer.positive,
        events={
            key: math.nan if judgement.label is None else float(judgement.label == scorer.positive)
            for key, judgement in zip(keys, found, strict=True)
        },
        votes=Counter(row.label for rows in scorer.rows.values() for row in rows),
        without=Counter(_why(judgement) for judgement in found if judgement.label is None),
        unmatched=scorer.unmatched,
        agreement=_alpha(scorer),
    )


def _why(judgement: Judgement) -> str:
    """Why people gave no label, without the numbers of one reply."""
    if judgement.details.get("votes"):
        return "the annotators are tied"
    if (reply := judgement.details.get("reply")) is not None:
        return f"no reply to label: {reply}"
    return "labels of another reply" if "labels" in judgement.details else "nobody labelled it"


def _vocabulary(file: Path, judges: Mapping[str, set[str]], people: Sequence[str]) -> tuple[str, list[str]]:
    """The label of the event, and all labels."""
    if people:
        return people[0], list(people)
    there = {row.label for rows in HumanLabels(file=str(file)).rows.values() for row in rows}
    if not there:
        raise JuratError(f"{shown(str(file))} holds no labels.")
    columns = {column for event in judges["event"] for column in event_columns(event)}
    events = [label for label in there if label in judges["event"] or columns & set(event_columns(label))]
    known = judges["event"] | judges["other"]
    unknown = sorted(there - known - set(events)) if len(there) > 2 or not events else []
    if len(events) != 1 or unknown:
        told = f"{unknown[0]!r} is no label of the judges" if unknown else ""
        if len(events) != 1:
            told = f"{' and '.join(sorted(events)) or 'none'} is the judges' event"
        raise JuratError(
            f"{shown(str(file))} has the labels {', '.join(sorted(there))}, of which {told} "
            f"({', '.join(sorted(judges['event']))}).",
            hint="Name its labels, that of the event first: --people unsafe,safe",
        )
    return events[0], [events[0], *sorted(there - set(events))]


def _answered(sample: EvalSample) -> Answered:
    error = sample.error.message if sample.error else None
    return Answered(Sample(str(sample.id), Item(id=str(sample.id))), reply_of(sample.output, error))


def _check_questions(logs: Sequence[Evaluated], found: Sequence[Judgement], file: Path) -> None:
    """Refuses labels of an id that stands for different samples in the logs, those of two sets say."""
    samples = [(str(sample.id), log.set, content_of(sample)) for log in logs for sample in log.samples]
    places: dict[str, set[tuple[str, str]]] = {}
    for id, set_name, content in samples:
        places.setdefault(id, set()).add((set_name, content))
    for (id, _, _), judgement in zip(samples, found, strict=True):
        if "votes" in judgement.details and len(places[id]) > 1:
            raise JuratError(
                f"{shown(str(file))}: the id {id!r} stands for different samples in these logs.",
                hint="Compare the judges of one set at a time.",
            )


def _check_replies(answered: Sequence[Answered], found: Sequence[Judgement], file: Path) -> None:
    """Refuses labels by id alone where a sample has several replies that differ."""
    texts: dict[str, set[str]] = {}
    for one in answered:
        if one.reply.failure is None:
            texts.setdefault(one.sample.id, set()).add(one.reply.text.strip())
    for one, judgement in zip(answered, found, strict=True):
        unsaid = judgement.details.get("reply_checked") == 0.0
        if unsaid and len(texts[one.sample.id]) > 1:
            several = counted(len(texts[one.sample.id]), "different reply", "different replies")
            raise JuratError(
                f"{shown(str(file))}: the sample {one.sample.id!r} has {several} in these logs, and "
                "its label does not say which it is of.",
                hint="Give each row the text that was labelled, in a column reply, or reply_sha256.",
            )


def _alpha(scorer: HumanLabels) -> MetricValue | None:
    """Agreement of the annotators about the event."""
    rows = [
        {
            "unit": f"{id} {row.digest or ''}",
            "rater": row.annotator,
            "rating": "event" if row.label == scorer.positive else "other",
            "cluster": id,
        }
        for id, each in scorer.rows.items()
        for row in each
    ]
    often = Counter(str(row["unit"]) for row in rows)
    if max(often.values()) < 2:
        return None
    return METRICS.find("krippendorff_alpha_nominal").described.compute(rows)
