"""Cross-validation folds of labelled images, and methods fitted on all folds but the one they judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, Tuning

if TYPE_CHECKING:
    from jurat.bench.labelled.labelled_images import LabelledImages
    from jurat.bench.methods.registry import Method
    from jurat.bench.pictogram.items import BenchItem

T = TypeVar("T")
FOLDS = 5


def folds(items: Sequence[BenchItem], count: int = FOLDS) -> list[int]:
    """The fold of each item, 0 to count - 1.

    Equal files share a fold. Images that break the same rules are spread evenly, dealt in the order of a
    hash of their names, so that the folds do not depend on the order of the labels.
    """
    groups: dict[int, list[BenchItem]] = defaultdict(list)
    for item in items:
        groups[item.pair].append(item)
    strata: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, members in groups.items():
        strata[tuple(sorted(members[0].broken))].append(number)
    dealt: dict[int, int] = {}
    for key in sorted(strata):
        for number in sorted(strata[key], key=lambda n: _hash(min(item.id for item in groups[n]))):
            # Dealing goes on over all strata, so that rules broken once do not all land in fold 0.
            dealt[number] = len(dealt) % count
    return [dealt[item.pair] for item in items]


def _giving(value: T) -> Callable[[], T]:
    return lambda: value


def _hash(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def cross_fitted(
    method: Method, setup: Setup, labelled: LabelledImages, wanted: Sequence[BenchItem], count: int
) -> list[Prediction]:
    """Predictions on the `wanted` items, each by the method as fitted on the items of the other folds.

    It is fitted on readable items whose rules all have a label.

    Raises:
        NotApplicable: no items are left to fit on.
    """
    fold_of = dict(zip((item.id for item in labelled.items), folds(labelled.items, count), strict=True))
    usable = [item for item in labelled.items if item.unreadable is None and labelled.complete(item)]
    found: dict[str, Prediction] = {}
    for fold in sorted({fold_of[item.id] for item in wanted}):
        others = [item for item in usable if fold_of[item.id] != fold]
        here = [item for item in wanted if fold_of[item.id] == fold]
        if not others:
            raise NotApplicable("no image has a label of every rule, so there is none to fit it on")
        tuning = Tuning(setup.constitution, others)
        fitted = replace(setup, tuning=_giving(tuning), backgrounds=_giving(others), fitted={})
        found.update(zip((item.id for item in here), method(fitted, here), strict=True))
    return [found[item.id] for item in wanted]
