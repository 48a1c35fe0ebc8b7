"""A comparison as a run: one run of an attack (`jurat.attacks.attack_run`) for each cell and goal, so that
what is on disk is not made again; then every attacked picture is shown to the other models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.attacks.attack_run import Attacker, Wish
from jurat.attacks.method import PictureAttack
from jurat.attacks.pictures import read_png
from jurat.attacks.registry import open_attack
from jurat.bench.attacks.goals import Task, TaskGoal
from jurat.bench.attacks.lineup import CONTROL, UNBOUNDED, Entrant, at_budget, entrant_of
from jurat.bench.attacks.pictures import GoalPictures, keep_pictures
from jurat.bench.attacks.plan import AttacksPlan
from jurat.bench.attacks.skills import asked, replies_in_batches, skill_of
from jurat.bench.predictions import Origin, origins_of
from jurat.errors import JuratError, require
from jurat.files import file_name, write_whole
from jurat.models import ModelUnavailable, full_name
from jurat.provenance import commit
from jurat.registry import name_and_options
from jurat.runs import read_rows
from jurat.text import counted, reason

if TYPE_CHECKING:
    from jurat.bench.bench_plan import BenchModel
    from jurat.models import Model

__all__ = ["Cell", "LeftOut", "Measured", "RunProgress", "Transferred", "run_attacks"]

Say = Callable[[str], None]
Transferred = dict[str, list[tuple[bool, str | None]]]
"""By the id of a picture, for each test prompt: whether the reply is the wanted one, and the kind of failure
where there is none."""
_NO_BOUND = "its pictures keep within no ball: it is run without a bound only"


@dataclass(frozen=True)
class Cell:
    """A row of the table."""

    victim: str
    task: str
    attack: str
    """As it was named."""
    level: int
    """Largest change of a value, of 255."""
    passes: int
    """Backward passes that it may make for a picture; 0 of the control."""

    @property
    def title(self) -> str:
        ball = "any picture" if self.level >= UNBOUNDED else f"{self.level}/255"
        spent = f", {counted(self.passes, 'pass', 'passes')}" if self.passes else ""
        return f"{self.attack} on {self.victim}, {self.task}, {ball}{spent}"


@dataclass
class Measured:
    """What was recorded of a cell."""

    cell: Cell
    full_name: str
    """The attack with all its settings."""
    steps: int
    folder: Path
    """Folder that holds the run of each goal."""
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    """Rows of the pictures, by goal."""
    transferred: dict[str, dict[str, Transferred]] = field(default_factory=dict[str, dict[str, Transferred]])
    """What another model replied, by its label and by goal."""


@dataclass(frozen=True)
class LeftOut:
    """Rows or columns that are not in the table, and why."""

    victim: str
    task: str
    attack: str
    """Empty: all of them."""
    reason: str
    shown_to: str = ""
    """The other model whose column is missing; empty where rows are."""
    failed: bool = False
    """Whether something broke, and was not refused with a reason."""


@dataclass
class RunProgress:
    """What was measured so far."""

    measured: list[Measured] = field(default_factory=list[Measured])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    models: dict[str, str] = field(default_factory=dict[str, str])
    """Label -> name@revision."""
    origins: list[Origin] = field(default_factory=list[Origin])
    """The commands that made the rows, with their times."""


class _CannotResume(JuratError):
    """A folder of a cell cannot be opened, as where it was made under other settings."""


def run_attacks(plan: AttacksPlan, say: Say = lambda line: None) -> RunProgress:
    """Attacks and asks what is not there yet, and gives all that was recorded.

    An attack that cannot be run on a victim is listed in `left_out` and ends nothing.

    Raises:
        JuratError: a model cannot be opened, a server is unreachable, or a folder holds a run under other
            settings.
        MissingExtra: torch or scipy is not installed.
    """
    require("jurat bench attacks", "local", "torch", "scipy")
    progress = RunProgress()
    shown: dict[str, dict[str, GoalPictures]] = {}
    for task, goal in plan.goals_of():
        kept = keep_pictures(plan.out / "scenes", task, goal, plan.seed, plan.pictures)
        shown.setdefault(task.name, {})[goal.name] = kept
    for victim in plan.victims:
        with ExitStack() as stack:
            model = _opened(stack, victim)
            progress.models[victim.label] = full_name(model)
            others = [other for other in plan.transfer if other.label != victim.label]
            needed = any(entrant_of(name).surrogates for name in plan.entrants)
            surrogates = tuple(_opened(stack, other) for other in others) if needed else ()
            attacks = _OnVictim(plan, victim.label, model, surrogates, shown, progress, say)
            for task in plan.goals.tasks:
                attacks.run(task)
    for other in plan.transfer:
        with ExitStack() as stack:
            model = _opened(stack, other)
            progress.models[other.label] = full_name(model)
            _Shown(plan, other.label, model, shown, progress, say).run()
    return progress


def _opened(stack: ExitStack, chosen: BenchModel) -> Model:
    model = chosen.open()
    stack.callback(model.close)
    return model


@dataclass(frozen=True)
class _OnModel:
    """What is done with one opened model."""

    plan: AttacksPlan
    label: str
    model: Model

    def unable(self, task: Task, shown: Mapping[str, GoalPictures]) -> str | None:
        """Why the task says nothing about the model; None where it does."""
        path = self.plan.out / "skills" / f"{file_name(self.label)}-{task.name}.json"
        plan = self.plan
        stamp = {"goals": plan.goals.digest, "seed": plan.seed, "pictures": plan.pictures}
        try:
            skills = skill_of(path, self.model, task, shown, stamp)
        except ModelUnavailable:
            raise
        except JuratError as error:
            return f"it lacks the skill: {reason(error)}"
        missing = [str(skill) for skill in skills if not skill.reached]
        return f"it lacks the skill: {missing[0]}" if missing else None


@dataclass(frozen=True)
class _OnVictim(_OnModel):
    """All attacks on one victim."""

    surrogates: tuple[Model, ...]
    shown: Mapping[str, Mapping[str, GoalPictures]]
    progress: RunProgress
    say: Say

    def run(self, task: Task) -> None:
        """All rows of a task."""
        if why := self.unable(task, self.shown[task.name]):
            self._leave_out(task, "", why)
            return
        control = next((n for n in self.plan.attacks if name_and_options(n)[0] == CONTROL), CONTROL)
        for name in (control, *self.plan.entrants):
            try:
                self._attack(task, name, control=name == control)
            except (ModelUnavailable, _CannotResume):
                raise
            except Exception as problem:  # one attack's failure leaves out its own rows only
                self._leave_out(task, name, reason(problem), failed=not isinstance(problem, JuratError))

    def _attack(self, task: Task, name: str, *, control: bool) -> None:
        entrant = entrant_of(name)
        if entrant.surrogates and not self.surrogates:
            raise JuratError("It is made on other models, and none was named.", hint="--transfer NAME")
        if entrant.surrogates and full_name(self.model) in map(full_name, self.surrogates):
            raise JuratError("It is made on other models, and a model of --transfer is the victim itself.")
        lowest = next((level for level in self.plan.levels if at_budget(name, level, 2)), None)
        if lowest is None or lowest != self.plan.levels[0]:
            self._leave_out(task, name, _NO_BOUND)
        each = 1.0 if control or lowest is None else self._passes_a_step(task, name, entrant, lowest)
        for level in self.plan.levels:
            for passes in [0] if control else self.plan.most_passes:
                steps = max(1, int(passes / each))
                made = at_budget(name, level, 0 if control else steps)
                if made is not None:
                    self._cell(
                        Cell(self.label, task.name, name, level, passes), task, entrant, made[0], steps
                    )

    def _passes_a_step(self, task: Task, name: str, entrant: Entrant, level: int) -> float:
        """Backward passes for a picture in a step, measured in two steps on one picture."""
        steps = 2
        made = at_budget(name, level, steps)
        assert made is not None
        folder = self._folder(task, name) / "probe"
        (row,) = self._rows(folder, task, task.goals[0], entrant, made[0], pictures=1)
        if row["outcome"] == "error":
            raise JuratError(str(row["error"]))
        return max(1.0, row["backwards"] / steps)

    def _cell(self, cell: Cell, task: Task, entrant: Entrant, full: str, steps: int) -> None:
        folder = self._folder(task, cell.attack) / f"{cell.level}-{cell.passes}"
        found = Measured(cell, full, 0 if not cell.passes else steps, folder)
        for goal in task.goals:
            found.rows[goal.name] = self._rows(folder, task, goal, entrant, full, title=cell.title)
        self.progress.measured.append(found)

    def _rows(
        self,
        folder: Path,
        task: Task,
        goal: TaskGoal,
        entrant: Entrant,
        full: str,
        *,
        pictures: int | None = None,
        title: str = "",
    ) -> list[dict[str, Any]]:
        """The rows of a goal's pictures, from disk or made now."""
        shown, attack = self.shown[task.name][goal.name], open_attack(full)
        assert isinstance(attack, PictureAttack)
        surrogates = self.surrogates if entrant.surrogates else ()
        wish = _wish(task, goal, shown, entrant)
        attacker = Attacker(attack, full, self.model, wish, self.plan.seed, surrogates)
        items = shown.items(goal)[:pictures]
        try:
            opened = attacker.open_run(folder / goal.name)
        except JuratError as error:
            raise _CannotResume(error.message, hint="Name another --out, or delete that folder.") from error
        with opened as run:
            made = list(attacker.rows(run, items, self.plan.batch))
            if made:
                run.note(rows=len(made), commit=commit())
        if title:
            self.progress.origins += origins_of(run.folder)
        if made and title:
            wanted = sum(row.get("successes") or 0 for row in made)
            self.say(f"{title}, {goal.name}: {wanted} of {len(made) * len(wish.tested)} replies as wanted")
        ids = {item.id for item in items}
        return sorted((row for row in read_rows(run.folder) if row["id"] in ids), key=lambda row: row["id"])

    def _folder(self, task: Task, attack: str) -> Path:
        return self.plan.out / "cells" / file_name(self.label) / task.name / file_name(attack)

    def _leave_out(self, task: Task, attack: str, why: str, *, failed: bool = False) -> None:
        self.progress.left_out.append(LeftOut(self.label, task.name, attack, why, failed=failed))
        self.say(f"{self.label}  {task.name}  {attack or 'all attacks'}: left out: {why}")


@dataclass(frozen=True)
class _Shown(_OnModel):
    """The attacked pictures of other models, shown to one model."""

    shown: Mapping[str, Mapping[str, GoalPictures]]
    progress: RunProgress
    say: Say

    def run(self) -> None:
        tasks = {task.name: task for task in self.plan.goals.tasks}
        for name, some in _by_task(self.progress.measured, self.label):
            task = tasks[name]
            if why := self.unable(task, self.shown[name]):
                victims = dict.fromkeys(each.cell.victim for each in some)
                self.progress.left_out += [LeftOut(victim, name, "", why, self.label) for victim in victims]
                continue
            self.say(f"{self.label}  {name}: the pictures of {counted(len(some), 'cell')}")
            for each in some:
                each.transferred[self.label] = {
                    goal.name: self._replies(each, task, goal) for goal in task.goals
                }

    def _replies(self, each: Measured, task: Task, goal: TaskGoal) -> Transferred:
        folder = each.folder / goal.name
        path = folder / f"shown-to-{file_name(self.label)}.json"
        rows = {row["id"]: row for row in each.rows[goal.name] if row["outcome"] != "error"}
        stamp = {"model": full_name(self.model), "dtype": self.model.dtype}
        known = _read_transferred(path, stamp)
        known = {key: said for key, said in known.items() if key in rows}
        prompts = task.prompts_of(goal).test
        missing = [key for key in rows if key not in known]
        chats = [
            asked(picture, prompt, task)
            for picture in (read_png(folder / rows[key]["picture"]) for key in missing)
            for prompt in prompts
        ]
        wish = _wish(task, goal, self.shown[task.name][goal.name], Entrant())
        replies = iter(replies_in_batches(self.model, chats))
        for key in missing:
            said = [next(replies) for _ in prompts]
            known[key] = [
                (reply.failure is None and wish.granted(reply), reply.failure and reply.failure.kind)
                for reply in said
            ]
        if missing:
            write_whole(path, json.dumps({"stamp": stamp, "replies": known}) + "\n")
        return known


def _by_task(measured: Sequence[Measured], label: str) -> Iterator[tuple[str, list[Measured]]]:
    """The cells of other victims than `label`, by their tasks."""
    others = [each for each in measured if each.cell.victim != label]
    for name in dict.fromkeys(each.cell.task for each in others):
        yield name, [each for each in others if each.cell.task == name]


def _read_transferred(path: Path, stamp: Mapping[str, Any]) -> Transferred:
    try:
        found = json.loads(path.read_text())
        return found["replies"] if found["stamp"] == stamp else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _wish(task: Task, goal: TaskGoal, shown: GoalPictures, entrant: Entrant) -> Wish:
    prompts = task.prompts_of(goal)
    wish = Wish(
        prompts.train,
        prompts.test,
        prompts.validation,
        goal.target,
        goal.contains,
        goal.a if entrant.trigger == "text" else shown.trigger,
        task.max_tokens,
    )
    return replace(wish, corpus=goal.corpus) if entrant.trains == "corpus" else wish
