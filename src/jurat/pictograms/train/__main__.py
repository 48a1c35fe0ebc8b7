"""Trains the bundled model: `python -m jurat.pictograms.train all --out DIR` runs every step in order.

On two CPU cores `all` takes about two hours; each step continues what it finds half done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jurat.models.bundled import WEIGHTS

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Work = Annotated[Path, typer.Option("--out", help="Folder for scenes and checkpoints.")]
Weights = Annotated[Path, typer.Option(help="Folder that the finished model is written to.")]
_PARTS, _PART = 6, 12_000
_STRIDE = 1_000_000
"""Scenes of part n have the seeds from (n + 1) * _STRIDE on."""


def _pools(work: Path) -> list[Path]:
    return sorted((work / "pools").glob("train-*"))


@app.command()
def scenes(out: Work, parts: int = _PARTS, part: int = _PART) -> None:
    """Draw the scenes to train on, and some to watch."""
    from jurat.pictograms.train.pool import fill

    for number in range(parts):
        folder = out / "pools" / f"train-{number:03d}"
        if not folder.exists():
            fill(folder, _STRIDE * (number + 1), part)
    if not (out / "pools" / "watch").exists():
        fill(out / "pools" / "watch", 900_000_000, 1500)


@app.command()
def tower(out: Work, minutes: float = 26.0, threads: int = 2) -> None:
    """Stage one: teach the tower to see."""
    from jurat.pictograms.train.pool import Pool
    from jurat.pictograms.train.tower import Settings, train_tower

    pools = [Pool.open(folder) for folder in _pools(out)]
    train_tower(
        pools,
        Pool.open(out / "pools" / "watch"),
        out / "tower.pt",
        Settings(minutes=minutes, threads=threads),
    )


@app.command()
def joint(out: Work, minutes: float = 64.0, workers: int = 2, seed: int = 1) -> None:
    """Stage two: teach the whole model to answer."""
    from jurat.pictograms.train.joint import Settings, train_joint

    settings = Settings(minutes=minutes, workers=workers, seed=seed)
    train_joint(_pools(out), out / "tower.pt", out / "joint.pt", settings)


@app.command()
def export(out: Work, weights: Weights = WEIGHTS) -> None:
    """Write the model in the standard layout, and fit its domain gate."""
    from jurat.pictograms.train.export import export as write
    from jurat.pictograms.train.gate import fit_gate

    write(out / "joint.pt", weights)
    (out / "gate.json").write_text(_json(fit_gate(weights)))


@app.command()
def card(out: Work, weights: Weights = WEIGHTS, per_kind: int = 1000) -> None:
    """Measure the model on scenes it never saw and write its card."""
    import json
    import os

    import torch

    from jurat.pictograms.train.card import evaluate, write_card

    made: dict[str, object] = {"scenes": f"{_PARTS} parts of {_PART}, with seeds from {_STRIDE} on"}
    for name in ("tower", "joint"):
        state = torch.load(out / f"{name}.pt", weights_only=True)
        settings = ", ".join(f"{key} {value}" for key, value in state["settings"].items())
        made[f"stage {name}"] = f"{state['elapsed'] / 60:.0f} minutes, {state['step']} steps ({settings})"
    made["machine"] = f"{os.cpu_count()} CPU cores, torch {torch.__version__}, float32"
    write_card(weights, made, evaluate(weights, per_kind), json.loads((out / "gate.json").read_text()))


@app.command()
def all(out: Work, weights: Weights = WEIGHTS) -> None:
    """Every step in order."""
    scenes(out)
    tower(out)
    joint(out)
    export(out, weights)
    card(out, weights)


def _json(value: object) -> str:
    import json

    return json.dumps(value) + "\n"


if __name__ == "__main__":
    app()
