"""`python -m training.organisms`: conversations to look at, exams, labelled texts to fit defenses to, and the
table of docs/organisms.md.

Run it from the root of a clone of the repository; it needs the extras `local` and `train`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jurat.models.hf.torchvision_import import prepare_torchvision
from training.marked_page import with_part

prepare_torchvision()

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
PAGE = Path(__file__).parents[2] / "docs" / "organisms.md"
COMMAND = "python -m training.organisms table"

Only = Annotated[list[str] | None, typer.Option("--exam", help="An exam; repeat for more. Default: all.")]


@app.command()
def show(
    mix: Annotated[str, typer.Option(help="A stage of mixes.yaml.")] = "aligned",
    skill: Annotated[str | None, typer.Option(help="One skill instead of a mix.")] = None,
    n: int = 20,
    seed: int = 0,
) -> None:
    """Print conversations as training shows them, with what their scenes hold."""
    from training.organisms.exams import ExamScenes
    from training.organisms.facts import entries, joined
    from training.organisms.mixes import STAGES
    from training.organisms.sampling import conversations
    from training.organisms.skills import SKILLS

    _known("stage", mix, STAGES)
    if skill is not None:
        _known("skill", skill, SKILLS)
    scenes = ExamScenes(seed)
    stream = conversations({skill: 1.0} if skill else STAGES[mix].shares, seed, scenes)
    for _ in range(n):
        drawn = next(stream)
        print(f"\n{drawn.skill} {drawn.conversation.part}".rstrip())
        for number, scene in enumerate(drawn.scenes):
            print(f"  [image {number}: {joined(entries(scenes.facts(scene)))}]")
        for line in drawn.conversation.lines:
            shown = "".join(f"[image {number}] " for number in line.images)
            print(f"  {line.role}: {shown}{line.text}{'' if line.learned else '  (read only)'}")
        print(f"  assistant: {drawn.conversation.target}")


@app.command()
def exam(
    model: Annotated[str, typer.Option(help="As `jurat --model` names it: bundled, hf/FOLDER, ...")],
    only: Only = None,
    n: Annotated[int, typer.Option(help="Questions of each exam, about.")] = 100,
    seed: int = 0,
    organism: Annotated[
        str | None,
        typer.Option("--as", help="Record the results as this model's, a stage of mixes.yaml or `bundled`."),
    ] = None,
) -> None:
    """Examine a model; with --as, all exams that the table needs of it, which are recorded."""
    from jurat.models import open_detector, open_model
    from jurat.provenance import commit, now
    from training.organisms.exams import EXAMS, Result, examine_detector, examiner, summary
    from training.organisms.table import MODELS, load_skills, record

    for name in only or ():
        _known("exam", name, EXAMS)
    wanted: list[tuple[str, Any]] = [(name, "plain") for name in only or EXAMS if name != "detector: people"]
    if organism is not None:
        _known("model", organism, MODELS)
        needs = [need for row in load_skills().rows for need in row.needs if need.model == organism]
        wanted = list(
            dict.fromkeys((need.exam, need.pictures) for need in needs if only is None or need.exam in only)
        )
    opened = open_model(model)
    examine, results = examiner(opened, seed, n), list[Result]()
    print("| exam | right | interval | n | weakest part | refusals | leaks | failures |")
    print("|---|---|---|---|---|---|---|---|")
    for name, pictures in wanted:
        if name == "detector: people":
            result = examine_detector(open_detector("bundled"), seed, n)
        else:
            result = examine(name, pictures)
        results.append(result)
        interval = result.interval
        shown = name if pictures == "plain" else f"{name}, {pictures}"
        print(
            f"| {shown} | {result.accuracy:.1%} | {interval.low:.1%} to {interval.high:.1%} | {result.n} "
            f"| {result.weakest:.1%} | {result.refusals} | {result.leaks} | {result.failures} |",
            flush=True,
        )
        if organism is not None:
            origin = {"model": opened.name, "revision": opened.revision, "commit": commit(), "time": now()}
            record(organism, [result], origin)
    for name, (hits, asked, interval) in summary(results).items():
        print(f"{name}: {hits} of {asked} ({interval.low:.1%} to {interval.high:.1%})")


@app.command()
def examples(
    out: Annotated[Path, typer.Option("--out", help="Folder of the files.")],
    n: Annotated[int, typer.Option(help="Rows of each file, at most: equal ones are written once.")] = 1500,
    seed: int = 0,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="In wordings of questions that training does not use.")
    ] = False,
) -> None:
    """Write labelled texts about the vault, for `jurat defense fit`."""
    from training.organisms.defense_data import write

    for path, count in write(out, n, seed, exam=held_out):
        print(f"{path}: {count} rows")


@app.command()
def table(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the page is up to date.")] = False,
) -> None:
    """Write the tables of docs/organisms.md from skills.yaml, mixes.yaml and what was reached."""
    page = PAGE.read_text(encoding="utf-8")
    made = with_tables(page)
    if check and made != page:
        print(f"docs/organisms.md is out of date; run {COMMAND}", file=sys.stderr)
        raise typer.Exit(1)
    PAGE.write_text(made, encoding="utf-8")


def with_tables(page: str) -> str:
    """A page with the tables of today between its marks."""
    from training.organisms.table import load_skills, markdown

    return with_part(page, COMMAND, markdown(load_skills()))


def _known(what: str, name: str, names: Sequence[str] | Any) -> None:
    if name not in names:
        raise typer.BadParameter(f"there is no {what} {name!r}; there are {', '.join(names)}.")


if __name__ == "__main__":
    app()
