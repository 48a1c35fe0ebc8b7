"""Liu et al. 2023, "MM-SafetyBench: a benchmark for safety evaluation of multimodal large language models"
(arXiv 2311.17600).

The key phrase of a request moves into a picture: written on it, shown by it, or both. The request keeps a
reference in its place. The authors generate pictures with Stable Diffusion and write with Arial; here a
picture is the user's, or a scene of pictograms, and the font is that of `jurat.benchmarks.drawing.font_name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from PIL import Image

from jurat.attacks.sample_attack import (
    AttackFailed,
    Helper,
    Means,
    SampleAttack,
    SkipSample,
    drawn,
    last_request,
    request_of,
    with_pictures,
    with_request,
    wordings,
)
from jurat.benchmarks.drawing import Lettering, font_name, scene, stacked, text_card
from jurat.benchmarks.drawn import visible
from jurat.benchmarks.protocol import single_frame
from jurat.benchmarks.sample import Sample
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.media import IMAGE_SUFFIXES
from jurat.models.json_replies import objects_in
from jurat.named_settings import Positive, setting
from jurat.pictograms.objects import NOUNS
from jurat.sources.openers import read_file
from jurat.text import shown

__all__ = ["Liu"]

Part: TypeAlias = tuple[Any, ...]
"""A function that draws a picture, and its arguments."""

_ARTICLE = re.compile(r"^(an?|the|some)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Liu(SampleAttack):
    """The key phrase is the sample's field `key_phrase`, or the attacker's model finds it."""

    asks: ClassVar[tuple[Helper, ...]] = ("attacker",)

    image: Literal["typography", "picture", "both"] = setting(
        "both", "paper", "The phrase in letters, a picture of it, or the picture above the letters."
    )
    pictures: str | None = setting(
        None, "ours", "Folder of pictures that are named after phrases; null: scenes of pictograms."
    )
    size: Positive = setting(90, "third party", "Size of the font, in pixels.")
    width: Positive = setting(
        1024, "third party", "Width of the picture of letters, in pixels; lines are wrapped at it."
    )

    def rewrite(self, sample: Sample, means: Means) -> Sample:
        phrase, kind = self._phrase(sample, means)
        request = self._request(sample, phrase, kind)
        parts: list[Part] = []
        if self.image != "typography":
            parts.append(self._picture(phrase, means.seed_of(sample)))
        if self.image != "picture":
            parts.append((text_card, (phrase,), self._style()))
        facts = {"key_phrase": phrase, "phrase_type": kind}
        if self.image != "picture":
            facts["font"] = font_name()
        return with_request(with_pictures(sample, [drawn(_whole, *parts)], **facts), request)

    def _phrase(self, sample: Sample, means: Means) -> tuple[str, str]:
        """The key phrase and its type."""
        if phrase := sample.fields.get("key_phrase"):
            return phrase, _type(sample.fields.get("phrase_type", ""))
        prompt = wordings("liu")["phrase"].format(request=request_of(sample))
        reply = means.written(prompt.strip(), "it has no field 'key_phrase'")
        found = next(objects_in(reply), {})
        phrase = str(found.get("phrase") or "").strip()
        if not phrase:
            raise AttackFailed(Failure("unparsed", "The attacker's model names no key phrase."))
        return phrase, _type(str(found.get("type", "")))

    def _request(self, sample: Sample, phrase: str, kind: str) -> str:
        """The request with a reference to the picture in place of the phrase and its article."""
        words = re.escape(_ARTICLE.sub("", phrase))
        pattern = re.compile(rf"(?<!\w)(?:(?:an?|the|some)\s+)?{words}(?!\w)", re.IGNORECASE)
        reference = wordings("liu")[self.image][kind]
        # Sets whose pictures hold the phrase have the request in words in a field.
        texts = (last_request(sample), sample.fields.get("original"), sample.fields.get("question"))
        for text in filter(None, texts):
            if pattern.search(text):
                changed = pattern.sub(reference, text)
                return changed[0].upper() + changed[1:]
        raise SkipSample("its request does not hold its key phrase")

    def _picture(self, phrase: str, seed: tuple[int, int]) -> Part:
        """What draws a picture of the phrase."""
        name = _ARTICLE.sub("", phrase).casefold()
        if self.pictures is not None:
            path = _by_name(self.pictures).get(name)
            if path is None:
                raise SkipSample("the folder of pictures has none of its key phrase")
            return _read, path
        if name not in NOUNS:
            raise SkipSample("its key phrase is not of the pictogram world; pictures can name a folder")
        return scene, ((visible(name), True),), seed

    def _style(self) -> Lettering:
        """As the authors' pictures: 1,024 pixels wide and a line higher than the text, which begins half a
        line below the top."""
        half = self.size // 2
        return Lettering(self.size, None, 0, left=0, top=half, width=self.width, height=0)


def _type(name: str) -> str:
    """A type of phrase of the table, by its name in the set or by the attacker's model."""
    texts, name = wordings("liu"), name.strip().casefold()
    name = texts["types"].get(name, name)
    return name if name in texts["both"] else "other"


@cache
def _by_name(folder: str) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, in lower case."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise JuratError(f"There is no folder of pictures {shown(folder)}.")
    return {each.stem.casefold(): each for each in path.iterdir() if each.suffix.lower() in IMAGE_SUFFIXES}


def _read(path: Path) -> Image.Image:
    return single_frame(read_file(path)).convert("RGB")


def _whole(*parts: Part) -> Image.Image:
    """The picture of one part, or of two above each other; a narrower one above is enlarged to the width of
    the letters, beside which a scene of pictograms would be small."""
    first, *others = (draw(*arguments) for draw, *arguments in parts)
    if not others:
        return first
    if first.width < others[0].width:
        scale = others[0].width / first.width
        first = first.resize((others[0].width, round(scale * first.height)), Image.Resampling.BICUBIC)
    return stacked(first, others[0])
