"""JPEG compression: a control, and what an upload does to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from jurat.attacks.sample_attack import Means, SampleAttack, changed_pictures
from jurat.benchmarks.sample import Sample
from jurat.media.changes import as_jpeg
from jurat.named_settings import setting

__all__ = ["Jpeg"]


@dataclass(frozen=True)
class Jpeg(SampleAttack):
    """Each picture of the sample is shown as the JPEG file of a quality."""

    quality: Annotated[int, Field(ge=1, le=95)] = setting(50, "ours", "Quality, from 1 to 95.")

    def rewrite(self, sample: Sample, means: Means) -> Sample:
        return changed_pictures(sample, lambda picture: as_jpeg(picture, self.quality))
