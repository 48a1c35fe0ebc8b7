"""The accuracy of the bundled detector and matcher against their cards.

Measured again on fewer scenes from other seeds, with the slack of the smaller sample.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom

from jurat.constitution import load_constitution
from jurat.models.bundled.model import WEIGHTS
from jurat.models.hf import detectors as detecting
from jurat.models.hf import matchers as matching
from training.clip.card import TEST_SEED as CLIP_SEED
from training.clip.card import measure
from training.owl.card import CONFIDENCE, TEST_SEED, evaluate_owl

FOLDERS = {"owl": detecting.WEIGHTS, "clip": matching.WEIGHTS}
CARDS: dict[str, dict[str, Any]] = {
    name: json.loads((folder / "measurements.json").read_text()) for name, folder in FOLDERS.items()
}


@pytest.mark.parametrize("name", FOLDERS)
def test_weights_load_in_plain_transformers_and_share_the_tower(name: str) -> None:
    from transformers import (
        AutoModel,
        AutoModelForImageTextToText,
        AutoModelForZeroShotObjectDetection,
        AutoProcessor,
    )

    family: Any = AutoModelForZeroShotObjectDetection if name == "owl" else AutoModel
    model = family.from_pretrained(FOLDERS[name], dtype=torch.float32)
    AutoProcessor.from_pretrained(FOLDERS[name])
    vision = (model.owlvit if name == "owl" else model).vision_model.state_dict()
    mllm: Any = AutoModelForImageTextToText.from_pretrained(WEIGHTS, dtype=torch.float32)
    for key, value in mllm.model.vision_tower.state_dict().items():
        if not key.startswith("post_layernorm"):  # comes after the tower's own output
            here = vision[key.replace("pre_layrnorm", "pre_layernorm") if name == "owl" else key]
            assert torch.equal(here, value), f"{key} differs: train stage {name} again"
    for file in ("domain.json", "domain.safetensors"):
        assert (FOLDERS[name] / file).read_bytes() == (WEIGHTS / file).read_bytes()


@pytest.mark.parametrize("name", FOLDERS)
def test_weights_are_below_8_mb(name: str) -> None:
    assert (FOLDERS[name] / "model.safetensors").stat().st_size < 8e6


def test_detector_recall_matches_its_card() -> None:
    found = evaluate_owl(detecting.WEIGHTS, 32, TEST_SEED + 10_000_000)
    row, said = (
        next(r for r in rows if r["asked for"] == "all objects by name")
        for rows in (found["rows"], CARDS["owl"]["rows"])
    )
    right = round(row[f"recall at {CONFIDENCE}"] / 100 * row["n"])
    assert binom.cdf(right, row["n"], said["recall, low"] / 100) > 0.001, (row, said)
    assert row[f"precision at {CONFIDENCE}"] > said[f"precision at {CONFIDENCE}"] - 15


def test_matcher_rates_match_its_card() -> None:
    pairs = measure(matching.WEIGHTS, 12, 2, CLIP_SEED + 10_000_000)
    threshold = matching.open_bundled("", "cpu").relevant_above
    assert threshold == CARDS["clip"]["relevant_above"]
    said = next(r for r in CARDS["clip"]["rows"] if r["view"] == "test" and r["threshold"] == threshold)
    kept = int((pairs.cosines > threshold)[pairs.broken].sum())
    # Scenes of one rule fail together: the slack is that of a third of the sample.
    n, share = int(pairs.broken.sum()), said["broken, kept"] / 100
    assert binom.cdf(kept // 3, n // 3, share) > 0.001, (kept, n, said)
    assert pairs.at(threshold)["irrelevant, dropped"] > said["irrelevant, dropped"] - 20


def test_matcher_knows_every_word_of_the_nursery() -> None:
    matcher = matching.open_bundled("", "cpu")
    for rule in load_constitution("shelf:nursery").rules:
        assert matcher.unknown_words(rule.description or rule.rule) == []
    assert np.isfinite(matcher.relevant_above)
