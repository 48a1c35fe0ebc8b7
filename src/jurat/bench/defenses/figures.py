"""Safety against utility: a figure a model, a panel for each way that it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from jurat.bench.defenses.plan import CONTROLS, NONE
from jurat.bench.save_svg import save_svg

__all__ = ["write_figures"]

Point: TypeAlias = Mapping[str, Any]
Panel: TypeAlias = tuple[str, tuple[str, str], Sequence[Point]]
"""Title, labels of the axes, points."""


def write_figures(out: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes `defenses-MODEL.svg` for each model; nothing where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return []
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    written: list[Path] = []
    judge, chat = results["judge"]["pareto"], results["chat"]["pareto"]
    for model in dict.fromkeys(point["model"] for point in (*judge, *chat)):
        panels = _panels([p for p in judge if p["model"] == model], [p for p in chat if p["model"] == model])
        path = out / f"defenses-{model.replace('/', '-')}.svg"
        # A $ in a name or in the words of a defense is no formula.
        with rc_context({"text.parse_math": False}):
            figure = Figure(figsize=(5.5 * len(panels), 4.5), layout="constrained")
            for axes, (title, labels, points) in zip(
                figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
            ):
                _draw(axes, title, labels, points)
            save_svg(figure, path)
        written.append(path)
    return written


def _panels(judge: Sequence[Point], chat: Sequence[Point]) -> list[Panel]:
    of_judge = ("clean scenes not called unsafe", "least recall under any threat")
    of_chat = ("right answers, and harmless requests not refused", "1 - ASR")
    found: list[Panel] = []
    for name in dict.fromkeys(point["method"] for point in judge):
        found.append((f"judge, {name}", of_judge, [p for p in judge if p["method"] == name]))
    if chat:
        found.append(("chat", of_chat, chat))
    return found


def _draw(axes: Any, title: str, labels: tuple[str, str], points: Sequence[Point]) -> None:
    """The points with their names; those on the front are joined, and hollow ones were not put to all
    threats."""
    named: dict[tuple[float, float], list[str]] = {}
    for point in points:
        place = point["utility"], point["safety"]
        named.setdefault((round(place[0], 2), round(place[1], 2)), []).append(
            point["defense"] or "no defense"
        )
        marker = "s" if point["defense"] in CONTROLS else "*" if point["defense"] == NONE else "o"
        fill = "none" if point["untested"] else "full"
        axes.plot(*place, marker, fillstyle=fill)
    for place, names in named.items():  # several may stand at one place
        axes.annotate("\n".join(names), place, xytext=(4, 4), textcoords="offset points", fontsize=7)
    best = sorted((point["utility"], point["safety"]) for point in points if point["on_front"])
    axes.plot([x for x, _ in best], [y for _, y in best], ":", color="grey", zorder=0)
    axes.set(title=title, xlabel=labels[0], ylabel=labels[1], xlim=(-0.05, 1.25), ylim=(-0.05, 1.08))
