"""A folder or file of verdicts, to be decided again under a changed constitution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jurat.constitution import Constitution
from jurat.content import Item, LazyImage, Turn
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Calibration, load_calibration
from jurat.judge.judge import Judge
from jurat.judge.preset_settings import preset_of_record
from jurat.judge.record import row_to_verdict
from jurat.judge.replay.impact import Change, Impact, measure_blocks
from jurat.judge.replay.sweep import LEAVES, OPTIONAL
from jurat.judge.verdict import Verdict
from jurat.judge.verdict_runs import VERDICT_ROWS
from jurat.media import Sampling
from jurat.models import ModelSpec, full_name, may_be_same_model, open_model
from jurat.runs import read_blocks, read_rows
from jurat.runs.folder import is_run, read_facts
from jurat.runs.settings import settings_in
from jurat.sources import PassedOver, SourceOptions
from jurat.sources.conversations import ConversationColumns
from jurat.sources.openers import LocalFile, RemoteObject
from jurat.sources.prefetch import SourceFolders, read_ahead
from jurat.sources.private_hosts import PrivateHosts
from jurat.sources.reopen import Openers, Reopener
from jurat.sources.table_rows import caption_in
from jurat.sources.uris import scheme_of

LOOKUP_BATCH = 256
"""Items of tables and shards whose images are looked up at once."""


@dataclass(frozen=True)
class RecordedRun:
    """A run of verdicts and the change of its constitution; `open_recorded_run` makes it."""

    path: Path
    change: Change
    first: Mapping[str, Any]
    """Its first row: all rows have the same model, preset and calibration."""
    settings: Mapping[str, Any]
    """What the run was made with, as far as its folder says; empty for a file."""

    @property
    def model(self) -> str:
        """The name of its model, without the revision."""
        return self.first["model"].rpartition("@")[0]

    @property
    def dtype(self) -> str | None:
        return None if self.first["dtype"] == "none" else self.first["dtype"]

    def measure(
        self,
        spec: ModelSpec | None,
        *,
        sample: int | None = None,
        whole_flips: bool = False,
        private_hosts: PrivateHosts | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> Impact:
        """Decides the run again from its records, and judges anew the items that these do not decide.

        Args:
            spec: the model that judges anew; None leaves those items open.
            sample: how many of them to judge; None for all.
            whole_flips: whether flips are to have their rows.
            private_hosts: which private hosts the items' URIs may lead to; none if not given.
            advance: is called after each item that is judged anew.

        Raises:
            JuratError: the model is not that of the run, or rows do not belong together.
        """
        blocks = read_blocks(self.path, LEAVES, OPTIONAL)
        hosts = private_hosts or PrivateHosts(False)
        opened: list[Judge] = []
        inside = Reopener(next(iter(self.settings.get("columns") or ()), None))

        def judge_anew(verdicts: list[Verdict]) -> Iterator[Verdict]:
            if spec is not None and not opened:  # only when the first item needs it
                opened.append(self._judge(spec))
            items = self._items(verdicts, inside, hosts)
            for verdict in opened[0].stream(read_ahead(items, SourceFolders())):
                advance()
                yield verdict

        judging = None if spec is None else judge_anew
        return measure_blocks(blocks, self.change, judging, sample=sample, whole_flips=whole_flips)

    def _judge(self, spec: ModelSpec) -> Judge:
        model = open_model(spec)
        if not may_be_same_model(full_name(model), self.first["model"]):
            raise JuratError(
                f"The run was judged by {self.first['model']}, and this is {full_name(model)}.",
                hint="Name the model of the run: --model NAME",
            )
        frames = self.settings.get("frames")
        names = (name for name in ("detector", "matcher") if self.first.get(name))
        return Judge(
            self.change.new,
            model,
            self.change.preset,
            calibration=self.change.calibration,
            allow_unknown=bool(self.settings.get("allow_unknown")),
            sampling=Sampling(*frames[:2]) if frames else None,
            frames_needed=frames[2] if frames else None,
            **{name: self.first[name].rpartition("@")[0] for name in names},
        )

    def _items(self, verdicts: Sequence[Verdict], inside: Reopener, hosts: PrivateHosts) -> Iterator[Item]:
        """The items of verdicts, to be read again; those in tables and shards are looked up in batches."""
        for first in range(0, len(verdicts), LOOKUP_BATCH):
            batch = verdicts[first : first + LOOKUP_BATCH]
            uris = (uri for one in batch for uri in ([image.uri for image in one.images] or [one.uri]))
            openers = inside.find(uris)
            for verdict in batch:
                yield self._item(verdict, openers, hosts)

    def _item(self, verdict: Verdict, openers: Openers, hosts: PrivateHosts) -> Item:
        def opener(uri: str) -> Callable[[], bytes]:
            if uri in openers:
                return openers[uri]
            return LocalFile(uri) if scheme_of(uri) is None else RemoteObject(uri, private_hosts=hosts)

        columns, captions = verdict.columns, self.settings.get("captions")
        caption = columns.get(captions) if captions is not None else caption_in(columns)
        named = self.settings.get("conversations") or (None, None, None)
        options = SourceOptions(
            conversation_column=named[0], prompt_column=named[1], response_column=named[2]
        )
        conversation = replace(ConversationColumns.of(list(columns), options), named=False)
        images = [LazyImage(image.uri, opener(image.uri)) for image in verdict.images]
        turns = [Turn(turn.role, (turn.text,)) for turn in verdict.turns]
        return Item(
            images or [opener(verdict.uri)],
            verdict.id,
            verdict.uri,
            verdict.caption or caption,
            turns or conversation.read(columns, PassedOver()),
            columns,
            verdict.occurrence,
        )


def open_recorded_run(
    path: Path, old: Constitution, new: Constitution, calibration: Path | None = None
) -> RecordedRun:
    """Reads how a run was judged.

    Args:
        path: the folder or file that the run was written to.
        old: the constitution of the run.
        new: the changed one.
        calibration: the file that the run was judged with, if it was.

    Raises:
        JuratError: the run holds no verdicts, or was judged with another calibration.
    """
    first = next(read_rows(path), None)
    if first is None:
        raise JuratError(f"{path} holds no verdicts.")
    row_to_verdict(first)  # raises where the row is not a verdict
    settings = settings_in(read_facts(path), VERDICT_ROWS) if is_run(path) else {}
    fitted = _calibration(first.get("calibration"), calibration)
    preset = preset_of_record(
        first["preset"],
        first.get("preset_digest"),
        presence=first.get("presence"),
        settings=settings.get("preset_settings"),
    )
    return RecordedRun(path, Change(old, new, preset, fitted), first, settings)


def _calibration(recorded: str | None, file: Path | None) -> Calibration | None:
    if file is None and recorded is not None:
        raise JuratError(
            f"The run was judged with the calibration {recorded}.", hint="Name it: --calibration FILE"
        )
    if file is None:
        return None
    calibration = load_calibration(file)
    if calibration.digest != recorded:
        raise JuratError(f"{file} has the digest {calibration.digest}; the run was judged with {recorded}.")
    return calibration
