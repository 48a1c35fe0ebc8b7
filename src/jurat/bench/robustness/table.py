"""What a run says, as rows, tables and a figure.

`recall` is the share of violating scenes that are called unsafe, a `false alarm` a near miss that is. An
attack is compared with noise of the same size on the same scenes, another change with the clean scenes; p
values of all attacks on one model are Holm's together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.bench_run import made_by, runs_of
from jurat.bench.evaluate import Progress
from jurat.bench.results import rounded
from jurat.bench.robustness.conditions import CLEAN, Condition
from jurat.bench.robustness.run import AttackCost, RobustnessPlan
from jurat.bench.save_svg import save_svg
from jurat.bench.table import EvaluatedMethod, plain
from jurat.files import write_whole
from jurat.metrics import UNSURE, clustered_rate, holm, rate_difference
from jurat.metrics.claims import ALPHA

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_markdown", "results_of", "write_robustness"]

INTERVALS = "95%, Wilson's, with the rules as clusters; differences paired by scene, Agresti and Min's"
_TITLES = {"broken": "Violating scenes", "near miss": "Near misses"}


def results_of(
    plan: RobustnessPlan, progress: Progress, costs: Mapping[str, Sequence[AttackCost]]
) -> dict[str, Any]:
    """All that is published, as `robustness.json` holds it."""
    found = {
        "provenance": {
            **made_by(plan.command),
            "seed": plan.seed,
            "per_rule": plan.per_rule,
            "steps": plan.steps,
            "attacked": {"model": plan.victim, "label": plan.subjects[0].label},
            "models": progress.models,
            **progress.vision,
            "intervals": INTERVALS,
            "runs": runs_of(progress.origins),
            "left_out": _left_out(progress),
        },
        "rows": _rows(plan, progress.evaluated),
        "attacks": [_cost(plan, key, some) for key, some in costs.items()],
    }
    return rounded(plain(found))


def _left_out(progress: Progress) -> list[dict[str, Any]]:
    """Each method that was not run with a model, and why, once."""
    found = {(each["model"], each["preset"], each["reason"]) for each in progress.left_out}
    return [{"model": model, "method": method, "reason": reason} for model, method, reason in sorted(found)]


def write_robustness(out: Path, results: dict[str, Any]) -> list[Path]:
    """Writes `robustness.json`, `robustness.md` and, where matplotlib is installed, a figure a model."""
    write_whole(out / "robustness.json", json.dumps(results, indent=1) + "\n")
    write_whole(out / "robustness.md", as_markdown(results))
    return [out / "robustness.json", out / "robustness.md", *_figures(out, results)]


# --- rows ----------------------------------------------------------------------------------------


def _rows(plan: RobustnessPlan, evaluated: Sequence[EvaluatedMethod]) -> list[dict[str, Any]]:
    known = {(each.model, each.key, each.split): each for each in evaluated}
    rows: list[dict[str, Any]] = []
    for each in evaluated:
        condition = plan.conditions[each.split]
        row = _row(each, condition)
        control = _control(condition)
        other = None if control is None else known.get((each.model, each.key, control.key))
        if control is not None and other is not None:
            rules = [item.rule for item in each.items]
            found = rate_difference(_unsafe(each), _unsafe(other), rules)
            low, high = found.interval.low, found.interval.high
            row["difference"] = {
                "to": control.title, "value": found.value, "low": low, "high": high, "p": found.p
            }  # fmt: skip
        rows.append(row)
    for model in dict.fromkeys(row["model"] for row in rows):
        family = [r for r in rows if r["model"] == model and r["change"] == "attack" and "difference" in r]
        for row, p in zip(family, holm([row["difference"]["p"] for row in family]), strict=True):
            row["difference"]["holm"] = p
    return rows


def _row(each: EvaluatedMethod, condition: Condition) -> dict[str, Any]:
    said = [prediction.outcome for prediction in each.predictions]
    failed = sum(prediction.failed for prediction in each.predictions)
    interval = clustered_rate(_unsafe(each), [item.rule for item in each.items])
    return {
        "model": each.model,
        "method": each.key,
        **asdict(condition),
        "title": condition.title,
        "n": len(said),
        "unsafe": said.count(1),
        "safe": said.count(0),
        "unsure": said.count(UNSURE) - failed,
        "error": failed,
        "interval": [interval.low, interval.high],
    }


def _unsafe(each: EvaluatedMethod) -> NDArray[np.float64]:
    return np.array([prediction.outcome == 1 for prediction in each.predictions], float)


def _control(condition: Condition) -> Condition | None:
    if condition.change == "clean":
        return None
    if condition.change == "attack":
        return Condition("noise", condition.want, condition.level)
    return CLEAN[condition.want]


def _cost(plan: RobustnessPlan, key: str, some: Sequence[AttackCost]) -> dict[str, Any]:
    condition = plan.conditions[key]
    reached = [each for each in some if each.reached]
    return {
        **asdict(condition),
        "title": condition.title,
        "n": len(some),
        "reached": len(reached),
        "median_step": median(each.step for each in reached) if reached else None,
        "steps": plan.steps,
        **{
            name: sum(getattr(each, name) for each in some) / len(some)
            for name in ("forwards", "backwards", "queries")
        },
    }


# --- tables --------------------------------------------------------------------------------------


def as_markdown(results: Mapping[str, Any]) -> str:
    """Where it comes from, a table for each model and kind of scene, and what the attacks cost."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    told = results["provenance"]
    yield f"`{told['command']}`, commit {told['commit']}, seed {told['seed']}, {told['machine']}."
    yield (
        f"Intervals: {told['intervals']}. Attacks: {told['steps']} steps, on `{told['attacked']['label']}`. "
        "A star marks attacks that differ from noise of the same size with p < .05 after Holm's correction."
    )
    for each in told["left_out"]:
        yield f"Left out: `{each['method']}` with `{each['model']}`: {each['reason']}"
    rows = results["rows"]
    for model in dict.fromkeys(row["model"] for row in rows):
        for want, title in _TITLES.items():
            own = [row for row in rows if (row["model"], row["want"]) == (model, want)]
            yield from _table(model, title, own)
    yield from _attacks(results["attacks"])


def _table(model: str, title: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    cells = {(row["title"], row["method"]): row for row in rows}
    n = max((row["n"] for row in rows), default=0)
    what = "recall" if rows and rows[0]["want"] == "broken" else "false alarms"
    yield ""
    yield f"**{title}, `{model}`, n = {n}**: {what} in percent, its interval, and how many were called safe."
    yield ""
    yield f"| scenes | {' | '.join(f'`{method}`' for method in methods)} |"
    yield f"|---|{'---|' * len(methods)}"
    for name in dict.fromkeys(row["title"] for row in rows):
        found = (cells.get((name, method)) for method in methods)
        yield f"| {name} | {' | '.join('–' if row is None else _cell(row) for row in found)} |"


def _cell(row: Mapping[str, Any]) -> str:
    low, high = (round(100 * end) for end in row["interval"])
    p = row.get("difference", {}).get("holm")
    star = "*" if p is not None and p < ALPHA else ""
    failed = f", {row['error']} failed" if row["error"] else ""
    return f"{100 * row['unsafe'] / row['n']:.0f}{star} ({low}–{high}), safe {row['safe']}{failed}"


def _attacks(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "**What the attacks cost**: scenes on which the attacked judge gave the wanted verdict, the median"
    yield "number of steps to it, and passes and questions a scene."
    yield ""
    yield "| attack | reached | median step | forwards | backwards | questions |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        step = "–" if row["median_step"] is None else f"{row['median_step']:g}"
        counts = " | ".join(f"{row[name]:.0f}" for name in ("forwards", "backwards", "queries"))
        yield f"| {row['title']} | {row['reached']} of {row['n']} | {step} | {counts} |"


# --- figure --------------------------------------------------------------------------------------


def _figures(out: Path, results: Mapping[str, Any]) -> list[Path]:
    """Recall against the radius, for each attacked preset and aim; nothing where matplotlib is not
    installed."""
    rows = [row for row in results["rows"] if row["want"] == "broken"]
    if find_spec("matplotlib") is None or not any(row["change"] == "attack" for row in rows):
        return []
    from matplotlib.figure import Figure

    written: list[Path] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        panels = list(dict.fromkeys((row["against"], row["aim"]) for row in own if row["change"] == "attack"))
        figure = Figure(figsize=(4 * len(panels), 4), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _panel(axes, own, *panel)
        path = out / f"robustness-{model.replace('/', '-')}.svg"
        save_svg(figure, path)
        written.append(path)
    return written


def _panel(axes: Any, rows: Sequence[Mapping[str, Any]], against: str, aim: str) -> None:
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        for change, style in (("attack", "-"), ("noise", ":")):
            some = [
                row
                for row in own
                if row["change"] == "clean"
                or (
                    row["change"] == change
                    and (change == "noise" or (row["against"], row["aim"]) == (against, aim))
                )
            ]
            x = [row["level"] for row in some]
            label = method if change == "attack" else None
            color = f"C{list(dict.fromkeys(row['method'] for row in rows)).index(method)}"
            axes.plot(x, [row["unsafe"] / row["n"] for row in some], style, color=color, label=label)
            if change == "attack":
                low, high = ([row["interval"][end] for row in some] for end in (0, 1))
                axes.fill_between(x, low, high, color=color, alpha=0.1)
    axes.set(title=f"attack on {against}, to {aim}", xlabel="largest change, levels of 255", ylim=(0, 1.02))
    axes.set_ylabel("recall (dotted: noise)")
    axes.legend()
