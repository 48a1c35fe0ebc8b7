"""The plan of a comparison of attacks: who is attacked how, and how much is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jurat.bench.attacks.goals import Goals, Task, TaskGoal, load_goals
from jurat.bench.attacks.lineup import CONTROL, UNBOUNDED, check_name, default_attacks
from jurat.bench.bench_plan import BenchModel
from jurat.errors import JuratError
from jurat.registry import name_and_options

__all__ = ["BUDGETS", "PASSES", "PICTURES", "AttacksPlan"]

BUDGETS = (2, 8, UNBOUNDED)
PASSES = (20, 100)
PICTURES = 3


@dataclass(frozen=True)
class AttacksPlan:
    """Everything that defines a comparison.

    It is no `BenchPlan`: no method judges anything here, and there are no splits.

    Raises:
        JuratError: something is named twice or not at all, or an attack cannot be opened.
    """

    out: Path
    victims: Sequence[BenchModel]
    transfer: Sequence[BenchModel] = ()
    """Other models that every attacked picture is shown to. Attacks by surrogates are made on them."""
    attacks: Sequence[str] = field(default_factory=default_attacks)
    """Names with settings. The control is run whether it is named or not."""
    budgets: Sequence[int] = BUDGETS
    """Largest changes of a value, in levels of 255."""
    passes: Sequence[int] = PASSES
    """Backward passes that an attack may make for a picture; its steps follow from them."""
    pictures: int = PICTURES
    """Clean pictures of a goal."""
    seed: int = 0
    batch: int = 16
    """Pictures that are attacked at once."""
    goals: Goals = field(default_factory=load_goals)
    command: str = ""

    def __post_init__(self) -> None:
        labels = [model.label for model in (*self.victims, *self.transfer)]
        if not self.victims or len({each.label for each in self.victims}) < len(self.victims):
            raise JuratError("Name one victim or more, each once.", hint="--victim LABEL=NAME")
        if len({each.label for each in self.transfer}) < len(self.transfer):
            raise JuratError("Two models of --transfer have the same label.", hint="--transfer LABEL=NAME")
        specs = {(model.label, str(model.spec)) for model in (*self.victims, *self.transfer)}
        if len({label for label, _ in specs}) < len(specs):
            raise JuratError(f"A label stands for two models: {', '.join(sorted(set(labels)))}.")
        for name in self.attacks:
            check_name(name)
        controls = {name for name in self.attacks if name_and_options(name)[0] == CONTROL}
        if len(controls) > 1:
            raise JuratError(
                f"The control is named with different settings: {', '.join(sorted(controls))}.",
                hint="Name it once, or not at all.",
            )
        if not self.budgets or any(not 1 <= level <= UNBOUNDED for level in self.budgets):
            raise JuratError("Budgets are whole levels from 1 to 255.", hint="--budget 8, --budget unbounded")
        if not self.passes or min(self.passes) < 1 or self.pictures < 1:
            raise JuratError("Passes and pictures are at least 1.")

    @property
    def entrants(self) -> list[str]:
        """The attacks that are compared with the control."""
        return [name for name in dict.fromkeys(self.attacks) if name_and_options(name)[0] != CONTROL]

    @property
    def levels(self) -> list[int]:
        return sorted(set(self.budgets))

    @property
    def most_passes(self) -> list[int]:
        return sorted(set(self.passes))

    def goals_of(self) -> Iterator[tuple[Task, TaskGoal]]:
        for task in self.goals.tasks:
            for goal in task.goals:
                yield task, goal
