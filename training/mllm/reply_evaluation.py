"""Accuracy of the model's replies in words on scenes it never saw: reasons in JSON, and descriptions.

The finished model with its gate is asked through `chat`, as the judge asks it; replies that the judge cannot
parse count as wrong.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from jurat.content import Chat, Generation, Turn
from jurat.judge.prompts import REASON, STATEMENT
from jurat.judge.stages.reason import read_rating
from jurat.models import Inquiry, Model
from training.mllm.answers import DESCRIBE, name
from training.mllm.evaluation import Score, pictures, set_exam, wording

if TYPE_CHECKING:
    from PIL import Image

    from jurat.pictograms.statements import Facts

WELL_FORMED, REASONED, ASKED = "reasons that can be read", "reasons", "asked directly"
DESCRIBED = "descriptions"
"""Names of the views in the rows of the card."""

_GENERATION = Generation(max_tokens=96)
_BATCH = 32


def examine_reasons(model: Model, per_kind: int, seed: int, workers: int = 1) -> dict[str, dict[str, Score]]:
    """View -> kind -> accuracy: replies with a rating, ratings that are right, direct answers that are
    right."""
    exam, rng = set_exam(per_kind, seed=seed, workers=workers), random.Random(7)
    texts = [STATEMENT.ask(wording(question, "as trained", rng)) for question in exam.questions]
    images = [exam.images[question.scene] for question in exam.questions]
    said = _say(model, images, [f"{text} {REASON}" for text in texts])
    direct = _ask(model, images, texts)
    tally: dict[str, dict[str, list[bool]]] = {
        view: defaultdict(list) for view in (WELL_FORMED, REASONED, ASKED)
    }
    for question, text, answer in zip(exam.questions, said, direct, strict=True):
        found = read_rating(text)
        rating = None if found is None else found.rating
        for kind in (question.kind, "all"):
            tally[WELL_FORMED][kind].append(rating is not None)
            tally[REASONED][kind].append(rating is question.truth)
            tally[ASKED][kind].append(answer is question.truth)
    return {
        view: {kind: Score(sum(right), len(right)) for kind, right in sorted(kinds.items(), key=_last)}
        for view, kinds in tally.items()
    }


def _last(entry: tuple[str, list[bool]]) -> tuple[bool, str]:
    return entry[0] == "all", entry[0]


def examine_descriptions(
    model: Model, count: int, seed: int, workers: int = 1
) -> dict[str, dict[str, Score]]:
    """Share of descriptions that name exactly the objects there are, each as often as it is there."""
    scenes = list(islice(pictures("as trained", seed, workers), count))
    said = _say(model, [image for image, _ in scenes], [DESCRIBE] * count)
    right = [named(text) == there(facts) for text, (_, facts) in zip(said, scenes, strict=True)]
    return {DESCRIBED: {"all": Score(sum(right), count)}}


def named(description: str) -> Counter[str]:
    """Names in a description, with their articles."""
    listed = description.lower().strip().removeprefix("the image shows ").rstrip(" .")
    return Counter(re.split(r"\s*, | and ", listed))


def there(facts: Facts) -> Counter[str]:
    """Names that a right description of a scene has."""
    return Counter(name(kind).lower() for kind in facts.kinds.tolist())


def _say(model: Model, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
    chats = [
        Chat((Turn("user", (image, text)),), _GENERATION) for image, text in zip(images, texts, strict=True)
    ]
    return [
        reply.text
        for first in range(0, len(chats), _BATCH)
        for reply in model.chat(chats[first : first + _BATCH])
    ]


def _ask(model: Model, images: Sequence[Image.Image], texts: Sequence[str]) -> list[bool | None]:
    """Whether each text was answered Yes; None where it was not answered."""
    inquiries = [
        Inquiry(Chat((Turn("user", (image, STATEMENT.instruction)),)), (text,))
        for image, text in zip(images, texts, strict=True)
    ]
    answers = [
        answer
        for first in range(0, len(inquiries), _BATCH)
        for answer in model.ask(inquiries[first : first + _BATCH])
    ]
    return [None if answer.failure else answer.answers[0].score > 0.5 for answer in answers]
