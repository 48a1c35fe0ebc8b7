"""Which statements a bundled model reads rightly: `python perf/statement_forms.py [--n 180] [--json FILE]`.

Every form of the pictogram language (`jurat.pictograms.statements.TEMPLATES`, with one name a slot, lists and
numbers; "a" or "the" is drawn each time) is asked about fresh scenes of two renderers: this package's own,
and the one of tests/strangers/scenes.py. Half of what is asked is true; what is false is mostly a near
miss. Each answer counts twice: as the model gives it alone, and as the default preset weighs it, a relation
held against the presence of what it names (`jurat.judge.presence`). Sentences outside of the language, which
are refused, follow.

A form is accepted where at least 95% of its answers are right as the judge weighs them, over both renderers
together, and the same way to say names or numbers reaches that over all templates with each of them, also
where a relation names something that is not there. They stand beside the weights, as `statements.json`:
`--folder FOLDER` measures the model in a folder and writes its file, as `python -m training export` does for
every judge; `--write` writes those of the models that ship from the rows in `--json`, against which
tests/training/test_statement_forms.py holds them (docs/results/statement-forms.json).
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
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, files, provenance, report, table

if TYPE_CHECKING:
    from PIL import Image

    from jurat.models.bundled.statement_language import Language
    from jurat.pictograms import Facts, Statement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MODELS = ("bundled", "naive")
SCENES = 180
RENDERERS = ("own", "independent")


# --- scenes ----------------------------------------------------------------------------------------


def own(seed: int) -> Iterator[tuple[Image.Image, Facts]]:
    """Random scenes; of five, one of alike objects and one of a single group with at most one stranger."""
    from jurat.pictograms import Facts, draw
    from jurat.pictograms.scene import Wish
    from training.scenes.composition import chosen_kinds

    number = 0
    while True:
        rng = np.random.default_rng([seed, number])
        chosen = chosen_kinds(rng)
        try:
            scene = draw(rng, None if chosen is None else list(map(Wish, chosen)), size=256)
        except RuntimeError:  # no room for so many
            scene = draw(rng, size=256)
        number += 1
        yield scene.image, Facts.of(scene)


def independent(seed: int) -> Iterator[tuple[Image.Image, Facts]]:
    """Two to five objects, alike ones among them half of the time, or those of `chosen_kinds`; the first two
    touch, nearly touch, or neither."""
    from jurat.pictograms.objects import CLASSES, LOOKALIKES
    from tests.strangers.scenes import render
    from training.scenes.composition import chosen_kinds

    rng = np.random.default_rng([seed, 1])
    while True:
        kinds = rng.integers(0, CLASSES, int(rng.integers(2, 6))).tolist()
        for at in range(1, len(kinds)):
            if rng.random() < 0.3:
                kinds[at] = kinds[at - 1]
            elif rng.random() < 0.3 and LOOKALIKES[kinds[at - 1]]:
                kinds[at] = int(rng.choice(LOOKALIKES[kinds[at - 1]]))
        kinds = chosen_kinds(rng) or kinds
        close = {"touching": (0, 1)} if (how := rng.random()) < 0.4 else {"near": (0, 1)} if how < 0.8 else {}
        drawing = render(kinds, rng, **close if len(kinds) > 1 else {})
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


ASKED_OF_SCENE = 0.6
"""Share of the questioner's forms of each kind that are asked about a scene."""
TIMES = {"relation": 4, "not relation": 4, "count": 2}
"""How often those kinds are tried that have several sides or numbers; others once."""


def ask_about(facts: Facts, questioner: Any, rng: random.Random) -> Asking:
    """Every phrasing of some true and some false statements about a scene, of each kind and form."""
    from training.questions import KINDS, forms

    asking = Asking()
    for kind in KINDS:
        for truth in (True, False):
            for form in forms(kind, truth) * TIMES.get(kind, 1):
                drawn = questioner.draw(facts, kind, truth, form) if rng.random() < ASKED_OF_SCENE else None
                if drawn is not None:
                    say(asking, drawn.statement, truth, facts, rng)
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
        if full().read(text) is not None:  # "touches no dog or cat" is in the templates, not in the language
            asking.add(where, statement.kind, template, variant_of(statement), text, truth)


def is_about(statement: Statement, facts: Facts) -> bool:
    """Whether what a relation is about is in the picture: of a list one thing."""
    from jurat.pictograms.statements import Larger, Lies, Not, Touches, walk

    for part in walk(statement):
        positive = part.part if isinstance(part, Not) else part
        if isinstance(positive, Touches):
            if not (facts.which(positive.first) and any(map(facts.which, positive.others))):
                return False
        elif isinstance(positive, Larger | Lies) and not all(map(facts.which, positive.nouns())):
            return False
    return True


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


OUTSIDE: dict[str, tuple[str, ...]] = {
    "none": ("not one {n} is visible.", "none of the {p} is visible."),
    "any": ("{p} are visible.", "{n} is visible.", "some {p} are visible.", "one {n} is visible."),
    "two": ("there are two {p}.", "two {p} are visible."),
    "one": ("there is one {n}.",),
}
"""What a sentence says of how many there are -> sentences."""
TOUCHING = ("{a} is with {b}.", "{b} is on {a}.")


# --- asking ----------------------------------------------------------------------------------------

Tally = dict[tuple[str, str, str, str], list[tuple[bool, bool]]]
"""By what was asked: whether each answer was right, alone and as the judge weighs it."""


def measure(model: str, renderer: str, n: int, seed: int, batch: int = 4) -> Tally:
    """Asks about `n` scenes; `model` is one of `MODELS`, or a folder."""
    from jurat.content import Chat, Turn
    from jurat.judge.prompts import STATEMENT
    from jurat.models import Inquiry
    from jurat.models.bundled import model as bundled
    from jurat.models.hf.load_model import load
    from jurat.models.hf.model import LocalModel
    from training.questions import Questioner

    folder = {"bundled": bundled.WEIGHTS, "naive": bundled.NAIVE}.get(model, Path(model))
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
        if row["model"] == model and row["where"] in ("there", "absent"):
            where, kind, variant = row["where"], row["kind"], row["variant"]
            for renderer in RENDERERS:
                for key in ((where, kind, row["form"], variant), (where, kind, variant, renderer)):
                    forms[key][0] += row[renderer]["judged"][0]
                    forms[key][1] += row[renderer]["n"]

    def well(key: tuple[str, ...], fewest: int = FEWEST) -> bool:
        right, n = forms.get(key, (0, 0))
        return n >= fewest and right >= LEAST * n

    def asked(kind: str, template: str, variant: str) -> bool:
        merged = [(kind, variant, renderer) for renderer in RENDERERS]
        there = all(well(("there", *key)) for key in ((kind, template, variant), *merged))
        return there and all(well(("absent", *key), fewest=0) for key in merged)

    return asked


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
    parser.add_argument("--n", type=int, default=SCENES, help="scenes of each renderer")
    parser.add_argument("--seed", type=int, default=18_071)
    parser.add_argument("--folder", type=Path, help="only the model in it, whose statements.json is written")
    parser.add_argument("--write", action="store_true", help="write statements.json from the rows in --json")
    args = parser.parse_args(argv)
    if args.write:
        write(json.loads(args.json.read_text())["rows"])
        return
    origin = provenance(__file__, argv, seed=args.seed, scenes=args.n)
    models = (str(args.folder),) if args.folder else MODELS
    rows: list[Row] = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # torch's threads do not survive a fork
        wanted = [(model, renderer) for model in models for renderer in RENDERERS]
        sizes = [args.n] * len(wanted), [args.seed] * len(wanted)
        found = pool.map(measure, *zip(*wanted, strict=True), *sizes)
        tallies = dict(zip(wanted, found, strict=True))
    for model in models:
        rows += rows_of(model, {renderer: tallies[model, renderer] for renderer in RENDERERS})
    if args.folder:
        from training.mllm.statement_forms import language

        language(accepted(rows, str(args.folder))).save(args.folder)
    report(args, origin, rows, tables(rows))


if __name__ == "__main__":
    main()
