"""Judges as the workers of a run, as `jurat.runs.engines.steps` describes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jurat.content import Item
from jurat.judge.hash_list_verdicts import KnownItem, find_known, known_verdict
from jurat.judge.judge import Judge
from jurat.judge.loading import Loaded, load_item
from jurat.judge.record import verdict_to_row
from jurat.judge.spec import Described, JudgeSpec
from jurat.media import Sampling
from jurat.media.hash_list import HashList
from jurat.models.registry import MODELS
from jurat.runs.engines.steps import PreparedItem


@dataclass(frozen=True)
class ItemReader:
    """Reads and decodes items for judges, except those that the list of known content decides."""

    sampling: Sampling
    batch_size: int
    known: HashList | None = None
    reads_texts: bool = False
    """Whether rules ask about captions or conversations, of which a list of allowed pictures says nothing."""

    @classmethod
    def of(cls, judge: Judge, known: HashList | None) -> ItemReader:
        """As that judge needs them."""
        return cls(judge.sampling, judge.batch_size, known, bool(judge.reads))

    def read(self, item: Item) -> PreparedItem:
        known = find_known(item, self.known, self.sampling, reads_texts=self.reads_texts)
        if known is not None:
            return PreparedItem(known)
        loaded = load_item(item, self.sampling)
        return PreparedItem(loaded, max(1, len(loaded.frames)), loaded.bytes)


@dataclass(frozen=True)
class JudgeWorkers:
    """Judges as workers."""

    spec: JudgeSpec

    @property
    def uses_gpu(self) -> bool:
        """Whether a model computes in the process that opens it, as far as its backend says."""
        model = self.spec.model
        if model.device == "cpu":
            return False
        backend = MODELS.get(model.backend)
        vision = self.spec.detector or self.spec.matcher
        return bool(vision) or backend is None or backend.is_plug_in or backend.extra == "local"

    def open(self) -> JudgeWorker:
        return JudgeWorker(self.spec.open())


@dataclass(frozen=True)
class JudgeWorker:
    """A judge that is open."""

    judge: Judge

    def describe(self) -> Described:
        return Described.of(self.judge)

    def rows(self, loads: Sequence[PreparedItem]) -> Iterator[list[dict[str, Any]]]:
        known = [load.content for load in loads if isinstance(load.content, KnownItem)]
        if known:
            yield [verdict_to_row(known_verdict(self.judge, each)) for each in known]
        loaded = (load.content for load in loads if isinstance(load.content, Loaded))
        for verdicts in self.judge.stream_batches(loaded):
            yield [verdict_to_row(verdict) for verdict in verdicts]
