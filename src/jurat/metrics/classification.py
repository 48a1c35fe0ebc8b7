"""Classification of rows: a true label and the one that was said, or a score for the positive class.

Undecided rows are left out; the same number with each of them as an error is in `parts`, so that a model
does not gain by abstaining. scikit-learn does the rest, except where the bare wheel prints the number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.errors import JuratError
from jurat.metrics.calibration import calibration_error
from jurat.metrics.rates import UNSURE, f1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.metric_rows import MetricRows
    from jurat.metrics.metric_value import MetricValue, Part

UNDECIDED = "undecided rows as errors"


def accuracy(rows: MetricRows) -> MetricValue:
    """Share of the rows whose label is the true one."""
    right = [int(said == true) for said, true in zip(rows["said"], rows["truth"], strict=True)]
    others = Counter(rows["said"]) - Counter({name: rows.n for name in rows["truth"]})
    notes = [
        f"{count:,} rows say {name!r}, which no true label is; --labels would count it as unreadable."
        for name, count in others.items()
        if not rows.labels.names
    ]
    notes += _unknown(rows)
    late = len(_late(rows))
    parts: dict[str, Part] = {UNDECIDED: sum(right) / (rows.n + late)} if late else {}
    return rows.rate(right, parts=parts, notes=notes)


def _late(rows: MetricRows) -> list[Any]:
    """The true labels of undecided rows, where they are known."""
    return [row["truth"] for row in rows.undecided if row.get("truth") is not None]


def _unknown(rows: MetricRows) -> list[str]:
    """A note on undecided rows that cannot be counted as errors."""
    lost = len(rows.undecided) - len(_late(rows))
    if not lost:
        return []
    return [f"Undecided rows without a true label that can be read, which are no errors either: {lost:,}."]


def binary_f1(rows: MetricRows) -> MetricValue:
    """F1 of the positive label, 2 TP / (2 TP + FP + FN)."""
    true, said = np.array(rows["truth"], int), np.array(rows["said"], int)
    cells, weights_of = rows.distinct("truth", "said")
    few_true, few_said = (np.array(column, int) for column in cells)
    late = _late(rows)
    whole = f1(np.r_[true, np.array(late, int)], np.r_[said, np.full(len(late), UNSURE)])
    hits = int(((true == 1) & (said == 1)).sum())
    return rows.value(
        f1(true, said),
        reason="no row is positive and none was said to be" if rows.n else "",
        statistic=lambda w: f1(few_true, few_said, weights_of(w)),
        parts={
            "true positives": hits,
            "false positives": int(said.sum()) - hits,
            "false negatives": int(true.sum()) - hits,
        }
        | ({UNDECIDED: None if math.isnan(whole) else whole} if late else {}),
        notes=_unknown(rows),
    )


def macro_f1(rows: MetricRows) -> MetricValue:
    """Unweighted mean of the labels' F1, over a fixed list of labels."""
    from sklearn.metrics import f1_score

    names = _fixed(rows)
    absent = [name for name in names if name not in rows["truth"] and name not in rows["said"]]
    return _mean_of_labels(rows, f1_score, names, absent, "F1")


def balanced_accuracy(rows: MetricRows) -> MetricValue:
    """Mean of the labels' recalls; undefined where a label of the list has no row."""
    from sklearn.metrics import recall_score

    names = list(rows.labels.names) or sorted({*rows["truth"], *_late(rows)})
    if len(names) == 1:
        return rows.value(None, reason="all rows have the same true label")
    absent = [name for name in names if name not in rows["truth"]]
    return _mean_of_labels(rows, recall_score, names, absent, "recall")


def _mean_of_labels(
    rows: MetricRows, library: Any, names: Sequence[str], absent: Sequence[str], what: str
) -> MetricValue:
    """The mean over labels of scikit-learn's score of each; undefined where a label is absent."""
    if not rows.n:
        return rows.value(None)

    def scores(true: Any, said: Any, weights: NDArray[Any] | None = None) -> NDArray[np.float64]:
        more = {"labels": names, "average": None, "zero_division": np.nan, "sample_weight": weights}
        return np.asarray(library(true, said, **more), float)

    true, said = list(rows["truth"]), list(rows["said"])
    (few_true, few_said), weights_of = rows.distinct("truth", "said")
    parts = {
        f"{what} of {name}": None if name in absent else float(value)
        for name, value in zip(names, scores(true, said), strict=True)
    }
    if absent:
        return rows.value(None, reason=f"no row has the label {', '.join(map(repr, absent))}", parts=parts)
    if late := _late(rows):
        parts[UNDECIDED] = float(scores([*true, *late], [*said, *([_NO_LABEL] * len(late))]).mean())
    return rows.value(
        float(scores(true, said).mean()),
        statistic=lambda w: float(scores(few_true, few_said, weights_of(w)).mean()),
        parts=parts,
        notes=_unknown(rows),
    )


_NO_LABEL = "\0undecided"


def _fixed(rows: MetricRows) -> list[str]:
    if len(rows.labels.names) < 2:
        raise JuratError(
            "Macro-F1 needs the list of labels.",
            hint="--labels A,B,C: a label that does not occur would be dropped from the mean without it.",
        )
    return list(rows.labels.names)


def auroc(rows: MetricRows) -> MetricValue:
    """Area under the ROC curve: how often a positive scores above a negative, ties as a half."""
    from sklearn.metrics import roc_auc_score

    return _ranked(rows, roc_auc_score)


def auprc(rows: MetricRows) -> MetricValue:
    """Average precision, the step-wise area under the precision-recall curve."""
    from sklearn.metrics import average_precision_score

    return _ranked(rows, average_precision_score)


def _ranked(rows: MetricRows, library: Callable[..., Any]) -> MetricValue:
    true, scores = np.array(rows["truth"], int), rows.numbers("score")
    positives = int(true.sum())

    def area(weights: NDArray[Any]) -> float:
        there = weights > 0
        if len(set(true[there].tolist())) < 2:
            return math.nan
        return float(library(true[there], scores[there], sample_weight=weights[there]))

    hard = rows.n > 0 and set(scores.tolist()) <= {0.0, 1.0}
    return rows.value(
        area(np.ones(rows.n)),
        reason="all rows are of one class" if rows.n else "",
        statistic=area,
        parts={"positives": positives, "negatives": rows.n - positives},
        notes=["The scores are hard labels, 0 or 1."] if hard else [],
    )


def brier(rows: MetricRows) -> MetricValue:
    """Mean squared difference of score and truth."""
    return rows.mean((rows.numbers("score") - rows.numbers("truth")) ** 2)


def ece(rows: MetricRows, bins: int) -> MetricValue:
    """Expected calibration error over equal-width bins. No interval: resampled, it is biased upwards."""
    if bins < 1:
        raise JuratError("bins must be at least 1.")
    value = calibration_error(rows.numbers("truth"), rows.numbers("score"), bins=bins)
    return rows.value(value, method="none: resampled, it is biased upwards", parts={"bins": bins})
