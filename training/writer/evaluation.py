"""Accuracy of the bundled writer's clauses, compared with the true ones on scenes, and its card.

Two rules are equal if they hold the same statements in the same logic. Otherwise they must have the same
three-valued truth in about 400 scenes made to tell them apart: some break one of the two rules or narrowly
keep it; in others, drawn at random, objects are replaced by those the rules name and their look-alikes. A
draft that the writer's own checks turn into a failure counts as wrong.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jurat.constitution import Clause, Constitution, Rule
from jurat.constitution import Statement as Line
from jurat.content import Failure
from jurat.models.bundled.rule_writer import BundledWriter
from jurat.models.capabilities import RuleDraft
from jurat.pictograms.cases import draw_case, rule_truth
from jurat.pictograms.objects import CLASSES, LOOKALIKES, OBJECTS, WORDS
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import draw
from jurat.pictograms.statements import (
    Facts,
    Larger,
    Lies,
    Reads,
    Statement,
    Touches,
    Visible,
    walk,
)
from training.lineage import made_of
from training.mllm.evaluation import Score
from training.rule_meanings import Ban, draw_ban, held_out
from training.rule_wordings import no_rule, wording

BAR = 95.0
"""Percentage of rules of `BARRED` whose clauses should equal the truth."""
FIRST_SEED = 7_000_000_000
RECAST, BUILT = 400, 4
"""Numbers of scenes for a pair of rules: recast ones, and ones built for each rule, half of them near
misses."""
_SIDE = 48
"""Side in pixels of a scene that is drawn for its facts only."""

View = Literal["new rules", "held-out combinations", "held-out wordings", "both held out"]
VIEWS: tuple[View, ...] = ("new rules", "held-out combinations", "held-out wordings", "both held out")
BARRED: View = "held-out combinations"


@dataclass(frozen=True)
class Task:
    """A rule to write clauses of, and its meaning."""

    text: str
    ban: Ban


def set_tasks(view: View, count: int, seed: int = FIRST_SEED) -> list[Task]:
    """Rules that training never saw, no two alike. All texts are new: none is among `shown`."""
    rng = random.Random(f"{seed} {view}")
    tasks: dict[str, Task] = {}
    while len(tasks) < count:
        ban = draw_ban(rng)
        if held_out(ban) is not (view in ("held-out combinations", "both held out")):
            continue
        text = wording(ban, rng, unseen=view in ("held-out wordings", "both held out"))
        tasks.setdefault(text, Task(text, ban))
    return list(tasks.values())


# --- scenes that tell rules apart --------------------------------------------------------------


@cache
def _drawn(number: int) -> Facts:
    return Facts.of(draw(np.random.default_rng(FIRST_SEED + number)))


def telling_scenes(rules: Sequence[Rule], seed: int, recast: int = RECAST, built: int = BUILT) -> list[Facts]:
    """Scenes in which rules that differ are likely to differ."""
    rng = np.random.default_rng(seed)
    spoken = _spoken(rules)
    scenes = [_recast(facts, _focus(spoken, rng), rng) for facts in map(_drawn, range(recast))]
    for rule in rules:
        law = Constitution(name="one", rules=(rule,))
        for i in range(built):
            try:
                case = draw_case(law, rule, "broken" if i % 2 == 0 else "near miss", rng, size=_SIDE)
            except ValueError:  # there may be none: what must be missing cannot just be missing
                continue
            scenes.append(Facts.of(case.scene))
    return scenes


def _spoken(rules: Sequence[Rule]) -> tuple[list[list[int]], list[list[int]]]:
    """Classes that each name or word in the rules may stand for: first of the things that must be there, then
    of those that must be missing or are exceptions."""
    wanted: dict[tuple[int, ...], None] = {}
    unwanted: dict[tuple[int, ...], None] = {}
    for rule in rules:
        for clause in (*rule.clauses, *rule.unless):
            for line in clause.alternatives:
                into = unwanted if line.negated or clause in rule.unless else wanted
                for statement in walk(parse(line.text)):
                    into |= {tuple(sorted(noun.classes)): None for noun in statement.nouns()}
                    if isinstance(statement, Reads):
                        into[(len(OBJECTS) + WORDS.index(statement.word),)] = None
    return [list(kinds) for kinds in wanted], [list(kinds) for kinds in unwanted]


def _focus(spoken: tuple[list[list[int]], list[list[int]]], rng: np.random.Generator) -> list[int]:
    """Classes for a scene: some that the rules name, each twice, and a look-alike."""
    rates = rng.uniform(0.3, 1), rng.uniform(0, 1)
    some = [
        kinds[rng.integers(len(kinds))]
        for group, rate in zip(spoken, rates, strict=True)
        for kinds in group
        if rng.random() < rate
    ]
    alike = [kind for each in some for kind in LOOKALIKES[each]]
    return [*some, *some, alike[rng.integers(len(alike))] if alike else int(rng.integers(CLASSES))]


def _recast(facts: Facts, focus: Sequence[int], rng: np.random.Generator) -> Facts:
    """The scene with other things in it, three in four of them from `focus`."""
    kinds = np.where(rng.random(len(facts.kinds)) < 0.75, rng.choice(focus, len(facts.kinds)), facts.kinds)
    return replace(facts, kinds=kinds)


def same(first: Rule, second: Rule) -> bool:
    """Whether two rules are equal by their form alone: the same statements in the same logic."""
    return _form(first) == _form(second)


Literals = frozenset[tuple[Statement, bool]]
"""The alternatives of a clause: a statement, and whether it is negated."""


def _form(rule: Rule) -> frozenset[Literals]:
    """The rule's clauses, with exceptions turned into clauses by De Morgan's laws, and without those that
    others entail: what touches something, lies beside it or is larger than it is visible, as is the other."""
    clauses = {_literals(clause.alternatives) for clause in rule.clauses}
    if rule.unless:
        for some in itertools.product(*(clause.alternatives for clause in rule.unless)):
            clauses.add(_literals(Line(text=one.text, negated=not one.negated) for one in some))
    entailed = {each for clause in clauses for each in _entailed(clause)}
    return frozenset(clauses - entailed)


def _literals(lines: Iterable[Line]) -> Literals:
    found: set[tuple[Statement, bool]] = set()
    for line in lines:
        statement = parse(line.text)
        if isinstance(statement, Visible) and not line.negated:
            found |= {(Visible((noun,)), False) for noun in statement.any_of}
        else:
            found.add((statement, line.negated))
    return frozenset(found)


def _entailed(clause: Literals) -> list[Literals]:
    (statement, negated), *others = clause
    if others or negated:
        return []
    match statement:
        case Touches(first, touched):
            return [
                frozenset({(Visible((first,)), False)}),
                frozenset((Visible((o,)), False) for o in touched),
            ]
        case Lies() | Larger():
            return [frozenset({(Visible((noun,)), False)}) for noun in statement.nouns()]
        case _:
            return []


def equal(first: Rule, second: Rule, scenes: Sequence[Facts]) -> bool:
    return all(rule_truth(first, facts) is rule_truth(second, facts) for facts in scenes)


# --- the examination ---------------------------------------------------------------------------


def rule_of(text: str, draft: RuleDraft) -> Rule:
    """A draft as a rule of a constitution. Raises ValueError for an invalid one."""
    clauses = tuple(
        Clause(alternatives=tuple(Line(text=said, negated=negated) for said, negated in clause))
        for clause in draft.clauses
    )
    return Rule(rule=text, clauses=clauses)


@dataclass
class Marks:
    """Results for the rules of one view."""

    right: int = 0
    wrong: int = 0
    failed: int = 0
    """Number of wrong drafts that the writer's own checks caught."""
    scenes: int = 0
    """Number of scenes that rules with other statements were compared on."""
    broken: int = 0
    """Number of those scenes that break the true rule."""

    @property
    def score(self) -> Score:
        return Score(self.right, self.right + self.wrong + self.failed)


def examine(writer: BundledWriter, tasks: Sequence[Task], seed: int = FIRST_SEED) -> tuple[Marks, list[str]]:
    """Marks, and examples of wrong rules with the clauses that the writer wrote."""
    marks, misses = Marks(), list[str]()
    drafts = writer.drafts([task.text for task in tasks])
    for number, (task, draft) in enumerate(zip(tasks, drafts, strict=True)):
        if isinstance(draft, Failure):
            marks.failed += 1
            misses.append(f"{task.text} -> {draft.kind}: {draft.reason}")
            continue
        true = task.ban.rule(task.text)
        try:
            written = rule_of(task.text, draft)
        except ValueError as error:  # contradicting clauses, say
            marks.wrong += 1
            misses.append(f"{task.text} -> {error}")
            continue
        if same(true, written):
            marks.right += 1
            continue
        scenes = telling_scenes((true, written), seed + number)
        marks.scenes += len(scenes)
        marks.broken += sum(rule_truth(true, facts) is True for facts in scenes)
        if equal(true, written, scenes):
            marks.right += 1
        else:
            marks.wrong += 1
            misses.append(f"{task.text} -> {' '.join(clause.text for clause in written.clauses)}")
    return marks, misses


def recognise(writer: BundledWriter, count: int, seed: int = FIRST_SEED) -> Score:
    """Share of sentences that are no rules, in known words, that the writer rejects."""
    rng = random.Random(f"{seed} strangers")
    texts = [no_rule(draw_ban(rng), rng) for _ in range(count)]
    return Score(sum(isinstance(found, Failure) for found in writer.drafts(texts)), count)


def evaluate_writer(folder: Path, count: int) -> dict[str, Any]:
    """Examines the exported writer in `folder` on `count` rules for each view; returns the card's data."""
    writer = BundledWriter(folder, device="cpu")
    rows: list[dict[str, Any]] = []
    for view in VIEWS:
        marks, misses = examine(writer, set_tasks(view, count))
        score = marks.score
        low, high = score.interval
        rows.append(
            {
                "view": view,
                "percent": round(score.percent, 2),
                "low": round(low, 2),
                "high": round(high, 2),
                "n": score.n,
                "wrong": marks.wrong,
                "failed": marks.failed,
                "scenes": marks.scenes,
                "broken": marks.broken,
                "misses": misses[:8],
            }
        )
        print({name: value for name, value in rows[-1].items() if name != "misses"}, flush=True)
    turned_down = recognise(writer, count)
    shapes = Counter(ban.shape for ban in (draw_ban(random.Random(i)) for i in range(4000)))
    return {
        "rows": rows,
        "strangers": {"percent": round(turned_down.percent, 2), "n": turned_down.n},
        "shapes": len(shapes),
    }


def write_writer_card(folder: Path, records: Sequence[Mapping[str, Any]], found: dict[str, Any]) -> None:
    """Writes `README.md` and `measurements.json` into `folder`; `records` is the lineage of the model."""
    (folder / "measurements.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    weights = (folder / "model.safetensors").stat().st_size
    lines = [
        "---\nlicense: apache-2.0\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n",
        "# The bundled writer: a small model that turns rules into clauses\n",
        "A Llama trained from nothing on rules about the pictogram world (`docs/pictograms.md`). It reads",
        "one sentence and writes what it forbids as clauses, with exceptions. It knows no other rules and no",
        "images.",
        f"Weights: {weights / 1e6:.1f} MB, bfloat16.",
        f"Written by `python -m training writer` on {datetime.now(UTC):%Y-%m-%d}.\n",
        "## How it was made\n",
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in made_of(records).items()),
        "",
        "## Clauses that are equal to the truth\n",
        "Percent of rules whose draft is equal to the rule, with 95% Wilson intervals: by its form (the same",
        "statements, exceptions as negated ones, without what others entail), or else in every scene.",
        f"Scenes a rule: {RECAST} drawn ones, recast with what it speaks of and what is taken for that, and",
        f"up to {2 * BUILT} drawn to break, or just to keep, the true or the written rule. A draft that the",
        "writer's own checks refuse counts against it (*refused*). *Held-out combinations* are statements",
        "that training never saw combined; *held-out wordings* take the held-out ones wherever there is a",
        f"choice. The bar is {BAR:.0f}% on {BARRED}.\n",
        "| rules | equal | wrong | refused | n | scenes that break them |\n|---|---|---|---|---|---|",
        *map(_row, found["rows"]),
        "",
        "## What is no rule\n",
        f"Of {found['strangers']['n']} sentences in the words of rules that are none (permissions,",
        "questions, statements, two rules in one, scrambled ones) it turns down",
        f"{found['strangers']['percent']:.1f}%. A word that it never learned is always turned down.\n",
        "## Limits\n",
        "It knows the names, signs and statements of `docs/pictograms.md`, numbers up to three, and the",
        "wordings of `training.rule_wordings`. A name that it misreads is caught, for the draft must",
        "speak of what the rule speaks of; a relation or an exception that it misreads is not: read its",
        "drafts.\n",
        "Some that it got wrong, *both held out*:\n",
        *(f"- {miss}" for miss in found["rows"][-1]["misses"]),
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", "utf-8")


def _row(row: dict[str, Any]) -> str:
    missed = " **missed**" if row["view"] == BARRED and row["percent"] < BAR else ""
    share = row["broken"] / max(1, row["scenes"])
    said = f"{row['percent']:.1f} ({row['low']:.1f}-{row['high']:.1f}){missed}"
    return f"| {row['view']} | {said} | {row['wrong']} | {row['failed']} | {row['n']} | {share:.0%} |"
