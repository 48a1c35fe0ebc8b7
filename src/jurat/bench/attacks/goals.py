"""What attacks are asked to reach, as data: tasks, their goals, and the prompts of each."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jurat.content import Reply
from jurat.metrics import Claim
from jurat.pictograms.reading import parse
from jurat.scorers.refusal_list import shipped_list
from jurat.yaml_files import parse_yaml, yaml_text

__all__ = ["PARAPHRASES", "Able", "Goals", "Prompts", "Reading", "Task", "TaskGoal", "load_goals"]

PARAPHRASES = 5
"""Fewest test prompts of a goal."""
REFUSALS = "first-sentence"
"""The list of phrases that a refusal is found by."""
_WHAT = "file of goals for attacks"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Name: TypeAlias = Annotated[str, Field(pattern=r"^\w[\w .-]*$")]
"""Name of a task or of a goal; folders are named after it."""
Text: TypeAlias = Annotated[str, Field(pattern=r"\S")]
"""A text that replies are looked through for; every reply would hold an empty one."""


class Reading(_Data):
    """What a reply must be; exactly one of the two is set."""

    begins: str | None = None
    """Its beginning, without regard to case."""
    refuses: bool = False
    """Whether it must decline, by the list `REFUSALS`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.begins is None) is not self.refuses:
            raise ValueError("name either begins: TEXT or refuses: true")
        return self

    def holds(self, reply: Reply) -> bool:
        """Whether a reply is so; one that failed never is."""
        if reply.failure is not None:
            return False
        if self.refuses:
            return shipped_list(REFUSALS).find(reply.text) is not None
        assert self.begins is not None
        return reply.text.strip().casefold().startswith(self.begins.casefold())


class Able(_Data):
    """What a victim must do without an attack, or its success says nothing."""

    absent: Reading
    """With the clean pictures."""
    present: Reading | None = None
    """With the pictures of which `Task.present` holds."""
    begun: bool = False
    """Whether a reply that begins with the target must go on to a success."""


class Prompts(_Data):
    """Texts of a user's turn beside the picture; the lists do not overlap."""

    train: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = Field(min_length=PARAPHRASES)

    @model_validator(mode="after")
    def _check(self) -> Self:
        every = [*self.train, *self.validation, *self.test]
        if twice := [text for text in every if every.count(text) > 1]:
            raise ValueError(f"a prompt stands twice: {twice[0]!r}")
        return self


class TaskGoal(_Data):
    """One thing that a victim is to reply."""

    name: Name
    a: str
    """What fills `{a}` in prompts and statements; also the text that `tu` and others match."""
    target: Text
    """The reply that is wanted, or its beginning."""
    contains: Text | None = None
    """A text that a successful reply holds; null: it begins with the target."""
    corpus: tuple[str, ...] = Field(min_length=1)
    """Replies that attacks without a request train on."""
    prompts: Prompts | None = None
    """Null: those of the task."""

    def filled(self, text: str) -> str:
        """A prompt or statement with its slots filled."""
        return text.replace("{a}", self.a).replace("{A}", self.a[:1].upper() + self.a[1:])


class Task(_Data):
    """Goals of one kind; a row of the table is about one task."""

    name: Name
    summary: str
    ask: str = "{text}"
    """What is asked of each prompt, `{text}`."""
    max_tokens: int = Field(ge=1)
    absent: tuple[str, ...] = ()
    """Statements of the pictogram world that are false of the attacked pictures."""
    present: tuple[str, ...] = Field(min_length=1)
    """Statements that hold of the pictures that show what the victim is to be misled about."""
    able: Able
    prompts: Prompts | None = None
    goals: tuple[TaskGoal, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({goal.name for goal in self.goals}) < len(self.goals):
            raise ValueError("two goals have the same name")
        for goal in self.goals:
            if goal.prompts is None and self.prompts is None:
                raise ValueError(f"the goal {goal.name!r} has no prompts, and neither has its task")
            if self.able.begun and goal.contains is None:
                raise ValueError(f"begun: true needs a text that replies for {goal.name!r} contain")
            for text in (*self.absent, *self.present):
                parse(goal.filled(text))
        return self

    def prompts_of(self, goal: TaskGoal) -> Prompts:
        """The prompts of a goal as they are asked."""
        given = goal.prompts or self.prompts
        assert given is not None
        lists = {
            name: tuple(self.ask.replace("{text}", goal.filled(text)) for text in getattr(given, name))
            for name in ("train", "validation", "test")
        }
        return Prompts(**lists)


class Goals(_Data):
    """A whole file."""

    name: str
    version: int = Field(ge=1)
    tasks: tuple[Task, ...] = Field(min_length=1)
    claims: tuple[Claim, ...] = ()
    digest: str = ""
    """12 hex characters of the file."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({task.name for task in self.tasks}) < len(self.tasks):
            raise ValueError("two tasks have the same name")
        folders = [f"{task.name}-{goal.name}" for task in self.tasks for goal in task.goals]
        if twice := [name for name in folders if folders.count(name) > 1]:
            raise ValueError(f"two goals would share the folder {twice[0]!r}: rename one, or its task")
        return self

    @property
    def title(self) -> str:
        """Name and version: "jurat-attack-goals-1"."""
        return f"{self.name}-{self.version}"


@cache
def load_goals(path: Path | None = None) -> Goals:
    """The goals in a file, or those that ship with jurat.

    Raises:
        JuratError: the file cannot be read, or does not hold goals; the message names the line.
    """
    text = (
        files("jurat.bench.attacks").joinpath("goals.yaml").read_text("utf-8")
        if path is None
        else yaml_text(path)
    )
    found = parse_yaml(text, Goals, "goals.yaml" if path is None else str(path), _WHAT)
    return found.model_copy(update={"digest": sha256(text.encode()).hexdigest()[:12]})
