"""Judges as the workers of a run (`jurat.runs.engines.steps`), and as plain data: what a worker opens a judge
from, and how another process describes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jurat import __version__
from jurat.constitution import Constitution
from jurat.content import Chat, Item, Reply
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.hash_list_verdicts import KnownItem, find_known, known_verdict
from jurat.judge.judge import Judge
from jurat.judge.loading import Loaded, load_item
from jurat.judge.presets import Preset
from jurat.judge.prompts import ReasoningForm
from jurat.judge.record import verdict_to_row
from jurat.judge.stages.reason import ReasonsIn
from jurat.media import Sampling
from jurat.media.hash_list import HashList
from jurat.models import Model, ModelSpec, StatementReader, full_name, open_model
from jurat.models.protocol import Answer, C, Inquiry
from jurat.models.registry import MODELS
from jurat.runs.engines.steps import PreparedItem

__all__ = ["ItemReader", "JudgeDescription", "JudgeSpec", "JudgeWorker", "RemoteModel", "RemoteVision"]


@dataclass(frozen=True)
class JudgeSpec:
    """The arguments of `Judge` as plain data, which can be pickled; the worker of a run is opened from it."""

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

    @property
    def uses_gpu(self) -> bool:
        """Whether a model computes in the process that opens it, as far as its backend says."""
        if self.model.device == "cpu":
            return False
        backend = MODELS.get(self.model.backend)
        vision = self.detector or self.matcher
        return bool(vision) or backend is None or backend.is_plug_in or backend.extra == "local"

    def open(self) -> JudgeWorker:
        """Opens the judge in this process. Raises as `Judge` and `jurat.models.open_model` do."""
        return JudgeWorker(self.of_model(open_model(self.model)))

    def of_model(self, model: Model) -> Judge:
        """The judge with a model that is open already."""
        return self._judge(model, self.detector, self.matcher)

    def stand_in(self, described: JudgeDescription) -> Judge:
        """A judge for another process than the one that opened it: it has all settings, and cannot judge."""
        return self._judge(described.model, described.detector, described.matcher)

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
class RemoteModel:
    """What is known of a model that is open in another process."""

    name: str
    revision: str
    dtype: str
    reader: StatementReader | None = None
    """Its capability, from which the questions follow."""
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
class RemoteVision:
    """What is known of a detector or a matcher that is open in another process."""

    name: str
    revision: str
    relevant_above: float | None
    """The threshold of a matcher; None for a detector."""

    @classmethod
    def of(cls, model: Any) -> RemoteVision | None:
        if model is None:
            return None
        return cls(model.name, model.revision, getattr(model, "relevant_above", None))


@dataclass(frozen=True)
class JudgeDescription:
    """The models of an open judge. Judges of one spec with equal descriptions give the same verdicts."""

    model: RemoteModel
    detector: RemoteVision | None
    matcher: RemoteVision | None
    jurat: str = __version__
    """Its version."""

    def __str__(self) -> str:
        made = (self.model, self.detector, self.matcher)
        named = [full_name(each) for each in made if each is not None]
        return f"{' with '.join(named)} in {self.model.dtype}, jurat {self.jurat}"

    @classmethod
    def of(cls, judge: Judge) -> JudgeDescription:
        reader = judge.model.capability(StatementReader)
        reasoning = judge.reasoning or "full"
        model = RemoteModel(judge.model.name, judge.model.revision, judge.model.dtype, reader, reasoning)
        return cls(model, RemoteVision.of(judge.detector), RemoteVision.of(judge.matcher))


@dataclass(frozen=True)
class JudgeWorker:
    """A judge that is open."""

    judge: Judge

    def describe(self) -> JudgeDescription:
        return JudgeDescription.of(self.judge)

    def rows(self, loads: Sequence[PreparedItem]) -> Iterator[list[dict[str, Any]]]:
        known = [load.content for load in loads if isinstance(load.content, KnownItem)]
        if known:
            yield [verdict_to_row(known_verdict(self.judge, each)) for each in known]
        loaded = (load.content for load in loads if isinstance(load.content, Loaded))
        for verdicts in self.judge.stream_batches(loaded):
            yield [verdict_to_row(verdict) for verdict in verdicts]


@dataclass(frozen=True)
class ItemReader:
    """Reads and decodes items for judges, except items that the list of known content decides."""

    sampling: Sampling
    batch_size: int
    known: HashList | None = None
    reads_texts: bool = False
    """Whether rules are about captions or conversations, which a list of allowed images does not cover."""

    @classmethod
    def of(cls, judge: Judge, known: HashList | None) -> ItemReader:
        """A reader for the items of that judge."""
        return cls(judge.sampling, judge.batch_size, known, bool(judge.reads))

    def read(self, item: Item) -> PreparedItem:
        known = find_known(item, self.known, self.sampling, reads_texts=self.reads_texts)
        if known is not None:
            return PreparedItem(known)
        loaded = load_item(item, self.sampling)
        return PreparedItem(loaded, max(1, len(loaded.frames)), loaded.bytes)
