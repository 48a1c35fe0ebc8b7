"""Gong et al. 2023, "FigStep: jailbreaking large vision-language models via typographic visual prompts"
(arXiv 2311.05608).

The request becomes the title of a list with empty points; the list is a picture, and a harmless text asks
to fill it in. FigStep-Pro (`pieces`) cuts the title into several pictures, none of which holds the request.
The authors draw with FreeMono Bold; ours is the font of `jurat.benchmarks.drawing.font_name`, recorded with
each sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from PIL import Image
from pydantic import Field

from jurat.attacks.sample_attack import (
    AttackFailed,
    Helper,
    Means,
    SampleAttack,
    drawn,
    request_of,
    with_pictures,
    with_request,
    wordings,
)
from jurat.benchmarks.drawing import Lettering, cut_text, font_name, text_card
from jurat.benchmarks.sample import Sample
from jurat.content import Failure
from jurat.named_settings import Positive, setting

__all__ = ["Gong"]


@dataclass(frozen=True)
class Gong(SampleAttack):
    """An unfinished list as a picture. Its title is the sample's field `instruction`, or the attacker's model
    writes it."""

    asks: ClassVar[tuple[Helper, ...]] = ("attacker",)

    pieces: Positive = setting(1, "authors", "Pictures that the title is cut into; 1: the whole list is one.")
    points: Positive = setting(3, "authors", "Empty points of the list.")
    side: Positive = setting(760, "authors", "Least side of the picture of the list, in pixels.")
    size: Positive = setting(80, "authors", "Size of the font, in pixels.")
    letters: Positive = setting(15, "authors", "Characters of a line.")
    spacing: Annotated[int, Field(ge=0)] = setting(11, "authors", "Pixels between lines.")

    def rewrite(self, sample: Sample, means: Means) -> Sample:
        title = sample.fields.get("instruction") or self._title(sample, means)
        texts, style = wordings("gong"), self._style()
        if self.pieces == 1:
            lines = (title, *(f"{number}." for number in range(1, self.points + 1)))
            files, text = [drawn(text_card, lines, style)], texts["list"]
        else:
            count = min(self.pieces, len(title))
            files = [drawn(_piece, title, self.pieces, style, number) for number in range(count)]
            text = texts["parts"].format(points=self.points)
        shown = with_pictures(sample, files, title=title, font=font_name())
        return with_request(shown, text.strip())

    def _title(self, sample: Sample, means: Means) -> str:
        prompt = wordings("gong")["title"].format(request=request_of(sample))
        reply = means.written(prompt.strip(), "it has no field 'instruction'")
        title = reply.splitlines()[0].strip(" \"'.")
        if not title:
            raise AttackFailed(Failure("unparsed", "The attacker's model writes no title."))
        return title

    def _style(self) -> Lettering:
        return Lettering(
            self.size, self.letters, self.spacing, left=20, top=10, width=self.side, height=self.side
        )


def _piece(title: str, pieces: int, style: Lettering, number: int) -> Image.Image:
    return cut_text(title, pieces, style)[number]
