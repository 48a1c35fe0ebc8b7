"""What a run on labelled images found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jurat.bench.labelled.labelled_images import LabelledImages
    from jurat.bench.labelled.measures import MethodRow
    from jurat.metrics import Table


@dataclass(frozen=True)
class LabelledResults:
    """What a run found."""

    data: dict[str, Any]
    """Contents of `labelled.json`."""
    rows: Sequence[MethodRow]
    labelled: LabelledImages
    rulings: Table
    """Every judgement of every row, by image and by rule."""
