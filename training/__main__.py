"""Trains the models that ship with jurat: `python -m training models --out DIR` makes all of them.

Run it from the root of a clone of the repository; it needs the extras `local`, `train` and `diffusion`, and
the fonts of the packages `fonts-noto-color-emoji` and `fonts-dejavu-core`. Rerun any command to resume.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from jurat.models.hf.torchvision_import import prepare_torchvision
from training.stages import WEIGHTS, Task, is_kept, maker_of, pools, repeated, stages

prepare_torchvision()

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

T = TypeVar("T")
Work = Annotated[Path, typer.Option("--out", help="Folder for scenes and checkpoints.")]
Weights = Annotated[Path, typer.Option(help="Folder of the stages that are done.")]
Small = Annotated[bool, typer.Option("--small", help="Few scenes and steps, to try the code.")]
Workers = Annotated[int, typer.Option(help="Processes that draw scenes or train.")]
_FOLDER = "Folder of the model (default: in jurat if it ships, else OUT/models/NAME)."
_STRIDE = 1_000_000
"""Distance between the first seeds of a pool's parts."""
_WATCHED_FROM = 900_000_000


@app.command()
def scenes(name: str, out: Work, small: Small = False, workers: Workers = 2) -> None:
    """Draw the scenes of a pool of `stages.toml`, and some to watch."""
    from training.scenes.pool import fill

    pool, workers = _named(name, pools(small=small), "pool"), 1 if small else workers
    root = out / "pools" / name
    for part in range(pool.parts):
        if not (folder := root / f"train-{part:03d}").exists():
            fill(folder, pool.first + (part + 1) * _STRIDE, pool.size, workers)
    if not (root / "watch").exists():
        fill(root / "watch", pool.first + _WATCHED_FROM, pool.watch, workers)


@app.command()
def stage(
    name: str, out: Work, weights: Weights = WEIGHTS, small: Small = False, workers: Workers = 2
) -> None:
    """Train one stage of `stages.toml`, and write its weights and its lineage; those that are kept along the
    way to OUT/finished/NAME-step-N."""
    from training.lineage import declared, save_stage
    from training.loop import StaleCheckpointError, along, train

    todo = _named(name, stages(small=small), "stage")
    task = Task(todo, out, weights)
    if (parent := task.parent()) is not None and not parent.exists():
        raise typer.BadParameter(f"{parent} is not there; make it with 'stage {todo.parent}'.")
    if todo.pool is not None:
        scenes(todo.pool, out, small, workers)
    checkpoint = out / f"{name}.pt"
    try:
        done = train(maker_of(task), todo.schedule, checkpoint, 1 if small else workers, declared(task))
    except StaleCheckpointError as error:
        raise typer.BadParameter(str(error)) from error
    for kept in along(maker_of(task), todo.schedule, checkpoint):
        print(f"wrote {save_stage(task, kept, out / 'finished' / f'{name}-step-{kept.steps}')}")
    print(f"wrote {save_stage(task, done, _home(name, out, weights))}")


@app.command()
def export(
    name: str,
    out: Work,
    weights: Weights = WEIGHTS,
    folder: Annotated[Path | None, typer.Option(help=_FOLDER)] = None,
    small: Small = False,
) -> None:
    """Write a model of `stages.toml` in the layout that ships; or, with --folder, that of another stage: the
    judge of joint training ("naive-2"), without a gate, or an organism ("tuned-b"). A judge's forms of
    statements are measured, unless --small, and written with it."""
    from training import shipped

    known = shipped.shipped()
    if folder is not None:
        others = {name: shipped.KIND_OF.get(one.lesson) for name, one in stages(small=small).items()}
        known = {each: shipped.Shipped(each, kind, each) for each, kind in others.items() if kind} | known
    model = _named(name, known, "model")
    for stage in (model.stage, *([model.gate] if model.gate else [])):
        if not (done := _home(stage, out, weights)).exists():
            raise typer.BadParameter(f"{done} is not there; make it with 'stage {stage}'.")
    home = partial(_home, out=out, weights=weights)
    shipped.export(model, home, folder or model.home(out), scenes=64 if small else 4000, forms=not small)


@app.command()
def card(
    name: str,
    out: Work = Path("out/training"),
    folder: Annotated[Path | None, typer.Option(help=_FOLDER)] = None,
) -> None:
    """Measure a model that was written by `export` on scenes it never saw, and write its card."""
    from training import shipped

    model = _named(name, shipped.shipped(), "model")
    shipped.write_card(model, folder or model.home(out))


@app.command()
def models(
    out: Work,
    weights: Weights = WEIGHTS,
    folder: Annotated[Path | None, typer.Option(help="Folder for all models.")] = None,
    small: Small = False,
    workers: Workers = 2,
) -> None:
    """Train every stage whose weights are not there, write every model and, unless --small, its card.

    --small leaves out stages that differ from another one only by seed, order, pool or mix, and models that
    end with such a stage.
    """
    from training import shipped

    left_out = repeated() if small else {}
    for name, like in left_out.items():
        print(f"left out: stage {name}, which differs from {like} only by seed, order, pool or mix")
    for name in stages(small=small):
        if name not in left_out and not _home(name, out, weights).exists():
            stage(name, out, weights, small, workers)
    for name, model in shipped.shipped().items():
        if model.stage in left_out:
            print(f"left out: model {name}, which ends with stage {model.stage}")
            continue
        home = folder / name if folder else model.home(out)
        export(name, out, weights, home, small)
        if not small:
            card(name, out, home)


@app.command()
def sweep(
    name: str, out: Work, weights: Weights = WEIGHTS, small: Small = False, workers: Workers = 2
) -> None:
    """Train every stage of a sweep of `stages.toml` that is not done."""
    from training.stages import data

    known = data()["sweeps"]
    points = _named(name, known, "sweep")["points"]
    for point, seed in product(points, known[name]["seeds"]):
        each = f"{name}-{point}-{seed}"
        if not _home(each, out, weights).exists():
            stage(each, out, weights, small, workers)


def _home(stage: str, out: Path, weights: Path) -> Path:
    """Folder of a finished stage: among the weights in the repository if it is kept there."""
    return (weights if is_kept(stage) else out / "finished") / stage


def _named(name: str, known: dict[str, T], what: str) -> T:
    if name not in known:
        raise typer.BadParameter(f"there is no {what} {name!r}; they are {', '.join(known)}.")
    return known[name]


if __name__ == "__main__":
    app()
