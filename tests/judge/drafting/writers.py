"""Writers for drafting: scripts of the OpenAI server by step, good, malformed, refusing and rambling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jurat.judge.drafting import prompts

from ...models.openai_server import Asked, Told, completion

SORRY = "I'm sorry, but I can't help with that."
Says = str | Told | Callable[[str], str | Told]

STEPS = prompts.PROMPTS


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


@dataclass
class Writer:
    """Answers each step as its table says; `repairs` answers what was sent back, as long as it lasts."""

    says: dict[str, Says]
    repairs: dict[str, Says] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """(step, the last user turn) of each request, in the order of arrival."""

    def __call__(self, asked: Asked) -> Told:
        turns = [text_of(message) for message in asked.body["messages"]]
        step = next((step for step, prompt in STEPS.items() if turns[0].startswith(prompt.instruction)), "")
        if not step:  # jurat asks whether the server answers at all
            said = next(iter(self.says.values()))
            return said if isinstance(said, Told) else completion("Yes")
        repaired = turns[-1].startswith("That answer cannot be used.")
        self.requests.append((f"{step} again" if repaired else step, turns[-1]))
        says = self.repairs.get(step, self.says[step]) if repaired else self.says[step]
        request = turns[-3] if repaired else turns[-1]
        said = says(request.rpartition(prompts.REPAIR)[2]) if callable(says) else says
        return said if isinstance(said, Told) else completion(said)

    def count(self, step: str) -> int:
        return sum(name == step for name, _ in self.requests)


def rate(request: str) -> str:
    return (
        "It rests on an opinion.\nRating: [[3]]" if "nice" in request else "Things are named.\nRating: [[9]]"
    )


def take_apart(request: str) -> str:
    if "axe" in request:
        return "1. {A dagger is visible. or An axe is visible.}\n2. not: A man holds an axe."
    return "1. A dog is visible."


def name_objects(request: str) -> str:
    lines = [line.partition(".") for line in request.splitlines() if line[:1].isdigit()]
    nouns = ("dog", "dagger", "axe", "man", "cat")
    found = [(number, [noun for noun in nouns if noun in text]) for number, _, text in lines]
    return "\n".join(f"{number}. {', '.join(words) or 'none'}" for number, words in found)


GOOD: dict[str, Says] = {
    "rating": rate,
    "rewriting": "Rule: No dog may be visible.",
    "clauses": take_apart,
    "objects": name_objects,
    "description": lambda request: "Description: " + ("an axe or a dagger" if "axe" in request else "a dog"),
}


def rambling(says: Says) -> Says:
    """The same, with what such writers say around it."""

    def told(request: str) -> str | Told:
        said = says(request) if callable(says) else says
        assert isinstance(said, str)
        thought = "<think>\n1. Hm.\nRule: x\nRating: [[1]]\n</think>"
        return f"{thought}\nSure! Here it is:\n\n{said}\n\nI hope this helps!"

    return told
