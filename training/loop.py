"""The training loop of every model: a lesson for a number of steps, in several processes, resumable.

A step depends on the seed, the batch it shows and the number of processes alone, so that a run that was
stopped and resumed ends with the weights of one that was not.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from jurat.files import make_folder, written_aside
from training.optimizer import Group, Optimizer

_SAVE_EVERY = 240.0
"""Seconds between checkpoints."""
_MEASURE_EVERY = 1800.0
"""Seconds between measurements, which keep the other processes waiting; the end is measured, too."""
_SHOW_EVERY = 50
"""Steps between lines of progress."""


@dataclass(frozen=True)
class Schedule:
    """Length, batch size and learning rate of a stage."""

    steps: int
    batch: int
    """Items a step, shared by the processes."""
    rate: float
    """Learning rate at its peak."""
    seed: int
    warm_up: int = 60
    """Steps until the peak."""
    hold: float = 0.35
    """Share of the steps after which the rate begins to fall, in [0, 1]."""
    last: float = 0.02
    """Share of the peak that the rate falls to, in a straight line."""
    order: int | None = None
    """Seed of the order in which the batches are shown; they are the same in any order. None: as numbered."""
    along: int | None = None
    """Number of checkpoints that are kept along the way, at even distances; the last one is the end."""

    @property
    def kept_steps(self) -> list[int]:
        """Numbers of steps after which a checkpoint is kept."""
        parts = self.along or 0
        return sorted({round(self.steps * part / parts) for part in range(1, parts + 1)} - {0})

    def batches(self) -> list[int]:
        """Number of the batch that each step shows."""
        if self.order is None:
            return list(range(self.steps))
        return np.random.default_rng(self.order).permutation(self.steps).tolist()

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        done = step / self.steps
        ramp = min(1.0, (step + 1) / self.warm_up)
        fallen = max(0.0, (done - self.hold) / (1 - self.hold)) if self.hold < 1 else 0.0
        return self.rate * ramp * (1 - (1 - self.last) * fallen)


class Lesson(Protocol):
    """Interface of a stage's lesson: its modules, the loss of a step, and measurements along the way.

    To write one, take the settings of a stage in `__init__`, build `modules`, and return from `losses` the
    weighted parts of the loss of `size` items that are drawn with `rng`.
    """

    counts: Counter[str]
    """Counts of what this process has shown so far: items, questions by kind and form, and so on."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Modules that a checkpoint holds, by name."""
        ...

    def groups(self) -> Sequence[Group]:
        """Parameters that are trained, in groups with one rate each."""
        ...

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Parts of the loss, to be summed, and other numbers to print, by name."""
        ...

    def measure(self) -> dict[str, float]:
        """Measurements on held-out items, by name, each in [0, 1]."""
        ...


@dataclass(frozen=True)
class Trained:
    """A finished stage."""

    modules: Mapping[str, nn.Module]
    steps: int
    seconds: float
    """Training time in seconds, without pauses."""
    counts: dict[str, int]
    """Sum of `Lesson.counts` over all processes."""
    measured: dict[str, float]
    left_out: tuple[str, ...] = ()
    """Beginnings of the names of weights that no stage has trained, `module.name`; they are not kept."""


class StaleCheckpointError(ValueError):
    """A checkpoint that was made for other settings than it is to be resumed with."""


def precision() -> torch.dtype:
    """Type of the products in losses and in Muon's steps: bfloat16 where the CPU multiplies it, else float32.

    Weights, gradients and the optimizer's state are float32 either way (`torch.autocast`). It halves the time
    of a joint step on a CPU with AVX-512 BF16, and takes several times as long on one without.
    """
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def train(
    make: Callable[[], Lesson], schedule: Schedule, checkpoint: Path, workers: int = 1, declared: str = ""
) -> Trained:
    """Trains a lesson to its last step; resumes from `checkpoint`, a file, if it is there.

    `declared` stands for all that the stage declares. It is stored in the checkpoint.

    Raises:
        StaleCheckpointError: the checkpoint is of a stage that declared something else.

    `workers` processes of one thread each take a share of every batch and average their gradients. They wait
    for each other once a step, not at every operation as threads do, so that other load on the machine slows
    training little. One worker is this process itself. `make` must pickle.
    """
    make_folder(checkpoint.parent)
    if checkpoint.exists() and torch.load(checkpoint, weights_only=True, mmap=True)["declared"] != declared:
        raise StaleCheckpointError(
            f"{checkpoint} is of an earlier version of this stage: what the stage or its parents declare has "
            "changed since. Delete the file to train anew."
        )
    if workers > 1:
        import torch.multiprocessing as multiprocessing

        arguments = (make, schedule, checkpoint, workers, declared)
        multiprocessing.spawn(_work, arguments, nprocs=workers)  # pyright: ignore[reportPrivateImportUsage]
    else:
        _work(0, make, schedule, checkpoint, 1, declared)
    return _trained(make, checkpoint)


def along(make: Callable[[], Lesson], schedule: Schedule, checkpoint: Path) -> Iterator[Trained]:
    """What a stage that `train` has finished was after each of `Schedule.kept_steps`."""
    for step in schedule.kept_steps:
        yield _trained(make, _kept(checkpoint, step))


def _kept(checkpoint: Path, step: int) -> Path:
    """File of a checkpoint that is kept."""
    return checkpoint.with_name(f"{checkpoint.stem}-step-{step}{checkpoint.suffix}")


def _trained(make: Callable[[], Lesson], checkpoint: Path) -> Trained:
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    lesson = make()
    for name, module in lesson.modules.items():
        module.load_state_dict(state["modules"][name])
    measured = state["measured"] or lesson.measure()
    left_out: tuple[str, ...] = getattr(lesson, "left_out", ())
    return Trained(lesson.modules, state["step"], state["seconds"], state["counts"], measured, left_out)


def _work(
    rank: int, make: Callable[[], Lesson], schedule: Schedule, checkpoint: Path, workers: int, declared: str
) -> None:
    torch.set_num_threads(1)
    meeting = checkpoint.with_suffix(f".{os.getppid()}")
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=workers)
    torch.manual_seed(schedule.seed)
    lesson = make()
    optimizer = Optimizer(lesson.groups())
    step, seconds, counted = _restore(checkpoint, lesson, optimizer)
    begun = saved = told = looked = time.monotonic()
    shown: dict[str, float] = {}
    batches, kept_steps = schedule.batches(), schedule.kept_steps
    products = torch.autocast("cpu", torch.bfloat16, enabled=precision() == torch.bfloat16)
    while step < schedule.steps:
        rng = np.random.default_rng([schedule.seed, batches[step], rank])
        with products:
            parts, others = lesson.losses(rng, schedule.batch // workers)
        torch.stack(list(parts.values())).sum().backward()
        with products:
            optimizer.step(schedule.rate_at(step))
        step += 1
        for name, value in {**{n: float(v.detach()) for n, v in parts.items()}, **others}.items():
            shown[name] = 0.97 * shown.get(name, value) + 0.03 * value
        now = time.monotonic()
        if rank == 0 and step % _SHOW_EVERY == 0:
            numbers = " ".join(f"{name} {value:.3f}" for name, value in sorted(shown.items()))
            rate = _SHOW_EVERY * schedule.batch / (now - told)
            print(f"step {step} of {schedule.steps}, {rate:.0f} items/s: {numbers}", flush=True)
            told = now
        ended, kept = step == schedule.steps, step in kept_steps
        if _agreed(ended or kept or now - saved > _SAVE_EVERY):
            saved = now
            if measuring := ended or kept or now - looked > _MEASURE_EVERY:
                looked = now
            done = seconds + now - begun
            # The kept one first: a run that is stopped between the two writes it again.
            files = [_kept(checkpoint, step), checkpoint] if kept else [checkpoint]
            _save(files, lesson, optimizer, step, done, counted, declared, measuring=measuring)
    if workers > 1:
        dist.barrier()
        if rank == 0:
            meeting.unlink(missing_ok=True)
        dist.destroy_process_group()


def _agreed(wanted: bool) -> bool:
    """The first process's `wanted`, in every process."""
    if not dist.is_initialized():
        return wanted
    flag = torch.tensor([int(wanted)])
    dist.broadcast(flag, 0)
    return bool(flag)


def _restore(checkpoint: Path, lesson: Lesson, optimizer: Optimizer) -> tuple[int, float, Counter[str]]:
    """Restores the state, and returns steps done, seconds spent and counts so far."""
    if not checkpoint.exists():
        return 0, 0.0, Counter()
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    for name, module in lesson.modules.items():
        module.load_state_dict(state["modules"][name])
    optimizer.restore(state["optimizer"])
    return state["step"], state["seconds"], Counter(state["counts"])


def _save(
    files: Sequence[Path],
    lesson: Lesson,
    optimizer: Optimizer,
    step: int,
    seconds: float,
    counted: Counter[str],
    declared: str,
    *,
    measuring: bool,
) -> None:
    """Writes each file atomically; if `measuring`, with the lesson's measurements, which it prints."""
    counts = counted + _summed(lesson.counts)
    if dist.is_initialized() and dist.get_rank() > 0:
        return
    measured: dict[str, float] = {}
    if measuring:
        measured = lesson.measure()
        numbers = " ".join(f"{name} {value:.4f}" for name, value in measured.items())
        print(f"step {step}, {seconds / 60:.0f} min; not shown in training: {numbers}", flush=True)
    state = {
        "modules": {name: module.state_dict() for name, module in lesson.modules.items()},
        "optimizer": optimizer.state(),
        "step": step,
        "seconds": seconds,
        "counts": dict(counts),
        "measured": measured,
        "declared": declared,
    }
    for file in files:
        with written_aside(file) as aside:
            torch.save(state, aside)


def _summed(counts: Counter[str]) -> Counter[str]:
    if not dist.is_initialized():
        return counts
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, counts)
    return sum(gathered, Counter[str]())
