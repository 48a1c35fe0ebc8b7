"""Results as people read them: `results.json`, `results.md` and, where matplotlib is there, figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

COLUMNS: tuple[tuple[str, str], ...] = (
    ("recall", "recall"),
    ("precision", "precision"),
    ("accuracy", "accuracy"),
    ("f1", "F1"),
    ("unsure", "unsure"),
    ("aurc", "AURC"),
    ("risk", "risk at 90%"),
    ("ece", "ECE"),
    ("brier", "Brier"),
    ("log_loss", "log-loss"),
    ("flip_score", "flip"),
    ("images", "images"),
    ("question_tokens", "read"),
    ("generated_tokens", "written"),
    ("flops", "GFLOPs"),
    ("seconds", "ms"),
)
_EMPTY = "–"


def write_results(out: Path, results: dict[str, Any]) -> list[Path]:
    """Writes all that can be written into a folder and gives the paths."""
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "results.json", out / "results.md"]
    written[0].write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    written[1].write_text(as_markdown(results))
    from jurat.bench.figures import draw_figures

    return [*written, *draw_figures(out, results)]


def as_markdown(results: dict[str, Any]) -> str:
    """The tables, one for each model, split and level, with what was left out and where it comes from."""
    return "\n".join([*_head(results), *_tables(results["rows"]), *_paired(results["paired"])]) + "\n"


def _head(results: dict[str, Any]) -> Iterator[str]:
    told = results["provenance"]
    bench = told.get("bench")
    yield "# Results of `jurat bench`"
    yield ""
    yield f"`{told['command']}`"
    yield ""
    drawn = f"; seed {bench['seed']}, {bench['per_rule']} pairs a rule" if bench else ""
    yield f"jurat {told['jurat']}, commit {told['commit'] or 'unknown'}, {told['time']}{drawn}."
    yield f"Models: {'; '.join(f'{label} is {name}' for label, name in told['models'].items())}."
    yield (
        f"Intervals: {told['intervals']}. An unsure verdict counts as an error in every rate; AURC and risks"
        " take a forced one. Costs are means an item; FLOPs are estimated from parameters and tokens."
    )
    for label, tried in told["configurations tried on dev"].items():
        if tried:
            counts = ", ".join(f"{name} {count}" for name, count in tried.items())
            yield f"Configurations tried on dev, {label}: {counts}."
    left_out = told["left_out"]
    if left_out:
        yield ""
        yield "Left out:"
        seen: dict[tuple[str, str, str], list[str]] = {}
        for each in left_out:
            key = (each["model"], "-no-".join((each["preset"], *each["ablate"])), each["reason"])
            seen.setdefault(key, []).append(each["split"])
        yield ""
        for (model, name, reason), splits in seen.items():
            yield f"- {name} with {model} ({', '.join(splits)}): {reason}"


def _tables(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["split"], row["level"]), []).append(row)
    for (model, split, level), members in groups.items():
        shown = [
            (key, title) for key, title in COLUMNS if any(_value(row, key) is not None for row in members)
        ]
        yield ""
        yield f"## {model}, {split}, {level} level, n = {members[0]['n']:,}"
        yield ""
        yield f"| method | {' | '.join(title for _, title in shown)} |"
        yield f"|---|{'---|' * len(shown)}"
        for row in members:
            name = row["preset"] + "".join(f" − {part}" for part in row["ablate"])
            yield f"| {name} | {' | '.join(_cell(row, key) for key, _ in shown)} |"
        if split == "rare":
            yield from _prevalences(members)


def _prevalences(members: Sequence[dict[str, Any]]) -> Iterator[str]:
    told = [row for row in members if row.get("precision_at")]
    if not told:
        return
    points = list(told[0]["precision_at"])
    yield ""
    yield f"| precision where … break a rule | {' | '.join(f'{float(p):.1%}' for p in points)} |"
    yield f"|---|{'---|' * len(points)}"
    for row in told:
        name = row["preset"] + "".join(f" − {part}" for part in row["ablate"])
        cells = (row["precision_at"][p] for p in points)
        yield f"| {name} | {' | '.join(_EMPTY if c is None else f'{c:.3f}' for c in cells)} |"


def _paired(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not entries:
        return
    yield ""
    yield "## Paired differences, item level"
    yield ""
    yield "| model | split | metric | a − b | difference | 95% interval | seeds |"
    yield "|---|---|---|---|---|---|---|"
    for each in entries:
        low, high = each["ci"]
        seeds = each.get("seeds")
        counted = "" if seeds is None else f"{seeds['better']} of {seeds['of']}"
        interval = _EMPTY if low is None else f"{low:+.3f} to {high:+.3f}"
        yield (
            f"| {each['model']} | {each['split']} | {each['metric']} | {each['a']} − {each['b']} "
            f"| {each['difference']:+.3f} | {interval} | {counted} |"
        )


def _value(row: dict[str, Any], key: str) -> float | None:
    if key == "risk":
        return (row.get("risk_at") or {}).get("0.9")
    return row.get(key)


def _cell(row: dict[str, Any], key: str) -> str:
    value = _value(row, key)
    if value is None:
        return _EMPTY
    if key == "flops":
        return f"{value / 1e9:.3g}"
    if key == "seconds":
        return f"{value * 1000:.0f}"
    if key in ("images", "question_tokens", "generated_tokens"):
        return f"{value:.3g}"
    interval = row.get(f"{key}_ci")
    shown = f"{value:.3f}"
    return shown if not interval or interval[0] is None else f"{shown} ({interval[0]:.3f}–{interval[1]:.3f})"
