"""Joint training of tower, projector and decoder on questions and answers.

A step takes a batch of scenes with the questions that `batches` packs for it. The dense losses of `tower`
stay on. A temporary head grounds every noun of every question: after the second decoder layer it must
predict where the object is, how many there are and what they touch.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.mllm.architecture import PATCHES
from training.mllm.batches import batches
from training.mllm.checkpoints import save, start
from training.mllm.dense_targets import Heads, dense_loss, targets
from training.mllm.grounding import Grounding
from training.mllm.mixes import MIXES
from training.mllm.packed_forward import Pack, forward
from training.mllm.scene_pool import Pool
from training.mllm.tokenizer import BOS, Words, build_tokenizer
from training.mllm.tower import see
from training.muon import Optimizer, Schedule, is_hidden_matrix

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

TAP = 1
"""Number of the decoder layer whose states are grounded."""


@dataclass(frozen=True)
class Settings(Schedule):
    """Settings of a stage that trains the whole model."""

    minutes: float = 70.0
    batch: int = 48
    rate: float = 2.5e-3
    tower: float = 0.4
    """Factor on the rate of the vision tower; 0 leaves it as it is."""
    dense: float = 0.4
    """Weight of the dense losses; 0 leaves their heads as they are."""
    contact: float = 1.0
    """Factor on the dense losses of contacts and seams, within `dense`."""
    ground: float = 0.3
    words: float = 0.3
    """Weight of a token of an answer in words, against 1 for a Yes or No."""
    new_decoder: bool = False
    """Whether the decoder begins anew, with the tower and the names of the things alone."""
    mix: str = "bundled"
    """What is shown, by a name of `mixes.MIXES`."""
    warm_up: int = 60
    hold: float = 0.4
    last: float = 0.02
    seed: int = 1
    workers: int = 2
    save_every: float = 300.0


# --- one step ----------------------------------------------------------------------------------


def prefix_embeddings(
    model: LlavaForConditionalGeneration, words: Words, instruction: str, seen: Tensor | None, size: int
) -> Tensor:
    """Embeddings of what all questions of an item share; `seen` are its projected patches, if any."""
    embed = model.model.language_model.embed_tokens
    before = embed(torch.tensor([words.id(BOS), words.id("USER:")])).expand(size, -1, -1)
    after = embed(torch.tensor(words.ids(instruction), dtype=torch.long))
    parts = [before, *([seen] if seen is not None else []), after.expand(size, -1, -1)]
    return torch.cat(parts, 1)


def question_loss(
    model: LlavaForConditionalGeneration, hidden: Tensor, goal: Tensor, words: Words, weight: float
) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of the answers, and the share of Yes/No questions answered right."""
    asked = goal >= 0
    goal = goal[asked]
    logits = hidden[asked] @ model.model.language_model.embed_tokens.weight.T
    closed = (goal == words.id("Yes")) | (goal == words.id("No"))
    loss = F.cross_entropy(logits, goal, reduction="none") * torch.where(closed, 1.0, weight)
    right = (logits.argmax(-1) == goal)[closed].float().mean()
    return loss.sum() / torch.where(closed, 1.0, weight).sum(), right


# --- training ----------------------------------------------------------------------------------


def train_joint(folders: list[Path], begin: Path, out: Path, settings: Settings) -> None:
    """Trains for `settings.minutes` from `begin`; continues the checkpoint `out` if it is there.

    `begin` is a checkpoint of `tower`, or one of this, whose weights then go through a whole new schedule.

    `settings.workers` processes of one thread each take a share of every batch and average their
    gradients. They wait for each other once a step, not at every operation as threads do, so that
    whatever else the machine is doing costs its own time and no more. One worker is this process itself.
    """
    import torch.multiprocessing as multiprocessing

    arguments = (folders, begin, out, settings)
    if settings.workers == 1:
        _work(0, *arguments)
        return
    multiprocessing.spawn(_work, arguments, nprocs=settings.workers)  # pyright: ignore[reportPrivateImportUsage]


def _work(rank: int, folders: list[Path], begin: Path, out: Path, settings: Settings) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    meeting = out.with_suffix(f".{os.getppid()}")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=settings.workers)
    words = Words(build_tokenizer())
    torch.manual_seed(settings.seed)
    resumed = out.exists()
    state = torch.load(out if resumed else begin, weights_only=True)
    new_decoder = settings.new_decoder and not resumed
    model, heads = start(words, state, new_decoder=new_decoder)
    ground = Grounding()
    model.model.vision_tower.requires_grad_(settings.tower > 0)
    heads.requires_grad_(settings.dense > 0)
    optimizer = _optimizer(model, heads, ground, settings)
    elapsed, step = (state["elapsed"], state["step"]) if resumed else (0.0, 0)
    if "ground" in state and not new_decoder:
        ground.load_state_dict(state["ground"])
    if resumed:
        optimizer.restore(state["optimizer"])
    pools = [Pool.open(folder) for folder in folders]
    seed = (settings.seed * 1_000_003 + step) * settings.workers + rank
    stream = batches(pools, words, settings.batch // settings.workers, seed, MIXES[settings.mix])
    modules = {"model": model, "heads": heads, "ground": ground}
    begun, saved, shown = time.monotonic() - elapsed, elapsed, dict[str, float]()
    while True:
        clock = torch.tensor([time.monotonic() - begun], dtype=torch.float64)
        dist.broadcast(clock, 0)
        elapsed = float(clock)
        if elapsed >= settings.minutes * 60:
            break
        item = next(stream)
        parts, right = losses(model, heads, ground, item, words, settings)
        torch.stack(list(parts.values())).sum().backward()
        _average_gradients(list(optimizer.parameters()))
        optimizer.step(settings.rate_at(elapsed, step))
        step += 1
        for name, value in {**parts, f"right ({item['mode']})": right}.items():
            shown[name] = 0.97 * shown.get(name, float(value.detach())) + 0.03 * float(value.detach())
        if step % 50 == 0 and rank == 0:
            line = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
            print(
                f"joint {step} {elapsed:.0f} s {step * settings.batch / elapsed:.1f} images/s {line}",
                flush=True,
            )
        if elapsed - saved > settings.save_every:
            saved = elapsed
            if rank == 0:
                save(out, modules, optimizer, elapsed, step, settings)
    if rank == 0:
        save(out, modules, optimizer, elapsed, step, settings)
        meeting.unlink(missing_ok=True)
    dist.destroy_process_group()


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Averages over processes; a parameter that one of them did not use counts there as zero."""
    import torch.distributed as dist

    flat = torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)


def losses(
    model: LlavaForConditionalGeneration,
    heads: Heads,
    ground: Grounding,
    item: dict[str, Any],
    words: Words,
    settings: Settings,
) -> tuple[dict[str, Tensor], Tensor]:
    """The weighted parts of one step's loss, and the share of Yes/No questions answered right."""
    batch, mode = item["batch"], item["mode"]
    arrays = {name: torch.as_tensor(value) for name, value in item["pack"].items()}
    pack = Pack(arrays["ids"], arrays["text"], arrays["position"], arrays["pick"])
    batch = {name: np.asarray(value) for name, value in batch.items()}
    size = len(batch["kinds"])
    parts: dict[str, Tensor] = {}
    seen = None
    if mode != "no image":
        seen = see(model, torch.from_numpy(batch["pixels"]))
        assert seen.shape[1] == PATCHES
    if seen is not None and settings.dense > 0:
        names = model.model.language_model.embed_tokens.weight[words.class_rows]
        dense = torch.stack(
            list(dense_loss(heads, seen, names, targets(batch), settings.contact).values())
        ).sum()
        parts["dense"] = settings.dense * dense
    prefix = prefix_embeddings(model, words, item["instruction"], seen, size)
    hidden, tapped = forward(model.model.language_model, prefix, pack, TAP)
    parts["answer"], right = question_loss(model, hidden, arrays["goal"], words, settings.words)
    if mode != "no image":
        parts["ground"] = settings.ground * ground.loss(tapped, pack, batch, words)
    return parts, right


def _optimizer(
    model: LlavaForConditionalGeneration, heads: Heads, ground: Grounding, settings: Settings
) -> Optimizer:
    tower = {id(p) for p in model.model.vision_tower.parameters()}
    named = [*model.named_parameters(), *heads.named_parameters(), *ground.named_parameters()]
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in ((name, parameter) for name, parameter in named if parameter.requires_grad):
        groups.setdefault((is_hidden_matrix(name, parameter), id(parameter) in tower), []).append(parameter)
    factor = {True: settings.tower, False: 1.0}
    return Optimizer(
        [(factor[seeing], group) for (hidden, seeing), group in groups.items() if hidden],
        [(factor[seeing], group) for (hidden, seeing), group in groups.items() if not hidden],
    )
