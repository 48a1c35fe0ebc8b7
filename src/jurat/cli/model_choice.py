"""Options on which model judges, and how it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jurat.judge.presets import PARTS

ConstitutionArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A YAML file, or shelf:NAME.", show_default=False)
]
ConstitutionFile = Annotated[
    str,
    typer.Option(
        "--constitution", "-c", metavar="FILE", help="A YAML file, or shelf:NAME.", show_default=False
    ),
]
ModelName = Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="See: jurat models")]
PresetName = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="How clauses are asked and decided: jurat, quick, clue, clue-quick, direct."
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="PART", help=f"Leave out a part: {', '.join(PARTS)}.", show_default=False),
]
DetectorName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Detector for regions: bundled, or hf/NAME_OR_PATH of an OWLv2."),
]
MatcherName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Matcher for relevance: bundled, or hf/NAME_OR_PATH of a CLIP."),
]
CalibrationFile = Annotated[Path | None, typer.Option(metavar="FILE", help="What jurat calibrate wrote.")]
AllowUnknown = Annotated[
    bool,
    typer.Option(
        "--allow-unknown", help="Continue if the model does not know a word; its findings are undecided."
    ),
]
DefenseNames = Annotated[
    list[str] | None,
    typer.Option(
        "--defense",
        metavar="NAME",
        help="Puts the model under a defense: jpeg?quality=50. Repeat for more; the first sees a "
        "conversation first. See: jurat list defenses",
        show_default=False,
    ),
]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16, float16.")]
BatchSize = Annotated[int, typer.Option(metavar="N", min=1, help="Images judged together.")]
