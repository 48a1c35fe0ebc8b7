"""Options that choose the engine: this process, or the workers of a Ray cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.cli.source_options import ItemSelection
    from jurat.judge import Judge
    from jurat.judge.workers import JudgeSpec
    from jurat.runs.engines.ray_engine import RayEngine
    from jurat.runs.engines.steps import Job

Engine = Annotated[
    str,
    typer.Option("--engine", metavar="NAME", help="Engine: local, or ray, the workers of a Ray cluster."),
]
Replicas = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Ray: parallel judges. Default: one per GPU, or per machine."),
]
Gpus = Annotated[
    float | None,
    typer.Option(metavar="SHARE", min=0, help="Ray: GPUs per judge; 0.5 puts two on one. Default: 1."),
]

_LOCAL, _RAY = "local", "ray"


def check_engine(name: str, *, replicas: int | None, gpus: float | None) -> bool:
    """Whether the judges are Ray's workers. Raises JuratError where there is no such engine, or no Ray."""
    if name not in (_LOCAL, _RAY):
        raise JuratError(f"There is no engine {name!r}.", hint=f"There are {_LOCAL} and {_RAY}.")
    if name == _LOCAL:
        if replicas is not None or gpus is not None:
            raise JuratError(
                f"{'--gpus' if replicas is None else '--replicas'} is for workers of a Ray cluster.",
                hint="Add --engine ray.",
            )
        return False
    from jurat.runs.engines.ray_engine import require_ray

    require_ray()
    return True


def check_ray(
    *, folder: Path | None, paths: list[str], reuse_near: int | None, dry_run: bool, device: str | None
) -> None:
    """Raises JuratError for what Ray's workers cannot do."""
    if folder is None:
        raise JuratError("--engine ray needs a folder for its output.", hint="Name its folder: --out DIR.")
    if "-" in paths:
        raise JuratError(
            "--engine ray cannot read a list on standard input: workers have none.",
            hint="Write the list into a CSV file with the header line `path`, and name that.",
        )
    if reuse_near is not None:
        raise JuratError(
            "--reuse-near remembers what this process judged; workers of --engine ray know only their own.",
            hint="Leave out one of them.",
        )
    if dry_run:
        raise JuratError("--dry-run sends nothing, so it needs no workers.", hint="Leave out --engine.")
    if device is not None and ":" in device:
        raise JuratError(
            f"Ray chooses the GPU of each worker, so --device {device} cannot be.", hint="Say --device cuda."
        )


def start_ray(
    spec: JudgeSpec, *, replicas: int | None, gpus: float | None, quiet: bool
) -> AbstractContextManager[RayEngine]:
    """The engine, closed at the end of the block."""
    from jurat.runs.engines.ray_engine import start

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(f"jurat: {line}", err=True)

    return start(spec, replicas=replicas, gpus=gpus, tell=tell)


def job_of(judge: Judge, source: ItemSelection) -> Job:
    """The items that workers are to judge, read as `judge` needs them."""
    from jurat.judge.workers import ItemReader
    from jurat.runs.engines.steps import Job

    return Job.of(ItemReader.of(judge, source.known), source.paths, source.options, source.shard)
