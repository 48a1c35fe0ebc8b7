"""The reason stage: the model reasons in words about undecided statements, batched over images.

CLUE (arXiv 2501.00192, section 4.5) takes two turns: a chain of thought, then its summary as JSON with
`rating` and `rationale` (`jurat.judge.prompts.REASONING` has the wording). A first reply that already ends
in such JSON is read as it is, without a second turn. An unreadable reply leaves the statement
undecided; it never counts as No.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Generation, Reply, Turn, Usage
from jurat.judge.asking import attempt, turn_of
from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.prompts import REASONING, Kind, ReasoningForm
from jurat.judge.questions import PlannedAlternative, Question
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import NOTHING, Models, Need, Recorded, Request, Stage, recorded_kind
from jurat.judge.statement_scoring import StatementScore
from jurat.models import Model, Vocabulary
from jurat.models.json_replies import objects_in

__all__ = [
    "GENERATION",
    "LONGEST",
    "Rating",
    "Reason",
    "ReasoningRequest",
    "ReasonsIn",
    "form_of",
    "read_rating",
    "reason",
]

GENERATION = Generation(max_tokens=512)
"""Greedy; the paper states no decoding parameters."""
LONGEST = 1000
"""Characters of a rationale that are kept."""

_REFUSAL = re.compile(
    r"^\W*((i['’]?m |i am )?(sorry|unable)|i (can(no|['’])t|cannot|won['’]t)|as an ai)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rating:
    """The result of reasoning in words."""

    rating: bool | None
    """Whether the statement is true; None if the reply does not say."""
    rationale: str = ""
    failure: Failure | None = None


@dataclass(frozen=True)
class ReasoningRequest:
    """A question to reason about and the picture to look at: the image, or a crop of it."""

    image: Image.Image
    question: Question
    texts: ItemTexts = NO_TEXTS


@dataclass(frozen=True)
class Reason(Stage):
    """Lets the model reason about undecided statements; each question about a picture once."""

    name: ClassVar[str] = "reason"
    needs: ClassVar[tuple[Need, ...]] = ("chat",)

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        return rule.open_statements()

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        asked: dict[tuple[int, int, Question], ReasoningRequest] = {}
        places: list[list[tuple[int, int, Question]]] = []
        for request in requests:
            crops = request.evidence.found["crop"]
            pictures = [getattr(crops.get(key), "crop", None) or request.image for key in request.keys]
            keys = [
                (id(request), id(picture), key.question)
                for key, picture in zip(request.keys, pictures, strict=True)
            ]
            for place, key, picture in zip(keys, request.keys, pictures, strict=True):
                asked.setdefault(place, ReasoningRequest(picture, key.question, request.evidence.texts))
            places.append(keys)
        replies = reason(models.model, list(asked.values()), models.reasoning)
        by_place = dict(zip(asked, replies, strict=True))
        for request, keys in zip(requests, places, strict=True):
            for place in dict.fromkeys(keys):
                question = place[2]
                request.evidence.cost.add(int(question.sees_image), by_place[place][1])
        return [
            {key: by_place[place][0] for key, place in zip(request.keys, keys, strict=True)}
            for request, keys in zip(requests, places, strict=True)
        ]

    def change(self, score: StatementScore, result: Rating | None) -> StatementScore:
        if result is None:
            return score
        if result.rating is None:
            return score.failed(result.failure.kind if result.failure is not None else "unparsed")
        return score.settled(result.rating, self.name)

    def record(self, score: StatementScore, result: Rating) -> dict[str, Any]:
        return {
            "rating": None if result.rating is None else "Yes" if result.rating else "No",
            "rationale": result.rationale or (result.failure.reason if result.failure else None),
        }

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        if shown.rating is not None:
            return Rating(shown.rating == "Yes", shown.rationale or "")
        if shown.rationale is None:
            return NOTHING
        kind = recorded_kind(shown.reason, "unparsed")
        return Rating(None, shown.rationale, Failure(kind, "As recorded."))


def reason(
    model: Model, requests: Sequence[ReasoningRequest], form: ReasoningForm = "full"
) -> list[tuple[Rating, Usage]]:
    """The rating and the usage of each request, in order."""
    asked = REASONING[form]
    turns = [
        turn_of(r.image, r.texts, r.question.kind, asked.open(r.question.kind, r.question.text))
        for r in requests
    ]
    first = [Chat((turn,), GENERATION) for turn in turns]
    replies = _chat(model, first)
    found: list[Rating | None] = [_read(reply) for reply in replies]
    usage = [reply.usage for reply in replies]
    again = [i for i, entry in enumerate(found) if entry is None]
    second = [
        Chat(
            (
                *first[i].turns,
                Turn("assistant", (replies[i].text,)),
                Turn("user", (asked.sum_up(requests[i].question.kind),)),
            ),
            GENERATION,
        )
        for i in again
    ]
    for i, reply in zip(again, _chat(model, second), strict=True):
        found[i] = _read(reply)
        usage[i] += reply.usage
    return [(entry or _unparsed(), spent) for entry, spent in zip(found, usage, strict=True)]


@runtime_checkable
class ReasonsIn(Protocol):
    """Capability of a stand-in for a model in another process: the form in which that model reasons."""

    @property
    def reasoning(self) -> ReasoningForm: ...


def form_of(model: Model, kinds: Iterable[Kind] = ("statement", "rule")) -> ReasoningForm:
    """The form of reasoning to ask of a model for these kinds of question: `short` if it has a fixed
    vocabulary that lacks words of the full form."""
    if (stand_in := model.capability(ReasonsIn)) is not None:
        return stand_in.reasoning
    vocabulary = model.capability(Vocabulary)
    full = REASONING["full"]
    words = " ".join(text for kind in kinds for text in (full.open(kind, ""), full.sum_up(kind)))
    return "full" if vocabulary is None or not vocabulary.unknown_words(words) else "short"


def read_rating(text: str) -> Rating | None:
    """The last JSON object of a reply that has a `rating` of Yes or No; None where there is none."""
    for value in objects_in(text):
        rating = value.get("rating")
        word = rating.strip().rstrip(".").lower() if isinstance(rating, str) else None
        if word in ("yes", "no"):
            rationale = value.get("rationale")
            return Rating(word == "yes", _tidy(rationale if isinstance(rationale, str) else ""))
    return None


def _chat(model: Model, chats: Sequence[Chat]) -> list[Reply]:
    def step(some: Sequence[Chat]) -> list[Reply]:
        replies = model.chat(some)
        if len(replies) != len(some):
            raise RuntimeError(f"it gave {len(replies)} replies to {len(some)} chats")
        return replies

    return [Reply(failure=entry) if isinstance(entry, Failure) else entry for entry in attempt(step, chats)]


def _read(reply: Reply) -> Rating | None:
    if reply.failure is not None:
        return Rating(None, failure=reply.failure)
    if not reply.text.strip():
        return Rating(None, failure=Failure("unparsed", "The reply is empty."))
    found = read_rating(reply.text)
    if found is None and _REFUSAL.match(reply.text):
        return Rating(None, failure=Failure("refused", "The model refused to reason about it."))
    return found


def _unparsed() -> Rating:
    return Rating(None, failure=Failure("unparsed", "No rating could be read from the model's reasoning."))


def _tidy(text: str) -> str:
    return " ".join(text.split())[:LONGEST]
