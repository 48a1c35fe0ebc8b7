"""What attacks on samples share: they rewrite what a model is shown and asked, and need no gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from tomllib import loads
from typing import Any, ClassVar, Literal

from PIL import Image

from jurat.attacks.access import Compute
from jurat.benchmarks.drawing import png
from jurat.benchmarks.protocol import AS_WRITTEN, Protocol, single_frame
from jurat.benchmarks.sample import Sample, Skipped
from jurat.content import Chat, Failure, Generation, ImageError, LazyImage, Reply, Turn
from jurat.errors import JuratError
from jurat.models import Model
from jurat.models.chat_each import chat_each
from jurat.named_settings import Settings

__all__ = [
    "AttackFailed",
    "Means",
    "SampleAttack",
    "SkipSample",
    "changed_pictures",
    "drawn",
    "last_request",
    "request_of",
    "with_pictures",
    "with_request",
    "wordings",
]

Helper = Literal["attacker", "victim"]


class SkipSample(Exception):
    """A sample lacks what the attack needs; the message is a sentence for a person that begins with "it"."""


class AttackFailed(Exception):
    """A model that the attack asks gave no usable reply."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


@dataclass(frozen=True)
class Means:
    """What an attacker has besides the sample. Calls of models are counted in `spent`."""

    seed: int = 0
    attacker: Model | None = None
    """A model that writes texts for the attack."""
    victim: Model | None = None
    """The attacked model, which is asked as any user asks it."""
    protocol: Protocol = AS_WRITTEN
    """How the victim is shown a sample, and how it decodes."""
    spent: Compute = field(default_factory=Compute)

    def seed_of(self, sample: Sample) -> tuple[int, int]:
        """The seed of what is random about a sample: it depends on its id, and on no other sample."""
        return self.seed, int.from_bytes(sha256(sample.id.encode()).digest()[:6], "big")

    def written(self, prompt: str, why: str) -> str:
        """What the attacker's model replies to a prompt, greedily.

        Args:
            why: why the model is asked, if there is none: "it has no field key_phrase".

        Raises:
            SkipSample: there is no such model.
            AttackFailed: its reply failed or is empty.
        """
        if self.attacker is None:
            raise SkipSample(f"{why}, and no attacker's model was named that could write it")
        reply = self._reply(self.attacker, Chat((Turn("user", (prompt,)),), Generation(max_tokens=256)))
        if reply.failure is not None or not reply.text.strip():
            empty = Failure("unparsed", "The reply of the attacker's model is empty.")
            raise AttackFailed(reply.failure or empty)
        return reply.text.strip()

    def submitted(self, sample: Sample) -> Reply:
        """What the victim replies to a sample. Raises ImageError where an image cannot be read."""
        assert self.victim is not None  # `SampleAttack.run` has checked it
        return self._reply(self.victim, self.protocol.chat(sample))

    def _reply(self, model: Model, chat: Chat) -> Reply:
        self.spent.queries += 1
        return chat_each(model, [chat])[0]


@dataclass(frozen=True)
class SampleAttack(Settings):
    """An attack that rewrites samples of an evaluation set: pictures, texts, or both.

    A subclass is a dataclass of settings with one step. It gives the adversarial sample, which keeps its id,
    or raises `SkipSample` where the sample lacks what it needs. The same sample, settings and seed give the
    same result, if the models that it asks do.

        @dataclass(frozen=True)
        class Shout(SampleAttack):
            end: str = setting("!!", "ours", "What the request ends with.")

            def rewrite(self, sample, means):
                return with_request(sample, request_of(sample).upper() + self.end)
    """

    needs: ClassVar[tuple[Helper, ...]] = ()
    """The models without which it cannot be run."""
    asks: ClassVar[tuple[Helper, ...]] = ()
    """Further models that it asks if it is given them."""

    def rewrite(self, sample: Sample, means: Means) -> Sample:
        """The adversarial sample of a sample that is written out: its turns are what the victim is shown, the
        system turn among them.

        Raises:
            SkipSample: the sample lacks what the attack needs.
            AttackFailed: a model that the attack asks gave no usable reply.
            ImageError: an image of the sample cannot be read.
        """
        raise NotImplementedError

    def run(self, samples: Sequence[Sample], means: Means) -> list[Sample | Skipped | Failure]:
        """For each sample its adversarial one, or why there is none: `Skipped` where it lacks what the attack
        needs, `Failure` where a model or an image failed.

        Raises:
            JuratError: the attack needs a model that it is not given.
        """
        for helper in self.needs:
            if getattr(means, helper) is None:
                raise JuratError(f"The attack needs {_HELPERS[helper]}.", hint=_HINTS[helper])
        with means.spent.timed():
            return [self._attacked(sample, means) for sample in samples]

    def _attacked(self, sample: Sample, means: Means) -> Sample | Skipped | Failure:
        try:
            return replace(self.rewrite(sample, means), id=sample.id)
        except SkipSample as skip:
            return Skipped(sample.source_row, str(skip))
        except AttackFailed as error:
            return error.failure
        except ImageError as error:
            return Failure("error", error.message)


_HELPERS = {"attacker": "a model that writes for the attacker", "victim": "the model that is attacked"}
_HINTS = {"attacker": "--attacker openai/NAME or hf/NAME_OR_PATH.", "victim": "--model NAME"}


def request_of(sample: Sample) -> str:
    """What the sample is about, in words: its field `original` or `question` where it has one, since some
    sets ask for it by a picture only; else the last turn of the user.

    Raises:
        SkipSample: there is none.
    """
    return sample.fields.get("original") or sample.fields.get("question") or last_request(sample)


def last_request(sample: Sample) -> str:
    """The text of the user's last turn. Raises SkipSample where there is none."""
    turns = [turn.text for turn in sample.item.turns if turn.role == "user" and turn.text.strip()]
    if not turns:
        raise SkipSample("it has no request in words")
    return turns[-1]


def with_request(sample: Sample, text: str, **facts: str | float) -> Sample:
    """The sample with another text in the user's last turn, and with facts on the attack for its log."""
    turns = list(sample.item.turns)
    at = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=len(turns))
    turns[at : at + 1] = [Turn("user", (text,))]
    return replace(sample, item=replace(sample.item, turns=tuple(turns)), attack={**sample.attack, **facts})


def with_pictures(sample: Sample, draw: Sequence[Callable[[], bytes]], **facts: str | float) -> Sample:
    """The sample with other images, and with facts on the attack for its log.

    Args:
        draw: gives the file of each image; called when the image is shown.
    """
    place = sample.source_row or sample.id
    # No URI of a file: a log without images would be read back with the images before the attack.
    images = [LazyImage(f"{place}#attacked-{number}", each) for number, each in enumerate(draw, 1)]
    return replace(sample, item=replace(sample.item, images=images), attack={**sample.attack, **facts})


def drawn(draw: Callable[..., Image.Image], *arguments: Any) -> Callable[[], bytes]:
    """The file of a picture, which is drawn when it is needed."""
    return partial(_drawn, draw, *arguments)


def changed_pictures(
    sample: Sample, change: Callable[[Image.Image], bytes], *, first: bool = False, **facts: str | float
) -> Sample:
    """The sample with each of its images changed, or the first only.

    Args:
        change: gives the file of a changed picture.

    Raises:
        SkipSample: the sample has no image.
    """
    images = sample.item.lazy_images()
    if not images:
        raise SkipSample("it shows no image")
    changed = 1 if first else len(images)
    files = [partial(_changed, change, image) for image in images[:changed]]
    return with_pictures(sample, [*files, *(image.open for image in images[changed:])], **facts)


@cache
def wordings(name: str) -> dict[str, Any]:
    """The texts of an attack of ours, from the TOML file beside it."""
    return loads(files("jurat.attacks.methods").joinpath(f"{name}.toml").read_text("utf-8"))


def _drawn(draw: Callable[..., Image.Image], *arguments: Any) -> bytes:
    return png(draw(*arguments))


def _changed(change: Callable[[Image.Image], bytes], image: LazyImage) -> bytes:
    return change(single_frame(image.open()))
