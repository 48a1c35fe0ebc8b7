"""`jurat eval`: evaluates a model on a set, on Inspect AI."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.plain_output import Json
from jurat.errors import JuratError, require

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ScorerNames = Annotated[
    list[str] | None,
    typer.Option("--scorer", metavar="NAME", help="With options: NAME?KEY=VALUE. See: jurat list scorers"),
]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", metavar="NAME", help="The model of scorers that need one. See: jurat models"),
]
ByCategory = Annotated[bool, typer.Option("--by-category", help="Print each number for each category too.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 1 if a row was left out or a reply has no judgement.")
]


@app.command()
@opens_model
def evaluate(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="See: jurat data; or a battery: a file NAME.yaml.", show_default=False
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="See: jurat models")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Your copy of the set; sets of pictograms need none.")
    ] = None,
    scorer: ScorerNames = None,
    judge: JudgeName = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="A protocol of the set's card. Default: the first.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A part of the set. Default: as its card says.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Samples: the first N, or with --seed N drawn at random."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Replies a sample. Default: as the protocol says.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of all draws.")] = None,
    attack: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Attack the samples first: NAME?KEY=VALUE. See: jurat list attacks"
        ),
    ] = None,
    attack_target: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The reply that is wanted, for attacks on pictures that want one."),
    ] = None,
    attacker: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model that writes texts for attacks that need one."),
    ] = None,
    log_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the log goes. Default: logs.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the logs and tables of a battery go. Default: logs/NAME."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what each cell of a battery is waiting for, and run none.")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Keep the images in the log, for its pages.")
    ] = True,
    by_category: ByCategory = False,
    strict: Strict = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
    as_json: Json = False,
    *,
    opening: ModelOptions,
) -> None:
    """Evaluate a model on a set: every number with n, what was left out, its interval and its judge.

    The same as `inspect eval jurat/SET -T data=PATH --model jurat/NAME`; Inspect's viewer opens the log, and
    `inspect eval-retry LOG` resumes one that was stopped.

    A battery is a file of sets x models x scorers. Repeating the command runs what is missing: exit code 0
    says that all cells are done, 3 that one failed.
    """
    require("jurat eval", "eval", "inspect_ai")
    from jurat.cli.eval_results import end, print_results

    progress = not (quiet or as_json) and sys.stdout.isatty()
    attacking = (attack, attack_target, attacker)
    others = (model, data, scorer, judge, protocol, group, limit, epochs, seed, log_dir, *attacking)
    flags = (by_category, not images)
    if name.endswith((".yaml", ".yml")):
        from jurat.cli.battery import run_file

        if any(each is not None for each in others) or any(flags) or opening != ModelOptions():
            raise JuratError(
                "The sets, models and scorers of a battery stand in its file, with their options."
            )
        run_file(Path(name), out, plan=plan, strict=strict, progress=progress, quiet=quiet, as_json=as_json)
        return
    if out is not None or plan:
        raise JuratError("--out and --plan are for batteries.", hint="--log-dir says where the log goes.")
    if model is None:
        raise JuratError("Name a model: --model NAME.", hint="See: jurat models")
    task = {
        "data": None if data is None else str(data.absolute()),
        "protocol": protocol,
        "scorer": scorer,
        "judge": judge,
        "groups": group,
        "limit": limit,
        "epochs": epochs,
        "seed": seed,
        "attack": attack,
        "attack_target": attack_target,
        "attacker": attacker,
    }
    given = {key: value for key, value in task.items() if value is not None}
    log = _run(name, model, given, opening, log_dir, images, progress)
    end(log, print_results(log, as_json=as_json, by_category=by_category), strict=strict)


def _run(
    set_name: str,
    model: str,
    task: dict[str, Any],
    opening: ModelOptions,
    log_dir: Path | None,
    images: bool,
    progress: bool,
) -> EvalLog:
    """Runs the task; the model is closed afterwards."""
    import inspect_ai
    from inspect_ai.model import get_model

    from jurat.benchmarks import BENCHMARKS
    from jurat.evals._registry import task_name  # whose import registers the provider too
    from jurat.evals.open_scorers import closing_scorers
    from jurat.files import file_errors, make_folder

    set_name, _, drawing = set_name.partition("?")
    BENCHMARKS.find(set_name)
    if log_dir is not None:
        with file_errors(log_dir):
            make_folder(log_dir)
    given = {key: value for key, value in asdict(opening).items() if key != "defense"}
    arguments = {key: value for key, value in given.items() if value not in (None, False)}
    served = get_model(f"jurat/{opening.defended(model)}", **arguments)
    try:
        with file_errors(f"The log in {log_dir or 'logs'}"), closing_scorers():
            logs = inspect_ai.eval(
                task_name(set_name),
                model=served,
                task_args={**task, "drawing": drawing} if drawing else task,
                log_dir=None if log_dir is None else str(log_dir),
                display="rich" if progress else "none",
                log_level="warning",
                log_images=images,
                log_model_api=False,
                score_display=False,
            )
    finally:
        served.api.close()
    if not logs:
        _stopped(log_dir)
    return logs[0]


def _stopped(log_dir: Path | None) -> NoReturn:
    """After Ctrl-C, when Inspect has written the log with what there is."""
    from inspect_ai.log import list_eval_logs

    found = list_eval_logs() if log_dir is None else list_eval_logs(str(log_dir))
    written = next(iter(found), None)
    path = "LOG" if written is None else written.name.removeprefix("file://")
    typer.echo(f"jurat: stopped; to resume it: inspect eval-retry {path}", err=True)
    raise typer.Exit(130)
