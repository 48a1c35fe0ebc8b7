"""The judge as a method: a preset, complete or with parts left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, in_batches
from jurat.bench.pictogram.items import BenchItem
from jurat.benchmarks.drawing import png
from jurat.content import Item
from jurat.errors import JuratError
from jurat.metrics import UNSURE

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.judge import Judge, Preset, Verdict
    from jurat.judge.verdict import RuleFinding

_SAID = {"unsafe": 1, "safe": 0, "broken": 1, "kept": 0}


def judge(
    setup: Setup, items: Sequence[BenchItem], *, preset: str | Preset, without: Sequence[str] = ()
) -> Iterator[Prediction]:
    """Judges with a preset of `jurat.judge`; raises NotApplicable where the judge refuses."""
    bench = open_judge(setup, setup.constitution, preset, without)
    for batch in in_batches(items, bench.batch_size):
        owed = setup.clock.owed
        predictions = [prediction_of(verdict) for verdict in bench.stream(map(as_item, batch))]
        more = (setup.clock.owed - owed) / len(batch)
        for each in predictions:
            yield replace(each, spending=replace(each.spending, seconds=each.spending.seconds + more))


def open_judge(
    setup: Setup, constitution: Constitution, preset: str | Preset, without: Sequence[str] = ()
) -> Judge:
    """A judge with the setup's detector and matcher where the preset has a use for them."""
    from jurat.judge import Judge
    from jurat.judge.presets import find_preset

    try:
        wanted = find_preset(preset).without(without)
        # Pointing changes no outcome, but it costs: so every model has to do it, or none.
        return Judge(
            constitution,
            setup.model,
            wanted,
            detector=setup.detector if setup.detector and wanted.uses("detector") else "none",
            matcher=setup.matcher if setup.matcher and wanted.uses("matcher") else "none",
            calibration=setup.calibration,
        )
    except JuratError as problem:
        raise NotApplicable(problem.message.splitlines()[0]) from problem


def prediction_of(verdict: Verdict) -> Prediction:
    """A verdict as a bench prediction."""
    cost = verdict.cost
    spending = Spending(
        images=cost.images,
        question_tokens=cost.question_tokens,
        generated_tokens=cost.generated_tokens,
        detections=cost.detections,
        scans=cost.scans,
        seconds=verdict.seconds,
    )
    rules = {rule.id: _SAID.get(rule.outcome, UNSURE) for rule in verdict.rules}
    scores = {rule.id: _score(rule) for rule in verdict.rules}
    if not rules:
        return Prediction(UNSURE, math.nan, spending=spending, reason=verdict.reason or "error")
    return Prediction.of_rules(rules, scores, spending, verdict.reason)


def _score(rule: RuleFinding) -> float:
    """A rule that the relevance stage left out is kept as surely as can be: nothing is asked about it."""
    if rule.score is None:
        return 0.0 if rule.decided_by == "relevance" else math.nan
    return rule.score


def as_item(item: BenchItem) -> Item:
    """A bench item as the judge reads it: from its file, or from memory."""
    if isinstance(item.picture, Path):
        read, uri = item.picture.read_bytes, str(item.picture.with_name(item.name or item.picture.name))
    else:
        read, uri = partial(_png, item), ""
    return Item([read], item.name or item.id, uri, item.texts.caption, item.texts.turns)


def _png(item: BenchItem) -> bytes:
    return png(item.image)
