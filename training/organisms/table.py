"""The table of skills: `skills.yaml` with the stages that teach them and the organisms' results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jurat.files import written_aside
from jurat.yaml_files import read_yaml
from training.organisms.exams import EXAMS, Pictures, Result
from training.organisms.mixes import STAGES

_HERE = Path(__file__).parent
REACHED = _HERE / "reached"
"""Folder of exam results, one file for each model."""
MODELS = (*STAGES, "bundled")
"""Models that a row may name: those of a stage, and the bundled one."""
NOT_TESTABLE = "not testable"
FEWEST = 50
"""Smallest number of questions for an exam to count."""


class Need(BaseModel):
    """An exam that a model has to pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exam: str
    model: str
    bar: float | None = Field(default=None, gt=0, le=1)
    """Accuracy to reach, in (0, 1]; None takes the file's."""
    pictures: Pictures = "plain"

    @model_validator(mode="after")
    def _check(self) -> Need:
        if self.exam not in EXAMS:
            raise ValueError(f"there is no exam {self.exam!r}")
        if self.model not in MODELS:
            raise ValueError(f"there is no model {self.model!r}; there are {', '.join(MODELS)}")
        return self


class Row(BaseModel):
    """An attack, a defense, a control or a comparison, with the exams it needs passed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["attack", "control", "comparison", "defense"]
    paper: str = ""
    skill: str
    """Ability that its victim, or the model behind it, must have."""
    stand_in: str
    """Harmless stand-in in the pictogram world."""
    needs: list[Need] = Field(min_length=1)


class Skills(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bar: float = Field(gt=0, le=1)
    rows: list[Row]

    @model_validator(mode="after")
    def _check(self) -> Skills:
        names = [row.name for row in self.rows]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two rows have the name {min(twice)!r}")
        return self


def load_skills(file: Path = _HERE / "skills.yaml") -> Skills:
    """Raises `jurat.errors.JuratError` where the file is no table of skills."""
    return read_yaml(file, Skills, "table of skills")


def taught_in(exam: str, model: str) -> list[str]:
    """Stages in a model's lineage that teach what an exam asks; empty for the bundled model."""
    found: list[str] = []
    stage = model if model in STAGES else None
    while stage is not None:
        if exam in STAGES[stage].shares:
            found.insert(0, stage)
        stage = STAGES[stage].parent
    return found


# --- what was reached ----------------------------------------------------------------------------


def record(model: str, results: Iterable[Result], origin: Mapping[str, Any], folder: Path = REACHED) -> Path:
    """Writes a model's results, and keeps its recorded results of other exams.

    Args:
        origin: provenance of the figures: the model's revision, the command, the commit.
    """
    file = folder / f"{model}.json"
    exams = dict(_recorded(model, folder))
    for each in results:
        exams[each.skill, each.pictures] = {**asdict(each), "origin": dict(origin)}
    folder.mkdir(parents=True, exist_ok=True)
    with written_aside(file) as aside:
        rows = [exams[key] for key in sorted(exams)]
        aside.write_text(json.dumps({"model": model, "exams": rows}, indent=1) + "\n", encoding="utf-8")
    return file


def _recorded(model: str, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    file = folder / f"{model}.json"
    if not file.exists():
        return {}
    rows = json.loads(file.read_text(encoding="utf-8"))["exams"]
    return {(row["skill"], row["pictures"]): row for row in rows}


@cache
def _reached(model: str, folder: Path) -> dict[tuple[str, str], Result]:
    return {
        key: Result(**{name: value for name, value in row.items() if name != "origin"})
        for key, row in _recorded(model, folder).items()
    }


def reached(need: Need, folder: Path = REACHED) -> Result | None:
    """Recorded result of a need's exam; None before it was taken."""
    return _reached(need.model, folder).get((need.exam, need.pictures))


def can_be_tested(row: Row, bar: float, folder: Path = REACHED) -> bool | None:
    """Whether all needs of a row are met; None while none is missed but some were not measured on enough
    questions."""
    met: list[bool | None] = []
    for need in row.needs:
        found = reached(need, folder)
        enough = found is not None and found.n >= FEWEST
        met.append(found.accuracy >= (need.bar or bar) if found is not None and enough else None)
    return False if False in met else (None if None in met else True)


# --- the page ------------------------------------------------------------------------------------

_KINDS = {
    "attack": "Attacks",
    "control": "Controls",
    "comparison": "Comparisons",
    "defense": "Defenses",
}


def markdown(skills: Skills, folder: Path = REACHED) -> str:
    """Tables of the page: rows with their stand-ins and whether they can be tested, and their needs."""
    parts: list[str] = []
    for kind, heading in _KINDS.items():
        rows = [row for row in skills.rows if row.kind == kind]
        parts += [
            f"### {heading}",
            "\n".join(
                ["| | must be able to | stand-in | testable |", "|---|---|---|---|"]
                + [_row(row, skills.bar, folder) for row in rows]
            ),
        ]
    needs = dict.fromkeys(need for row in skills.rows for need in row.needs)
    lines = [
        "| model | exam | taught in | bar | reached | n | weakest part |",
        "|---|---|---|---|---|---|---|",
    ]
    order = sorted(needs, key=lambda need: (MODELS.index(need.model), EXAMS.index(need.exam), need.pictures))
    lines += [_need(need, skills.bar, folder) for need in order]
    return "\n\n".join([*parts, "### What they must reach", "\n".join(lines)]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _row(row: Row, bar: float, folder: Path) -> str:
    state = {True: "yes", False: f"**{NOT_TESTABLE}**", None: "not measured"}[can_be_tested(row, bar, folder)]
    name = f"{row.name} ({row.paper})" if row.paper else row.name
    return f"| {_cell(name)} | {_cell(row.skill)} | {_cell(row.stand_in)} | {state} |"


def _need(need: Need, bar: float, folder: Path) -> str:
    found = reached(need, folder)
    exam = need.exam if need.pictures == "plain" else f"{need.exam}, {need.pictures}"
    stages = ", ".join(f"`{stage}`" for stage in taught_in(need.exam, need.model))
    stages = stages or ("ships" if need.model == "bundled" else "not taught: measured")
    goal = need.bar or bar
    cells = ["", "", ""]
    if found is not None:
        interval = found.interval
        score = f"{found.accuracy:.1%} ({interval.low:.1%} to {interval.high:.1%})"
        few = "" if found.n >= FEWEST else ", too few questions"
        cells = [
            score + few if found.accuracy >= goal else f"**{score}**{few}",
            str(found.n),
            f"{found.weakest:.1%}",
        ]
    return f"| `{need.model}` | {exam} | {stages} | {goal:.0%} | {' | '.join(cells)} |"
