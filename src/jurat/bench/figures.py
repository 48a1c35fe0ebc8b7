"""Figures of a run: F1 with intervals, cost against F1, risk against coverage, and what each stage gains as
habits mislead more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.bench.save_svg import save_svg
from jurat.bench.table import CURVE, title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[dict[str, Any]]

WORST = 0.3
"""Where the figure of risk against coverage ends."""
LEADS: dict[str, dict[str, Any]] = {
    "jurat": {"color": "black", "linewidth": 2.0},
    "clue": {"color": "tab:red", "linewidth": 1.6},
    "clue-refit": {"color": "tab:red", "linewidth": 1.2, "linestyle": "--"},
}
"""How the presets that claims compare are drawn."""


def draw_figures(out: Path, results: dict[str, Any]) -> list[Path]:
    """Draws what the rows allow, as SVG, and gives the paths; nothing where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return []
    from matplotlib.figure import Figure

    written: list[Path] = []
    items = [row for row in results["rows"] if row["level"] == "item"]
    # Further training seeds have rows, and no figures of their own.
    for model in dict.fromkeys(row["model"] for row in items if "#" not in row["model"]):
        own = [row for row in items if row["model"] == model]
        told = [row for row in own if row["f1"] is not None]
        for name, draw, rows in (*_of_splits(told), ("habits", _habits, told)):
            if not rows:
                continue
            height = 1.2 + 0.22 * len(rows) if draw is _f1 else 5
            figure = Figure(figsize=(8, height), layout="constrained")
            if not draw(figure.subplots(), rows):
                continue
            path = out / f"{name}-{model.replace('/', '-')}.svg"
            save_svg(figure, path)
            written.append(path)
    return written


def _of_splits(rows: Rows) -> Iterator[tuple[str, Callable[[Axes, Rows], bool], Rows]]:
    """The figures of each split: name, function and rows."""
    for split in dict.fromkeys(row["split"] for row in rows):
        own = [row for row in rows if row["split"] == split]
        yield f"f1-{split}", _f1, own
        yield f"cost-{split}", _cost, [row for row in own if row["flops"]]
        yield f"risk-{split}", _risk, [row for row in own if row.get("risk_curve") and not row["ablate"]]


def _f1(axes: Axes, rows: Rows) -> bool:
    ordered = sorted(rows, key=lambda row: row["f1"])
    for i, row in enumerate(ordered):
        color = _color(row)
        axes.plot(row["f1"], i, "o", color=color, markersize=3)
        if row.get("f1_ci") and row["f1_ci"][0] is not None:
            axes.plot(row["f1_ci"], [i, i], color=color, linewidth=0.8)
    axes.set_yticks(range(len(ordered)), [title_of(row) for row in ordered], fontsize=6)
    axes.set_ylim(-1, len(ordered))
    axes.set_xlabel("F1 of items, unsure as an error, 95% interval")
    return True


def _cost(axes: Axes, rows: Rows) -> bool:
    for row in rows:
        place = row["flops"] / 1e9, row["f1"]
        axes.plot(*place, "o", markersize=4, color=_color(row))
        axes.annotate(title_of(row), place, (4, 3), textcoords="offset points", fontsize=6)
    axes.set_xscale("log")
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(lambda gigaflops, _: f"{gigaflops:g}")
    axes.tick_params(axis="x", which="both", labelsize=7)
    axes.set_xlabel("GFLOPs an item, estimated")
    axes.set_ylabel("F1 of items")
    return True


def _risk(axes: Axes, rows: Rows) -> bool:
    """Errors among the items that are decided, the most certain first; our claim's presets stand out."""
    from matplotlib import colormaps

    others = itertools.count()
    beyond: list[str] = []
    for row in sorted(rows, key=lambda row: row["aurc"]):
        if min(row["risk_curve"]) > WORST:
            beyond.append(title_of(row))
            continue
        style: dict[str, Any] | None = LEADS.get(row["preset"])
        if style is None:
            style = {"color": colormaps["tab20"](next(others)), "linestyle": ":", "linewidth": 1.0}
        axes.plot(CURVE, row["risk_curve"], label=title_of(row), **style)
    if not axes.lines:
        return False
    axes.set_xlabel("share of the items that are decided")
    axes.set_ylabel("share of errors among them")
    axes.set_ylim(0, WORST)
    if beyond:
        axes.set_title(f"Worse everywhere: {', '.join(beyond)}", fontsize=7, loc="left")
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return True


def _habits(axes: Axes, rows: Rows) -> bool:
    """Accuracy with a stage less accuracy without it, by how many bystanders stand against habit: 0 in the
    plain scenes of test, 1 to 3 in those of habits, which are as plain otherwise."""
    known = {(row["preset"], tuple(row["ablate"])): dict[int, float]() for row in rows}
    for row in rows:
        found = known[row["preset"], tuple(row["ablate"])]
        if row["split"] == "test" and "level" in row["by"]:
            found[0] = row["by"]["level"]["plain"]
        if row["split"] == "habits":
            found.update({int(n): value for n, value in row["by"].get("companions", {}).items()})
    drawn = False
    for (preset, ablate), less in known.items():
        whole = known.get((preset, ()), {})
        points = sorted(set(whole) & set(less))
        if ablate and any(points):
            gains = [whole[p] - less[p] for p in points]
            axes.plot(points, gains, "o-", label=f"{preset}: {'+'.join(ablate)}")
            drawn = True
    if drawn:
        axes.axhline(0, color="grey", linewidth=0.6)
        axes.set_xticks([0, 1, 2, 3])
        axes.set_xlabel("bystanders that stand against habit")
        axes.set_ylabel("accuracy gained by the stage")
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn


def _color(row: dict[str, Any]) -> str:
    """A fixed color for presets that claims compare, with or without a part."""
    return LEADS.get(row["preset"], {"color": "grey"})["color"]
