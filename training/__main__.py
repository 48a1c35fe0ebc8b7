"""Trains the models that ship with jurat: `python -m training all --out DIR` makes the bundled MLLM.

Run it from the root of a clone of the repository; it needs the extras `local` and `train`.
`writer`, `clip` and `owl` train the other models.
On two CPU cores `all` takes about six hours; rerun any command to resume.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jurat.models.bundled.model import NAIVE, WEIGHTS
from jurat.models.bundled.rule_writer import WEIGHTS as WRITER
from jurat.models.hf.detectors import WEIGHTS as OWL
from jurat.models.hf.matchers import WEIGHTS as CLIP
from jurat.models.hf.torchvision_import import prepare_torchvision
from training.mllm.mixes import MIXES

if TYPE_CHECKING:
    from training.loop import Course, TrainingResult

prepare_torchvision()

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Work = Annotated[Path, typer.Option("--out", help="Folder for scenes and checkpoints.")]
Weights = Annotated[
    Path | None,
    typer.Option(help="Folder for the finished model (default: its place in jurat)."),
]
Tower = Annotated[Path, typer.Option(help="Folder of the MLLM whose tower it looks through.")]
Scenes = Annotated[int, typer.Option(help="Scenes to train on.")]
Workers = Annotated[int, typer.Option(help="How many processes draw pictures.")]
CLIP_AND_OWL = "clip-and-owl"
"""Folder of the scenes and checkpoints of both."""
_CORES = os.cpu_count() or 1
_PARTS, _PART = 18, 12_000
_STRIDE = 1_000_000
"""Scenes of part n have the seeds from (n + 1) * _STRIDE on."""


def _pools(work: Path) -> list[Path]:
    return sorted((work / "pools").glob("train-*"))


@dataclass(frozen=True)
class Stage:
    """One stage of training: what it does, the stage it starts from and the settings that differ."""

    teaches: Literal["tower", "joint"]
    begin: str | None
    settings: dict[str, Any]


STAGES: dict[str, Stage] = {
    "tower": Stage("tower", None, {"minutes": 26}),
    "joint": Stage("joint", "tower", {"minutes": 64, "seed": 1}),
    "again": Stage("joint", "joint", {"minutes": 94, "seed": 2, "rate": 2.2e-3, "tower": 0.6, "hold": 0.35}),
    "sharpen": Stage("tower", "again", {"minutes": 40, "seed": 3, "rate": 2e-3, "contact": 2, "hold": 0.3}),
    "final": Stage("joint", "sharpen", {"minutes": 50, "seed": 4, "rate": 2.2e-3, "contact": 2, "hold": 0.3}),
    "signs": Stage("joint", "final", {"minutes": 42, "seed": 5, "rate": 1.8e-3, "contact": 2, "hold": 0.3}),
    "touches": Stage(
        "joint",
        "signs",
        {"minutes": 15, "seed": 6, "rate": 1.5e-3, "tower": 0, "dense": 0, "hold": 0.2, "mix": "touches"},
    ),
    **{
        name: Stage(
            "joint",
            "signs",
            {"minutes": 45, "seed": seed, "tower": 0, "dense": 0, "new_decoder": True, "mix": "naive"},
        )
        for name, seed in (("naive", 11), ("naive-2", 12), ("naive-3", 13))
    },
}
"""Stages by name; `tower` and `joint` say what each kind does. The naive ones keep the bundled tower."""
LAST = "touches"
"""The stage that makes the bundled model."""


def lineage(name: str) -> list[str]:
    """The stages that lead to one, and itself, in their order."""
    begin = STAGES[name].begin
    return [*(lineage(begin) if begin else []), name]


def finished(work: Path) -> str:
    """The last stage of the bundled model whose checkpoint is there and answers."""
    done = [name for name in lineage(LAST) if (work / f"{name}.pt").exists()]
    answering = [name for name in done if STAGES[name].teaches == "joint"]
    if not answering:
        raise typer.BadParameter(f"{work} holds no checkpoint that answers; make one with 'stage joint'.")
    return answering[-1]


def _mix(stage: str) -> str:
    return STAGES[stage].settings.get("mix", "bundled")


def _home(stage: str) -> Path:
    """Where the model of a stage lies in jurat."""
    return WEIGHTS if MIXES[_mix(stage)].organism == "bundled" else NAIVE


@app.command()
def scenes(out: Work, parts: int = _PARTS, part: int = _PART) -> None:
    """Draw the scenes to train on, and some to watch."""
    from training.mllm.scene_pool import fill

    for number in range(parts):
        folder = out / "pools" / f"train-{number:03d}"
        if not folder.exists():
            fill(folder, _STRIDE * (number + 1), part)
    if not (out / "pools" / "watch").exists():
        fill(out / "pools" / "watch", 900_000_000, 1500)


@app.command()
def stage(
    out: Work,
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(STAGES)}.")],
    minutes: Annotated[float | None, typer.Option(help="Instead of the stage's own.")] = None,
    workers: Annotated[int, typer.Option(help="Processes, or threads where only the tower learns.")] = 2,
) -> None:
    """Train one stage. Rerun to resume."""
    from training.mllm import joint, tower
    from training.mllm.scene_pool import Pool

    if name not in STAGES:
        raise typer.BadParameter(f"there is no stage {name!r}; they are {', '.join(STAGES)}.")
    todo = STAGES[name]
    begin = None if todo.begin is None else out / f"{todo.begin}.pt"
    if begin is not None and not begin.exists():
        raise typer.BadParameter(f"{begin} is not there; make it with 'stage {todo.begin}'.")
    changed: dict[str, Any] = dict(todo.settings) | ({} if minutes is None else {"minutes": minutes})
    folders, checkpoint = _pools(out), out / f"{name}.pt"
    if todo.teaches == "joint":
        assert begin is not None
        joint.train_joint(folders, begin, checkpoint, joint.Settings(**changed, workers=workers))
    else:
        settings = tower.Settings(**changed, threads=workers)
        pools = [Pool.open(folder) for folder in folders]
        tower.train_tower(pools, Pool.open(out / "pools" / "watch"), checkpoint, settings, begin=begin)


Of = Annotated[
    str | None,
    typer.Option(
        "--stage", help="Stage whose checkpoint is used (default: the last one of the bundled model)."
    ),
]


@app.command()
def export(
    out: Work, stage: Of = None, weights: Weights = None, pictures: int = 5000, workers: Workers = _CORES
) -> None:
    """Write the model of a stage in the standard layout, and fit its domain gate."""
    from training.mllm.domain_gate import fit_gate
    from training.mllm.export import export as write

    name, folder = _chosen(out, stage, weights)
    write(out / f"{name}.pt", folder)
    (out / f"{name}.gate.json").write_text(json.dumps(fit_gate(folder, pictures, workers)) + "\n")


@app.command()
def card(
    out: Work, stage: Of = None, weights: Weights = None, per_kind: int = 1000, workers: Workers = _CORES
) -> None:
    """Measure the model of a stage on scenes it never saw and write its card."""
    import torch

    from training.mllm.card import evaluate, write_card

    name, folder = _chosen(out, stage, weights)
    made: dict[str, object] = {"scenes": f"up to {_PARTS} parts of {_PART}, with seeds from {_STRIDE} on"}
    for each in lineage(name):
        state = torch.load(out / f"{each}.pt", weights_only=True)
        settings = ", ".join(f"{key} {value}" for key, value in state["settings"].items())
        made[f"stage {each}"] = f"{state['elapsed'] / 60:.0f} minutes, {state['step']} steps ({settings})"
    made["machine"] = f"{_CORES} CPU cores, torch {torch.__version__}, float32"
    gate = json.loads((out / f"{name}.gate.json").read_text())
    write_card(folder, _mix(name), made, evaluate(folder, per_kind, workers=workers), gate)


def _chosen(work: Path, stage: str | None, weights: Path | None) -> tuple[str, Path]:
    """The stage to export, and the folder for it."""
    name = stage or finished(work)
    if name not in STAGES or not (work / f"{name}.pt").exists():
        raise typer.BadParameter(f"{work / f'{name}.pt'} is not there.")
    return name, weights or _home(name)


@app.command()
def all(out: Work, weights: Weights = None) -> None:
    """Every step of the bundled model in order."""
    scenes(out)
    for name in lineage(LAST):
        stage(out, name)
    export(out, None, weights)
    card(out, None, weights)


@app.command()
def writer(
    out: Work,
    minutes: float = 12.0,
    weights: Annotated[Path, typer.Option(help="Folder that the finished writer is written to.")] = WRITER,
    rules: Annotated[int, typer.Option(help="Rules to examine it on, of each view.")] = 1000,
    seed: int = 1,
) -> None:
    """Train the text model that drafts clauses, write it and its card. Rerun to resume."""
    import torch

    from training.writer.evaluation import evaluate_writer, write_writer_card
    from training.writer.train import Settings, export_writer, train_writer

    checkpoint = out / "writer.pt"
    train_writer(checkpoint, Settings(minutes=minutes, seed=seed))
    export_writer(checkpoint, weights)
    state = torch.load(checkpoint, weights_only=True)
    settings = ", ".join(f"{key} {value}" for key, value in state["settings"].items())
    made: dict[str, object] = {
        "training": f"{state['elapsed'] / 60:.0f} minutes, {state['step']} steps ({settings})",
        "machine": f"{_CORES} CPU cores, torch {torch.__version__}, float32",
    }
    write_writer_card(weights, made, evaluate_writer(weights, rules))


@app.command()
def owl(
    out: Work,
    minutes: float = 10.0,
    tower: Tower = WEIGHTS,
    weights: Annotated[Path, typer.Option(help="Folder that the detector is written to.")] = OWL,
    scenes: Scenes = 12_000,
    test: Annotated[int, typer.Option(help="Scenes to measure it on.")] = 600,
    threads: int = 2,
    seed: int = 0,
) -> None:
    """Train the detector on the tower of a finished MLLM, write it and its card. Rerun to resume; drawing the
    scenes and computing their features comes before the minutes."""
    from training.loop import Course
    from training.owl.card import evaluate_owl, write_owl_card
    from training.owl.train import export, train_owl

    course = Course(minutes=minutes, batch=48, threads=threads, seed=seed)
    model, tokenizer, done = train_owl(out / CLIP_AND_OWL, tower, course, scenes)
    export(model, tokenizer, tower, weights)
    print(f"measuring on {test} scenes", flush=True)
    write_owl_card(weights, _made_of(course, done, tower, scenes), evaluate_owl(weights, test))


@app.command()
def clip(
    out: Work,
    minutes: float = 10.0,
    tower: Tower = WEIGHTS,
    weights: Annotated[Path, typer.Option(help="Folder that the matcher is written to.")] = CLIP,
    scenes: Scenes = 12_000,
    rules: Annotated[int, typer.Option(help="Rules to measure it on.")] = 100,
    per_rule: Annotated[int, typer.Option(help="Scenes composed to break each of them.")] = 4,
    threads: int = 2,
    seed: int = 0,
) -> None:
    """Train the matcher on the tower of a finished MLLM, choose its threshold, write it and its card. Uses
    the scenes of `owl`. Rerun to resume."""
    from training.clip.card import evaluate_clip, write_clip_card
    from training.clip.train import export, train_clip
    from training.loop import Course

    course = Course(minutes=minutes, batch=96, threads=threads, seed=seed)
    model, tokenizer, done = train_clip(out / CLIP_AND_OWL, tower, course, scenes)
    export(model, tokenizer, tower, weights)
    print(f"measuring on scenes for {rules} rules", flush=True)
    write_clip_card(weights, _made_of(course, done, tower, scenes), evaluate_clip(weights, rules, per_rule))


def _made_of(course: Course, done: TrainingResult, tower: Path, scenes: int) -> dict[str, object]:
    """How a CLIP or OWL-ViT was made, for its card."""
    from dataclasses import asdict

    import torch

    from jurat.models.hf.load_model import weights_digest
    from training.tower_features import FIRST_SEED

    settings = ", ".join(f"{key} {value}" for key, value in asdict(course).items())
    return {
        "scenes": f"{scenes}, with seeds from {FIRST_SEED} on; some 5% of them only watched",
        "tower": f"of the MLLM whose weights have the digest `{weights_digest(tower)}`, unchanged",
        "training": f"{done.minutes:.1f} minutes, {done.steps} steps ({settings})",
        "machine": f"{_CORES} CPU cores, torch {torch.__version__}, float32",
    }


if __name__ == "__main__":
    app()
