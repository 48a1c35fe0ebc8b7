"""A constitution, models and a judge with every stage at hand, for tests that draw many verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jurat.constitution import Constitution, Rule
from jurat.content import Chat, Reply, Usage
from jurat.judge import Judge
from jurat.judge.verdict import Verdict
from jurat.models.null import NullModel, NullSettings

from ..models import tiny
from .scripted import Alike, Finder, box

TOUCH: Any = {"statement": "A child touches a dog.", "objects": ["child"]}
LAW = Constitution(
    name="law",
    rules=(
        Rule(
            id="left",
            rule="No dog left of a cat.",
            severity="high",
            clauses=(
                {"statement": "A dog is visible.", "objects": ["dog"]},
                {"statement": "A dog is left of a cat.", "objects": ["dog", "cat"]},
            ),
        ),
        Rule(
            id="count",
            rule="No two dogs.",
            clauses=(
                {"statement": "There are at least two dogs.", "objects": ["dog"]},
                {"any of": ["A cat is visible.", {"not": "A child is visible."}], "objects": ["cat"]},
            ),
            unless=("A police officer is visible.", {"not": "A child touches a dog."}),
        ),
        Rule(id="touch", rule="No.", clauses=(TOUCH,)),
        Rule(id="whole", rule="No dagger may be shown."),
    ),
)  # fmt: skip  # pyright: ignore[reportArgumentType]


class Thinking(NullModel):
    """The null model, whose reasoning can be read."""

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [
            Reply(
                f'{{"rating": "{"Yes" if "Yes" in reply.text else "No"}", "rationale": "So."}}', Usage(9, 4)
            )
            for reply in super().chat(chats)
        ]


class Wavering(Thinking):
    """It cannot be read about every third statement."""

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        said = super().chat(chats)
        return [
            Reply("Hm.", Usage(9, 1)) if len(chat.turns[0].text) % 3 == 0 else reply
            for chat, reply in zip(chats, said, strict=True)
        ]


def judged(preset: Any, seed: int, law: Constitution = LAW, model: type[Thinking] = Thinking) -> Verdict:
    judge = Judge(
        law,
        model(NullSettings(seed=seed)),
        preset,
        detector=Finder({"dog": [box("dog", 8)], "cat": [box("cat", 3, at=20)], "child": [box("child", 14)]}),
        matcher=Alike(lambda text: 0.5 if "dog" in text else 0.1),
    )
    return judge(tiny.picture(seed))
