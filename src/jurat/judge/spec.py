"""A judge as plain data: what a worker opens it from, and what others are told of one that is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from jurat import __version__
from jurat.constitution import Constitution
from jurat.content import Chat, Reply
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.judge import Judge
from jurat.judge.presets import Preset
from jurat.judge.prompts import ReasoningForm
from jurat.judge.stages.reason import ReasonsIn
from jurat.media import Sampling
from jurat.models import Model, ModelSpec, StatementReader, full_name, open_model
from jurat.models.protocol import Answer, C, Inquiry


@dataclass(frozen=True)
class JudgeSpec:
    """What `Judge` takes, without anything that is open. Can be pickled."""

    constitution: Constitution
    model: ModelSpec
    preset: Preset
    detector: str | None = None
    matcher: str | None = None
    calibration: Calibration | None = None
    batch_size: int = 16
    allow_unknown: bool = False
    sampling: Sampling | None = None
    frames_needed: int | None = None

    def open(self) -> Judge:
        """The judge, in this process. Raises as `Judge` and `jurat.models.open_model` do."""
        return self.of_model(open_model(self.model))

    def of_model(self, model: Model) -> Judge:
        """The judge with a model that is open already."""
        return self._judge(model, self.detector, self.matcher)

    def from_afar(self, told: Described) -> Judge:
        """A stand-in for a judge that is open elsewhere: it can be asked what it is, and not to judge."""
        return self._judge(told.model, told.detector, told.matcher)

    def _judge(self, model: Any, detector: Any, matcher: Any) -> Judge:
        return Judge(
            self.constitution,
            model,
            self.preset,
            detector=detector,
            matcher=matcher,
            calibration=self.calibration,
            batch_size=self.batch_size,
            allow_unknown=self.allow_unknown,
            sampling=self.sampling,
            frames_needed=self.frames_needed,
        )


@dataclass
class ModelAfar:
    """A model that is open in another process, as far as it can be told."""

    name: str
    revision: str
    dtype: str
    reader: StatementReader | None = None
    """Its capability, which says what would be asked."""
    reasoning: ReasoningForm = "full"
    """The form in which it is asked to reason in words."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        raise JuratError(f"The model {self.name!r} is open in other processes, not in this one.")

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        raise JuratError(f"The model {self.name!r} is open in other processes, not in this one.")

    def capability(self, kind: type[C]) -> C | None:
        found: dict[Any, object] = {StatementReader: self.reader, ReasonsIn: self}
        return cast("C | None", found.get(kind))


@dataclass(frozen=True)
class EyeAfar:
    """Likewise a detector or a matcher."""

    name: str
    revision: str
    relevant_above: float | None
    """Of a matcher."""

    @classmethod
    def of(cls, eye: Any) -> EyeAfar | None:
        return None if eye is None else cls(eye.name, eye.revision, getattr(eye, "relevant_above", None))


@dataclass(frozen=True)
class Described:
    """What a judge that is open says of what it is made of. Two that are equal say the same of an image."""

    model: ModelAfar
    detector: EyeAfar | None
    matcher: EyeAfar | None
    jurat: str = __version__
    """Its version."""

    def __str__(self) -> str:
        made = (self.model, self.detector, self.matcher)
        named = [full_name(each) for each in made if each is not None]
        return f"{' with '.join(named)} in {self.model.dtype}, jurat {self.jurat}"

    @classmethod
    def of(cls, judge: Judge) -> Described:
        reader = judge.model.capability(StatementReader)
        reasoning = judge.reasoning or "full"
        model = ModelAfar(judge.model.name, judge.model.revision, judge.model.dtype, reader, reasoning)
        return cls(model, EyeAfar.of(judge.detector), EyeAfar.of(judge.matcher))
