"""Pictures scaled down: a control, and what many front ends do to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from PIL import Image
from pydantic import Field

from jurat.attacks.sample_attack import Means, SampleAttack, changed_pictures
from jurat.benchmarks.drawing import png
from jurat.benchmarks.sample import Sample
from jurat.media.changes import rescaled, scaled
from jurat.named_settings import setting

__all__ = ["Resize"]


@dataclass(frozen=True)
class Resize(SampleAttack):
    """Each picture of the sample is scaled by a factor, with bicubic filters."""

    scale: Annotated[float, Field(gt=0, le=4)] = setting(0.5, "ours", "Factor of both sides, up to 4.")
    restore: bool = setting(True, "ours", "Scales back to the size before, so that only detail is lost.")

    def rewrite(self, sample: Sample, means: Means) -> Sample:
        return changed_pictures(sample, self._scaled)

    def _scaled(self, picture: Image.Image) -> bytes:
        change = rescaled if self.restore else scaled
        return png(change(picture.convert("RGB"), self.scale))
