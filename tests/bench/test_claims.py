"""Claims checked against hand-made rows of a results table."""

from __future__ import annotations

from typing import Any

import pytest

from jurat.bench.claims import ACROSS, check, claims, claims_across, named
from jurat.bench.pictogram import SPLITS
from jurat.bench.results import claims_table
from jurat.metrics.claims import STATES, Judged


def difference(a: str, b: str, metric: str, low: float, high: float, split: str = "test") -> dict[str, Any]:
    return {"a": a, "b": b, "model": "naive", "split": split, "metric": metric, "ci": [low, high]}


def states(judged: list[Judged]) -> tuple[int, ...]:
    return tuple(sum(one.state == state for one in judged) for state in STATES)


def names(judged: list[Judged], state: str) -> list[str]:
    return [named(one.comparison) for one in judged if one.state == state]


def row(preset: str, tokens: float, risk: float, *ablate: str) -> dict[str, Any]:
    return {
        "preset": preset, "ablate": list(ablate), "model": "naive", "split": "test", "level": "item",
        "flops": tokens * 1e6, "question_tokens": tokens, "generated_tokens": 0, "risk_at": {"0.9": risk},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("paired", "claim", "counts"),
    [
        (difference("clue", "whole", "f1", 0.1, 0.2), "1", (0, 0, 0, 1)),  # of which there is no row
        (difference("jurat", "direct", "f1", -0.1, 0.2), "2", (0, 1, 0, 0)),
        (difference("jurat", "direct", "aurc", -0.2, -0.1), "2", (1, 0, 0, 0)),  # less is better
        (difference("jurat", "direct", "aurc", 0.1, 0.2), "2", (0, 0, 1, 0)),
        (difference("jurat", "clue-no-reason", "f1", 0.1, 0.2), "2", (1, 0, 0, 0)),
        (difference("jurat", "clue-no-relevance", "aurc", 0.1, 0.2), "2", (0, 0, 1, 0)),
        (difference("jurat", "jurat-no-views", "f1", -0.2, -0.1), "5", (0, 0, 1, 0)),
    ],
)
def test_difference_is_classified_by_its_interval(paired, claim, counts):
    ((text, _, judged),) = check({"rows": [], "paired": [paired]})
    assert text.startswith(claim) and states(judged) == counts


@pytest.mark.parametrize(
    "paired",
    [
        difference("jurat", "detector-geometry", "f1", 0.1, 0.2),  # asks no MLLM
        difference("jurat", "direct", "brier", 0.1, 0.2),
        difference("jurat", "direct", "brier", 0.1, 0.2, "borderline"),
        difference("quick", "direct", "f1", 0.1, 0.2),
    ],
)
def test_comparison_outside_the_claims_is_ignored(paired):
    assert check({"rows": [], "paired": [paired]}) == [] and not list(
        claims_table({"rows": [], "paired": [paired]})
    )


@pytest.mark.parametrize(
    ("recall", "state"), [(0.3, "shown"), (0.24, "not testable"), (None, "not testable")]
)
def test_baseline_with_low_recall_is_not_testable(recall: float | None, state: str) -> None:
    paired = [difference("clue", "whole", "f1", 0.1, 0.2)]
    ((_, _, judged),) = check({"rows": [row("whole", 10, 0.5) | {"recall": recall}], "paired": paired})
    assert [one.state for one in judged] == [state]


def test_left_out_baseline_is_not_testable():
    left = [
        {"preset": name, "ablate": [], "model": "naive", "split": split}
        for name in ("prior", "prior-cot", "clip")
        for split in ("test", "habits", "rare")
    ]
    table = {"rows": [], "paired": [], "provenance": {"left_out": left}}
    ((text, _, judged),) = check(table)
    assert text.startswith("1.") and not names(judged, "shown")
    line = "\n".join(claims_table(table)).splitlines()[-1]
    assert line.endswith("| 0 | 0 | 0 | 4: prior on test, habits; prior-cot on test, habits |")


@pytest.mark.parametrize(
    ("better", "worse", "state"), [(3, 0, "shown"), (2, 0, "open"), (2, 1, "open"), (0, 3, "against")]
)
def test_claim_is_shown_only_if_every_seed_shows_it(better: int, worse: int, state: str) -> None:
    seeds = {"better": better, "worse": worse, "of": 3}
    entry = difference("jurat", "direct", "f1", 0, 0) | {"ci": [None, None], "seeds": seeds}
    ((_, _, judged),) = check({"rows": [], "paired": [entry]})
    assert [one.state for one in judged] == [state]


def test_p_of_several_seeds_is_the_largest() -> None:
    seeds = [
        difference("jurat", "direct", "f1", low, 0.3) | {"difference": (low + 0.3) / 2, "model": f"naive{i}"}
        for i, low in (("", 0.1), ("#2", 0.01))
    ]
    whole = seeds[0] | {"model": "naive#all", "ci": [None, None], "seeds": {"better": 2, "worse": 0, "of": 2}}
    found = {model: judged for _, model, judged in check({"rows": [], "paired": [*seeds, whole]})}
    assert found["naive#all"][0].adjusted == found["naive#2"][0].adjusted > found["naive"][0].adjusted


def test_costs_are_compared_with_clue():
    found = check({"rows": [row("jurat", 110, 0.04), row("clue", 100, 0.1)], "paired": []})
    assert [(text[0], names(judged, "against")) for text, _, judged in found if text[0] == "3"] == [
        ("3", ["tokens on test, 110 to 100", "FLOPs on test, 1.1e+08 to 1e+08"])
    ]
    cheaper = {"rows": [row("jurat", 90, 0.06), row("clue", 100, 0.1)], "paired": []}
    assert "| 3. `jurat` takes no more than `clue` | naive | 2 | 0 | 0 | 0 |" in "\n".join(
        claims_table(cheaper)
    )


@pytest.mark.parametrize(
    ("ratio", "state"),
    [
        ((0.1, 0.5), "shown"),
        ((0.4, 0.6), "open"),
        ((0.51, 0.7), "against"),
        ((0.6, None), "against"),
        (None, "open"),
    ],
)
def test_risk_ratio_is_classified_by_its_interval(ratio: tuple[float, float] | None, state: str) -> None:
    """Compared with the lowest risk of `clue`, `clue` without relevance and `clue` without reasoning."""
    rows = [
        row("jurat", 90, 0.04), row("clue", 100, 0.2), row("clue", 200, 0.1, "relevance"),
        row("clue", 90, 0.07, "reason"),
    ]  # fmt: skip
    paired = [
        difference("jurat", b, "risk", -0.1, 0.1) for b in ("clue", "clue-no-relevance", "clue-no-reason")
    ]
    paired[-1] |= {} if ratio is None else {"ratio_ci": list(ratio)}
    (found,) = [some for text, _, some in check({"rows": rows, "paired": paired}) if text.startswith("4")]
    assert names(found, state) == ["test, 0.040 to 0.070 of clue-no-reason"]


def test_forced_accuracy_is_compared_without_an_interval():
    rows = [
        row("jurat", 90, 0.1) | {"risk_at": {"0.9": 0.1, "1.0": 0.3}},
        row("clue", 90, 0.1, "reason") | {"risk_at": {"0.9": 0.1, "1.0": 0.2}},
        row("detector-geometry", 90, 0.1) | {"risk_at": {"0.9": 0.1, "1.0": 0.1}},  # asks no MLLM
    ]
    (found,) = [some for text, _, some in check({"rows": rows, "paired": []}) if "forced" in text]
    assert names(found, "against") == ["clue-no-reason on test, 0.700 to 0.800"]
    assert not names(found, "shown")


def test_claims_are_data() -> None:
    every = [*claims(), *claims_across()]
    assert [type(claim).model_validate(claim.model_dump()) for claim in every] == every


# --- claims about all models ----------------------------------------------------------------------


def forced(model: str, split: str, low: float, high: float, p: float) -> dict[str, Any]:
    entry = difference("jurat", "clause-product", "forced", low, high, split)
    return entry | {"model": model, "difference": (low + high) / 2, "p": p}


def test_forced_errors_are_one_family_over_all_models_and_splits() -> None:
    pairs = [(model, split) for model in ("bundled", "naive", "naive#2") for split in ("test", "redrawn")]
    paired = [forced(*pair, 0.01, 0.03, 0.004 + 0.002 * i) for i, pair in enumerate(pairs)]
    rows = [
        row(name, 100, 0.1) | {"model": model, "split": split, "risk_at": {"0.9": 0.1, "1.0": error}}
        for model, split in [*pairs, ("naive#all", "test")]
        for name, error in (("jurat", 0.05), ("clause-product", 0.07))
    ]
    pooled = forced("naive#all", "test", 0.01, 0.03, 0.5)
    found = {
        (text[:2], model): judged
        for text, model, judged in check({"rows": rows, "paired": [*paired, pooled]})
    }
    judged = found["6.", ACROSS]
    assert [one.comparison.where["model"] for one in judged] == [model for model, _ in pairs]
    assert [one.adjusted for one in judged] == pytest.approx([0.024, 0.03, 0.032, 0.032, 0.032, 0.032])
    assert states(judged) == (6, 0, 0, 0) and all(one.holds_adjusted for one in judged)
    assert named(judged[0].comparison, ACROSS) == "clause-product on bundled test"
    told = "\n".join(claims_table({"rows": rows, "paired": paired}))
    assert (
        "| 6. decided by its score, `jurat` errs less often than `clause-product` | all models | 6 (6) |"
        in told
    )


def test_forced_errors_without_a_paired_difference_test_no_claim() -> None:
    rows = [
        row(name, 100, 0.1) | {"risk_at": {"0.9": 0.1, "1.0": 0.1}} for name in ("jurat", "clause-product")
    ]
    assert not [text for text, _, _ in check({"rows": rows, "paired": []}) if text.startswith("6.")]


def test_every_sealed_split_has_confirmatory_claims_of_its_own() -> None:
    for name in (name for name, split in SPLITS.items() if split.sealed):
        about = [claim for claim in (*claims(), *claims_across()) if name in claim.where["split"]]
        assert {(claim.metric, claim.a, claim.others) for claim in about} == {
            (metric, "jurat", ("clause-product", "clue")) for metric in ("forced_f1", "aurc")
        }, name
        assert all(claim.where["split"] == (name,) and f"`{name}`" in claim.id for claim in about), name


def test_confirmatory_claims_are_corrected_without_the_other_splits() -> None:
    paired = [
        difference("jurat", b, metric, low, low + 0.02, split) | {"p": 0.02, "difference": low + 0.01}
        for b in ("clause-product", "clue")
        for metric, low in (("forced_f1", 0.01), ("aurc", -0.03))
        for split in ("test", "unmet", "vault-2")
    ]
    found = {text: judged for text, model, judged in check({"rows": [], "paired": paired}) if model == ACROSS}
    assert [text[:2] for text in found] == ["7.", "7.", "8.", "8."]
    for text, judged in found.items():
        of = {"7": ("test", "unmet"), "8": ("vault-2",)}[text[0]]
        assert {one.comparison.where["split"] for one in judged} == {*of}, text
        assert [one.adjusted for one in judged] == pytest.approx([0.02 * len(judged)] * len(judged)), text
        assert all(one.holds_adjusted for one in judged) is (text[0] == "8"), text
