"""Closed questions about a batch of images, for the baselines. A failure never counts as No."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import NotApplicable, Setup
from jurat.content import Chat, Failure, Reply, Turn
from jurat.judge.prompts import RULE, STATEMENT, Wording
from jurat.models import Inquiry, Model, Vocabulary, YesNo

MIN_MASS = 0.5
"""With less P(Yes) + P(No) a question counts as not answered, as in the judge."""


@dataclass(frozen=True)
class QuestionAnswers:
    """Answers about one image, with their cost."""

    answers: tuple[YesNo | None, ...]
    """One a question; None where it was not answered."""
    spending: Spending
    reason: str | None = None
    """Why a question was not answered."""


def put(
    setup: Setup, images: Sequence[Image.Image], wording: Wording, texts: Sequence[str]
) -> list[QuestionAnswers]:
    """Asks the same questions about every image, one prefix per image."""
    inquiries = [
        Inquiry(Chat((Turn("user", (image, wording.instruction)),)), tuple(map(wording.ask, texts)))
        for image in images
    ]
    start = setup.clock()
    replies = setup.model.ask(inquiries)
    seconds = (setup.clock() - start) / max(1, len(images))
    found: list[QuestionAnswers] = []
    for reply in replies:
        usable = tuple(None if unanswered(a) else a for a in reply.answers)
        failures: list[Failure | None] = [reply.failure, *(a.failure for a in reply.answers)]
        reason = next((failure.kind for failure in failures if failure is not None), None)
        if reason is None and None in usable:
            reason = "low_mass" if all(a.sound for a in reply.answers) else "error"
        spending = Spending(images=1, question_tokens=reply.usage.input_tokens, seconds=seconds, flops=None)
        found.append(QuestionAnswers(usable or (None,) * len(texts), spending, reason))
    return found


def continued(setup: Setup, chats: Sequence[Chat]) -> list[tuple[Reply, Spending]]:
    """Replies to conversations, with the cost of each."""
    start = setup.clock()
    replies = setup.model.chat(chats)
    seconds = (setup.clock() - start) / max(1, len(chats))
    return [
        (reply, Spending(1, reply.usage.input_tokens, reply.usage.output_tokens, seconds=seconds))
        for reply in replies
    ]


def prior(model: Model, wording: Wording, texts: Sequence[str]) -> list[float]:
    """Log-odds of the same questions with no image at all; 0 where one was not answered."""
    inquiry = Inquiry(Chat((Turn("user", (wording.instruction,)),)), tuple(map(wording.ask, texts)))
    answers = model.ask([inquiry])[0].answers or (YesNo(0.0, 0.0),) * len(texts)
    return [0.0 if unanswered(answer) else answer.log_odds for answer in answers]


def wording_for(model: Model, wordings: Sequence[Wording], texts: Sequence[str]) -> Wording:
    """The first wording whose words the model knows.

    Raises NotApplicable where it knows none of them.
    """
    vocabulary = model.capability(Vocabulary)
    if vocabulary is None:
        return wordings[0]
    unknown: list[str] = []
    for wording in wordings:
        said = " ".join([wording.instruction, *map(wording.ask, texts)])
        unknown = vocabulary.unknown_words(said)
        if not unknown:
            return wording
    raise NotApplicable(f"the model never learned {', '.join(map(repr, unknown[:4]))}")


def knows(model: Model, *texts: str) -> None:
    """Raises NotApplicable where the model does not know a word."""
    wording_for(model, [Wording("", "{text}")], texts)


def unanswered(answer: YesNo) -> bool:
    """Whether it failed, or has too little mass on Yes and No."""
    return answer.failure is not None or answer.mass < MIN_MASS


__all__ = [
    "RULE",
    "STATEMENT",
    "QuestionAnswers",
    "continued",
    "knows",
    "prior",
    "put",
    "unanswered",
    "wording_for",
]
