"""What the card says of pictures that are no scenes, from the tables of `perf/strangers.py`: those of the
weights that shipped before (`strangers-before.json` in `training/measurements`), and of these
(`strangers-after.json`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.percents import percent

MEASUREMENTS = Path(__file__).parents[1] / "measurements"
FEW, MANY = 0.02, 0.10
"""Share of wrong verdicts that most kinds of strangers may reach, and that none may exceed."""
Row = Mapping[str, Any]


def outcomes(row: Row) -> dict[str, Any]:
    """Counts of what was said of a kind of pictures, and of what was wrong.

    `row` is one of `perf/strangers.py`, which says what counts as wrong.
    """
    count = Counter(row.get("counts", {}))
    each = {
        said: count[f"{said}, violating"] + count[f"{said}, other"] for said in ("safe", "unsafe", "refused")
    }
    missed, alarms = count["safe, violating"], count["unsafe, other"]
    lenient = 0 if row["of"] == "strangers" else count["safe, other"]
    found = count["unsafe, violating"]
    judged = row.get("violating", 0) + found + alarms
    return {
        **each,
        "unsure": row["n"] - sum(each.values()),
        "wrong": missed + alarms + count["safe, other"] - lenient,
        "right_unsafe": found,
        "f1": 2 * found / judged if judged else None,
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """How many kinds of strangers keep to `FEW` and `MANY`, and how many scenes were lost."""
    wrong = _wrong(rows)
    few, many = sum(share <= FEW for share in wrong.values()), sum(share > MANY for share in wrong.values())
    counted = f"{few} with at most {FEW:.0%} wrong, {many} above {MANY:.0%}"
    lines = [f"Strangers: {len(wrong)} kinds, {counted}."]
    for row in rows:
        if row["kind"] == "as drawn":
            found = outcomes(row)
            lines.append(
                f"Scenes as drawn: {found['refused']} of {row['n']} lost, item F1 {found['f1']:.4f}."
            )
    return lines


def card_section(revision: str) -> list[str]:
    """Lines of the card for weights of this revision; without a table where that was made of others."""
    before, after = (_measured(name) for name in ("strangers-before", "strangers-after"))
    if after is None or before is None or after["provenance"]["revision"] != revision:
        return ["`perf/strangers.py` has not measured these weights.\n"]
    worse = [kind for kind, share in _wrong(after["rows"]).items() if share > FEW]
    return [
        "Percent of pictures that are wrongly called `safe` or `unsafe`, with 95% Wilson intervals, and of",
        "those that are refused, under six rules, by the weights that shipped before and by these",
        f"(`{after['provenance']['command']}`). Training used none of these pictures. Of two kinds it showed",
        "others, as unknown: emoji of the same font, and objects put together of two halves.\n",
        *_table(before["rows"], after["rows"], "strangers"),
        "",
        *summary(after["rows"]),
        f"Kinds above {FEW:.0%}: {', '.join(worse) or 'none'}.",
        "It may judge pictures of these kinds as if they were scenes.\n",
        "The same of scenes that are drawn in other ways, where what contradicts the drawing is wrong.\n",
        *_table(before["rows"], after["rows"], "scenes"),
        "",
    ]


def _measured(name: str) -> dict[str, Any] | None:
    path = MEASUREMENTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def _wrong(rows: Sequence[Row]) -> dict[str, float]:
    """Kind of strangers -> share of wrong verdicts."""
    return {
        row["kind"]: outcomes(row)["wrong"] / row["n"]
        for row in rows
        if row["of"] == "strangers" and row["n"]
    }


def _table(before: Sequence[Row], after: Sequence[Row], of: str) -> list[str]:
    earlier = {row["kind"]: row for row in before}
    lines = ["| kind | n | wrong before | wrong | refused before | refused |\n|---|---|---|---|---|---|"]
    for row in after:
        if row["of"] != of:
            continue
        if not row["n"]:
            lines.append(f"| {row['kind']} | 0 | | {row['left_out']} | | |")
            continue
        was, now = earlier.get(row["kind"]), outcomes(row)
        old = outcomes(was) if was is not None and was["n"] else None
        cells = [
            percent(old["wrong"], was["n"]) if old and was else "",
            percent(now["wrong"], row["n"]),
            f"{old['refused'] / was['n']:.0%}" if old and was else "",
            f"{now['refused'] / row['n']:.0%}",
        ]
        lines.append(f"| {row['kind']} | {row['n']} | {' | '.join(cells)} |")
    return lines
