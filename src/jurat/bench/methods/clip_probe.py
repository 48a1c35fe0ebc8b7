"""Linear probes on CLIP embeddings, one a rule, in the manner of Q16 (arXiv 2202.06675).

Logistic regression on the unit embedding of the image, trained on labelled images of the same rules. Its
penalty, cut and temperature are chosen on embeddings that were left out in turn within the training images. A
rule that the training images never break, or always, has the log-odds of its share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.cost import Spending
from jurat.bench.labelled.folds import folds
from jurat.bench.methods.fitting import Evidence, fit_best, predict
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, in_batches
from jurat.bench.pictogram.items import BenchItem

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Inverse of the penalty: scikit-learn's C."""
INNER = 5
"""Parts of the training images that are left out in turn."""


def probe(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    tuning = setup.labelled()
    rules = [rule.id for rule in setup.constitution.rules]
    if [rule.id for rule in tuning.constitution.rules] != rules:
        raise NotApplicable("a probe is trained on the rules that it judges, and these are others")
    seen, _ = embeddings(setup, tuning.items)
    truth = np.array([[rule in item.broken for rule in rules] for item in tuning.items], float)
    parts = np.array(folds(tuning.items, INNER))
    held_out = {strength: _held_out(seen, truth, parts, strength) for strength in STRENGTHS}
    variants = ((s, [dict(zip(rules, row, strict=True)) for row in rows]) for s, rows in held_out.items())
    strength, scale = fit_best(setup, "clip-probe", variants)
    weights = [fitted(seen, truth[:, column], strength) for column in range(len(rules))]
    for batch in in_batches(items):
        found, spending = embeddings(setup, batch)
        for row in found:
            evidence: Evidence = {r: float(row @ w + b) for r, (w, b) in zip(rules, weights, strict=True)}
            yield predict(evidence, scale, spending)


def embeddings(setup: Setup, items: Sequence[BenchItem]) -> tuple[NDArray[np.float64], Spending]:
    """Unit embeddings (items, width), and what one took.

    Raises NotApplicable where there is no matcher that embeds images.
    """
    from jurat.models import Embedder

    matcher: Any = setup.matcher
    embedder = matcher.capability(Embedder) if hasattr(matcher, "capability") else None
    if embedder is None:
        why = "no matcher was named" if matcher is None else f"the matcher {matcher.name!r} embeds no images"
        raise NotApplicable(why)
    start, rows = setup.clock(), list[Any]()
    for batch in in_batches(items):
        rows += [each.pooled.double().cpu().numpy() for each in embedder.images([i.image for i in batch])]
    found = np.stack(rows)
    seconds = (setup.clock() - start) / len(items)
    return found / np.linalg.norm(found, axis=1, keepdims=True), Spending(scans=1, seconds=seconds)


def fitted(
    seen: NDArray[np.float64], truth: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.float64], float]:
    """Weights and intercept of the logistic regression that scikit-learn's C = `strength` names."""
    from scipy.optimize import minimize

    positives, n = float(truth.sum()), len(truth)
    if positives in (0.0, float(n)):
        return np.zeros(seen.shape[1]), math.log((positives + 0.5) / (n - positives + 0.5))

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = seen @ at[:-1] + at[-1]
        off = 1 / (1 + np.exp(-np.clip(z, -500, 500))) - truth
        value = strength * float(np.logaddexp(0, z).sum() - truth @ z) + float(at[:-1] @ at[:-1]) / 2
        return value, np.r_[strength * (seen.T @ off) + at[:-1], strength * off.sum()]

    found: Any = minimize(loss, np.zeros(seen.shape[1] + 1), jac=True, method="L-BFGS-B",
                          options={"maxiter": 1000, "gtol": 1e-8, "ftol": 1e-14})  # fmt: skip
    return found.x[:-1], float(found.x[-1])


def _held_out(
    seen: NDArray[np.float64], truth: NDArray[np.float64], parts: NDArray[np.int64], strength: float
) -> NDArray[np.float64]:
    """Log-odds (items, rules) by probes that did not see the item."""
    found = np.zeros(truth.shape)
    for part in np.unique(parts):
        others, here = parts != part, parts == part
        if not others.any():
            continue
        for column in range(truth.shape[1]):
            w, b = fitted(seen[others], truth[others, column], strength)
            found[here, column] = seen[here] @ w + b
    return found
