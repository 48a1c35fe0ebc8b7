"""The reason stage: what is still undecided is thought about in words, all of a batch at once.

CLUE (arXiv 2501.00192, section 4.5) takes two turns: a chain of thought, then its summary as JSON with
`rating` and `rationale` (`jurat.judge.prompts.REASONING` has the wording). A first reply that already ends
in such JSON is read as it is, without a second turn. What cannot be read after that is undecided, never a No.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import Image

from jurat.content import Chat, Failure, Generation, Reply, Turn, Usage
from jurat.judge.evidence import Reasoned
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.plan import Question
from jurat.judge.prompts import REASONING, Kind, ReasoningForm
from jurat.judge.stages.quick import attempt, turn_of
from jurat.models import Model, Vocabulary
from jurat.models.json_replies import objects_in

GENERATION = Generation(max_tokens=512)
"""Greedy; the paper states no decoding parameters."""
LONGEST = 1000
"""Characters of a rationale that are kept."""

_REFUSAL = re.compile(
    r"^\W*((i['’]?m |i am )?(sorry|unable)|i (can(no|['’])t|cannot|won['’]t)|as an ai)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Doubt:
    """An undecided question and the picture to look at: the image, or a crop of it."""

    image: Image.Image
    question: Question
    texts: ItemTexts = NO_TEXTS


def reason(
    model: Model, doubts: Sequence[Doubt], form: ReasoningForm = "full"
) -> list[tuple[Reasoned, Usage]]:
    """One entry a doubt, in order: what reasoning came to, and its tokens."""
    asked = REASONING[form]
    turns = [
        turn_of(d.image, d.texts, d.question.kind, asked.open(d.question.kind, d.question.text))
        for d in doubts
    ]
    first = [Chat((turn,), GENERATION) for turn in turns]
    replies = _chat(model, first)
    found: list[Reasoned | None] = [_read(reply) for reply in replies]
    usage = [reply.usage for reply in replies]
    again = [i for i, entry in enumerate(found) if entry is None]
    second = [
        Chat(
            (
                *first[i].turns,
                Turn("assistant", (replies[i].text,)),
                Turn("user", (asked.sum_up(doubts[i].question.kind),)),
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
    """Capability of a stand-in for a model that is open elsewhere: the form in which that one reasons."""

    @property
    def reasoning(self) -> ReasoningForm: ...


def form_of(model: Model, kinds: Iterable[Kind] = ("statement", "rule")) -> ReasoningForm:
    """The form of reasoning that is asked of a model about these kinds of question: `short` where it knows
    only certain words, and not all of the full form."""
    if (told := model.capability(ReasonsIn)) is not None:
        return told.reasoning
    vocabulary = model.capability(Vocabulary)
    full = REASONING["full"]
    said = " ".join(text for kind in kinds for text in (full.open(kind, ""), full.sum_up(kind)))
    return "full" if vocabulary is None or not vocabulary.unknown_words(said) else "short"


def read_rating(text: str) -> Reasoned | None:
    """The last JSON object of a reply that has a `rating` of Yes or No; None where there is none."""
    for value in objects_in(text):
        rating = value.get("rating")
        said = rating.strip().rstrip(".").lower() if isinstance(rating, str) else None
        if said in ("yes", "no"):
            rationale = value.get("rationale")
            return Reasoned(said == "yes", _tidy(rationale if isinstance(rationale, str) else ""))
    return None


def _chat(model: Model, chats: Sequence[Chat]) -> list[Reply]:
    def step(some: Sequence[Chat]) -> list[Reply]:
        replies = model.chat(some)
        if len(replies) != len(some):
            raise RuntimeError(f"it gave {len(replies)} replies to {len(some)} chats")
        return replies

    return [Reply(failure=entry) if isinstance(entry, Failure) else entry for entry in attempt(step, chats)]


def _read(reply: Reply) -> Reasoned | None:
    if reply.failure is not None:
        return Reasoned(None, failure=reply.failure)
    if not reply.text.strip():
        return Reasoned(None, failure=Failure("unparsed", "The reply is empty."))
    found = read_rating(reply.text)
    if found is None and _REFUSAL.match(reply.text):
        return Reasoned(None, failure=Failure("refused", "The model refused to reason about it."))
    return found


def _unparsed() -> Reasoned:
    return Reasoned(None, failure=Failure("unparsed", "No rating could be read from the model's reasoning."))


def _tidy(text: str) -> str:
    return " ".join(text.split())[:LONGEST]
