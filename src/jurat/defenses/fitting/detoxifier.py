"""Trains a detoxifier, the second part of MLLM-Protector (Pi et al. 2024, arXiv 2401.02906): a model that
writes harmful answers again.

The model learns the answer as it should be, up to its end, after the very turn that the defense `protector`
gives it. The loss is the mean cross-entropy of these tokens, the optimizer AdamW without decay, and the rate
falls to 0 in a straight line. All weights that text passes through are trained; the authors train adapters of
rank 128. Four epochs and a rate of 2e-5 are theirs.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.content import Chat, Failure, Turn
from jurat.defenses.methods.protector import rewriting
from jurat.errors import JuratError
from jurat.files import file_errors, make_folder, write_whole
from jurat.metrics.row_files import read_rows
from jurat.models import Model, full_name
from jurat.models.hf.model import LocalModel
from jurat.models.hf.model_parts import attempt
from jurat.provenance import commit, now, versions
from jurat.text import counted, shown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COLUMNS", "FittedDetoxifier", "Rewrites", "Schedule", "fit_detoxifier", "read_rewrites"]

COLUMNS = ("request", "answer", "rewritten")
RECORD = "detoxifier.json"
"""Name of the file beside the weights that says what they were trained on."""
LEAST = 10
"""Rows, at least."""
WATCHED = 0.1
"""Share of the rows that is left out of training, to measure the loss on."""


@dataclass(frozen=True)
class Rewrites:
    """The rows of a file, in its order."""

    found: tuple[tuple[str, str, str], ...]
    """Request, answer and rewritten answer of each; no two are alike."""
    left_out: tuple[str, ...]
    """Why each row that cannot be used is left out: "line 7: there is no answer"."""
    digest: str
    """SHA-256 of the file, hexadecimal."""


@dataclass(frozen=True)
class Schedule:
    """How long, and how fast."""

    epochs: int = 4
    rate: float = 2e-5
    batch: int = 8
    """Rows a step."""
    seed: int = 0


@dataclass(frozen=True)
class FittedDetoxifier:
    """A trained detoxifier, and its loss on rows that were left out of training."""

    model: LocalModel
    origin: str
    """Full name of the model that it was before."""
    schedule: Schedule
    trained: int
    """Rows that it was trained on."""
    watched: int
    """Rows that were left out, to measure the loss on."""
    before: float
    """Mean cross-entropy of a token of the rewritten answers there, in nats, before training."""
    after: float
    left_out: tuple[str, ...]
    """Rows that the model's processor could not take, and why."""

    def save(self, folder: Path, rewrites: Rewrites) -> None:
        """Writes the model in the layout of transformers, which `hf/FOLDER` opens, and `RECORD` beside it.

        Raises:
            JuratError: it cannot be written.
        """
        told = {
            "model": self.origin,
            "rewrites": rewrites.digest,
            "trained": self.trained,
            "watched": self.watched,
            "left_out": len(rewrites.left_out) + len(self.left_out),
            "loss_before": self.before,
            "loss_after": self.after,
            **vars(self.schedule),
            "made": now(),
            "commit": commit(),
            "versions": versions("jurat", "torch", "transformers"),
        }
        with file_errors(folder):
            make_folder(folder)
            self.model.network.save_pretrained(folder)
            self.model.encoder.processor.save_pretrained(folder)
            write_whole(folder / RECORD, json.dumps(told, indent=1) + "\n")


def read_rewrites(path: Path) -> Rewrites:
    """The rows of a file with `COLUMNS`. A row that repeats another one, or lacks a text, is left out.

    Raises:
        JuratError: the file cannot be read, lacks a column, or has fewer than `LEAST` rows that can be used.
    """
    table = read_rows(path)
    try:
        table.check(COLUMNS)
    except JuratError as error:
        raise JuratError(error.message, hint=f"The columns are {', '.join(COLUMNS)}.") from error
    found: dict[tuple[str, str, str], str] = {}
    left_out = [f"{problem.place}: {problem.reason}" for problem in table.problems]
    for row, place in zip(table.rows, table.places, strict=True):
        cells = [row.get(name) for name in COLUMNS]
        request, answer, rewritten = (cell if isinstance(cell, str) else "" for cell in cells)
        lacking = [
            name for name, cell in zip(COLUMNS, (request, answer, rewritten), strict=True) if not cell.strip()
        ]
        if lacking:
            left_out.append(f"{place}: there is no {lacking[0]}")
        elif (first := found.setdefault((request, answer, rewritten), place)) != place:
            left_out.append(f"{place}: it repeats {first}")
    if len(found) < LEAST:
        raise JuratError(
            f"{shown(str(path))} has {counted(len(found), 'row')} that can be used.",
            hint=f"At least {LEAST} are needed; some thousands are usual.",
        )
    return Rewrites(tuple(found), tuple(left_out), hashlib.sha256(path.read_bytes()).hexdigest())


def fit_detoxifier(
    model: Model,
    rewrites: Rewrites,
    schedule: Schedule | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> FittedDetoxifier:
    """Trains a local model, in place and in float32.

    Args:
        progress: called with a line after each epoch.

    Raises:
        JuratError: the model is not a local one of transformers, or too few rows can be read.
    """
    import torch

    if not isinstance(model, LocalModel):
        raise JuratError(
            f"The weights of {model.name!r} cannot be trained.",
            hint="Name a local model of transformers, without defenses: hf/NAME_OR_PATH.",
        )
    schedule = schedule or Schedule()
    origin = full_name(model)
    rows, left_out = _encoded(model, rewrites)
    random.Random(schedule.seed).shuffle(rows)
    count = max(1, int(WATCHED * len(rows)))
    watched, rows = rows[:count], rows[count:]
    network: Any = model.network.float()
    before = _mean_loss(network, watched, schedule.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=0.0)
    steps = schedule.epochs * -(-len(rows) // schedule.batch)
    fall = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(schedule.epochs):
        spent = 0.0
        for batch in _batches(rows, schedule, epoch):
            loss, tokens = _loss(network, batch)
            (loss / tokens).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            fall.step()
            spent += float(loss.detach()) / tokens * len(batch)
        progress(f"epoch {epoch + 1} of {schedule.epochs}: loss {spent / len(rows):.3f} a token")
    after = _mean_loss(network, watched, schedule.batch)
    return FittedDetoxifier(model, origin, schedule, len(rows), len(watched), before, after, tuple(left_out))


@dataclass(frozen=True)
class _Row:
    """A conversation of one turn with its reply, as tokens."""

    ids: Tensor
    """(T,) int64; the reply is the last `learned` of them."""
    along: dict[str, Tensor]
    """Further inputs with a value a token."""
    learned: int


def _encoded(model: LocalModel, rewrites: Rewrites) -> tuple[list[_Row], list[str]]:
    end = model.encoder.tokenizer.eos_token_id
    rows: list[_Row] = []
    left_out: list[str] = []
    for request, answer, rewritten in rewrites.found:
        chat = Chat((Turn("user", (rewriting(request, answer),)),))
        made = attempt(lambda pair: model.encoder.encode_continuation(*pair), (chat, rewritten))
        if isinstance(made, Failure):
            left_out.append(f"{shown(answer)}: {made.reason}")
            continue
        reply = (*made.segments[0], *([] if end is None else [end]))
        ids, along = made.row(reply)
        rows.append(_Row(ids, along, len(reply)))
    if len(rows) < LEAST:
        first = f" Left out: {left_out[0]}" if left_out else ""
        raise JuratError(f"{model.name} can read {counted(len(rows), 'row')}; {LEAST} are needed.{first}")
    return rows, left_out


def _batches(rows: Sequence[_Row], schedule: Schedule, epoch: int) -> Iterator[list[_Row]]:
    """The batches of an epoch, each in another order."""
    order = random.Random(f"{schedule.seed} {epoch}").sample(range(len(rows)), len(rows))
    for first in range(0, len(order), schedule.batch):
        yield [rows[i] for i in order[first : first + schedule.batch]]


def _loss(network: Any, batch: Sequence[_Row]) -> tuple[Tensor, int]:
    """Summed cross-entropy of the replies' tokens, and their number."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    def padded(values: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(values), batch_first=True).to(network.device)

    ids = padded([row.ids for row in batch])
    there = padded([torch.ones_like(row.ids) for row in batch])
    learned = padded([(torch.arange(len(row.ids)) >= len(row.ids) - row.learned).long() for row in batch]) > 0
    along = {name: padded([row.along[name] for row in batch]) for name in batch[0].along}
    logits = network(input_ids=ids, attention_mask=there, **along).logits
    at = learned[:, 1:]
    return cross_entropy(logits[:, :-1][at], ids[:, 1:][at], reduction="sum"), int(at.sum())


def _mean_loss(network: Any, rows: Sequence[_Row], batch: int) -> float:
    import torch

    with torch.no_grad():
        parts = [_loss(network, rows[i : i + batch]) for i in range(0, len(rows), batch)]
    return sum(float(loss) for loss, _ in parts) / sum(tokens for _, tokens in parts)
