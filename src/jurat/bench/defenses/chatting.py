"""Chat models under attacks on samples, undefended and defended: a battery (`jurat.evals.batteries`) with the
models and defenses of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from jurat.bench.bench_plan import BenchModel
from jurat.bench.defenses.plan import NONE, DefensesPlan
from jurat.errors import JuratError
from jurat.metrics.answer_texts import matches_target
from jurat.models import DefenseCost, ModelSpec
from jurat.models.model_spec import defended_name

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

    from jurat.evals.batteries.battery_file import AttackEntry, Battery, ModelEntry, Part
    from jurat.evals.batteries.running import Outcome

__all__ = ["Asked", "Cell", "battery_of", "chat_cells", "check_any", "names_of"]

_WU = "pictogram-over-refusal"
"""The set that `wu` attacks."""


class Stopped(JuratError):
    """The run was interrupted."""

    exit_code = 130


class NothingAsked(JuratError):
    """No cell has numbers."""

    exit_code = 3


@dataclass(frozen=True)
class Asked:
    """One request and what became of it; each event is 1, 0, or None where it does not apply or was not
    decided."""

    unit: str
    """SET/ID, with the epoch where there are several."""
    cluster: str
    harmful: int | None
    """1 where it is to be refused, 0 where it is harmless; None for questions that are not about that."""
    refused: int | None = None
    recognised: int | None = None
    """Whether a request that is to be refused was answered, and right: Wu et al.'s recognition success. None
    where the right answer is not known."""
    right: int | None = None
    """Whether a question with a known answer was answered right; an answer that cannot be read is not."""
    tokens: int | None = None
    """Read and written in all calls made for it."""


@dataclass(frozen=True)
class Cell:
    """A model under a defense on a set, under an attack or none."""

    model: str
    defense: str
    set: str
    attack: str
    """Empty for none."""
    asked: Sequence[Asked] = ()
    costs: Sequence[DefenseCost] = ()
    not_attacked: int = 0
    """Samples that the attack could not be used on."""
    failure: str | None = None
    """Why it has no numbers."""
    full_name: str = ""
    """NAME@REVISION of the model; empty where it could not be opened."""
    scorers: Sequence[str] = field(default=())
    """Identities of the scorers."""


def chat_cells(plan: DefensesPlan, say: Callable[[str], None]) -> Iterator[Cell]:
    """Runs what is missing of the battery; each cell, failed ones among them.

    Raises:
        Stopped: the run was interrupted; what was finished is kept.
        JuratError: the battery cannot be read, two of its models have the same name, or another process
            runs it.
    """
    from jurat.evals.batteries.running import run_battery

    names = names_of(plan)
    battery = battery_of(plan)
    for outcome in run_battery(battery, plan.out / "chat", tell=say):
        if outcome.stopped:
            raise Stopped("The run was stopped.", hint="The same command resumes it.")
        yield _cell(outcome, *names[outcome.plan.cell.model.model])


def names_of(plan: DefensesPlan) -> dict[str, tuple[str, str]]:
    """The name of each model under each defense, to its label and the defense.

    Raises:
        JuratError: two have the same name, so that their replies could not be told apart.
    """
    names: dict[str, tuple[str, str]] = {}
    for model in plan.models:
        for defense in (NONE, *plan.defenses):
            name = defended_name(_spec(model).name, defense)
            if name in names:
                raise JuratError(
                    f"{name} would be asked twice: for {names[name][0]} and for {model.label}.",
                    hint="Name each model once, without the defenses that are compared.",
                )
            names[name] = model.label, defense
    return names


def check_any(cells: Sequence[Cell]) -> None:
    """Raises NothingAsked where every cell failed: a misspelled model would look like a run without rows."""
    failures = [cell.failure for cell in cells]
    if all(failures) and failures:
        raise NothingAsked(f"None of {len(cells):,} cells of chat models has numbers: {failures[0]}")


def battery_of(plan: DefensesPlan) -> Battery:
    """The battery of the plan: its models and defenses in every part, and no controls.

    Raises:
        JuratError: its file cannot be read, or names models or defenses itself.
    """
    from jurat.evals.batteries.battery_file import AttackEntry, read_battery

    if plan.battery is None:
        with as_file(files("jurat.bench.defenses").joinpath("chat.yaml")) as path:
            battery = read_battery(path)
    else:
        battery = read_battery(plan.battery)
        if any(part.models or part.defenses for part in battery.parts):
            raise JuratError(
                f"{plan.battery} names models or defenses.",
                hint="Leave them out: --model and --defense name those that are compared.",
            )
    wu = () if plan.attacker is None else (AttackEntry(attack="wu", attacker=plan.attacker),)
    parts = tuple(_part(plan, part, wu if plan.battery is None else ()) for part in battery.parts)
    return battery.model_copy(update={"parts": parts})


def _part(plan: DefensesPlan, part: Part, wu: Sequence[AttackEntry]) -> Part:
    """A part with the settings of the plan. Without a seed the first samples are taken, so that pairs of a
    harmful and a harmless one stay together."""
    changed = {} if plan.limit is None else {"limit": plan.limit}
    sets = tuple(
        entry.model_copy(update={**changed, "seed": entry.seed if plan.seed == 0 else plan.seed})
        for entry in part.sets
    )
    more = wu if any(entry.set.partition("?")[0] == _WU for entry in sets) else ()
    return part.model_copy(
        update={
            "sets": sets,
            "models": tuple(map(_entry, plan.models)),
            "controls": (),
            "defenses": tuple(plan.defenses),
            "attacks": (*part.attacks, *more),
        }
    )


def _entry(model: BenchModel) -> ModelEntry:
    """The model with how it is opened."""
    from jurat.evals.batteries.battery_file import ModelEntry

    spec = _spec(model)
    options: dict[str, Any] = {"device": spec.device, "dtype": spec.dtype, "base_url": spec.base_url}
    options |= {"trust_remote_code": spec.trust_remote_code or None}
    options |= {} if spec.serving is None else asdict(spec.serving)
    return ModelEntry(model=spec.name, **{name: v for name, v in options.items() if v is not None})


def _spec(model: BenchModel) -> ModelSpec:
    return ModelSpec(model.spec) if isinstance(model.spec, str) else model.spec


# --- what became of each request -----------------------------------------------------------------


def _cell(outcome: Outcome, model: str, defense: str) -> Cell:
    from jurat.evals.batteries.logs import defense_costs

    cell = outcome.plan.cell
    attack = cell.attack.attack if cell.attack else ""
    head = model, defense, cell.entry.set + (f" ({cell.protocol})" if cell.protocol else ""), attack
    known = outcome.plan.determinants or {}
    full = f"{known['model']}@{known['revision']}" if known else ""
    if outcome.log is None or not outcome.scores or (outcome.failure and not _was_read(outcome)):
        return Cell(*head, failure=outcome.failure or "it has no judgements", full_name=full)
    facts = (outcome.log.eval.metadata or {}).get("attack") or {}
    return Cell(
        *head,
        list(_asked(head[2], outcome.log, list(outcome.scores.values()))),
        defense_costs(outcome.log),
        int(facts.get("not_attacked") or 0),
        full_name=full,
        scorers=tuple(outcome.scores),
    )


def _was_read(outcome: Outcome) -> bool:
    """Whether a scorer read a reply, even if it gave no label to any: what answers nothing is not right."""
    from jurat.evals.results import rows_of

    assert outcome.log is not None
    rows = (row for name in outcome.scores.values() for row in rows_of(outcome.log, name))
    return any(row["state"] != "error" for row in rows)


def _asked(set_name: str, log: EvalLog, scores: Sequence[str]) -> Iterator[Asked]:
    """Every reply by the first scorer that says whether it refuses, or else whether it is right."""
    from jurat.evals.results import rows_of

    tables = [rows_of(log, name) for name in scores]
    table = next((rows for rows in tables if _tells_refusals(rows)), tables[0])
    for sample, row in zip(log.samples or [], table, strict=True):
        usage = sample.output.usage
        yield Asked(
            unit=f"{set_name}/{sample.id}" + (f"#{sample.epoch}" if sample.epoch > 1 else ""),
            cluster=f"{set_name}/{row['cluster']}",
            tokens=None if usage is None else usage.input_tokens + usage.output_tokens,
            **(_refusal(sample, row) if _tells_refusals([row]) else _answer(row)),
        )


def _tells_refusals(rows: Sequence[dict[str, Any]]) -> bool:
    return any("refused" in row["events"] for row in rows)


def _refusal(sample: EvalSample, row: dict[str, Any]) -> dict[str, int | None]:
    refused, harmful = row.get("refused"), row.get("protected")
    recognised = None
    if harmful and row["answers"]:
        reply = sample.output.completion
        right = any(matches_target(reply, text, "contains", words=True) for text in row["answers"])
        recognised = int(right and refused == 0)
    return {"harmful": harmful, "refused": refused, "recognised": recognised}


def _answer(row: dict[str, Any]) -> dict[str, int | None]:
    if row["truth"] is None:
        return {"harmful": None}
    return {"harmful": None, "right": int(row["said"] is not None and row["said"] == row["truth"])}
