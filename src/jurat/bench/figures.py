"""Figures of a run: F1 with intervals, cost against F1, and what each stage gains as habits mislead more."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[dict[str, Any]]


def draw_figures(out: Path, results: dict[str, Any]) -> list[Path]:
    """Draws what the rows allow, as SVG, and gives the paths; nothing where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return []
    from matplotlib.figure import Figure

    written: list[Path] = []
    items = [row for row in results["rows"] if row["level"] == "item"]
    for model in dict.fromkeys(row["model"] for row in items):
        own = [row for row in items if row["model"] == model]
        for name, draw, rows in (
            ("f1", _f1, [row for row in own if row["f1"] is not None]),
            ("cost", _cost, [row for row in own if row["f1"] is not None and row["flops"]]),
            ("habits", _habits, [row for row in own if "companions" in row["by"]]),
        ):
            if not rows:
                continue
            figure = Figure(figsize=(8, 1.2 + 0.22 * len(rows) if name == "f1" else 5), layout="constrained")
            if not draw(figure.subplots(), rows):
                continue
            path = out / f"{name}-{model.replace('/', '-').replace('#', '-')}.svg"
            # Neither a date nor random ids, so that equal results give equal files.
            figure.savefig(path, metadata={"Date": None})
            written.append(path)
    return written


def _f1(axes: Axes, rows: Rows) -> bool:
    ordered = sorted(rows, key=lambda row: (row["split"], row["f1"]))
    for i, row in enumerate(ordered):
        axes.plot(row["f1"], i, "o", color="black", markersize=3)
        if row.get("f1_ci") and row["f1_ci"][0] is not None:
            axes.plot(row["f1_ci"], [i, i], color="black", linewidth=0.8)
    axes.set_yticks(range(len(ordered)), [f"{_name(row)} · {row['split']}" for row in ordered], fontsize=6)
    axes.set_xlabel("F1 of items, unsure as an error, 95% interval")
    return True


def _cost(axes: Axes, rows: Rows) -> bool:
    for split in dict.fromkeys(row["split"] for row in rows):
        own = [row for row in rows if row["split"] == split]
        axes.plot([row["flops"] / 1e9 for row in own], [row["f1"] for row in own], "o", label=split)
    for row in rows:
        axes.annotate(_name(row), (row["flops"] / 1e9, row["f1"]), fontsize=6)
    axes.set_xscale("log")
    axes.set_xlabel("GFLOPs an item, estimated")
    axes.set_ylabel("F1 of items")
    axes.legend()
    return True


def _habits(axes: Axes, rows: Rows) -> bool:
    """Accuracy with a stage less accuracy without it, by how many bystanders stand against habit."""
    whole = {row["preset"]: row for row in rows if not row["ablate"]}
    drawn = False
    for row in rows:
        full = whole.get(row["preset"])
        if not row["ablate"] or full is None:
            continue
        points = sorted(set(row["by"]["companions"]) & set(full["by"]["companions"]))
        gains = [full["by"]["companions"][p] - row["by"]["companions"][p] for p in points]
        axes.plot([int(p) for p in points], gains, "o-", label=f"{row['preset']}: {'+'.join(row['ablate'])}")
        drawn = True
    if drawn:
        axes.axhline(0, color="grey", linewidth=0.6)
        axes.set_xticks([1, 2, 3])
        axes.set_xlabel("bystanders that stand against habit")
        axes.set_ylabel("accuracy gained by the stage")
        axes.legend(fontsize=7)
    return drawn


def _name(row: dict[str, Any]) -> str:
    return row["preset"] + "".join(f" − {part}" for part in row["ablate"])
