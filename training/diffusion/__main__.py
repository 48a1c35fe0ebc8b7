"""`python -m training.diffusion`: the results of `jurat bench text-to-image` on the page that explains them.

Run it from the root of a clone of the repository.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from jurat.bench.labelled.summary import section_lines
from jurat.bench.text_to_image.page import draw_figure, provenance_lines, sections_of
from jurat.errors import JuratError
from jurat.files import write_whole
from training.marked_page import with_part

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "text-to-image.md"
RESULTS = DOCS / "results" / "text-to-image.json"
FIGURE = RESULTS.with_suffix(".svg")
COMMAND = "python -m training.diffusion table"
NONE_YET = "No result is here yet: the model of pictogram scenes is still to be trained.\n"


@app.callback()
def main() -> None:
    """Keeps `table` a command of its own."""


@app.command()
def table(
    run: Annotated[
        Path | None,
        typer.Argument(help="Folder of a run, whose results are taken over. Default: those of docs/results."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the page is up to date.")] = False,
) -> None:
    """Write the results of a run into docs/text-to-image.md and docs/results."""
    page = PAGE.read_text(encoding="utf-8")
    results = read_results(RESULTS if run is None else run / RESULTS.name)
    if run is not None and results is not None and not check:
        write_whole(RESULTS, json.dumps(results, indent=1, allow_nan=False) + "\n")
        draw_figure(FIGURE, results)  # before the page, which shows it where it is there
    made = with_part(page, COMMAND, tables(results))
    if not check:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        print(f"docs/text-to-image.md is out of date; run {COMMAND}", file=sys.stderr)
        raise typer.Exit(1)


def read_results(file: Path) -> dict[str, Any] | None:
    """The results in a file; None where docs/results has none yet.

    Raises:
        JuratError: they cannot be read.
    """
    if file == RESULTS and not file.exists():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JuratError(f"{file} cannot be read: {error}") from error


def tables(results: Mapping[str, Any] | None) -> str:
    """What stands between the marks."""
    if results is None:
        return NONE_YET
    lines = [*provenance_lines(results["provenance"])]
    for section in sections_of(results):
        lines += [f"#{line}" if line.startswith("## ") else line for line in section_lines(section)]
        if section.id == "claims" and FIGURE.exists():
            lines += ["", f"![Shares of pictures that show the concept](results/{FIGURE.name})"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
