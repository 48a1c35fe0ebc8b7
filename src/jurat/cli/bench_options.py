"""Options that the commands of `jurat bench` share, and what they print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jurat.errors import JuratError
from jurat.files import check_folder

if TYPE_CHECKING:
    from jurat.bench.bench_plan import BenchModel
    from jurat.cli.model_options import ModelOptions

Models = Annotated[
    list[str],
    typer.Option(
        "--model", "-m", metavar="NAME", help="A model, or LABEL=NAME; repeat for more. NAME may be a folder."
    ),
]
Detector = Annotated[str, typer.Option(metavar="NAME", help="Detector; none to use none.")]
Matcher = Annotated[str, typer.Option(metavar="NAME", help="Matcher; none to use none.")]
Steps = Annotated[int, typer.Option(metavar="N", min=1, help="Steps of an attack.")]
PairsPerRule = Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Pairs of scenes per rule.")]


def _usable(out: Path) -> Path:
    """The output folder. Raises JuratError, before anything is run, where it cannot be written."""
    check_folder(out)
    return out


Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Output folder; rerun the same command to resume.",
        callback=_usable,
    ),
]
Workers = Annotated[
    int, typer.Option(metavar="N", min=1, max=64, help="Models judged in parallel, one process each.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the table only.")]


def methods_option(default: Sequence[str] = ()) -> Any:
    """The option that names methods; without a default it is all of them."""
    return typer.Option(
        "--method",
        "--preset",
        "-p",
        metavar="NAME",
        help=f"See: jurat list bench_methods; repeat for more. Default: {', '.join(default) or 'all'}.",
        show_default=False,
    )


def subjects(model: Sequence[str], opening: ModelOptions) -> list[BenchModel]:
    """The models to judge with. Raises JuratError where two have the same label."""
    from jurat.bench.bench_plan import BenchModel

    found = [BenchModel.parse(text, opening.spec) for text in model]
    if len({subject.label for subject in found}) < len(found):
        raise JuratError("Two models have the same label.", hint="Give each its own: --model LABEL=NAME")
    return found


def or_none(name: str) -> str | None:
    """The name of a detector or matcher; None for "none"."""
    return None if name == "none" else name


def progress(*, quiet: bool) -> Callable[[str], None]:
    """What prints a line of progress; nothing if `quiet`. Worker processes are given it, too."""
    return _ignore if quiet else _print


def tell(table: str, written: Iterable[Path], *, quiet: bool) -> None:
    """Prints a table, and unless `quiet` which files were written."""
    typer.echo(table)
    progress(quiet=quiet)(f"Written: {', '.join(map(str, written))}")


def _print(line: str) -> None:
    typer.echo(line, err=True)


def _ignore(line: str) -> None:
    pass
