"""The wording of drafting, as data: what a chat model is told at each step, and its worked examples.

After CLUE (arXiv 2501.00192, figures 9 and 10): the rating is asked for as MT-Bench does, a short
explanation first and then the number; clauses are shown by two examples, objects by one of each kind.
The paper's rewriting prompt is not published. All words and examples are our own.

There is no system turn, since not every model has one: the instruction opens the first user turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jurat.constitution import Clause
from jurat.content import Chat, Generation, Turn
from jurat.judge.drafting.replies import render_clauses

GENERATION = Generation(max_tokens=2048)
"""Greedy. Room for models that think aloud before they answer."""


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
    """One wording of a rule, and how objective it was found."""

    text: str
    score: int
    """From 1 to 10."""
    reason: str
    """The writer's, in a sentence or two; may be empty."""


def _prose(text: str) -> str:
    """Paragraphs as they are written in code, each on one line."""
    return "\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


RATING = Prompt(
    _prose("""
        Act as an impartial judge. Rate how objective a rule about images is.

        A rule is objective if any two people who look at the same image agree on whether it breaks the rule,
        from what can be seen alone: things, their parts, numbers, positions, written words. It is subjective
        as far as that depends on taste, feelings, intent, or words of degree such as "inappropriate" or
        "too much".

        First explain your rating in one or two sentences. Then give it as an integer from 1, a matter of
        opinion, to 10, entirely objective, on a line of its own in exactly this form: Rating: [[5]]
    """)
)

REWRITING = Prompt(
    _prose("""
        Rewrite a rule about images so that it becomes more objective: any two people who look at the same
        image should agree on whether it breaks the rule, from what can be seen alone.

        Name things, their parts, numbers, positions and written words in place of opinions, intents and words
        of degree. Keep what the rule is for: the images that its author had in mind should break it, and no
        others. Write one sentence that says what must not be visible.

        You are given the rule and what was tried before, each with its rating from 1 to 10 and the reason.
        Answer with one line in exactly this form: Rule: the new sentence
    """)
)

CLAUSES = Prompt(
    _prose("""
        Take a rule about images apart into statements. An image breaks the rule exactly if all statements of
        your list are true of it.

        Write a numbered list, one statement a line, in as few lines as the rule needs. Each statement is a
        plain sentence about what can be seen, and is understood without the others: name things again in
        place of "it" or "they". Begin with the presence of things, then their parts and states, then how they
        relate. Where one of several alternatives is enough, put them between braces, each a full sentence,
        joined by "or". Where something must not be seen, begin with "not:" and state it positively; an
        exception of the rule is such a line. Write nothing but the list.
    """),
    examples=(
        (
            "Rule: No dog or cat may be shown lying on a bed.",
            "1. {A dog is visible. or A cat is visible.}\n"
            "2. A bed is visible.\n"
            "3. {A dog lies on a bed. or A cat lies on a bed.}",
        ),
        (
            "Rule: No birthday cake may be shown without a lit candle on it.",
            "1. A birthday cake is visible.\n2. not: A lit candle stands on a birthday cake.",
        ),
    ),
)
"""Two examples, as in the paper."""

OBJECTS = Prompt(
    _prose("""
        For each statement of a numbered list about an image, name the central objects: what one must find in
        the image to see whether the statement is true.

        Where objects stand in a relation, name all of them. Where the statement is about a part of something,
        name the part. Of alternatives, name the object of each. Use the statement's own words, one to three
        an object, without articles, separated by commas. Write "none" where the statement is about the whole
        image.

        Answer with a numbered list of as many lines, and nothing else.
    """),
    examples=(
        (
            "1. A boy sits on a horse.\n"
            "2. The mouth of a dog is open.\n"
            "3. {A tent is visible. or A caravan is visible.}\n"
            "4. not: A sign reads EXIT.\n"
            "5. The image is black and white.",
            "1. boy, horse\n2. mouth\n3. tent, caravan\n4. sign\n5. none",
        ),
    ),
)
"""One line of each kind that the paper shows: a relation, a part, alternatives."""

DESCRIPTION = Prompt(
    _prose("""
        Describe in a few words what is seen in an image that breaks a rule.

        Name things, their states and relations, as a caption would: what is there, never what is missing or
        forbidden. Use at most 25 words. Answer with one line in exactly this form: Description: the words
    """),
    examples=(
        ("Rule: No dog or cat may be shown lying on a bed.", "Description: a dog or a cat lying on a bed"),
        ("Rule: No birthday cake may be shown without a lit candle on it.", "Description: a birthday cake"),
    ),
)

REPAIR = "That answer cannot be used. {problem} Answer again, in exactly the form that was asked for."


def rating_chat(rule: str) -> Chat:
    return RATING.chat(f"Rule: {rule}")


def rewriting_chat(attempts: Sequence[Attempt]) -> Chat:
    """`attempts`: the rule as its author wrote it, then what was tried."""
    first, *tried = attempts
    lines = [f"Rule: {first.text}", _rated(first)]
    for number, attempt in enumerate(tried, 1):
        lines += "", f"Attempt {number}: {attempt.text}", _rated(attempt)
    return REWRITING.chat("\n".join(lines))


def clauses_chat(rule: str) -> Chat:
    return CLAUSES.chat(f"Rule: {rule}")


def objects_chat(clauses: Sequence[Clause]) -> Chat:
    return OBJECTS.chat(render_clauses(clauses))


def description_chat(rule: str) -> Chat:
    return DESCRIPTION.chat(f"Rule: {rule}")


def repair_chat(chat: Chat, reply: str, problem: str) -> Chat:
    """The conversation `chat` gone on with: what was replied, and what is wrong with it."""
    turns = Turn("assistant", (reply,)), Turn("user", (REPAIR.format(problem=problem),))
    return Chat((*chat.turns, *turns), chat.generation)


def _rated(attempt: Attempt) -> str:
    return f"Rated {attempt.score} of 10. {attempt.reason}".rstrip()
