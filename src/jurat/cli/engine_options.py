"""Options on what judges: this process, or the workers of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.cli.source_options import Sourcing
    from jurat.judge import Judge
    from jurat.judge.engines.ray_engine import RayEngine
    from jurat.judge.spec import JudgeSpec
    from jurat.runs.recorded_items import Recorded

Engine = Annotated[
    str,
    typer.Option(
        "--engine", metavar="NAME", help="What judges: local, or ray, the workers of a Ray cluster."
    ),
]
Replicas = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Of ray: judges at work at once. One a GPU, or a machine, unless told."
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", min=0, help="Of ray: GPUs a judge takes, 0.5 for two on one. 1 unless told."
    ),
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
    from jurat.judge.engines.ray_engine import require_ray

    require_ray()
    return True


def check_ray(
    *, folder: Path | None, paths: list[str], reuse_near: int | None, dry_run: bool, device: str | None
) -> None:
    """Raises JuratError for what Ray's workers cannot do."""
    if folder is None:
        raise JuratError("--engine ray writes a run that can go on.", hint="Name its folder: --out DIR.")
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
        raise JuratError(
            "--dry-run sends nothing, so that there is nothing for workers to do.", hint="Leave out --engine."
        )
    if device is not None and ":" in device:
        raise JuratError(
            f"Ray chooses the GPU of each worker, so --device {device} cannot be.", hint="Say --device cuda."
        )


def start_ray(
    spec: JudgeSpec, *, replicas: int | None, gpus: float | None, quiet: bool
) -> AbstractContextManager[RayEngine]:
    """The engine, as long as the block lasts."""
    from jurat.judge.engines.ray_engine import start

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(f"jurat: {line}", err=True)

    return start(spec, replicas=replicas, gpus=gpus, tell=tell)


def rows_from_ray(
    engine: RayEngine, judge: Judge, source: Sourcing, recorded: Callable[[], Recorded]
) -> Generator[tuple[dict[str, Any], ...]]:
    """The rows of all items of `source` that are not recorded, as they come."""
    from jurat.judge.engines.steps import Wanted
    from jurat.sources.prefetch import Roots

    wanted = Wanted(
        paths=tuple(source.paths),
        options=source.options,
        folder=os.getcwd(),
        roots=tuple(Roots.of(source.paths, source.options).identities),
        sampling=judge.sampling,
        batch_size=judge.batch_size,
        shard=None if source.shard is None else (source.shard.number, source.shard.count),
        known=source.known,
        reads_texts=bool(judge.reads),
    )
    rows = engine.judge(wanted, recorded)
    try:
        yield from rows
    finally:
        rows.close()
        source.passed_over.update(engine.passed_over)
