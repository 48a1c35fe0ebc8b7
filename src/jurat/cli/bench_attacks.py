"""`jurat bench attacks`, which compares attacks; `jurat bench injection` and `jurat bench robustness`, which
attack the judge itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jurat.cli import bench_options as options
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.errors import JuratError
from jurat.runs.session import command_line

ROBUST_METHODS = ("jurat", "direct", "clue", "clause-product")
"""Methods that `robustness` runs where none is named."""
INJECTED_METHODS = ("direct", "jurat")
"""Methods that `injection` runs where none is named."""


@opens_model
def attacks(
    victim: Annotated[
        list[str],
        typer.Option(
            "--victim",
            "--model",
            "-m",
            metavar="NAME",
            help="A model that is attacked, or LABEL=NAME; repeat for more. NAME may be a folder.",
        ),
    ] = ["bundled"],  # noqa: B006
    transfer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another model, or LABEL=NAME, that all attacked pictures are shown to, and that attacks by "
            "surrogates are made on; repeat for more.",
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help='Name and settings: carlini, "qi?batch=4"; repeat for more. Noise is always there. Default: '
            "all that change pictures.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Largest change, in levels of 255, or unbounded; repeat for more.",
            show_default="2, 8, unbounded",
        ),
    ] = None,
    passes: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Backward passes that an attack may make for a picture; repeat for more.",
            show_default="20, 100",
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option(metavar="N", min=1, max=100_000, help="Pictures of a goal; more make all larger.")
    ] = 3,
    goals: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML with goals of your own. Default: those of jurat."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of pictures, noise and attacks.")] = 0,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures attacked at once.")] = 16,
    out: options.Out = Path("attacks"),
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Compare attacks on pictures: the same goals, pictures, budgets and gradient passes for all.

    Success is measured on saved PNG files with held-out prompts, and compared with noise of the same size.
    What cannot be run on a victim is listed with its reason. Writes attacks.json, attacks.md, a figure and
    all replies into --out; the same command resumes a run that was stopped.
    """
    from jurat.bench.attacks.goals import load_goals
    from jurat.bench.attacks.lineup import default_attacks
    from jurat.bench.attacks.page import as_markdown, write_attacks
    from jurat.bench.attacks.plan import BUDGETS, PASSES, AttacksPlan
    from jurat.bench.attacks.results import results_of
    from jurat.bench.attacks.run import run_attacks

    plan = AttacksPlan(
        out,
        options.subjects(victim, opening),
        options.subjects(transfer or [], opening),
        attack or default_attacks(),
        [_level(text) for text in budget] if budget else BUDGETS,
        passes or PASSES,
        pictures,
        seed,
        batch_size,
        load_goals(goals),
        command_line(),
    )
    progress = run_attacks(plan, options.progress(quiet=quiet))
    results, replies = results_of(plan, progress)
    written = write_attacks(out, results, replies)
    options.tell(as_markdown(results), written, quiet=quiet)


def _level(text: str) -> int:
    """A budget in levels of 255."""
    if text == "unbounded":
        return 255
    try:
        return int(text)
    except ValueError as error:
        raise JuratError(f"--budget {text}: a whole number of levels, or unbounded.") from error


@opens_model
def injection(
    method: Annotated[list[str] | None, options.methods_option(INJECTED_METHODS)] = None,
    model: options.Models = ["bundled"],  # noqa: B006
    n: Annotated[
        int, typer.Option("--n", metavar="N", min=2, max=10_000, help="Scenes, half violating.")
    ] = 40,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A channel: sign, corner, faint, banner, name ...; repeat for more. Default: all.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other scenes.")] = 0,
    detector: options.Detector = "none",
    matcher: options.Matcher = "none",
    out: options.Out = Path("injection"),
    workers: options.Workers = 1,
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Measure whether texts in and around a picture talk a judge out of its verdict.

    Each scene is judged as it is, with each injection, and with neutral words in its place. Writes
    injection.json, injection.md and all rulings into --out, beside the scenes. The same command resumes.
    """
    from jurat.bench.injection.plan import InjectionPlan
    from jurat.bench.injection.run import run_injection, write_injection
    from jurat.bench.injection.suite import load_suite
    from jurat.bench.injection.summary import as_markdown
    from jurat.bench.methods.registry import rows_for

    plan = InjectionPlan(
        out,
        rows_for(method or INJECTED_METHODS, []),
        options.subjects(model, opening),
        seed=seed,
        detector=options.or_none(detector),
        matcher=options.or_none(matcher),
        command=command_line(),
        workers=workers,
        suite=load_suite().only(channel or ()),
        scenes=n,
    )
    results = run_injection(plan, options.progress(quiet=quiet))
    written = write_injection(out, results)
    options.tell(as_markdown(results), written, quiet=quiet)


@opens_model
def robustness(
    method: Annotated[list[str] | None, options.methods_option(ROBUST_METHODS)] = None,
    model: options.Models = ["bundled"],  # noqa: B006
    attack: Annotated[
        list[str],
        typer.Option(metavar="PRESET", help="Preset that gradients go through; repeat for more."),
    ] = ["jurat", "direct"],  # noqa: B006
    radius: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            max=255,
            help="Largest change, in levels of 255; repeat for more.",
            show_default="1, 2, 4, 8, 16",
        ),
    ] = None,
    steps: options.Steps = 40,
    per_rule: options.PairsPerRule = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of scenes, noise and attacks.")] = 0,
    detector: options.Detector = "bundled",
    matcher: options.Matcher = "bundled",
    out: options.Out = Path("robustness"),
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Attack the judge itself: recall and false alarms under noise, compression, and adaptive attacks.

    The first --model is attacked, through the whole procedure of each --attack preset; every model and
    method then judges the attacked scenes, so that transfer is seen, too. Writes robustness.json,
    robustness.md and figures into --out; the same command resumes a run that was stopped.
    """
    from jurat.bench.methods.registry import rows_for
    from jurat.bench.robustness.conditions import RADII
    from jurat.bench.robustness.run import RobustnessPlan, read_costs, run_robustness
    from jurat.bench.robustness.table import as_markdown, results_of, write_robustness

    plan = RobustnessPlan(
        out,
        rows_for(method or ROBUST_METHODS, []),
        options.subjects(model, opening),
        seed=seed,
        per_rule=per_rule,
        detector=options.or_none(detector),
        matcher=options.or_none(matcher),
        command=command_line(),
        attacked=tuple(dict.fromkeys(attack)),
        radii=tuple(sorted(set(radius or RADII))),
        steps=steps,
    )
    plan, progress = run_robustness(plan, options.progress(quiet=quiet))
    results = results_of(plan, progress, read_costs(plan))
    written = write_robustness(out, results)
    options.tell(as_markdown(results), written, quiet=quiet)
