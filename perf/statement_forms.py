"""Which statements a bundled model reads rightly: `python perf/statement_forms.py [--n 120] [--json FILE]`.

Every form of the pictogram language (`jurat.pictograms.statements.TEMPLATES`, with one name a slot, lists and
numbers; "a" or "the" is drawn each time) is asked about fresh scenes of two renderers: this package's own,
and the one of tests/pictograms/renderer.py. Half of what is asked is true; what is false is mostly a near
miss. Each answer counts twice: as the model gives it alone, and as the default preset weighs it, a relation
held against the presence of what it names (`jurat.judge.presence`). Sentences outside of the language, which
are refused, follow.

A form is accepted where at least 95% of its answers are right as the judge weighs them, over both renderers
together, and the same way to say names or numbers reaches that over all templates with each of them.
`--write` writes the accepted forms beside the weights, as `statements.json`, from the rows in `--json`;
tests/training/test_statement_forms.py holds that file against docs/results/statement-forms.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, files, provenance, report, table

if TYPE_CHECKING:
    from PIL import Image

    from jurat.models.bundled.statement_language import Language
    from jurat.pictograms import Facts, Statement

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "pictograms")]

MODELS = ("bundled", "naive")
RENDERERS = ("own", "independent")


# --- scenes ----------------------------------------------------------------------------------------


def own(seed: int) -> Iterator[tuple[Image.Image, Facts]]:
    from jurat.pictograms import Facts, draw

    number = 0
    while True:
        scene = draw(np.random.default_rng([seed, number]), size=256)
        number += 1
        yield scene.image, Facts.of(scene)


def independent(seed: int) -> Iterator[tuple[Image.Image, Facts]]:
    """Two to five objects, alike ones among them half of the time; the first two touch, nearly touch, or
    neither."""
    from renderer import render

    from jurat.pictograms.objects import CLASSES, LOOKALIKES

    rng = np.random.default_rng([seed, 1])
    while True:
        kinds = rng.integers(0, CLASSES, int(rng.integers(2, 6))).tolist()
        for at in range(1, len(kinds)):
            if rng.random() < 0.3:
                kinds[at] = kinds[at - 1]
            elif rng.random() < 0.3 and LOOKALIKES[kinds[at - 1]]:
                kinds[at] = int(rng.choice(LOOKALIKES[kinds[at - 1]]))
        close = {"touching": (0, 1)} if (how := rng.random()) < 0.4 else {"near": (0, 1)} if how < 0.8 else {}
        drawing = render(kinds, rng, **close)
        if drawing is not None:
            yield drawing.image, facts_of(drawing.names, drawing.masks)


def facts_of(kinds: list[int], masks: list[np.ndarray]) -> Facts:
    """What is true of a drawing, measured on the pixels that each of its objects is drawn on."""
    from scipy.ndimage import distance_transform_edt

    from jurat.pictograms import Facts
    from jurat.pictograms.scene import SIDE

    unit = masks[0].shape[0] / SIDE
    boxes = [(np.flatnonzero(m.any(0))[[0, -1]], np.flatnonzero(m.any(1))[[0, -1]]) for m in masks]
    centres = np.array([((x.sum() + 1) / 2, (y.sum() + 1) / 2) for x, y in boxes]) / unit
    gaps = np.zeros((len(masks), len(masks)))
    for i, one in enumerate(masks):
        away = distance_transform_edt(~one) / unit
        for j, other in enumerate(masks):
            gaps[i, j] = 0.0 if i == j or (one & other).any() else away[other].min()
    return Facts(np.array(kinds), centres, np.array([m.sum() for m in masks]) / unit**2, gaps)


# --- what is asked of them -------------------------------------------------------------------------


@cache
def full() -> Language:
    """The whole language."""
    from training.mllm.statement_forms import language

    return language(lambda kind, template, variant: True)


@dataclass
class Asking:
    """Sentences about one picture."""

    texts: list[str] = field(default_factory=list)
    keys: list[tuple[str, str, str, str]] = field(default_factory=list)
    """For each text: where it counts (`there`, `absent`, `outside`), kind, template, variant."""
    truths: list[bool] = field(default_factory=list)
    beside: dict[str, None] = field(default_factory=dict)
    """What the judge asks besides, in order."""

    def add(self, where: str, kind: str, template: str, variant: str, text: str, truth: bool) -> None:
        text = text[0].upper() + text[1:]
        self.texts.append(text)
        self.beside |= dict.fromkeys(one for group in full().presence(text) for one in group)
        self.keys.append((where, kind, template, variant))
        self.truths.append(truth)


ASKED = (
    *("visible", "group", "any of", "touch", "group touch", "larger", "only", "whole rule"),
    *("sign",) * 2,
    *("count",) * 4,
    *("relation",) * 4,
)
"""Kinds of the questioner, some of which have several forms to be asked about."""


def ask_about(facts: Facts, questioner: Any, rng: random.Random) -> Asking:
    """Every form of some true and some false statements about a scene."""
    asking = Asking()
    for kind in ASKED:
        for truth in (True, False):
            drawn = questioner.draw(facts, kind, truth)
            if drawn is not None:
                say(asking, drawn[1], truth, facts, rng)
    for _ in range(4):
        lists(asking, facts, rng)
    absent_arguments(asking, facts, rng)
    outside(asking, facts, rng)
    return asking


def say(asking: Asking, statement: Statement, truth: bool, facts: Facts, rng: random.Random) -> None:
    """All forms of a statement."""
    from jurat.pictograms.statements import All, walk
    from training.mllm.statement_forms import spellings, variant_of

    where = "there" if is_about(statement, facts) else "absent"
    if isinstance(statement, All):
        kinds = "+".join(part.kind for part in walk(statement))
        for text in statement.phrasings()[:1]:
            asking.add(where, "joined", kinds, "and", text, truth)
        return
    said = list(spellings(statement, rng))
    for template, text in said if where == "there" else said[:1]:
        asking.add(where, statement.kind, template, variant_of(statement), text, truth)


def is_about(statement: Statement, facts: Facts) -> bool:
    """Whether what a relation is about is in the picture: of a list one thing."""
    from jurat.pictograms.statements import Larger, Lies, Touches, walk

    for part in walk(statement):
        if isinstance(part, Touches):
            if not (facts.which(part.first) and any(map(facts.which, part.others))):
                return False
        elif isinstance(part, Larger | Lies) and not all(map(facts.which, part.nouns())):
            return False
    return True


def lists(asking: Asking, facts: Facts, rng: random.Random) -> None:
    """That something touches one of a list: of things that are all there, or of which one is not."""
    from jurat.pictograms.objects import OBJECTS
    from jurat.pictograms.statements import Touches

    there = sorted({kind for kind in facts.kinds.tolist() if kind < len(OBJECTS)})
    gone = [kind for kind in range(len(OBJECTS)) if kind not in there]
    if len(there) < 2:
        return
    first, *others = (OBJECTS[kind] for kind in rng.sample(there, min(len(there), rng.choice((3, 4)))))
    if len(others) < 2 or rng.random() < 0.3:
        others = [others[0], OBJECTS[rng.choice(gone)]]
    rng.shuffle(others)
    statement = Touches(first, tuple(others))
    truth = statement.truth(facts)
    if truth is not None:
        say(asking, statement, truth, facts, rng)


def absent_arguments(asking: Asking, facts: Facts, rng: random.Random) -> None:
    """Relations of which some argument is not in the picture."""
    from jurat.pictograms.objects import OBJECTS
    from jurat.pictograms.statements import Larger, Lies, Touches

    there = sorted({kind for kind in facts.kinds.tolist() if kind < len(OBJECTS)})
    gone = [kind for kind in range(len(OBJECTS)) if kind not in there]
    if not there:
        return
    here, away, further = (OBJECTS[rng.choice(kinds)] for kinds in (there, gone, gone))
    side: Any = rng.choice(("left of", "right of", "above", "below"))
    for first, other in ((here, away), (away, here)):
        for one in (Larger(first, other), Lies(first, side, other), Touches(first, (other,))):
            say(asking, one, False, facts, rng)
    if away != further:
        say(asking, Touches(away, (here, further)), False, facts, rng)


def outside(asking: Asking, facts: Facts, rng: random.Random) -> None:
    """Sentences that the language does not hold, with what they would mean."""
    from jurat.pictograms.objects import OBJECTS

    there = sorted({kind for kind in facts.kinds.tolist() if kind < len(OBJECTS)})
    for shown in (True, False):
        kinds = there if shown else [kind for kind in range(len(OBJECTS)) if kind not in there]
        if not kinds:
            continue
        noun = OBJECTS[rng.choice(kinds)]
        words = {"a": noun.indefinite, "n": noun.singular, "p": noun.plural}
        number = len(facts.which(noun))
        for meaning, templates in OUTSIDE.items():
            truth = {"none": number == 0, "any": number > 0, "two": number > 1, "one": number == 1}[meaning]
            for template in templates:
                asking.add("outside", meaning, template, "", template.format_map(words), truth)
    pairs = [(i, j) for i in range(len(facts.kinds)) for j in range(len(facts.kinds)) if i != j]
    for touch in (True, False):
        some = [
            p for p in pairs if (facts.gaps[p] == 0) is touch and max(facts.kinds[list(p)]) < len(OBJECTS)
        ]
        if not some:
            continue
        first, other = (OBJECTS[int(facts.kinds[at])] for at in rng.choice(some))
        if first == other:
            continue
        words = {"a": first.indefinite, "b": other.indefinite, "n": first.singular}
        touches = any(facts.gaps[p] == 0 for p in facts.pairs([first], [other]))
        for template in TOUCHING:
            asking.add("outside", "touch", template, "", template.format_map(words), touches)
        for template in NOT_TOUCHING:
            asking.add("outside", "no touch", template, "", template.format_map(words), not touches)


OUTSIDE: dict[str, tuple[str, ...]] = {
    "none": (
        "no {n} is visible.",
        "no {n} can be seen.",
        "there is no {n}.",
        "there is no {n} in the picture.",
        "the image shows no {n}.",
        "{a} is not visible.",
        "the image does not show {a}.",
        "no {p} are visible.",
        "there are no {p}.",
        "not one {n} is visible.",
    ),
    "any": (
        "{p} are visible.",
        "{n} is visible.",
        "some {p} are visible.",
        "at least one {n} is visible.",
        "there is at least one {n}.",
        "there is {a}.",
        "one {n} is visible.",
    ),
    "two": ("there are two {p}.", "two {p} are visible."),
    "one": ("only one {n} is visible.", "there is only one {n}.", "there is one {n}."),
}
"""What a sentence says of how many there are -> sentences."""
TOUCHING = ("{a} with {b} is visible.", "{a} is with {b}.", "there is {a} with {b}.", "{b} is on {a}.")
NOT_TOUCHING = (
    "{a} does not touch {b}.",
    "{a} is not touching {b}.",
    "no {n} touches {b}.",
    "no {n} is touching {b}.",
    "{a} touches no {b}.",
    "the image shows no {n} touching {b}.",
)


# --- asking ----------------------------------------------------------------------------------------

Tally = dict[tuple[str, str, str, str], list[tuple[bool, bool]]]
"""By what was asked: whether each answer was right, alone and as the judge weighs it."""


def measure(model: str, renderer: str, n: int, seed: int, batch: int = 4) -> Tally:
    """Asks about `n` scenes."""
    from jurat.content import Chat, Turn
    from jurat.judge.prompts import STATEMENT
    from jurat.models import Inquiry
    from jurat.models.bundled import model as bundled
    from jurat.models.hf.load_model import load
    from jurat.models.hf.model import LocalModel
    from training.questions import Questioner

    folder = {"bundled": bundled.WEIGHTS, "naive": bundled.NAIVE}[model]
    opened = LocalModel(load(folder, device="cpu", image_backend="pil"), name=model)  # refuses no statement
    rng = random.Random(seed)
    questioner = Questioner(rng)
    scenes = {"own": own, "independent": independent}[renderer](seed)
    tally: Tally = defaultdict(list)
    for first in range(0, n, batch):
        some = [next(scenes) for _ in range(min(batch, n - first))]
        asked = [ask_about(facts, questioner, rng) for _, facts in some]
        inquiries = [
            Inquiry(
                Chat((Turn("user", (image, STATEMENT.instruction)),)),
                tuple(map(STATEMENT.ask, (*one.texts, *one.beside))),
            )
            for (image, _), one in zip(some, asked, strict=True)
        ]
        for one, answer in zip(asked, opened.ask(inquiries), strict=True):
            scores = [said.score for said in answer.answers]
            beside = dict(zip(one.beside, scores[len(one.texts) :], strict=True))
            for key, text, truth, alone in zip(one.keys, one.texts, one.truths, scores, strict=False):
                held = [max(beside[each] for each in group) for group in full().presence(text)]
                tally[key].append(((alone > 0.5) is truth, (min([alone, *held]) > 0.5) is truth))
    return tally


def rows_of(model: str, tallies: dict[str, Tally]) -> list[Row]:
    from jurat.metrics import wilson

    rows: list[Row] = []
    for key in dict.fromkeys(key for tally in tallies.values() for key in tally):
        row: Row = {"model": model, **dict(zip(("where", "kind", "form", "variant"), key, strict=True))}
        for renderer, tally in tallies.items():
            n = len(tally.get(key, []))
            row[renderer] = {"n": n}
            for way, name in enumerate(("alone", "judged")):
                right = sum(each[way] for each in tally.get(key, []))
                low, high = (wilson(right, n).low, wilson(right, n).high) if n else (0.0, 1.0)
                row[renderer][name] = [right, round(low, 4), round(high, 4)]
        rows.append(row)
    return rows


# --- what is accepted ------------------------------------------------------------------------------

LEAST, FEWEST = 0.95, 100
"""Share of right answers that a form must reach, and answers that it takes to say so."""


def accepted(rows: Sequence[Row], model: str) -> Callable[[str, str, str], bool]:
    """Whether a form of the language is asked of a model."""
    forms: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if row["model"] == model and row["where"] == "there":
            for renderer in RENDERERS:
                form, variant = (
                    (row["kind"], row["form"], row["variant"]),
                    (row["kind"], row["variant"], renderer),
                )
                for key in (form, variant):
                    forms[key][0] += row[renderer]["judged"][0]
                    forms[key][1] += row[renderer]["n"]

    def well(key: tuple[str, ...]) -> bool:
        right, n = forms.get(key, (0, 0))
        return n >= FEWEST and right >= LEAST * n

    return lambda kind, template, variant: all(
        map(well, ((kind, template, variant), *((kind, variant, renderer) for renderer in RENDERERS)))
    )


def tables(rows: Sequence[Row]) -> list[str]:
    """For each model: by kind and variant over all templates, then every form, then what is outside."""
    parts: list[str] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        asked = accepted(rows, model)
        merged: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in mine:
            if row["where"] != "outside":
                merged[row["kind"], row["variant"], row["where"]].append(row)
        parts.append(f"## {model}: by kind and way to say names, all templates together")
        parts.append(table([_cells(some, key) for key, some in merged.items()], _COLUMNS))
        parts.append(f"## {model}: every form")
        forms = [
            _cells([row], (row["form"], row["variant"], ""))
            | {"asked": "yes" if asked(row["kind"], row["form"], row["variant"]) else "no"}
            for row in mine
            if row["where"] == "there" and row["kind"] != "joined"
        ]
        parts.append(table(forms, {"form": "{a}", "names": "{b}", **_NUMBERS, "asked": "{asked}"}))
        parts.append(f"## {model}: sentences outside of the language, which are refused")
        strange = [_cells([row], (row["form"], "", "")) for row in mine if row["where"] == "outside"]
        parts.append(table(strange, {"sentence": "{a}", **_NUMBERS}))
    return parts


_NUMBERS = {
    f"{way}, {renderer}": f"{{{way}_{renderer}}}" for renderer in RENDERERS for way in ("alone", "judged")
} | {"n": "{n}"}
_COLUMNS = {"kind": "{a}", "names": "{b}", "what it names is": "{c}", **_NUMBERS}


def _cells(rows: Sequence[Row], names: tuple[str, ...]) -> Row:
    from jurat.metrics import wilson

    cells: Row = dict(zip("abc", names, strict=True))
    for renderer in RENDERERS:
        n = sum(row[renderer]["n"] for row in rows)
        for way in ("alone", "judged"):
            right = sum(row[renderer][way][0] for row in rows)
            cells[f"{way}_{renderer}"] = "-"
            if n:
                interval = wilson(right, n)
                cells[f"{way}_{renderer}"] = f"{right / n:.3f} ({interval.low:.3f}-{interval.high:.3f})"
    cells["n"] = "+".join(f"{sum(row[renderer]['n'] for row in rows):,}" for renderer in RENDERERS)
    return cells


def write(rows: Sequence[Row]) -> None:
    """Writes what each model is asked beside its weights."""
    from jurat.models.bundled import model as bundled
    from training.mllm.statement_forms import language

    for model, folder in (("bundled", bundled.WEIGHTS), ("naive", bundled.NAIVE)):
        language(accepted(rows, model)).save(folder)


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=120, help="scenes of each renderer")
    parser.add_argument("--seed", type=int, default=18_071)
    parser.add_argument("--write", action="store_true", help="write statements.json from the rows in --json")
    args = parser.parse_args(argv)
    if args.write:
        write(json.loads(args.json.read_text())["rows"])
        return
    origin = provenance(__file__, argv, seed=args.seed, scenes=args.n)
    rows: list[Row] = []
    with ProcessPoolExecutor(2) as pool:
        wanted = [(model, renderer) for model in MODELS for renderer in RENDERERS]
        found = pool.map(measure, *zip(*wanted, strict=True), [args.n] * 4, [args.seed] * 4)
        tallies = dict(zip(wanted, found, strict=True))
    for model in MODELS:
        rows += rows_of(model, {renderer: tallies[model, renderer] for renderer in RENDERERS})
    report(args, origin, rows, tables(rows))


if __name__ == "__main__":
    main()
