"""The conversations of drafting, one for each step. Their wording is in `prompts.yaml`.

There is no system turn, because not every model has one: the instruction opens the first user turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from jurat.constitution import Clause
from jurat.content import Chat, Generation, Turn
from jurat.judge.drafting.replies import render_clauses

GENERATION = Generation(max_tokens=2048)
"""Greedy. Room for models that write out their thoughts before they answer."""


@dataclass(frozen=True)
class Prompt:
    """One step: what is to be done, and examples of how it is done."""

    instruction: str
    examples: tuple[tuple[str, str], ...] = ()
    """(request, reply) pairs, as earlier turns of the conversation."""

    def chat(self, request: str) -> Chat:
        """The conversation whose continuation is the reply to `request`."""
        turns: list[Turn] = []
        for asked, replied in self.examples:
            turns += Turn("user", (asked,)), Turn("assistant", (replied,))
        turns.append(Turn("user", (request,)))
        turns[0] = Turn("user", (f"{self.instruction}\n\n{turns[0].text}",))
        return Chat(tuple(turns), GENERATION)


@dataclass(frozen=True)
class Attempt:
    """One wording of a rule and its rating."""

    text: str
    score: int
    """From 1 to 10."""
    reason: str
    """The writer's, in a sentence or two; may be empty."""


def _load() -> tuple[dict[str, Prompt], str]:
    text = files("jurat.judge.drafting").joinpath("prompts.yaml").read_text("utf-8")
    data: Any = YAML(typ="safe", pure=True).load(text)
    repair: str = data.pop("repair")
    prompts = {
        step: Prompt(prompt["instruction"], tuple(map(tuple, prompt.get("examples", ()))))
        for step, prompt in data.items()
    }
    return prompts, repair


PROMPTS, REPAIR = _load()


def rating_chat(rule: str) -> Chat:
    return PROMPTS["rating"].chat(f"Rule: {rule}")


def rewriting_chat(attempts: Sequence[Attempt]) -> Chat:
    """`attempts`: the rule as its author wrote it, then what was tried."""
    first, *tried = attempts
    lines = [f"Rule: {first.text}", _rated(first)]
    for number, attempt in enumerate(tried, 1):
        lines += "", f"Attempt {number}: {attempt.text}", _rated(attempt)
    return PROMPTS["rewriting"].chat("\n".join(lines))


def clauses_chat(rule: str) -> Chat:
    return PROMPTS["clauses"].chat(f"Rule: {rule}")


def objects_chat(clauses: Sequence[Clause]) -> Chat:
    return PROMPTS["objects"].chat(render_clauses(clauses))


def description_chat(rule: str) -> Chat:
    return PROMPTS["description"].chat(f"Rule: {rule}")


def repair_chat(chat: Chat, reply: str, problem: str) -> Chat:
    """`chat` continued with the reply and what is wrong with it."""
    turns = Turn("assistant", (reply,)), Turn("user", (REPAIR.format(problem=problem),))
    return Chat((*chat.turns, *turns), chat.generation)


def _rated(attempt: Attempt) -> str:
    return f"Rated {attempt.score} of 10. {attempt.reason}".rstrip()
