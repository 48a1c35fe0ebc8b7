"""Training loop of CLIP and OWL-ViT: runs for a given time, prints progress, resumes from its checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from jurat.files import make_folder, written_aside
from training.muon import Optimizer, Schedule

Named = list[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class Course(Schedule):
    """Settings of a training of CLIP or OWL-ViT."""

    minutes: float = 8.0
    batch: int = 48
    """Scenes a step."""
    rate: float = 3e-3
    warm_up: int = 50
    hold: float = 0.3
    last: float = 0.02
    seed: int = 0
    threads: int = 2


def initialise(trained: Named) -> None:
    """Scales fresh weights so that what goes through keeps its size; what closes a branch starts small."""
    for name, weight in trained:
        if weight.ndim == 2 and "embedding" not in name:
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if name.endswith(("out_proj.weight", "fc2.weight")):
                weight.data.mul_(0.3)
        elif weight.ndim == 2:
            nn.init.normal_(weight, std=0.1)


@dataclass(frozen=True)
class TrainingResult:
    """Time spent and steps taken."""

    minutes: float
    steps: int


def train(
    course: Course,
    trained: Named,
    out: Path,
    tower: str,
    loss: Callable[[np.random.Generator], dict[str, Tensor]],
    watch: Callable[[], dict[str, float]],
) -> TrainingResult:
    """Trains for `course.minutes` and writes the checkpoint `out`; resumes from one of the same tower.

    `loss` returns the parts of one step's loss, which are summed; `watch` measures on held-out scenes, about
    four times. `tower` is the digest of the tower's weights.
    """
    torch.set_num_threads(course.threads)
    optimizer = Optimizer.of(trained)
    elapsed, step = _restore(out, trained, optimizer, tower)
    rng = np.random.default_rng([course.seed, step])
    seconds = course.minutes * 60
    begun, saved, said = time.monotonic() - elapsed, elapsed, elapsed
    while (elapsed := time.monotonic() - begun) < seconds:
        parts = loss(rng)
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step(course.rate_at(elapsed, step))
        step += 1
        if elapsed - said > 10:
            said = elapsed
            shown = " ".join(f"{name} {value.item():.4f}" for name, value in parts.items())
            print(f"step {step}, {elapsed:.0f} of {seconds:.0f} s: {shown}", flush=True)
        if elapsed - saved > max(20.0, seconds / 5):
            saved = elapsed
            _save(out, trained, optimizer, tower, elapsed, step, course)
            print("held out", watch(), flush=True)
    _save(out, trained, optimizer, tower, elapsed, step, course)
    print("held out", watch(), flush=True)
    return TrainingResult(elapsed / 60, step)


def _restore(out: Path, trained: Named, optimizer: Optimizer, tower: str) -> tuple[float, int]:
    if not out.exists():
        return 0.0, 0
    state = torch.load(out, weights_only=True)
    if state["tower"] != tower:
        print(f"{out} was trained on another tower; starting over", flush=True)
        return 0.0, 0
    for name, parameter in trained:
        parameter.data.copy_(state["trained"][name])
    optimizer.restore(state["optimizer"])
    print(f"resuming from step {state['step']}", flush=True)
    return state["elapsed"], state["step"]


def _save(
    out: Path,
    trained: Named,
    optimizer: Optimizer,
    tower: str,
    elapsed: float,
    step: int,
    course: Course,
) -> None:
    state = {
        "trained": {name: parameter.detach() for name, parameter in trained},
        "optimizer": optimizer.state(),
        "tower": tower,
        "elapsed": elapsed,
        "step": step,
        "course": asdict(course),
    }
    make_folder(out.parent)
    with written_aside(out) as aside:
        torch.save(state, aside)
