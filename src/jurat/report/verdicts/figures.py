"""Plots of a run as PNG: outcomes, rules with intervals, scores with thresholds."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.errors import JuratError
from jurat.files import file_errors, make_folder
from jurat.report.verdicts.columns import VerdictColumns
from jurat.report.verdicts.read_run import Run
from jurat.report.verdicts.tally import OUTCOMES, Tally
from jurat.text import counted, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"unsafe": "#b4462f", "unsure": "#d3a13c", "error": "#9273b3", "safe": "#6b9d7e"}
_INK = "#211f1c"
_DPI = 160
_COLUMNS = 3


def write_figures(record: Path, folder: Path) -> list[Path]:
    """Draws outcomes.png, rules.png and scores.png into a folder, and returns their paths.

    Raises:
        JuratError: matplotlib is not installed, the record cannot be read, or the folder not written.
    """
    if find_spec("matplotlib") is None:
        raise JuratError("Figures need matplotlib.", hint='pip install "jurat[bench]"')
    from matplotlib.figure import Figure

    run = Run.at(record)
    columns, tally = VerdictColumns(run), Tally()
    for entry in run.entries():
        tally.add(entry.verdict)
        columns.add(entry)
    if not tally.items:
        raise JuratError(f"{record} holds no verdicts.")
    rules = len(tally.rules)
    drawn = {"outcomes": Figure(figsize=(7, 2.2), layout="constrained")}
    _outcomes(drawn["outcomes"].subplots(), tally)
    if rules:
        drawn["rules"] = Figure(figsize=(7, 1.1 + 0.3 * rules), layout="constrained")
        _rules(drawn["rules"].subplots(), tally)
        drawn["scores"] = Figure(figsize=(9, 0.6 + 1.5 * math.ceil(rules / _COLUMNS)), layout="constrained")
        _scores(drawn["scores"], columns)
    return _saved(drawn, folder)


def _saved(drawn: dict[str, Figure], folder: Path) -> list[Path]:
    paths: list[Path] = []
    with file_errors(folder):
        make_folder(folder)
        for name, figure in drawn.items():
            paths.append(folder / f"{name}.png")
            # No date and no version in the file, so that equal runs give equal files.
            figure.savefig(paths[-1], dpi=_DPI, metadata={"Software": None})
    return paths


def _outcomes(axes: Axes, tally: Tally) -> None:
    counts = [tally.outcomes[outcome] for outcome in OUTCOMES]
    bars = axes.barh(OUTCOMES, counts, color=[COLOURS[outcome] for outcome in OUTCOMES])
    axes.bar_label(bars, [f"{n:,}  {n / tally.items:.1%}" for n in counts], padding=4, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(counts))
    axes.set_xlabel(f"of {counted(tally.items, 'item')}")
    _plain(axes)


def _rules(axes: Axes, tally: Tally) -> None:
    for place, rule in enumerate(tally.rules):
        interval = rule.interval
        axes.plot(rule.share, place, "o", color=COLOURS["unsafe"], markersize=4)
        axes.plot([interval.low, interval.high], [place, place], color=COLOURS["unsafe"], linewidth=1.2)
    axes.set_yticks(range(len(tally.rules)), [_name(rule.id) for rule in tally.rules], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("share of items that break it, with Wilson's 95% interval")
    _plain(axes)


def _scores(figure: Figure, columns: VerdictColumns) -> None:
    rules = list(columns.rules.values())
    grid = figure.subplots(math.ceil(len(rules) / _COLUMNS), _COLUMNS, sharex=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(rules):
            axes.set_axis_off()
            continue
        rule = rules[place]
        known = [score for score in rule.scores if not math.isnan(score)]
        axes.hist(known, bins=40, range=(0, 1), color=_INK, log=bool(known))
        axes.set_ylim(bottom=0.5)  # one item is a bar too
        axes.yaxis.set_minor_formatter("")
        if rule.movable and rule.bounds is not None:
            axes.axvline(rule.bounds.keep_below, color=COLOURS["safe"], linewidth=1.2, linestyle="--")
            axes.axvline(rule.bounds.break_above, color=COLOURS["unsafe"], linewidth=1.2)
        axes.set_title(_name(rule.id), fontsize=8, loc="left")
        axes.tick_params(labelsize=7)
        _plain(axes)
    figure.supxlabel("score; dashed line: kept below it; solid line: broken above it", fontsize=8)
    figure.supylabel("items, log scale", fontsize=8)


def _name(id: str) -> str:
    # matplotlib reads what stands between dollar signs as a formula.
    return printable(id).replace("$", r"\$")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
