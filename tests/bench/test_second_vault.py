"""The second vault: nothing of it is of training, its scenes are true by independent code, it opens only on
demand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from jurat.bench import BenchModel, BenchPlan, rows_for
from jurat.bench.pictogram import RULE_TYPES, SPLITS, constitution_of, draw_split, rule_type
from jurat.bench.pictogram.definition import LEVELS
from jurat.bench.pictogram.pairs import draw_pair, fair
from jurat.bench.pictogram.placing import DrawnScene, SceneRequest
from jurat.cli import app
from jurat.constitution import Clause, Rule, check_constitution
from jurat.errors import JuratError
from jurat.pictograms.atlas import lacking
from jurat.pictograms.cases import broken_rules
from jurat.pictograms.objects import HELD_APART, NOUNS, NUMBER, OBJECTS
from jurat.pictograms.pieces import draw_layout
from jurat.pictograms.reading import parse
from jurat.pictograms.statements import HELD_OUT, Statement
from training.forbidding_rules import RULES
from training.rule_templates import SIDES, templates

from ..strangers.scenes import Drawing
from ..strangers.truth import Meaning, facts, holds

NAME = "vault-2"
FIRST_WORDS = "In the picture "
OTHERS = ("dev", "test", "flip", "vault", "unmet")
Pairs = dict[tuple[str, str], tuple[DrawnScene, DrawnScene]]
"""Rule and set of drawings -> the scene that breaks it, and the near miss."""


def statements(rule: Rule) -> list[Statement]:
    return [parse(s.text) for clause in (*rule.clauses, *rule.unless) for s in clause.alternatives]


# --- nothing of it is of training --------------------------------------------------------------------


@cache
def patterns() -> list[re.Pattern[str]]:
    """The templates by which training writes rules, those held out of training the writer among them."""
    whole = [*templates(), *(template.rstrip(".") for some in RULES.values() for template in some)]
    # Those without any of these words are phrases: parts of rules, and no rules.
    rules = [template for template in whole if re.search(r"\b(?:must|may|not|no|never|only)\b", template)]
    return [re.compile(SLOT.sub(slot, re.escape(rule)), re.IGNORECASE) for rule in rules]


NOUN = f"(?:{'|'.join(name for noun in NOUNS.values() for name in (noun.singular, noun.plural))})"
LIST = rf"(?:(?:at least|exactly) \w+ |an? |any )?{NOUN}(?:(?:, | or |, or | and | nor )(?:an? )?{NOUN})*"
SLOT = re.compile(r"\\\{(\w+)\\\}")


def slot(match: re.Match[str]) -> str:
    """What may stand in a slot of a template: names, one of the sides, or anything."""
    sides = "|".join(side for some in SIDES.values() for side in some)
    known = dict.fromkeys(("a", "n", "p", "b", "m", "q", "k", "nor"), LIST) | {"side": f"(?:{sides})"}
    return known.get(match[1], ".+")


def written(text: str) -> list[str]:
    """The templates that write a rule."""
    return [pattern.pattern for pattern in patterns() if pattern.fullmatch(text.rstrip("."))]


def test_no_template_of_training_writes_its_rules() -> None:
    assert written("No kitchen knife may be shown with a dog.") and written("there must be no dog.")
    assert written(constitution_of("vault").rules[0].rule), "the first vault's rules are of training"
    for rule in constitution_of(NAME).rules:
        assert rule.rule.startswith(FIRST_WORDS)
        for text in (rule.rule, rule.rule.removeprefix(FIRST_WORDS)):
            assert not written(text), text


def test_statements_are_in_phrasings_held_out_of_training() -> None:
    for text in constitution_of(NAME).statements():
        assert text in parse(text).phrasings()[-HELD_OUT:], text


def test_pairs_of_objects_are_kept_apart_in_training() -> None:
    alone = Counter[str]()
    for rule in constitution_of(NAME).rules:
        kinds = [noun.classes for statement in statements(rule) for noun in statement.nouns() if noun.classes]
        first, *others = dict.fromkeys(kinds)
        if not others:
            alone[rule_type(NAME, rule.id)] += 1
        for other in others:
            assert frozenset((min(first), min(other))) in HELD_APART, rule.id
            assert len(first) == len(other) == 1, rule.id
    # What is one object or one group, with a count or a word on a sign, has no pair.
    assert alone == {"attribute": 2, "count": 2, "text": 1, "only": 1}


def test_other_constitutions_share_no_rule_and_no_pair_with_it() -> None:
    def pairs(name: str) -> set[frozenset[int]]:
        found = set[frozenset[int]]()
        for rule in constitution_of(name).rules:
            first, *others = dict.fromkeys(min(n.classes) for one in statements(rule) for n in one.nouns())
            found |= {frozenset((first, other)) for other in others}
        return found

    def meaning(clauses: tuple[Clause, ...]) -> frozenset[Statement]:
        return frozenset(parse(s.text) for clause in clauses for s in clause.alternatives)

    own = constitution_of(NAME)
    for other in map(constitution_of, OTHERS):
        assert not {*own.statements()} & {*other.statements()}
        assert not {rule.rule for rule in own.rules} & {rule.rule for rule in other.rules}
        mine, theirs = (
            {(meaning(rule.clauses), meaning(rule.unless)) for rule in each.rules} for each in (own, other)
        )
        assert not mine & theirs
    assert not pairs(NAME) & pairs("unmet")
    looks = [SPLITS[name].rendering for name in ("dev", "test", "vault", NAME)]
    assert len({(look.size, look.resample) for look in looks}) == 4
    assert len({split.stream for name, split in SPLITS.items() if name != "flip"}) == len(SPLITS) - 1


def test_its_rules_are_of_the_kinds_of_the_bench() -> None:
    constitution = constitution_of(NAME)
    assert len(constitution.rules) == len(RULE_TYPES) == 17
    for rule, kind in zip(constitution.rules, RULE_TYPES, strict=True):
        assert rule.description and parse(rule.description)
        assert all(clause.objects for clause in (*rule.clauses, *rule.unless)), rule.id
        assert bool(rule.unless) is (kind == "exception"), rule.id
    assert constitution.source is not None
    assert [p for p in check_constitution(constitution.source) if p.severity == "error"] == []


def test_bundled_model_knows_every_word() -> None:
    from transformers import AutoTokenizer

    from jurat.judge.prompts import RULE, STATEMENT
    from jurat.models.bundled.model import WEIGHTS
    from jurat.models.bundled.word_vocabulary import question_vocabulary
    from jurat.models.hf.torchvision_import import prepare_torchvision

    prepare_torchvision()
    words = question_vocabulary(AutoTokenizer.from_pretrained(WEIGHTS))
    texts = [RULE.ask(rule.rule) for rule in constitution_of(NAME).rules]
    texts += [STATEMENT.ask(rule.description or "") for rule in constitution_of(NAME).rules]
    texts += [STATEMENT.ask(text) for text in constitution_of(NAME).statements()]
    assert [words.unknown_words(text) for text in texts if words.unknown_words(text)] == []


# --- its scenes --------------------------------------------------------------------------------------

# What breaks each rule, written down once more for the truth of tests/strangers, which shares no code with
# jurat.pictograms. An exception is a `not`.
MEANINGS: dict[str, Meaning] = {
    "camera": ["visible", "camera"],
    "drug": ["visible", "pill", "syringe"],
    "hat-on-baby": ["touch", "baby", "hat"],
    "phone-on-man": ["touch", "man", "phone"],
    "woman-touches-cake": ["touch", "woman", "cake"],
    "car-left-of-cactus": ["left", "car", "cactus"],
    "bird-below-bicycle": ["below", "bird", "bicycle"],
    "two-keys": ["at least", 2, "key"],
    "three-balloons": ["at least", 3, "balloon"],
    "dog-with-things": ["all", ["visible", "dog"], ["visible", "dagger", "wine glass", "stop sign"]],
    "horse-touches-things": ["touch", "horse", "/", "key", "book"],
    "sale-of-kitchen-knife": ["all", ["visible", "kitchen knife"], ["sign", "SALE"]],
    "snake": ["all", ["visible", "snake"], ["not", ["visible", "apple"]]],
    "sunflower": ["all", ["visible", "sunflower"], ["not", ["visible", "glass of milk"]]],
    "banana-larger-than-wine-glass": ["larger", "banana", "wine glass"],
    "only-vehicles": ["only", "car", "bus", "bicycle", "truck", "motorcycle", "airplane"],
    "police-officer-touches-things": ["touch", "police officer", "/", "dog", "bomb", "rose"],
}


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """A pair of each rule in each set of drawings."""
    constitution, look = constitution_of(NAME), SPLITS[NAME]
    drawn: Pairs = {}
    for turn in (0, 1):
        source = look.sprites_of(turn * len(LEVELS))
        for number, rule in enumerate(constitution.rules):
            level = LEVELS[number % len(LEVELS)]
            request = SceneRequest(constitution, rule, level, look.rendering, source)
            drawn[rule.id, source] = draw_pair(request, np.random.default_rng([turn, number]))
    return drawn


def test_pairs_are_drawn_in_two_sets_of_drawings_by_turns(pairs: Pairs) -> None:
    turns = [SPLITS[NAME].sprites_of(pair) for pair in range(4 * len(LEVELS))]
    assert turns == [*["noto"] * 4, *["emojione"] * 4] * 2
    assert {SPLITS["test"].sprites_of(pair) for pair in range(20)} == {"noto"}
    for (_, source), scenes in pairs.items():
        assert {piece.sprites for scene in scenes for piece in scene.layout.pieces} == {source}
    first = next(draw_split(NAME, 3, 1))
    assert first.layout is not None and first.layout.pieces[0].sprites == "noto"


def test_scenes_break_the_rule_or_just_keep_it(pairs: Pairs) -> None:
    constitution = constitution_of(NAME)
    for (rule, source), (broken, near) in pairs.items():
        assert broken_rules(constitution, broken.facts) == {rule}, (rule, source)
        assert broken_rules(constitution, near.facts) == frozenset(), (rule, source)
        a, b = broken.layout.pieces, near.layout.pieces
        changed = [one for one in a if one not in b], [one for one in b if one not in a]
        assert max(map(len, changed)) == 1 and broken.layout.ground == near.layout.ground, rule


def test_truth_is_that_of_independent_code_on_the_pixels(pairs: Pairs) -> None:
    assert set(MEANINGS) == {rule.id for rule in constitution_of(NAME).rules}
    for (rule, source), (broken, near) in pairs.items():
        for scene, expected in ((broken, {rule}), (near, set[str]())):
            again = draw_layout(scene.layout, SPLITS[NAME].rendering)
            assert again is not None and fair(again) and (again.pixels == scene.scene.pixels).all()
            masks = [thing.mask for thing in again.objects]
            measured = facts(Drawing(Image.fromarray(again.pixels), again.kinds, masks))
            truths = {name: holds(meaning, measured) for name, meaning in MEANINGS.items()}
            assert None not in truths.values(), (rule, source, truths)
            assert {name for name, truth in truths.items() if truth} == expected, (rule, source)


def test_objects_without_a_drawing_do_not_occur(pairs: Pairs) -> None:
    missing = lacking("emojione")
    assert {OBJECTS[i].singular for i in missing} == {
        "axe",
        "water pistol",
        "firecracker",
        "coin",
        "teddy bear",
    }
    assert not lacking("noto") and not lacking("twemoji")
    needed = {n for rule in constitution_of(NAME).rules for s in statements(rule) for n in s.nouns()}
    assert all(noun.classes - missing == noun.classes for noun in needed)
    for (rule, source), scenes in pairs.items():
        if source == "emojione":
            assert not any(missing & {*scene.scene.kinds} for scene in scenes), rule


def test_object_without_a_drawing_is_an_error() -> None:
    from jurat.pictograms.scene import Wish, draw

    with pytest.raises(ValueError, match="the set of drawings has none of this object"):
        draw(np.random.default_rng(0), [Wish(NUMBER["axe"])], sprites="emojione")


# --- the seal ----------------------------------------------------------------------------------------


def test_run_refuses_it_unless_it_is_opened(tmp_path: Path) -> None:
    def plan(opened: Sequence[str] = ()) -> BenchPlan:
        methods, models = rows_for(["oracle"], []), [BenchModel("null", "null")]
        return BenchPlan(tmp_path, methods, models, splits=(NAME,), per_rule=1, opened=opened)

    with pytest.raises(JuratError, match="'vault-2' is judged once, at the end"):
        plan()
    assert plan(opened=(NAME,)).splits == (NAME,)
    assert [name for name, split in SPLITS.items() if split.sealed] == [NAME]
    command = ["bench", "pictograms", "--preset", "oracle", "--out", str(tmp_path / "out"), "--split", NAME]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2 and "--open vault-2" in refused.output
    assert not (tmp_path / "out").exists()
    assert NAME not in BenchPlan(tmp_path, rows_for(["oracle"], []), []).splits


def test_split_is_the_same_for_the_same_seed() -> None:
    first, again = (list(islice(draw_split(NAME, 5, 1), 4)) for _ in range(2))
    assert [item.layout for item in first] == [item.layout for item in again]
    for one, other in combinations(first[::2], 2):
        assert one.layout != other.layout
