"""What README, the documents and the model cards say of how a model was trained, against the recorded stages
and mixes: a sentence that says what a model was not trained on, or what was held out, has a fact behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from jurat.bench.pictogram import constitution_of
from jurat.judge.prompts import RULE, STATEMENT
from jurat.models.bundled.model import NAIVE, WEIGHTS
from jurat.pictograms import statements
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import TEXTURES, TRAINED_TEXTURES
from jurat.pictograms.statements import HELD_OUT
from training import tower_features
from training.clip import card as clip_card
from training.forbidding_rules import RULES, forbid
from training.lineage import read_lineage
from training.mllm import evaluation
from training.mllm.mixes import mixes, wordings
from training.owl import card as owl_card
from training.scenes import composition, grounds, unknown
from training.writer import evaluation as writer_evaluation

from ..bench import test_second_vault as second_vault

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "jurat"
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs").glob("*.md"),
    *(SOURCE / "models" / "bundled").glob("*/README.md"),
    SOURCE / "models" / "registry.py",
    SOURCE / "models" / "bundled" / "model.py",
    ROOT / "training" / "mixes.toml",
    SOURCE / "bench" / "pictogram" / "vault.yaml",
    SOURCE / "bench" / "pictogram" / "vault-2.yaml",
]
CLAIM = re.compile(
    r"\b(?:never (?:saw|seen|shown|met)|(?:not|no model was) trained|held[ -]out)\b",
    re.IGNORECASE,
)
UNTRUE = re.compile(
    r"never (?:been )?shown (?:a|what a|the) judge|knows no judge|rules[^.]{0,40} that nothing was tuned on|"
    r"the judge's ways[^.]*\bnever\b|naive (?:one|organism) counts",
    re.IGNORECASE,
)
"""What was said once, and is not so."""


def made_naive() -> dict[str, str]:
    """How the card of the naive organism records that it was made. It is older than lineages."""
    return json.loads((NAIVE / "measurements.json").read_text())["made"]


def stages_of_naive() -> list[str]:
    """The stages of the naive organism, in their order."""
    return [name.removeprefix("stage ") for name in made_naive() if name.startswith("stage ")]


def the_naive_decoder_is_new_and_its_mix_is_other() -> None:
    last = made_naive()["stage naive"]
    assert "tower 0, dense 0" in last and "new_decoder True, mix naive" in last
    naive = mixes()["naive"]
    put = [wordings(kind)[name] for kind in ("statements", "rules") for name in getattr(naive, kind)]
    assert not {STATEMENT, RULE} & {*put}
    card = (NAIVE / "README.md").read_text(encoding="utf-8")
    assert all(f"*{wording.question}*" in card for wording in put)
    assert (naive.blanked, naive.modes.get("no image", 0)) == (0, 0)


def the_naive_tower_is_of_earlier_weights() -> None:
    assert {"joint", "again", "final", "signs"} <= {*stages_of_naive()}
    weights = load_file(NAIVE / "model.safetensors")
    tower = sum(each.numel() for name, each in weights.items() if "vision_tower" in name)
    assert f"{tower / sum(each.numel() for each in weights.values()):.2%}" == "59.85%"
    now = load_file(WEIGHTS / "model.safetensors")
    assert not any(weights[name].equal(now[name]) for name in weights if "vision_tower.encoder" in name)


def eight_of_the_vaults_rules_are_training_templates() -> None:
    written = 0
    for rule in constitution_of("vault").rules:
        try:
            written += rule.rule in forbid(parse(rule.description or ""))
        except ValueError:
            continue
    assert (written, len(constitution_of("vault").rules)) == (8, 14)
    for text in constitution_of(
        "vault"
    ).statements():  # while each statement is in a phrasing that was held out
        statement = parse(text)
        assert text in statement.phrasings()[-HELD_OUT:], text


def nothing_of_the_second_vault_is_of_training() -> None:
    second_vault.test_no_template_of_training_writes_its_rules()
    second_vault.test_statements_are_in_phrasings_held_out_of_training()
    second_vault.test_pairs_of_objects_are_kept_apart_in_training()


def no_rule_template_says_does_not_touch() -> None:
    assert not [template for some in RULES.values() for template in some if "not touch" in template]
    said = [rule.rule for rule in constitution_of("flip").rules if "does not touch" in rule.rule]
    assert len(said) == 3


def phrasings_and_backgrounds_are_held_out() -> None:
    assert HELD_OUT == 2 and set(TEXTURES) - set(TRAINED_TEXTURES) == {"stripes", "checks", "rings"}
    assert all(len(some) >= HELD_OUT + 6 for some in statements.TEMPLATES.values())


def rings_are_in_no_scene_of_training() -> None:
    assert {*TEXTURES} - {*TRAINED_TEXTURES} - {*composition.RARE_TEXTURES} == {"rings"}


def training_draws_nothing_of_the_strangers() -> None:
    sources = (ROOT / "training").rglob("*.py")
    assert not [path for path in sources if re.search(r"(from|import) tests", path.read_text("utf-8"))]


def exams_have_seeds_of_their_own() -> None:
    assert made_naive()["scenes"] == "up to 18 parts of 12000, with seeds from 1000000 on"
    shown = [record["pool"] for record in read_lineage(WEIGHTS)]
    last = max(pool["first"] + 900_000_000 + pool["watch"] for pool in shown)
    assert last < tower_features.FIRST_SEED < evaluation.FIRST_SEED < writer_evaluation.FIRST_SEED
    assert evaluation.FIRST_SEED < owl_card.TEST_SEED < clip_card.TEST_SEED < writer_evaluation.FIRST_SEED


def only_scenes_were_drawn() -> None:
    assert made_naive()["scenes"].startswith("up to 18 parts of 12000")
    drawn = {f"unknown {kind}" for kind in unknown.SHARES} | {f"ground {kind}" for kind in grounds.SHARES}
    for record in read_lineage(WEIGHTS):
        tags = {tag for tag in record["pool"]["scenes"] if not tag.startswith(("look ", "size "))}
        assert tags <= drawn | {"with unknown things"}, (record["stage"], tags - drawn)


FACTS: dict[str, Callable[[], None]] = {
    "decoder was not trained on the judge's wording": the_naive_decoder_is_new_and_its_mix_is_other,
    "decoder* was not trained on the judge's wording": the_naive_decoder_is_new_and_its_mix_is_other,
    "so was the vision tower of the naive one, though not its decoder": the_naive_tower_is_of_earlier_weights,
    "8 of the 14": eight_of_the_vaults_rules_are_training_templates,
    "rule texts were not held out": eight_of_the_vaults_rules_are_training_templates,
    "its statements are in phrasings held out of training": nothing_of_the_second_vault_is_of_training,
    "one sentence form that no model was trained on": no_rule_template_says_does_not_touch,
    "phrasings held out of training": phrasings_and_backgrounds_are_held_out,
    "have forms that were held out of training": eight_of_the_vaults_rules_are_training_templates,
    "phrased as training never saw them": eight_of_the_vaults_rules_are_training_templates,
    "in phrasings that training held out": eight_of_the_vaults_rules_are_training_templates,
    "the last two of each are held out of training": phrasings_and_backgrounds_are_held_out,
    "on backgrounds held out of training": phrasings_and_backgrounds_are_held_out,
    "or on rings, which it never shows": rings_are_in_no_scene_of_training,
    "| backdrops held out |": training_draws_nothing_of_the_strangers,
    "scenes it never saw": exams_have_seeds_of_their_own,
    "never seen a photograph": only_scenes_were_drawn,
    "held-out scenes pass": exams_have_seeds_of_their_own,
    "held-out combinations": exams_have_seeds_of_their_own,
    "held-out wordings": exams_have_seeds_of_their_own,
    "both held out": exams_have_seeds_of_their_own,
    "that it was not trained on, so that 99% of broken rules are kept": exams_have_seeds_of_their_own,
}
"""A part of a sentence -> what has to be so for it to be true."""


def sentences(page: Path) -> list[str]:
    """Sentences of a page, on one line each; tables by their rows, code by its lines."""
    text = re.sub(r"\*Held out:\*", "", page.read_text(encoding="utf-8"))
    blocks = re.split(r"\n(?:\n|(?=[|#\-]))", text)
    return [
        sentence
        for block in blocks
        for sentence in re.split(r"(?<=[.!?:])\s+(?=[A-Z*`])", " ".join(block.replace("\n#", "\n").split()))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_training_claims_of_a_page_have_a_recorded_fact(page: Path) -> None:
    for sentence in sentences(page):
        assert not UNTRUE.search(sentence), sentence
        if CLAIM.search(sentence):
            lower = sentence.lower()
            facts = [check for part, check in FACTS.items() if part.lower() in lower]
            assert facts, f"no fact of FACTS stands behind: {sentence}"
            for check in facts:
                check()


def test_pages_name_the_recorded_stages() -> None:
    the_naive_tower_is_of_earlier_weights()
    shared = ", ".join(f"`{name}`" for name in stages_of_naive()[:-1])
    method = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    assert f"| vision tower | stages {shared} | the tower of that model: 59.85% of its parameters |" in method
    pictograms = (ROOT / "docs" / "pictograms.md").read_text(encoding="utf-8")
    made = ", ".join(f"`{record['stage']}`" for record in read_lineage(WEIGHTS))
    assert f"The bundled model was trained in the stages {made}." in " ".join(pictograms.split())
