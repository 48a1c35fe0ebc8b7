"""Candidates for the preset `jurat`: what each asks and computes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from jurat.bench.methods.candidates import (
    CANDIDATES,
    ENLARGED_ONLY,
    ITEM_VIEWS,
    entropy_temperature,
    fit_platt,
    match_entropy,
    pooled,
)
from jurat.bench.methods.interface import Setup, Tuning
from jurat.bench.methods.judge_presets import judge
from jurat.bench.methods.registry import methods
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution, parse_constitution
from jurat.judge.decision import sigmoid

from ..judge.scripted import NONE, PAINTED, WHOLE, Finder, Scripted, box, white

LAW = parse_constitution(
    """
name: law
rules:
  - id: pair
    rule: No pair.
    clauses:
      - {statement: A cat is visible., objects: [cat]}
      - {statement: A dog is visible., objects: [dog]}
  - {id: sun, rule: No sun., clauses: [A sun is visible.]}
"""
)
CAT, DOG, SUN = "A cat is visible.", "A dog is visible.", "A sun is visible."


def item(broken: bool = True) -> BenchItem:
    return BenchItem(
        "dev/pair/0",
        "dev",
        "pair",
        0,
        "broken",
        "plain",
        frozenset({"pair"} if broken else ()),
        None,
        white(),
    )


def setup(whole: dict[str, float], other: dict[str, float] | None = None, law: Constitution = LAW) -> Setup:
    """A model with these scores of the image, and those of anything that was made of it."""
    scores: dict[Any, float] = {(text, WHOLE): score for text, score in whole.items()}
    scores |= {(text, PAINTED): score for text, score in (whole | (other or {})).items()}
    scores |= {(text, NONE): 0.5 for text in whole}
    boxes = {"cat": [box("cat", 20)], "dog": [box("dog", 20)]}
    return Setup(law, Scripted(scores), "scripted", detector=Finder(boxes))


def shown_again(prepared: Setup) -> set[str]:
    model: Any = prepared.model
    return {text for text, kind in model.asked if kind == PAINTED}


def test_views_are_asked_only_where_the_item_can_change() -> None:
    uncertain = {CAT: 0.6, DOG: 0.7}
    surely = setup(uncertain | {SUN: 0.999})
    (one,) = judge(surely, [item()], preset=ITEM_VIEWS)
    assert one.outcome == 1 and shown_again(surely) == set()
    perhaps = setup(uncertain | {SUN: 0.9})
    list(judge(perhaps, [item()], preset=ITEM_VIEWS))
    assert shown_again(perhaps) == {CAT, DOG, SUN}


def test_least_certain_statement_is_asked_on_its_enlarged_region() -> None:
    prepared = setup({CAT: 0.9, DOG: 0.55, SUN: 0.001}, {DOG: 0.95})
    (one,) = judge(prepared, [item()], preset=ENLARGED_ONLY)
    assert shown_again(prepared) == {DOG}
    over = (math.log(0.55 / 0.45) + math.log(0.95 / 0.05)) / 2
    assert one.scores["pair"] == pytest.approx(sigmoid(over))
    large = setup({CAT: 0.9, DOG: 0.55, SUN: 0.001})
    large.detector = Finder({"dog": [box("dog", 80)]})
    list(judge(large, [item()], preset=ENLARGED_ONLY))
    assert shown_again(large) == set()


@pytest.mark.parametrize(
    ("options", "score"),
    [
        ({"within": "least", "across": "largest"}, 0.8),
        ({"within": "product", "across": "largest"}, 0.72),
        ({"within": "product", "across": "noisy-or"}, 1 - 0.28 * 0.9),
    ],
)
def test_clauses_are_combined_as_the_options_say(options: dict[str, Any], score: float) -> None:
    (one,) = pooled(setup({CAT: 0.9, DOG: 0.8, SUN: 0.1}), [item()], preset="quick", **options)
    assert one.score == pytest.approx(score) and one.outcome == 1
    assert one.spending.images == 1


def test_exceptions_are_combined_as_clauses_and_turned_round() -> None:
    law = parse_constitution(
        f"name: law\nrules:\n  - {{id: pair, rule: No., clauses: [{CAT}], unless: [{DOG}, {SUN}]}}\n"
    )
    (one,) = pooled(setup({CAT: 0.9, DOG: 0.5, SUN: 0.4}, law=law), [item()], preset="quick")
    assert one.score == pytest.approx(0.9 * (1 - 0.5 * 0.4))


def test_calibrated_score_is_fitted_on_labelled_items_once() -> None:
    prepared = setup({CAT: 0.9, DOG: 0.9, SUN: 0.3})
    kept = [item(broken=False)] * 30
    prepared.tuning = lambda: Tuning(LAW, [*kept, item()])
    (one,) = pooled(prepared, [item()], preset="quick", across="noisy-or", fitted=True)
    assert one.score == pytest.approx(1 / 31, abs=0.05) and one.outcome == 0
    assert len(prepared.fitted) == 1


def test_temperature_matches_uncertainty_to_instability() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 4, (3000, 1, 1))
    answers = true + rng.logistic(0, 1.0, (3000, 5, 1))
    assert match_entropy(3 * answers) == pytest.approx(3 * match_entropy(answers), rel=0.01)
    assert match_entropy(np.repeat(answers[:, :1], 5, axis=1)) < 0.25
    assert match_entropy(np.full((2, 5, 1), np.nan)) == 1.0


def test_temperature_is_fitted_on_views_of_unlabelled_items() -> None:
    stable, moved = setup({CAT: 0.9, DOG: 0.8, SUN: 0.1}), setup({CAT: 0.9, DOG: 0.8, SUN: 0.1}, {DOG: 0.2})
    for each in (stable, moved):
        each.backgrounds = lambda: [item()] * 3
    assert entropy_temperature(stable) < entropy_temperature(moved)


def test_platt_finds_slope_and_offset() -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 3, 4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-(0.5 * odds - 1)))
    a, b = fit_platt([sigmoid(one) for one in odds], truth.tolist())
    assert (a, b) == (pytest.approx(0.5, abs=0.06), pytest.approx(-1, abs=0.15))
    assert fit_platt([0.3, 0.4], [True, True]) == (1.0, 0.0)


def test_no_candidate_is_among_the_methods_of_the_bench() -> None:
    assert not {each.name for each in CANDIDATES} & methods().keys()
    assert len({each.key for each in CANDIDATES}) == len(CANDIDATES)
    assert all(each.settings for each in CANDIDATES)
