"""`jurat bench defenses`: what each defense wins back, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jurat.cli import bench_options as options
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.errors import JuratError
from jurat.runs.session import command_line

METHODS = ("jurat",)
"""Presets that judge, and that are attacked, where none is named."""


@opens_model
def defenses(
    method: Annotated[list[str] | None, options.methods_option(METHODS)] = None,
    model: options.Models = ["bundled"],  # noqa: B006
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="pictures: the judge under noise and attacks; texts: the judge shown orders; chat: chat "
            "models under attacks. Repeat for more. Default: all.",
            show_default=False,
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRESET",
            help="Preset that gradients go through; repeat for more. Default: jurat; none for no attacks.",
            show_default=False,
        ),
    ] = None,
    radius: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            max=255,
            help="Largest change of noise and attacks, in levels of 255; repeat for more.",
            show_default="8",
        ),
    ] = None,
    steps: options.Steps = 40,
    draws: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Views that an attack through a random defense averages over."),
    ] = 2,
    per_rule: options.PairsPerRule = 2,
    scenes: Annotated[
        int, typer.Option(metavar="N", min=2, max=10_000, help="Scenes that orders are written into.")
    ] = 14,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Where orders stand, as for injection; repeat for more.",
            show_default="sign, corner, faint, banner",
        ),
    ] = None,
    battery: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sets and attacks of chat in place of the sets of pictograms."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Samples of each set.")] = None,
    attacker: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model that writes for the attack wu.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of scenes, samples, noise and attacks.")] = 0,
    detector: options.Detector = "none",
    matcher: options.Matcher = "none",
    out: options.Out = Path("defenses"),
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Compare defenses: what attacks take, what each --defense wins back, and what it costs.

    Every --model is measured as it is and under each --defense: as a judge under noise, under attacks that go
    through the defense or know nothing of it, and under orders in its pictures; and as a chat model under
    attacks on evaluation sets. A gate that refuses everything, and one that refuses at random, stand beside
    them. Writes defenses.json, defenses.md and figures into --out; the same command resumes a run.
    """
    from jurat.bench.defenses.plan import DEFENSES, PARTS, DefensesPlan
    from jurat.bench.defenses.run import run_defenses, write_defenses
    from jurat.bench.defenses.table import as_markdown
    from jurat.bench.methods.registry import rows_for

    wanted = tuple(dict.fromkeys(part or PARTS))
    if unknown := [name for name in wanted if name not in PARTS]:
        raise JuratError(f"There is no part {unknown[0]!r}.", hint=f"There are {', '.join(PARTS)}.")
    methods = rows_for(method or METHODS, [])
    presets = [name for name in attack or METHODS if name != "none"]
    plan = DefensesPlan(
        out,
        options.subjects(model, replace(opening, defense=())),
        opening.defense or DEFENSES,
        tuple(name for name in PARTS if name in wanted),
        methods=methods,
        attacked=tuple(dict.fromkeys(presets)),
        radii=tuple(sorted(set(radius or (8,)))),
        steps=steps,
        draws=draws,
        per_rule=per_rule,
        scenes=scenes,
        channels=tuple(channel or DefensesPlan.channels),
        battery=battery,
        limit=limit,
        attacker=attacker,
        seed=seed,
        detector=options.or_none(detector),
        matcher=options.or_none(matcher),
        command=command_line(),
    )
    results = run_defenses(plan, options.progress(quiet=quiet))
    written = write_defenses(out, results)
    options.tell(as_markdown(results), written, quiet=quiet)
